// SPDX-License-Identifier: Apache-2.0
// OTLP attributes in a self-delimiting encoding.

import Base

/// A value of OTLP's attribute model, kept losslessly.
package indirect enum AttributeValue: Sendable, Equatable {
    case empty
    case string(String)
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case bytes([UInt8])
    case array([AttributeValue])
    case map([(key: String, value: AttributeValue)])

    package static func == (a: AttributeValue, b: AttributeValue) -> Bool {
        switch (a, b) {
        case (.empty, .empty): true
        case (.string(let x), .string(let y)): x == y
        case (.bool(let x), .bool(let y)): x == y
        case (.int(let x), .int(let y)): x == y
        case (.double(let x), .double(let y)): x.bitPattern == y.bitPattern
        case (.bytes(let x), .bytes(let y)): x == y
        case (.array(let x), .array(let y)): x == y
        case (.map(let x), .map(let y)):
            x.count == y.count && zip(x, y).allSatisfy { $0.key == $1.key && $0.value == $1.value }
        default: false
        }
    }
}

/// Type byte of an encoded value.
package enum AttributeType: UInt8, Sendable {
    case empty, string, bool, int, double, bytes, array, map
}

/// Encoding of attribute lists:
///
///     list  = repeated { varint keyCount, key, value }        (as many as the slice holds)
///     value = u8 type, then: string/bytes varint count + bytes · bool u8 · int zigzag ·
///             double f64 · array varint n + n values · map varint n + n × (key, value) · empty –
///
/// Order is as sent; keys may repeat, as OTLP does not forbid it.
package enum AttributeCoding {
    /// Deepest nesting of arrays and maps that is decoded.
    package static let maxDepth = 64

    package static func encode(
        key: UnsafeRawBufferPointer, _ value: AttributeValue, into writer: inout ByteWriter
    ) {
        writer.lengthPrefixed(key)
        encode(value, into: &writer)
    }

    package static func encode(_ key: String, _ value: AttributeValue, into out: inout ByteWriter) {
        out.lengthPrefixed(key)
        encode(value, into: &out)
    }

    package static func encode(_ value: AttributeValue, into writer: inout ByteWriter) {
        switch value {
        case .empty: writer.u8(AttributeType.empty.rawValue)
        case .string(let text):
            writer.u8(AttributeType.string.rawValue)
            writer.lengthPrefixed(text)
        case .bool(let flag): encode(flag, into: &writer)
        case .int(let number): encode(number, into: &writer)
        case .double(let number): encode(number, into: &writer)
        case .bytes(let bytes):
            writer.u8(AttributeType.bytes.rawValue)
            writer.lengthPrefixed(bytes)
        case .array(let values):
            writer.u8(AttributeType.array.rawValue)
            writer.varint(values.count)
            for value in values { encode(value, into: &writer) }
        case .map(let pairs):
            writer.u8(AttributeType.map.rawValue)
            writer.varint(pairs.count)
            for pair in pairs { encode(pair.key, pair.value, into: &writer) }
        }
    }

    // Decoders write what they read without making values of it first.

    /// A value that is text; it need not be UTF-8.
    package static func encode(text: UnsafeRawBufferPointer, into writer: inout ByteWriter) {
        writer.u8(AttributeType.string.rawValue)
        writer.lengthPrefixed(text)
    }

    /// A value of bytes.
    package static func encode(bytes: UnsafeRawBufferPointer, into writer: inout ByteWriter) {
        writer.u8(AttributeType.bytes.rawValue)
        writer.lengthPrefixed(bytes)
    }

    package static func encode(_ flag: Bool, into writer: inout ByteWriter) {
        writer.u8(AttributeType.bool.rawValue)
        writer.u8(flag ? 1 : 0)
    }

    package static func encode(_ number: Int64, into writer: inout ByteWriter) {
        writer.u8(AttributeType.int.rawValue)
        writer.zigzag(number)
    }

    package static func encode(_ number: Double, into writer: inout ByteWriter) {
        writer.u8(AttributeType.double.rawValue)
        writer.double(number)
    }

    /// Decodes one value.
    package static func decodeValue(
        _ reader: inout ByteReader, depth: Int = 0
    ) throws(MalformedBytes) -> AttributeValue {
        guard depth < maxDepth else { throw reader.malformed("nesting below \(maxDepth)") }
        guard let type = AttributeType(rawValue: try reader.u8()) else {
            throw reader.malformed("attribute type")
        }
        switch type {
        case .empty: return .empty
        case .string: return .string(String(decoding: try reader.lengthPrefixed(), as: UTF8.self))
        case .bool: return .bool(try reader.u8() != 0)
        case .int: return .int(try reader.zigzag())
        case .double: return .double(try reader.double())
        case .bytes: return .bytes([UInt8](try reader.lengthPrefixed()))
        case .array:
            // Every element takes at least one byte, so the count cannot exceed what is left.
            let n = try reader.length(limit: reader.remaining, "number of elements")
            var values: [AttributeValue] = []
            for _ in 0..<n { values.append(try decodeValue(&reader, depth: depth + 1)) }
            return .array(values)
        case .map:
            let n = try reader.length(limit: reader.remaining, "number of pairs")
            var pairs: [(key: String, value: AttributeValue)] = []
            for _ in 0..<n {
                let key = String(decoding: try reader.lengthPrefixed(), as: UTF8.self)
                pairs.append((key, try decodeValue(&reader, depth: depth + 1)))
            }
            return .map(pairs)
        }
    }

    /// Steps over one value without building it.
    package static func skipValue(
        _ reader: inout ByteReader, depth: Int = 0
    ) throws(MalformedBytes) {
        guard depth < maxDepth else { throw reader.malformed("nesting below \(maxDepth)") }
        guard let type = AttributeType(rawValue: try reader.u8()) else {
            throw reader.malformed("attribute type")
        }
        switch type {
        case .empty: return
        case .string, .bytes: _ = try reader.lengthPrefixed()
        case .bool: _ = try reader.u8()
        case .int: _ = try reader.zigzag()
        case .double: try reader.skip(8)
        case .array:
            let n = try reader.length(limit: reader.remaining, "number of elements")
            for _ in 0..<n { try skipValue(&reader, depth: depth + 1) }
        case .map:
            let n = try reader.length(limit: reader.remaining, "number of pairs")
            for _ in 0..<n {
                _ = try reader.lengthPrefixed()
                try skipValue(&reader, depth: depth + 1)
            }
        }
    }

    /// Calls `body` with each key and the encoded value, both borrowed.
    package static func forEach(
        in bytes: UnsafeRawBufferPointer,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var reader = ByteReader(bytes)
        while !reader.isAtEnd {
            let key = try reader.lengthPrefixed()
            let start = reader.offset
            try skipValue(&reader)
            try body(key, UnsafeRawBufferPointer(rebasing: bytes[start..<reader.offset]))
        }
    }

    /// The whole list as values: for answers, not for the data path.
    package static func decodeList(
        _ bytes: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> [(key: String, value: AttributeValue)] {
        var reader = ByteReader(bytes)
        var result: [(key: String, value: AttributeValue)] = []
        while !reader.isAtEnd {
            let key = String(decoding: try reader.lengthPrefixed(), as: UTF8.self)
            result.append((key, try decodeValue(&reader)))
        }
        return result
    }
}
