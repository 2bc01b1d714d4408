// SPDX-License-Identifier: Apache-2.0
// Fluentd's forward protocol.

import Base
import Telemetry
import Testing

@testable import Wire

/// MessagePack as tests write it.
indirect enum Packed: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    case text(String)
    case int(Int64)
    case raw([UInt8])
    case list([Packed])
    case map([(Packed, Packed)])

    init(stringLiteral text: String) { self = .text(text) }
    init(integerLiteral value: Int64) { self = .int(value) }
    init(arrayLiteral items: Packed...) { self = .list(items) }
    init(dictionaryLiteral pairs: (Packed, Packed)...) { self = .map(pairs) }

    static func bin(_ bytes: [UInt8]) -> Packed {
        .raw([0xc6] + big(UInt32(bytes.count)) + bytes)
    }
    static func time(_ seconds: UInt32, _ nanos: UInt32) -> Packed {
        .raw([0xd7, 0] + big(seconds) + big(nanos))
    }
    private static func big<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    var bytes: [UInt8] {
        switch self {
        case .text(let text): [0xd9, UInt8(text.utf8.count)] + Array(text.utf8)
        case .int(let value): [0xd3] + Self.big(value)
        case .raw(let bytes): bytes
        case .list(let items): [0xdc] + Self.big(UInt16(items.count)) + items.flatMap(\.bytes)
        case .map(let pairs):
            [0xde] + Self.big(UInt16(pairs.count)) + pairs.flatMap { $0.0.bytes + $0.1.bytes }
        }
    }
}

private func decode(_ message: Packed) throws -> FluentForward {
    var forward = FluentForward(receivedNanos: 9)
    try message.bytes.withUnsafeBytes { try forward.decode($0) }
    return forward
}

private func chunk(_ message: Packed) throws -> String? {
    try message.bytes.withUnsafeBytes { try FluentForward.chunk(of: $0) }
        .map { String(decoding: $0, as: UTF8.self) }
}

private let stream = #"{service_name="unknown_service", tag="app.web"}"#

@Suite struct FluentForwardTests {
    @Test func allFourModes() throws {
        let record: Packed = ["message": "hi", "n": -5, "k": ["a": ["b": 1]], "l": [1, "x"]]
        let want = #"hi {k_a_b="1", l="[1,\"x\"]", n="-5"}"#
        let option: Packed = ["chunk": "c1", "size": 2]
        let single = try decode(["app.web", 1_700_000_000, record, option])
        #expect(describe(single.logs.batch) == ["\(stream) 1700000000000000000 \(want)"])
        #expect(try chunk(["app.web", 1_700_000_000, record, option]) == "c1")
        #expect(try chunk(["app.web", 1_700_000_000, record]) == nil)

        let exact: Packed = [.time(1_700_000_000, 5), record]
        let marked: Packed = [[.time(1_700_000_000, 5), ["meta": 1]], record]
        let row = "\(stream) 1700000000000000005 \(want)"
        let forward = try decode(["app.web", [exact, marked], option])
        #expect(describe(forward.logs.batch) == [row, row])
        #expect(try chunk(["app.web", [exact, marked], option]) == "c1")
        #expect(try chunk(["app.web", .bin(exact.bytes), option]) == "c1")

        let entries = exact.bytes + marked.bytes
        #expect(describe(try decode(["app.web", .bin(entries)]).logs.batch) == [row, row])
        let packed = try decode([
            "app.web", .bin(Deflate.gzip(exact.bytes) + Deflate.gzip(marked.bytes)),
            ["compressed": "gzip", "chunk": "c2"],
        ])
        #expect(describe(packed.logs.batch) == [row, row])
    }

