// SPDX-License-Identifier: Apache-2.0
// Jaeger's thrift in both protocols: translation, damage.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

/// A thrift value to be written.
private indirect enum Thrift {
    case bool(Bool), i32(Int32), i64(Int64), double(Double), text(String)
    case structure([(Int16, Thrift)])
    /// Of structures.
    case list([Thrift])
    /// Of 64-bit integers.
    case numbers([Int64])
    case map

    func binary(_ out: inout [UInt8]) {
        func big<T: FixedWidthInteger>(_ value: T) {
            for shift in stride(from: T.bitWidth - 8, through: 0, by: -8) {
                out.append(UInt8(truncatingIfNeeded: value >> T(shift)))
            }
        }
        switch self {
        case .bool(let flag): out.append(flag ? 1 : 0)
        case .i32(let value): big(value)
        case .i64(let value): big(value)
        case .double(let value): big(value.bitPattern)
        case .text(let text):
            big(Int32(text.utf8.count))
            out += Array(text.utf8)
        case .structure(let fields):
            for (id, value) in fields {
                out.append(value.binaryType)
                big(id)
                value.binary(&out)
            }
            out.append(0)
        case .list(let values):
            out.append(12)
            big(Int32(values.count))
            for value in values { value.binary(&out) }
        case .numbers(let values):
            out.append(10)
            big(Int32(values.count))
            for value in values { big(value) }
        case .map:
            out += [8, 11]
            big(Int32(1))
            big(Int32(5))
            big(Int32(0))
        }
    }

    private var binaryType: UInt8 {
        switch self {
        case .bool: 2
        case .i32: 8
        case .i64: 10
        case .double: 4
        case .text: 11
        case .structure: 12
        case .list, .numbers: 15
        case .map: 13
        }
    }

    func compact(_ out: inout ByteWriter) {
        switch self {
        case .bool(let flag): out.u8(flag ? 1 : 2)
        case .i32(let value): out.zigzag(Int64(value))
        case .i64(let value): out.zigzag(value)
        case .double(let value): out.double(value)
        case .text(let text): out.lengthPrefixed(text)
        case .structure(let fields):
            var last: Int16 = 0
            for (id, value) in fields {
                var type = value.compactType
                if case .bool(let flag) = value { type = flag ? 1 : 2 }
                if id > last, id - last < 16 {
                    out.u8(UInt8(id - last) << 4 | type)
                } else {
                    out.u8(type)
                    out.zigzag(Int64(id))
                }
                last = id
                if case .bool = value { continue }
                value.compact(&out)
            }
            out.u8(0)
        case .list(let values):
            header(values.count, 12, &out)
            for value in values { value.compact(&out) }
        case .numbers(let values):
            header(values.count, 6, &out)
            for value in values { out.zigzag(value) }
        case .map:
            out.varint(1)
            out.u8(5 << 4 | 8)
            out.zigzag(5)
            out.varint(0)
        }
    }

    private func header(_ count: Int, _ type: UInt8, _ out: inout ByteWriter) {
        if count < 15 {
            out.u8(UInt8(count) << 4 | type)
        } else {
            out.u8(15 << 4 | type)
            out.varint(count)
        }
    }

    private var compactType: UInt8 {
        switch self {
        case .bool: 1
        case .i32: 5
        case .i64: 6
        case .double: 7
        case .text: 8
        case .structure: 12
        case .list, .numbers: 9
        case .map: 11
        }
    }
}

private func tag(_ key: String, _ value: Thrift) -> Thrift {
    var fields: [(Int16, Thrift)] = [(1, .text(key))]
    switch value {
    case .text: fields += [(2, .i32(0)), (3, value)]
    case .double: fields += [(2, .i32(1)), (4, value)]
    case .bool: fields += [(2, .i32(2)), (5, value)]
    case .i64: fields += [(2, .i32(3)), (6, value)]
    default: break
    }
    return .structure(fields)
}

private func reference(_ type: Int32, _ low: Int64, _ high: Int64, _ span: Int64) -> Thrift {
    .structure([(1, .i32(type)), (2, .i64(low)), (3, .i64(high)), (4, .i64(span))])
}

private func span(
    _ id: Int64, parent: Int64 = 0, tags: [Thrift] = [],
    references: [Thrift] = [], logs: [Thrift] = []
) -> Thrift {
    .structure([
        (1, .i64(1)), (2, .i64(2)), (3, .i64(id)), (4, .i64(parent)), (5, .text("op")),
        (6, .list(references)), (7, .i32(3)), (8, .i64(1_556_604_172_355_737)), (9, .i64(1431)),
        (10, .list(tags)), (11, .list(logs)), (40, .numbers([1, 2])), (41, .map),
        (42, .bool(true)),
    ])
}

private let batch = Thrift.structure([
    (
        2,
        .list([
            span(
                3, parent: 4,
                tags: [
                    tag("span.kind", .text("client")), tag("error", .bool(true)),
                    tag("http.status_message", .text("gone")), tag("n", .i64(-7)),
                    tag("d", .double(1.5)), tag("b", .bool(false)),
                    tag("otel.scope.name", .text("lib")), tag("w3c.tracestate", .text("a=b")),
                ],
                references: [reference(0, 1, 2, 4), reference(1, 9, 9, 9)],
                logs: [
                    .structure([
                        (1, .i64(1_556_604_172_355_738)),
                        (2, .list([tag("event", .text("retry")), tag("try", .i64(2))])),
                    ]),
                    .structure([
                        (1, .i64(1_556_604_172_355_739)),
                        (2, .list([tag("message", .text("gave up"))])),
                    ]),
                ]),
            span(
                5, tags: [tag("http.status_code", .i64(404))],
                references: [reference(0, 1, 2, 3)]),
            span(0, tags: [tag("otel.scope.name", .text("late"))]),
            span(
                7,
                tags: [
                    tag("otel.scope.name", .text("later")), tag("span.kind", .text("client")),
                    tag("http.status_code", .i64(404)),
                ]),
        ])
    ),
    (
        1,
        .structure([
            (1, .text("shop")),
            (2, .list([tag("hostname", .text("h")), tag("jaeger.version", .text("Go-2"))])),
        ])
    ),
    (3, .i64(9)),
])

