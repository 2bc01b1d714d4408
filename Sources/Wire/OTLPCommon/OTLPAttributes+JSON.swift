// SPDX-License-Identifier: Apache-2.0
// OTLP attributes from and to JSON.

import Base
import Telemetry

extension OTLPAttributes {
    /// Objects and arrays that OTLP's JSON may open at once: four for each level of an attribute's
    /// nesting and the envelope around it.
    static let maxJSONDepth = 4 * AttributeCoding.maxDepth + 32

    /// Appends a JSON array of `KeyValue` objects to an attribute list. A null is an empty list.
    static func appendList(
        _ reader: inout JSONReader, to writer: inout ByteWriter, depth: Int = 0
    ) throws(MalformedJSON) {
        if try reader.nullIfPresent() { return }
        try reader.beginArray()
        while try reader.nextElement() { try appendKeyValue(&reader, to: &writer, depth: depth) }
    }

    private static func appendKeyValue(
        _ reader: inout JSONReader, to writer: inout ByteWriter, depth: Int
    ) throws(MalformedJSON) {
        try reader.beginObject()
        let start = writer.count
        var key: JSONText?
        // The value may come before the key, which the coding wants first.
        var valueStart = -1
        while let member = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            if member.equals("key"), key == nil {
                let text = try reader.string()
                key = text
                if valueStart < 0 { append(text, to: &writer) }
            } else if member.equals("value"), valueStart < 0 {
                valueStart = writer.count
                try appendValue(&reader, to: &writer, depth: depth)
            } else {
                try reader.skipValue()
            }
        }
        if valueStart == start {
            var prefix = ByteWriter()
            if let key { append(key, to: &prefix) } else { prefix.u8(0) }
            writer.bytes.insert(contentsOf: prefix.bytes, at: start)
        } else {
            if key == nil { writer.u8(0) }
            if valueStart < 0 { writer.u8(AttributeType.empty.rawValue) }
        }
    }

    /// Appends a string preceded by its length.
    static func append(_ text: JSONText, to writer: inout ByteWriter) {
        guard text.hasEscapes else {
            writer.lengthPrefixed(text.raw)
            return
        }
        var scratch: [UInt8] = []
        text.append(to: &scratch)
        writer.lengthPrefixed(scratch)
    }

    /// Appends one `AnyValue` object; of several members the last counts. Null is empty.
    static func appendValue(
        _ reader: inout JSONReader, to writer: inout ByteWriter, depth: Int = 0
    ) throws(MalformedJSON) {
        guard depth < AttributeCoding.maxDepth else {
            throw reader.malformed(
                "attribute values nested at most \(AttributeCoding.maxDepth) deep")
        }
        let start = writer.count
        if try reader.nullIfPresent() {
            writer.u8(AttributeType.empty.rawValue)
            return
        }
        try reader.beginObject()
        while let member = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            guard let type = valueType(member) else {
                try reader.skipValue()
                continue
            }
            if writer.count > start { writer.bytes.removeSubrange(start...) }
            writer.u8(type.rawValue)
            switch type {
            case .empty: break
            case .string: append(try reader.string(), to: &writer)
            case .bool: writer.u8(try reader.bool() ? 1 : 0)
            case .int: writer.zigzag(try reader.int64OrString())
            case .double: writer.double(try reader.doubleOrString())
            case .bytes:
                _ = try reader.peek()
                let offset = reader.offset
                let text = try reader.string()
                var bytes: [UInt8] = []
                var scratch: [UInt8] = []
                guard text.withBytes(scratch: &scratch, { appendDecodedBase64($0, to: &bytes) })
                else { throw reader.malformed("base64", at: offset) }
                writer.lengthPrefixed(bytes)
            case .array, .map:
                let body = writer.count
                let n = try appendElements(&reader, type, to: &writer, depth: depth)
                var prefix = ByteWriter()
                prefix.varint(n)
                writer.bytes.insert(contentsOf: prefix.bytes, at: body)
            }
        }
        if writer.count == start { writer.u8(AttributeType.empty.rawValue) }
    }

    /// Appends the elements under `values` and says how many there were.
    private static func appendElements(
        _ reader: inout JSONReader, _ type: AttributeType, to writer: inout ByteWriter, depth: Int
    ) throws(MalformedJSON) -> Int {
        let start = writer.count
        var n = 0
        try reader.beginObject()
        while let member = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            guard member.equals("values") else {
                try reader.skipValue()
                continue
            }
            writer.bytes.removeSubrange(start...)
            n = 0
            try reader.beginArray()
            while try reader.nextElement() {
                if type == .array {
                    try appendValue(&reader, to: &writer, depth: depth + 1)
                } else {
                    try appendKeyValue(&reader, to: &writer, depth: depth + 1)
                }
                n &+= 1
            }
        }
        return n
    }

    private static func valueType(_ member: JSONText) -> AttributeType? {
        if member.equals("stringValue") { return .string }
        if member.equals("intValue") { return .int }
        if member.equals("boolValue") { return .bool }
        if member.equals("doubleValue") { return .double }
        if member.equals("arrayValue") { return .array }
        if member.equals("kvlistValue") { return .map }
        if member.equals("bytesValue") { return .bytes }
        return nil
    }
}

// MARK: writing

extension OTLPAttributes {
    /// Writes an attribute list as a JSON array of `KeyValue` objects.
    package static func write(
        list: UnsafeRawBufferPointer, into json: inout JSONWriter
    ) throws(MalformedBytes) {
        var reader = ByteReader(list)
        json.beginArray()
        while !reader.isAtEnd { try writeKeyValue(&reader, &json, depth: 0) }
        json.endArray()
    }

    private static func writeKeyValue(
        _ reader: inout ByteReader, _ json: inout JSONWriter, depth: Int
    ) throws(MalformedBytes) {
        json.beginObject()
        json.key("key")
        json.string(try reader.lengthPrefixed())
        json.key("value")
        try writeValue(&reader, &json, depth: depth)
        json.endObject()
    }

    /// Writes one encoded value as an `AnyValue` object.
    static func writeValue(
        _ reader: inout ByteReader, _ json: inout JSONWriter, depth: Int = 0
    ) throws(MalformedBytes) {
        guard depth < AttributeCoding.maxDepth,
            let type = AttributeType(rawValue: try reader.u8())
        else { throw reader.malformed("attribute value") }
        json.beginObject()
        switch type {
        case .empty: break
        case .string:
            json.key("stringValue")
            json.string(try reader.lengthPrefixed())
        case .bool:
            json.key("boolValue")
            json.bool(try reader.u8() != 0)
        case .int:
            json.key("intValue")
            json.string(String(try reader.zigzag()))
        case .double:
            json.key("doubleValue")
            let value = try reader.double()
            // Protobuf's JSON has names for what JSON has no number for.
            if value.isFinite {
                json.raw(floatText(value))
            } else {
                json.string(value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity")
            }
        case .bytes:
            json.key("bytesValue")
            var text: [UInt8] = []
            appendBase64(try reader.lengthPrefixed(), to: &text)
            text.withUnsafeBytes { json.string($0) }
        case .array, .map:
            json.key(type == .array ? "arrayValue" : "kvlistValue")
            json.beginObject()
            json.key("values")
            json.beginArray()
            let n = try reader.length(limit: reader.remaining, "number of elements")
            for _ in 0..<n {
                if type == .array {
                    try writeValue(&reader, &json, depth: depth + 1)
                } else {
                    try writeKeyValue(&reader, &json, depth: depth + 1)
                }
            }
            json.endArray()
            json.endObject()
        }
        json.endObject()
    }
}
