// SPDX-License-Identifier: Apache-2.0
// Batches of Jaeger's clients.

import Base
import Telemetry

/// Jaeger's `Batch` in thrift, as its clients post it and as they send it in datagrams.
///
/// Source: jaegertracing/jaeger-idl `thrift/jaeger.thrift`, `agent.thrift`; translation:
/// open-telemetry/opentelemetry-collector-contrib `pkg/translator/jaeger` and the OpenTelemetry
/// specification, "OpenTelemetry to Jaeger Transformation".
package enum JaegerThrift {
    /// Largest body: a span grows by names of attributes, and slices count in 32 bits.
    static let maxBodyBytes = 256 << 20

    /// Decodes a `Batch` in the binary protocol: the body of `POST /api/traces`.
    ///
    /// - Throws: `MalformedBytes` when the bytes are no such structure. Spans with unusable ids are
    ///   left out and counted.
    package static func decodeBatch(
        _ body: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> DecodedSpans {
        guard body.count <= maxBodyBytes else {
            throw MalformedBytes(offset: 0, expected: "a body of at most \(maxBodyBytes) bytes")
        }
        var reader = ThriftReader(body, .binary)
        var assembly = JaegerAssembly()
        try assembly.decodeBatch(&reader)
        return assembly.spans.result
    }

    /// Decodes datagrams with calls of `Agent.emitBatch`, each in the compact protocol (port 6831) or
    /// the binary one (port 6832), into one batch.
    ///
    /// - Parameter datagrams: where they lie in `bytes`.
    /// - Returns: also how many were damaged or called something else. Spans before the damage are
    ///   kept.
    package static func decodeDatagrams(
        _ bytes: UnsafeRawBufferPointer, _ datagrams: [Range<Int>]
    ) -> (decoded: DecodedSpans, malformed: Int) {
        var assembly = JaegerAssembly()
        var malformed = 0
        for range in datagrams {
            do throws(MalformedBytes) {
                try decodeDatagram(UnsafeRawBufferPointer(rebasing: bytes[range]), &assembly)
            } catch { malformed += 1 }
        }
        return (assembly.spans.result, malformed)
    }

    private static func decodeDatagram(
        _ bytes: UnsafeRawBufferPointer, _ assembly: inout JaegerAssembly
    ) throws(MalformedBytes) {
        var reader = ThriftReader(bytes, bytes.first == 0x82 ? .compact : .binary)
        let method = try reader.message()
        guard equalBytes(method, StaticString("emitBatch").bytes) else {
            throw reader.malformed("a call of emitBatch")
        }
        var last: Int16 = 0
        while let field = try reader.field(after: &last) {
            if field.holds(1, .structure) {
                try assembly.decodeBatch(&reader)
            } else {
                try reader.skip(field)
            }
        }
    }
}

/// A tag; what it borrows lives as long as the body.
struct JaegerTag {
    enum Value {
        case string(UnsafeRawBufferPointer)
        case double(Double)
        case bool(Bool)
        case int(Int64)
        case bytes(UnsafeRawBufferPointer)
    }

    var key: UnsafeRawBufferPointer
    var value: Value
    /// Whether it went to a field of the span or the resource.
    var isTaken = false

    init(_ reader: inout ThriftReader) throws(MalformedBytes) {
        key = UnsafeRawBufferPointer(start: nil, count: 0)
        var type: Int32 = 0
        var text = UnsafeRawBufferPointer(start: nil, count: 0)
        var double = 0.0
        var bool = false
        var int: Int64 = 0
        var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        var last: Int16 = 0
        while let field = try reader.field(after: &last) {
            switch (field.id, field.type) {
            case (1, .string): key = try reader.bytes()
            case (2, .i32): type = try reader.i32()
            case (3, .string): text = try reader.bytes()
            case (4, .double): double = try reader.double()
            case (5, .bool): bool = try reader.bool(field)
            case (6, .i64): int = try reader.i64()
            case (7, .string): bytes = try reader.bytes()
            default: try reader.skip(field)
            }
        }
        value =
            switch type {
            case 1: .double(double)
            case 2: .bool(bool)
            case 3: .int(int)
            case 4: .bytes(bytes)
            default: .string(text)
            }
    }

    func encode(into writer: inout ByteWriter) { encode(key: key, into: &writer) }

    func encode(key: UnsafeRawBufferPointer, into writer: inout ByteWriter) {
        writer.lengthPrefixed(key)
        switch value {
        case .string(let text): AttributeCoding.encode(text: text, into: &writer)
        case .double(let number): AttributeCoding.encode(number, into: &writer)
        case .bool(let flag): AttributeCoding.encode(flag, into: &writer)
        case .int(let number): AttributeCoding.encode(number, into: &writer)
        case .bytes(let bytes): AttributeCoding.encode(bytes: bytes, into: &writer)
        }
    }

    /// The value where it is text.
    var text: UnsafeRawBufferPointer? {
        if case .string(let text) = value { text } else { nil }
    }
}

extension Array where Element == JaegerTag {
    /// Number of the first tag of that name that is not taken.
    func index(_ key: StaticString) -> Int? {
        firstIndex { !$0.isTaken && equalBytes($0.key, key.bytes) }
    }

    /// Text of the first tag of that name, which then counts as taken.
    mutating func takeText(_ key: StaticString) -> UnsafeRawBufferPointer? {
        guard let index = index(key), let text = self[index].text else { return nil }
        self[index].isTaken = true
        return text
    }
}
