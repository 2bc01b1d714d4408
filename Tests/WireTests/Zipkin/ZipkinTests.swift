// SPDX-License-Identifier: Apache-2.0
// Zipkin v2 in both encodings: translation, leniency, damage.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

private let received: Int64 = 1_700_000_000_000_000_000

private func decodeJSON(_ text: String) throws -> DecodedSpans {
    try Array(text.utf8).withUnsafeBytes {
        try ZipkinSpans.decodeJSON($0, receivedNanos: received)
    }
}
private func decodeProtobuf(_ bytes: [UInt8]) throws -> DecodedSpans {
    try bytes.withUnsafeBytes { try ZipkinSpans.decodeProtobuf($0, receivedNanos: received) }
}

private func attributes(_ batch: SpanBatch, _ row: Int) throws -> [String: AttributeValue] {
    let list = try batch.arena.withSlice(batch.attributes[row]) {
        try AttributeCoding.decodeList($0)
    }
    return Dictionary(list.map { ($0.key, $0.value) }) { first, _ in first }
}

private let fullJSON = #"""
    [{"traceId":"463AC35C9F6413AD48485A3953BB6124","id":"a2fb4a1d1a96d312","parentId":"0020000000000001",
      "name":"get /api","kind":"SERVER","timestamp":1556604172355737,"duration":"1431","shared":true,
      "debug":true,"extra":{"x":[1]},
      "localEndpoint":{"serviceName":"backend","ipv4":"192.168.99.1","port":3306},
      "remoteEndpoint":{"serviceName":"front","ipv6":"2001:db8::c001","port":"58648"},
      "annotations":[{"timestamp":1556604172355800,"value":"started"}],
      "tags":{"http.method":"GET","error":"boom","host.name":"h1","otel.library.name":"lib",
       "otel.library.version":"2","otel.scope.name":"lib","otel.scope.version":"2","w3c.tracestate":"ot=th:8","n":5,"":"nothing"}},
     {"traceId":"463ac35c9f6413ad","id":"2","kind":"CLIENT","timestamp":1556604172355737,
      "localEndpoint":{"serviceName":"backend"},"tags":{"error":"true"}}]
    """#

@Test func zipkinJSONIsTranslated() throws {
    let decoded = try decodeJSON(fullJSON)
    let batch = decoded.batch
    #expect(decoded.rejected.count == 0)
    #expect(batch.rowCount == 2)
    #expect(batch.traceIDs[0].description == "463ac35c9f6413ad48485a3953bb6124")
    #expect(batch.traceIDs[1].description == "0000000000000000463ac35c9f6413ad")
    #expect(batch.spanIDs.map(\.description) == ["a2fb4a1d1a96d312", "0000000000000002"])
    #expect(batch.parentIDs.map(\.description) == ["0020000000000001", "0000000000000000"])
    #expect(batch.kinds == [2, 3])
    #expect(batch.startNanos[0] == 1_556_604_172_355_737_000)
    #expect(batch.endNanos[0] == 1_556_604_172_357_168_000)
    #expect(batch.statusCodes == [2, 2])
    #expect(batch.arena.text(batch.statusMessages[0]) == "boom")
    #expect(batch.arena.text(batch.statusMessages[1]) == "")
    #expect(batch.arena.text(batch.traceStates[0]) == "ot=th:8")
    #expect(
        try attributes(batch, 0) == [
            "http.method": .string("GET"), "error": .string("boom"), "n": .string("5"),
            "net.host.ip": .string("192.168.99.1"), "net.host.port": .int(3306),
            "peer.service": .string("front"), "net.peer.ip": .string("2001:db8::c001"),
            "net.peer.port": .int(58648), "zipkin.shared": .bool(true), "zipkin.debug": .bool(true),
        ])
    #expect(try attributes(batch, 1).isEmpty)
    let events = try batch.arena.withSlice(batch.events[0]) { try SpanEventCoding.decode($0) }
    #expect(events.map(\.name) == ["started"])
    #expect(events.map(\.nanos) == [1_556_604_172_355_800_000])
    let resources = batch.rowResources.map { batch.resources[Int($0)] }
    #expect(resources.map { batch.arena.text($0.serviceName) } == ["backend", "backend"])
    #expect(batch.rowResources == [0, 1])
    #expect(batch.scopes.map { batch.arena.text($0.name) } == ["lib", ""])
}

@Test func zipkinProtobufSaysTheSameAsJSON() throws {
    var writer = ProtobufWriter()
    let span = writer.begin(1)
    writer.bytes(1, [0x46, 0x3a, 0xc3, 0x5c, 0x9f, 0x64, 0x13, 0xad])
    writer.bytes(3, [0, 0, 0, 0, 0, 0, 0, 2])
    writer.uint64(4, 1)
    writer.bytes(5, Array("q".utf8))
    writer.fixed64(6, 1_556_604_172_355_737)
    writer.uint64(7, 10)
    let local = writer.begin(8)
    writer.bytes(1, Array("db".utf8))
    writer.bytes(2, [10, 0, 0, 7])
    writer.uint64(4, 5432)
    writer.end(local)
    let remote = writer.begin(9)
    writer.bytes(3, [0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 10) + [0xc0, 1])
    writer.end(remote)
    let note = writer.begin(10)
    writer.fixed64(1, 1_556_604_172_355_738)
    writer.bytes(2, Array("sent".utf8))
    writer.end(note)
    let tag = writer.begin(11)
    writer.bytes(1, Array("k".utf8))
    writer.bytes(2, Array("v".utf8))
    writer.end(tag)
    writer.end(span)
    let json = #"""
        [{"traceId":"463ac35c9f6413ad","id":"0000000000000002","kind":"CLIENT","name":"q",
        "timestamp":1556604172355737,"duration":10,"localEndpoint":{"serviceName":"db",
        "ipv4":"10.0.0.7","port":5432},"remoteEndpoint":{"ipv6":"2001:db8::c001"},
        "annotations":[{"timestamp":1556604172355738,"value":"sent"}],"tags":{"k":"v"}}]
        """#
    let decoded = try decodeProtobuf(writer.bytes)
    #expect(decoded.batch.rowCount == 1)
    #expect(try describe(decoded.batch) == describe(decodeJSON(json).batch))
    mutate(writer.bytes, rounds: 3000) { bytes in _ = try? decodeProtobuf(bytes) }
}

@Test func badZipkinSpansAreLeftOutAlone() throws {
    let decoded = try decodeJSON(
        #"""
        [{"traceId":"xyz","id":"1"},{"traceId":"1","id":"2","timestamp":1.5e15},
         {"traceId":"1","id":"3","tags":[1,2]},{"traceId":"1","id":"4","timestamp":-5},
         "text",null,{"traceId":"1"},{"traceId":"1","id":"5","parentId":"12345678901234567"},
         {"traceId":"0","id":"6"},{"traceId":"1","id":"7","parentId":"7","kind":"NEW"}]
        """#)
    #expect(decoded.batch.spanIDs.map(\.rawValue) == [2, 7])
    #expect(decoded.batch.startNanos == [1_500_000_000_000_000_000, received])
    let parents = decoded.batch.parentIDs.filter { !$0.isZero }
    #expect(parents.isEmpty)
    #expect(decoded.rejected[.traceID] == 2)
    #expect(decoded.rejected[.spanID] == 1)
    #expect(decoded.rejected[.parentID] == 1)
    #expect(decoded.rejected[.malformed] == 3)
    #expect(throws: MalformedJSON.self) { try decodeJSON(#"[{"traceId":"1","id":"2"},]"#) }
    #expect(throws: MalformedJSON.self) { try decodeJSON(#"{"traceId":"1","id":"2"}"#) }
    #expect(try decodeJSON("[]").batch.rowCount == 0)
}

@Test func zipkinSpanWithoutTimeTakesOne() throws {
    let batch = try decodeJSON(
        #"""
        [{"traceId":"1","id":"1","annotations":[{"timestamp":9,"value":"b"},
          {"timestamp":7,"value":"a"}]},{"traceId":"1","id":"2","duration":18446744073709551615}]
        """#
    ).batch
    #expect(batch.startNanos == [7000, received])
    #expect(batch.endNanos == [7000, .max])
    #expect(try attributes(batch, 0)["otel.zipkin.absentField.startTime"] == .bool(true))
}

@Test func zipkinTagsOfTheResourceAreTheResources() throws {
    // As the OpenTelemetry SDKs' Zipkin exporters write them.
    let batch = try decodeJSON(
        #"""
        [{"traceId":"1","id":"1","timestamp":1,"localEndpoint":{"serviceName":"a"},
          "tags":{"service.name":"A","service.instance.id":"i","telemetry.sdk.language":"python",
          "otel.status_code":"OK","error":"false"}},
         {"traceId":"1","id":"2","timestamp":1,"localEndpoint":{"serviceName":"a"},
          "tags":{"service.name":"A","service.instance.id":"i","telemetry.sdk.language":"python",
          "otel.status_code":"ERROR","otel.status_description":"bad","error":"bad"}},
         {"traceId":"1","id":"3","timestamp":1,"localEndpoint":{"serviceName":"a"},
          "tags":{"otlp.service.name.source":"faas.name"}}]
        """#
    ).batch
    #expect(batch.rowResources == [0, 0, 1])
    #expect(batch.arena.text(batch.resources[0].serviceName) == "A")
    #expect(batch.arena.text(batch.resources[0].serviceInstance) == "i")
    #expect(batch.statusCodes == [1, 2, 0])
    #expect(batch.arena.text(batch.statusMessages[1]) == "bad")
    let named = try batch.arena.withSlice(batch.resources[1].attributes) {
        try AttributeCoding.decodeList($0)
    }
    #expect(named.map(\.key) == ["faas.name"])
}

@Test func annotationsOfOpenTelemetryAreEventsWithAttributes() throws {
    func event(_ text: String) throws -> (String, [String: AttributeValue], UInt32) {
        let event = Array(text.utf8).withUnsafeBytes { ZipkinAnnotation($0) }
        let list = try event.attributes.bytes.withUnsafeBytes {
            try AttributeCoding.decodeList($0)
        }
        return (
            String(decoding: event.name, as: UTF8.self),
            Dictionary(list.map { ($0.key, $0.value) }) { first, _ in first }, event.dropped
        )
    }
    let attributes: [String: AttributeValue] = [
        "bytes": .int(12), "rate": .double(0.5), "ok": .bool(true), "who": .string("a\"b"),
        "list": .string("[1, 2]"), "none": .empty,
    ]
    let json =
        #"{"bytes": 12, "rate": 0.5, "ok": true, "who": "a\"b", "list": [1, 2], "none": null}"#
    for (text, dropped) in [
        (#"{"received": \#(json)}"#, 0), (#""received": \#(json)"#, 0),
        ("received|\(json)|7", UInt32(7)),
    ] {
        let found = try event(text)
        #expect(found.0 == "received")
        #expect(found.1 == attributes)
        #expect(found.2 == dropped)
    }
    for plain in [
        "", "cache miss", "{", "{}", #"{"a":1}"#, #"{"a":{},"b":{}}"#, #""quoted""#, "a|b", "a|b|c",
        "a|{}|x", "|", "||", #"{"a":{}} "x""#,
    ] {
        let found = try event(plain)
        #expect(found.0 == plain)
        #expect(found.1.isEmpty && found.2 == 0)
    }
    mutate(Array("{\"received\": \(json)}".utf8), rounds: 2000) { bytes in
        _ = bytes.withUnsafeBytes { ZipkinAnnotation($0) }
    }
}

@Test func damagedZipkinJSONNeverCrashes() throws {
    mutate(Array(fullJSON.utf8), rounds: 5000) { bytes in
        _ = try? bytes.withUnsafeBytes { try ZipkinSpans.decodeJSON($0, receivedNanos: received) }
    }
    let deep = String(repeating: "[", count: 100_000)
    #expect(throws: MalformedJSON.self) { try decodeJSON(deep) }
    #expect(throws: MalformedJSON.self) { try decodeJSON(#"[{"x":\#(deep)}]"#) }
}

@Test func addressesAreWrittenAsInRFC5952() {
    func text(_ groups: [UInt16]) -> String {
        let bytes = groups.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }
        return bytes.withUnsafeBytes { ZipkinSpans.addressText($0, count: 16) }
    }
    #expect(text([0, 0, 0, 0, 0, 0, 0, 0]) == "::")
    #expect(text([0, 0, 0, 0, 0, 0, 0, 1]) == "::1")
    #expect(text([0x2001, 0xdb8, 0, 0, 1, 0, 0, 1]) == "2001:db8::1:0:0:1")
    #expect(text([1, 0, 2, 0, 3, 0, 4, 5]) == "1:0:2:0:3:0:4:5")
    #expect(text([1, 2, 3, 4, 5, 6, 0, 0]) == "1:2:3:4:5:6::")
    let five = [UInt8](repeating: 1, count: 5)
    #expect(five.withUnsafeBytes { ZipkinSpans.addressText($0, count: 4) } == "")
}
