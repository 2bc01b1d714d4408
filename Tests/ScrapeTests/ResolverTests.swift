// SPDX-License-Identifier: Apache-2.0
// DNS messages, the resolver, and targets from records.

import Synchronization
import TestKit
import Testing

@testable import Scrape

/// An answer to a question with records given as type and data.
private func answer(
    to question: [UInt8], code: UInt8 = 0, isTruncated: Bool = false,
    _ records: [(type: UInt16, data: [UInt8])]
) -> [UInt8] {
    var end = 12
    while question[end] != 0 { end += Int(question[end]) + 1 }
    var out = Array(question[..<2])
    out += [isTruncated ? 0x82 : 0x80, code, 0, 1, 0, UInt8(records.count), 0, 0, 0, 0]
    out += question[12..<(end + 5)]
    for record in records {
        // The owner's name is a pointer to the question.
        out += [0xc0, 12, UInt8(record.type >> 8), UInt8(record.type & 0xff), 0, 1, 0, 0, 0, 60]
        out += [UInt8(record.data.count >> 8), UInt8(record.data.count & 0xff)] + record.data
    }
    return out
}

private func name(_ text: String) -> [UInt8] {
    text.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
}

private func askedName(_ question: [UInt8]) -> String {
    var text = ""
    var offset = 12
    while question[offset] != 0 {
        let length = Int(question[offset])
        text += String(decoding: question[(offset + 1)...(offset + length)], as: UTF8.self) + "."
        offset += length + 1
    }
    return text
}

@Test func recordsOfAllTypes() throws {
    let question = try DNSMessage.question(
        id: 7, name: "a.example", type: .srv, announcesSize: true)
    let bytes = answer(
        to: question,
        [
            (1, [10, 0, 0, 1]),
            (28, [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
            (5, name("alias.example")), (2, name("ns.example")),
            (15, [0, 10] + [2, 109, 120, 0xc0, 14]),
            (33, [0, 0, 0, 0, 0x1f, 0x90] + name("host.example")),
        ])
    let decoded = try DNSMessage.answer(bytes, to: question)
    #expect(
        decoded.records == [
            .address("10.0.0.1"), .address("2001:db8::1"), .nameServer("ns.example."),
            .mailExchange("mx.example."), .service(target: "host.example.", port: 8080),
        ])
    #expect(throws: MalformedDNS.self) {
        try DNSMessage.answer([9] + bytes.dropFirst(), to: question)
    }
    let other = try DNSMessage.question(id: 7, name: "b.example", type: .srv, announcesSize: true)
    #expect(throws: MalformedDNS.self) { try DNSMessage.answer(bytes, to: other) }
}

@Test(arguments: [
    ([UInt8](repeating: 0, count: 16), "::"),
    ([0, 1] + [UInt8](repeating: 0, count: 12) + [0, 1], "1::1"),
    ([0xfe, 0x80, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], "fe80:0:1::2"),
    ([0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 0], "1:2:3:4:5:6:7:0"),
    ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1], "10.0.0.1"),
])
func addressTexts(bytes: [UInt8], text: String) {
    #expect(addressText(bytes[...]) == text)
}

@Test func damagedMessagesAreRefusedOrRead() throws {
    let question = try DNSMessage.question(id: 7, name: "a.example", type: .mx, announcesSize: true)
    let seed = answer(
        to: question,
        [
            (15, [0, 10] + [2, 109, 120, 0xc0, 12]), (33, [0, 0, 0, 0, 0, 80] + name("h.example")),
            (1, [1, 2, 3, 4]),
        ])
    var state: UInt64 = 11
    func random(_ n: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state &>> 33) % n
    }
    for _ in 0..<20_000 {
        var bytes = seed
        for _ in 0...random(4) { bytes[2 + random(bytes.count - 2)] = UInt8(random(256)) }
        if random(3) == 0 { bytes.removeLast(random(bytes.count)) }
        do throws(MalformedDNS) { _ = try DNSMessage.answer(bytes, to: question) } catch {
            #expect(!error.description.isEmpty)
        }
    }
    // A name that points at itself ends.
    var loop = seed
    loop[12] = 0xc0
    loop[13] = 12
    #expect(throws: MalformedDNS.self) { try DNSMessage.answer(loop, to: question) }
}

