// SPDX-License-Identifier: Apache-2.0
// Protobuf's JSON mapping, turned into protobuf.

import Base

/// A message's fields as JSON names them.
protocol JSONSchema: Sendable {
    var fields: [JSONField<Self>] { get }
}

/// One field of a message in JSON.
struct JSONField<Schema: JSONSchema>: Sendable {
    enum Kind: Sendable {
        case message(Schema)
        case string, base64, hex
        case bool, double, uint64, int64, uint32, sint32, fixed64, sfixed64
        /// A value by number or by its name, whose place in the list is its number.
        case enumeration([String])
    }
    var name: StaticString
    var number: UInt32
    var kind: Kind
    var isRepeated = false
    /// Whether absence and the zero value differ: members of a `oneof`, `optional` fields.
    var isExplicit = false

    init(
        _ name: StaticString, _ number: UInt32, _ kind: Kind, repeated: Bool = false,
        explicit: Bool = false
    ) {
        self.name = name
        self.number = number
        self.kind = kind
        isRepeated = repeated
        isExplicit = explicit
    }
}

/// Writes the protobuf message that a JSON object stands for, in one pass.
///
/// A decoder that must read fields in another order than they come in does so cheaply in protobuf,
/// where it steps over what it does not want yet; in JSON that means parsing it twice. Names are
/// lowerCamelCase only; unknown ones and null are ignored; 64-bit integers may be strings. Bytes
/// called `hex` that are no hexadecimal digits are left out, as OTLP treats ids it cannot read.
///
/// Source: protobuf.dev, "ProtoJSON"; opentelemetry-proto `docs/specification.md`, "JSON Protobuf
/// Encoding".
struct JSONTranscoder<Schema: JSONSchema> {
    private var scratch: [UInt8] = []
    private var decoded: [UInt8] = []

    init() {}

    mutating func object(
        _ reader: inout JSONReader, _ schema: Schema, into writer: inout ProtobufWriter
    ) throws(MalformedJSON) {
        let fields = schema.fields
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            guard let field = fields.first(where: { key.equals($0.name) }) else {
                try reader.skipValue()
                continue
            }
            guard field.isRepeated else {
                try value(&reader, field, always: field.isExplicit, into: &writer)
                continue
            }
            try reader.beginArray()
            while try reader.nextElement() {
                try value(&reader, field, always: true, into: &writer)
            }
        }
    }

    private mutating func value(
        _ reader: inout JSONReader, _ field: JSONField<Schema>, always: Bool,
        into writer: inout ProtobufWriter
    ) throws(MalformedJSON) {
        let number = field.number
        switch field.kind {
        case .message(let schema):
            let mark = writer.begin(number)
            // A null element of a list is an empty message.
            if try !reader.nullIfPresent() { try object(&reader, schema, into: &writer) }
            writer.end(mark)
        case .string:
            let text = try reader.string()
            text.withBytes(scratch: &scratch) { writer.bytes(number, $0, always: always) }
        case .base64:
            _ = try reader.peek()
            let offset = reader.offset
            let text = try reader.string()
            decoded.removeAll(keepingCapacity: true)
            guard text.withBytes(scratch: &scratch, { appendDecodedBase64($0, to: &decoded) })
            else { throw reader.malformed("base64", at: offset) }
            writer.bytes(number, decoded, always: always)
        case .hex:
            let text = try reader.string()
            decoded.removeAll(keepingCapacity: true)
            guard appendDecodedHexadecimal(text.raw, to: &decoded) else { return }
            writer.bytes(number, decoded, always: always)
        case .bool: writer.bool(number, try reader.bool(), always: always)
        case .double: writer.double(number, try reader.doubleOrString(), always: always)
        case .uint64: writer.uint64(number, try reader.uint64OrString(), always: always)
        case .int64: writer.int64(number, try reader.int64OrString(), always: always)
        case .uint32: writer.uint32(number, try reader.uint32OrString(), always: always)
        case .sint32:
            writer.sint32(number, Int32(clamping: try reader.int64OrString()), always: always)
        case .fixed64: writer.fixed64(number, try reader.uint64OrString(), always: always)
        case .sfixed64: writer.sfixed64(number, try reader.int64OrString(), always: always)
        case .enumeration(let names):
            writer.uint64(number, UInt64(try reader.enumeration(names)), always: always)
        }
    }
}

/// Appends the bytes that pairs of hexadecimal digits stand for; false when it is not such text.
private func appendDecodedHexadecimal(
    _ text: UnsafeRawBufferPointer, to out: inout [UInt8]
) -> Bool {
    guard text.count & 1 == 0 else { return false }
    var i = 0
    while i < text.count {
        guard let high = hexadecimalDigit(text[i]), let low = hexadecimalDigit(text[i &+ 1]) else {
            return false
        }
        out.append(high << 4 | low)
        i &+= 2
    }
    return true
}

private func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