    @Test func aRecordWithoutMessageIsTheLine() throws {
        let got = try decode([
            "app.web", 0, ["a": 1, "pod": "p", "f": .raw([0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0])],
        ])
        #expect(
            describe(got.logs.batch) == [
                #"{pod="p", service_name="unknown_service", tag="app.web"} 9 {"a":1,"pod":"p","f":1.5} "#
                    + Labels(canonical: []).description
            ])
    }

    @Test func whatIsNoMessageIsRefused() {
        let bad: [Packed] = [
            1, ["tag"], [1, 2, [:]], ["t", 1], ["t", 1, "x"], ["t", [[1]]], ["t", [1, [:]]],
            ["t", .bin([0xc1])], ["t", .bin([1]), ["compressed": "gzip"]],
            ["t", .bin([]), ["compressed": "zstd"]], ["t", 1, .map([([1], 2)])],
        ]
        for message in bad { #expect(throws: MalformedBytes.self) { try decode(message) } }
        var deep: Packed = 1
        for _ in 0..<100 { deep = ["a": deep] }
        #expect(throws: MalformedBytes.self) { try decode(["t", 1, deep]) }
        var list: Packed = 1
        for _ in 0..<100 { list = [list] }
        #expect(throws: MalformedBytes.self) { try decode(["t", 1, ["a": list]]) }
    }

    @Test func messagesEndWhereTheyEnd() throws {
        let message = (["app.web", 1, ["a": .bin([1, 2]), "t": .time(1, 2)]] as Packed).bytes
        for count in 0..<message.count {
            let end = try message[..<count].withUnsafeBytes {
                try FluentForward.messageEnd(in: $0, from: 0)
            }
            #expect(end == nil)
        }
        let end = try (message + [0x92]).withUnsafeBytes {
            try FluentForward.messageEnd(in: $0, from: 0)
        }
        #expect(end == message.count)
        #expect(throws: MalformedBytes.self) {
            try [UInt8]([0xc1]).withUnsafeBytes { try FluentForward.messageEnd(in: $0, from: 0) }
        }
        #expect(
            FluentForward.ack(Array("c1".utf8)) == [0x81, 0xa3] + Array("ack".utf8) + [0xa2]
                + Array("c1".utf8))
    }

    @Test func handshakesAreRead() throws {
        let ping = FluentHandshake.Ping((["PING", "h", "s", "d", "", ""] as Packed).bytes)
        #expect(ping?.hostname == Array("h".utf8) && ping?.digest == Array("d".utf8))
        #expect(FluentHandshake.Ping((["PONG", "h", "s", "d", "", ""] as Packed).bytes) == nil)
        var hello = MessagePackReader(UnsafeRawBufferPointer(start: nil, count: 0))
        let bytes =
            FluentHandshake.hello(nonce: [1, 2]) + FluentHandshake.pong(hostname: [3], digest: [4])
        try bytes.withUnsafeBytes { all in
            hello = MessagePackReader(all)
            try hello.skip()
            try hello.skip()
        }
        #expect(hello.offset == bytes.count)
    }

    @Test func damageNeverCrashes() {
        let record: Packed = ["message": "hi", "n": -5, "k": ["a": ["b": 1]], "l": [1, "x", [2]]]
        let entry: Packed = [.time(1_700_000_000, 5), record]
        let seeds: [Packed] = [
            ["app.web", 1_700_000_000, record, ["chunk": "c"]], ["app.web", [entry, entry]],
            ["app.web", .bin(entry.bytes + entry.bytes), ["size": 2]],
        ]
        var rows = 0
        for seed in seeds {
            mutate(seed.bytes, rounds: 5000) { bytes in
                var forward = FluentForward(receivedNanos: 9)
                bytes.withUnsafeBytes { all in
                    _ = try? forward.decode(all)
                    _ = try? FluentForward.messageEnd(in: all, from: 0)
                    _ = try? FluentForward.chunk(of: all)
                    _ = FluentHandshake.Ping(bytes)
                }
                rows += forward.logs.batch.rowCount
            }
        }
        #expect(rows > 1000)
    }
}
