// SPDX-License-Identifier: Apache-2.0
// OTLP attributes from protobuf into the attribute coding.

import Base
import Telemetry

/// OTLP's `KeyValue` and `AnyValue` to and from `AttributeCoding`, without building values.
///
/// Source: opentelemetry-proto `common/v1/common.proto`. Attributes keep their order; keys that
/// repeat are kept. The `*_strindex` fields belong to profiles and are ignored.
package enum OTLPAttributes {}

extension OTLPAttributes {
    /// Appends one `KeyValue` to an attribute list.
    static func appendKeyValue(
        _ message: ProtobufReader, to writer: inout ByteWriter, depth: Int = 0
    ) throws(MalformedBytes) {
        var message = message
        var key = UnsafeRawBufferPointer(start: nil, count: 0)
        var value: ProtobufReader?
        while try message.next() {
            switch message.field {
            case 1: key = try message.bytes()
            case 2: value = try message.message()
            default: try message.skip()
            }
        }
        writer.lengthPrefixed(key)
        if let value {
            try appendValue(value, to: &writer, depth: depth)
        } else {
            writer.u8(AttributeType.empty.rawValue)
        }
    }

    /// Appends one `AnyValue`; of several members of the oneof the last counts.
    static func appendValue(
        _ message: ProtobufReader, to writer: inout ByteWriter, depth: Int = 0
    ) throws(MalformedBytes) {
        guard depth < AttributeCoding.maxDepth else {
            throw message.malformed(
                "attribute values nested at most \(AttributeCoding.maxDepth) deep")
        }
        var message = message
        let start = writer.count
        while try message.next() {
            guard (1...7).contains(message.field) else {
                try message.skip()
                continue
            }
            if writer.count > start { writer.bytes.removeSubrange(start...) }
            switch message.field {
            case 1: AttributeCoding.encode(text: try message.bytes(), into: &writer)
            case 2: AttributeCoding.encode(try message.bool(), into: &writer)
            case 3: AttributeCoding.encode(try message.int64(), into: &writer)
            case 4: AttributeCoding.encode(try message.double(), into: &writer)
            case 5:
                var values = try message.message()
                writer.u8(AttributeType.array.rawValue)
                writer.varint(try elementCount(values))
                while try values.next() {
                    if values.field == 1 {
                        try appendValue(try values.message(), to: &writer, depth: depth + 1)
                    } else {
                        try values.skip()
                    }
                }
            case 6:
                var pairs = try message.message()
                writer.u8(AttributeType.map.rawValue)
                writer.varint(try elementCount(pairs))
                while try pairs.next() {
                    if pairs.field == 1 {
                        try appendKeyValue(try pairs.message(), to: &writer, depth: depth + 1)
                    } else {
                        try pairs.skip()
                    }
                }
            default: AttributeCoding.encode(bytes: try message.bytes(), into: &writer)
            }
        }
        if writer.count == start { writer.u8(AttributeType.empty.rawValue) }
    }

    /// Number of elements of an `ArrayValue` or `KeyValueList`.
    private static func elementCount(_ list: ProtobufReader) throws(MalformedBytes) -> Int {
        var list = list
        var n = 0
        while try list.next() {
            if list.field == 1 { n &+= 1 }
            try list.skip()
        }
        return n
    }
}

// MARK: writing

extension OTLPAttributes {
    /// Writes an attribute list as repeated `KeyValue` messages of a field.
    static func write(
        list: UnsafeRawBufferPointer, field: UInt32, into writer: inout ProtobufWriter
    ) throws(MalformedBytes) {
        var reader = ByteReader(list)
        while !reader.isAtEnd { try writeKeyValue(&reader, field, &writer, depth: 0) }
    }

    private static func writeKeyValue(
        _ reader: inout ByteReader, _ field: UInt32, _ writer: inout ProtobufWriter, depth: Int
    ) throws(MalformedBytes) {
        let mark = writer.begin(field)
        writer.bytes(1, try reader.lengthPrefixed())
        let value = writer.begin(2)
        try writeValue(&reader, &writer, depth: depth)
        writer.end(value)
        writer.end(mark)
    }

    /// Writes the members of an `AnyValue` message from one encoded value.
    static func writeValue(
        _ reader: inout ByteReader, _ writer: inout ProtobufWriter, depth: Int = 0
    ) throws(MalformedBytes) {
        guard depth < AttributeCoding.maxDepth,
            let type = AttributeType(rawValue: try reader.u8())
        else { throw reader.malformed("attribute value") }
        switch type {
        case .empty: return
        case .string: writer.bytes(1, try reader.lengthPrefixed(), always: true)
        case .bool: writer.bool(2, try reader.u8() != 0, always: true)
        case .int: writer.int64(3, try reader.zigzag(), always: true)
        case .double: writer.double(4, try reader.double(), always: true)
        case .bytes: writer.bytes(7, try reader.lengthPrefixed(), always: true)
        case .array:
            let n = try reader.length(limit: reader.remaining, "number of elements")
            let mark = writer.begin(5)
            for _ in 0..<n {
                let element = writer.begin(1)
                try writeValue(&reader, &writer, depth: depth + 1)
                writer.end(element)
            }
            writer.end(mark)
        case .map:
            let n = try reader.length(limit: reader.remaining, "number of pairs")
            let mark = writer.begin(6)
            for _ in 0..<n { try writeKeyValue(&reader, 1, &writer, depth: depth + 1) }
            writer.end(mark)
        }
    }
}
