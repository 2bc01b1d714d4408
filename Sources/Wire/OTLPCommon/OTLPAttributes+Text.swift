// SPDX-License-Identifier: Apache-2.0
// OTLP attribute values as plain text and plain JSON.

import Base
import Telemetry

extension OTLPAttributes {
    /// Appends one encoded value as text: strings as they are, numbers and booleans as JSON prints
    /// them, bytes in base64, arrays and maps as JSON, nothing for an empty value. Source:
    /// opentelemetry-collector `pdata/pcommon/value.go`, `AsString`; maps keep their order here.
    package static func appendText(
        _ reader: inout ByteReader, to out: inout [UInt8]
    ) throws(MalformedBytes) {
        let start = reader.offset
        guard let type = AttributeType(rawValue: try reader.u8()) else {
            throw reader.malformed("attribute type")
        }
        switch type {
        case .empty: return
        case .string: out.append(contentsOf: try reader.lengthPrefixed())
        case .bytes: appendBase64(try reader.lengthPrefixed(), to: &out)
        case .double: appendFloat(try reader.double(), into: &out)
        case .bool, .int, .array, .map:
            reader.offset = start
            var json = JSONWriter(reserving: 0)
            swap(&json.bytes, &out)
            defer { swap(&json.bytes, &out) }
            try writePlain(&reader, &json)
        }
    }

    /// Writes one encoded value as the JSON it stands for: `{"a":[1,null]}`.
    static func writePlain(
        _ reader: inout ByteReader, _ json: inout JSONWriter, depth: Int = 0
    ) throws(MalformedBytes) {
        guard depth < AttributeCoding.maxDepth,
            let type = AttributeType(rawValue: try reader.u8())
        else { throw reader.malformed("attribute value") }
        switch type {
        case .empty: json.null()
        case .string: json.string(try reader.lengthPrefixed())
        case .bool: json.bool(try reader.u8() != 0)
        case .int: json.int(try reader.zigzag())
        case .double:
            let value = try reader.double()
            if value.isFinite { json.raw(floatText(value)) } else { json.string(floatText(value)) }
        case .bytes:
            var text: [UInt8] = []
            appendBase64(try reader.lengthPrefixed(), to: &text)
            text.withUnsafeBytes { json.string($0) }
        case .array:
            let n = try reader.length(limit: reader.remaining, "number of elements")
            json.beginArray()
            for _ in 0..<n { try writePlain(&reader, &json, depth: depth + 1) }
            json.endArray()
        case .map:
            let n = try reader.length(limit: reader.remaining, "number of pairs")
            json.beginObject()
            for _ in 0..<n {
                json.key(try reader.lengthPrefixed())
                try writePlain(&reader, &json, depth: depth + 1)
            }
            json.endObject()
        }
    }
}