@Test func longNamesAreRefused() {
    for name in [String(repeating: "a", count: 64), String(repeating: "ab.", count: 100), "a..b"] {
        #expect(throws: MalformedDNS.self) {
            try DNSMessage.question(id: 1, name: name, type: .a, announcesSize: false)
        }
    }
}

@Test func resolverConfigurations() {
    let read = ResolverConfiguration(
        """
        # comment
        nameserver 10.0.0.2
        nameserver fe80::1%eth0 ; comment
        search svc.local example.
        options ndots:2 timeout:1 attempts:3 rotate
        """)
    #expect(read.servers.map(\.host) == ["10.0.0.2", "fe80::1%eth0"])
    #expect(read.candidates("a") == ["a.svc.local.", "a.example.", "a."])
    #expect(read.candidates("a.b.c") == ["a.b.c.", "a.b.c.svc.local.", "a.b.c.example."])
    #expect(read.candidates("a.") == ["a."])
    #expect(read.timeoutSeconds == 1)
    #expect(ResolverConfiguration("").servers == [DNSServer(host: "127.0.0.1")])
}

private func bench(_ text: String) -> (FakeNameServers, Resolver) {
    let servers = FakeNameServers()
    return (
        servers,
        Resolver(
            transport: servers, configuration: ResolverConfiguration(text), id: { 5 })
    )
}

@Test func namesAreTriedInOrder() async throws {
    let (servers, resolver) = bench("nameserver 1.1.1.1\nsearch one two\n")
    let asked = Mutex<[String]>([])
    servers.handle { message, _, _ in
        let name = askedName(message)
        asked.withLock { $0.append(name) }
        if name == "x.two." { return answer(to: message, [(1, [1, 2, 3, 4])]) }
        return answer(to: message, code: 3, [])
    }
    #expect(try await resolver.records("x", .a) == [.address("1.2.3.4")])
    #expect(asked.withLock { $0 } == ["x.one.", "x.two."])
    #expect(try await resolver.records("gone.", .a) == [])
}

@Test func serversAreTriedInOrder() async throws {
    let (servers, resolver) = bench("nameserver 1.1.1.1\nnameserver 2.2.2.2\n")
    servers.handle { message, server, _ in
        if server.host == "1.1.1.1" { return answer(to: message, code: 2, []) }
        return answer(to: message, [(1, [9, 9, 9, 9])])
    }
    #expect(try await resolver.records("x", .a) == [.address("9.9.9.9")])
    servers.handle { _, _, _ in throw DiscoveryError("no route") }
    await #expect(throws: DiscoveryError.self) { try await resolver.records("x", .a) }
}

@Test func cutAnswersAreAskedForAgainOverTCP() async throws {
    let (servers, resolver) = bench("nameserver 1.1.1.1\n")
    servers.handle { message, _, overTCP in
        if !overTCP { return answer(to: message, isTruncated: true, []) }
        return answer(to: message, [(1, [1, 1, 1, 1]), (1, [2, 2, 2, 2])])
    }
    #expect(try await resolver.records("x", .a).count == 2)
}

@Test func targetsFromRecords() async throws {
    let (servers, resolver) = bench("nameserver 1.1.1.1\n")
    let isDown = Mutex(false)
    servers.handle { message, _, _ in
        if isDown.withLock({ $0 }) { throw DiscoveryError("no route") }
        return answer(to: message, [(33, [0, 0, 0, 0, 0, 80] + name("h.example"))])
    }
    let settings = {
        var settings = DNSDiscoverySettings()
        settings.names = ["_http._tcp.example"]
        return settings
    }()
    let discoverer = DNSDiscoverer(settings)
    let world = DiscoveryBench().environment
    let delivery = DiscoveryDelivery(
        environment: world, kind: "dns", set: "job", replace: { _ in }, update: { _ in },
        fail: {})
    for _ in 0..<2 {
        let groups = await discoverer.refresh(delivery, resolver)
        #expect(
            labels(groups.first) == [
                "__address__": "h.example:80", "__meta_dns_name": "_http._tcp.example",
                "__meta_dns_srv_record_target": "h.example.", "__meta_dns_srv_record_port": "80",
            ])
        // The second time no server answers, and the targets stay.
        isDown.withLock { $0 = true }
    }
    #expect(world.metrics.value(.dnsLookups) == 2)
    #expect(world.metrics.value(.dnsLookupFailures) == 1)
}