private func decode(_ bytes: [UInt8]) throws -> DecodedSpans {
    try bytes.withUnsafeBytes { try JaegerThrift.decodeBatch($0) }
}
private func decodeDatagram(_ bytes: [UInt8]) -> (decoded: DecodedSpans, malformed: Int) {
    bytes.withUnsafeBytes { JaegerThrift.decodeDatagrams($0, [0..<bytes.count]) }
}

private var binaryBody: [UInt8] {
    var bytes: [UInt8] = []
    batch.binary(&bytes)
    return bytes
}

private var compactDatagram: [UInt8] {
    var writer = ByteWriter()
    writer.raw([0x82, 0x81, 0x05])
    writer.lengthPrefixed("emitBatch")
    Thrift.structure([(1, batch)]).compact(&writer)
    return writer.bytes
}

@Test func jaegerBatchIsTranslated() throws {
    let decoded = try decode(binaryBody)
    let batch = decoded.batch
    #expect(batch.spanIDs.map(\.rawValue) == [3, 5, 7])
    #expect(decoded.rejected[.spanID] == 1)
    #expect(decoded.rejected.count == 1)
    #expect(batch.traceIDs[0] == TraceID(high: 2, low: 1))
    #expect(batch.parentIDs.map(\.rawValue).prefix(2) == [4, 3])
    #expect(batch.kinds.first == 3)
    #expect(batch.statusCodes.first == 2)
    #expect(batch.statusCodes[1] == 0)
    #expect(batch.arena.text(batch.statusMessages[0]) == "gone")
    #expect(batch.arena.text(batch.traceStates[0]) == "a=b")
    #expect(batch.startNanos[0] == 1_556_604_172_355_737_000)
    #expect(batch.endNanos[0] == 1_556_604_172_357_168_000)
    let list = try batch.arena.withSlice(batch.attributes[0]) {
        try AttributeCoding.decodeList($0)
    }
    #expect(list.map(\.key) == ["http.status_message", "n", "d", "b"])
    #expect(list.map(\.value) == [.string("gone"), .int(-7), .double(1.5), .bool(false)])
    let links = try batch.arena.withSlice(batch.links[0]) { try SpanLinkCoding.decode($0) }
    #expect(links.map(\.spanID.rawValue) == [9])
    let events = try batch.arena.withSlice(batch.events[0]) { try SpanEventCoding.decode($0) }
    #expect(events.map(\.name) == ["retry", "gave up"])
    #expect(batch.arena.text(batch.resources[0].serviceName) == "shop")
    let resource = try batch.arena.withSlice(batch.resources[0].attributes) {
        try AttributeCoding.decodeList($0)
    }
    #expect(resource.map(\.key) == ["service.name", "host.name", "telemetry.sdk.version"])
    let scopes = batch.rowScopes.map { batch.arena.text(batch.scopes[Int($0)].name) }
    #expect(scopes.first == "lib")
    #expect(scopes.last == "later")
}

@Test func bothThriftProtocolsSayTheSame() throws {
    let posted = try decode(binaryBody), sent = decodeDatagram(compactDatagram).decoded
    #expect(try describe(posted.batch) == describe(sent.batch))
    #expect(posted.rejected == sent.rejected)
    var strict: [UInt8] = [0x80, 1, 0, 4, 0, 0, 0, 9] + Array("emitBatch".utf8) + [0, 0, 0, 1]
    Thrift.structure([(1, batch)]).binary(&strict)
    #expect(try describe(decodeDatagram(strict).decoded.batch) == describe(posted.batch))
    var other = compactDatagram
    other[4] = UInt8(ascii: "E")
    #expect(decodeDatagram(other).malformed == 1)
    // One that is cut costs neither the others nor its own first spans.
    let three = compactDatagram + compactDatagram.dropLast(200) + compactDatagram
    let ends = [0, 1, 2].map { $0 * compactDatagram.count - ($0 == 2 ? 200 : 0) } + [three.count]
    let taken = three.withUnsafeBytes {
        JaegerThrift.decodeDatagrams($0, zip(ends, ends.dropFirst()).map { $0..<$1 })
    }
    #expect(taken.malformed == 1)
    #expect(taken.decoded.batch.rowCount >= 2 * posted.batch.rowCount)
    for row in 0..<taken.decoded.batch.rowCount {
        #expect(taken.decoded.batch.spanIDs[row] != .zero)
    }
}

@Test func damagedThriftNeverCrashes() {
    mutate(binaryBody, rounds: 5000) { bytes in _ = try? decode(bytes) }
    mutate(compactDatagram, rounds: 5000) { bytes in _ = decodeDatagram(bytes) }
    // Lists in lists, and counts that nothing stands behind.
    #expect(throws: MalformedBytes.self) {
        try decode([15, 0, 9] + (0..<40).flatMap { _ in [15, 0, 0, 0, 1] as [UInt8] })
    }
    #expect(throws: MalformedBytes.self) { try decode([15, 0, 2, 12, 0x7f, 0xff, 0xff, 0xff]) }
    #expect(throws: MalformedBytes.self) { try decode([]) }
}
