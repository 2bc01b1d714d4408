// SPDX-License-Identifier: Apache-2.0
// JSON as a tree.

/// A JSON value: for those who ask a server and for tests. Where much comes in, `JSONReader` reads it
/// without a tree. Numbers keep their text; depth is bounded by the reader.
package indirect enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([JSONMember])

    /// - Throws: `MalformedJSON`.
    package init(parsing bytes: [UInt8]) throws {
        self = try bytes.withUnsafeBytes { buffer in
            var reader = JSONReader(buffer)
            let value = try JSONValue(&reader)
            try reader.end()
            return value
        }
    }

    private init(_ reader: inout JSONReader) throws {
        switch try reader.peek() {
        case .null:
            _ = try reader.nullIfPresent()
            self = .null
        case .bool: self = .bool(try reader.bool())
        case .number: self = .number(String(decoding: try reader.number(), as: UTF8.self))
        case .string: self = .string(try reader.string().string)
        case .array:
            var items: [JSONValue] = []
            try reader.beginArray()
            while try reader.nextElement() { items.append(try JSONValue(&reader)) }
            self = .array(items)
        case .object:
            var members: [JSONMember] = []
            try reader.beginObject()
            while let key = try reader.nextKey() {
                let name = key.string
                members.append(JSONMember(name: name, value: try JSONValue(&reader)))
            }
            self = .object(members)
        }
    }

    package subscript(name: String) -> JSONValue {
        guard case .object(let members) = self else { return .null }
        return members.first { $0.name == name }?.value ?? .null
    }

    package subscript(index: Int) -> JSONValue {
        guard case .array(let items) = self, items.indices.contains(index) else { return .null }
        return items[index]
    }

    package var items: [JSONValue] {
        if case .array(let items) = self { return items }
        return []
    }

    package var members: [JSONMember] {
        if case .object(let members) = self { return members }
        return []
    }

    /// The text of a string or number; empty for anything else.
    package var text: String {
        switch self {
        case .string(let text), .number(let text): text
        case .bool(let flag): flag ? "true" : "false"
        case .null, .array, .object: ""
        }
    }

    package var int: Int64 { Int64(text) ?? 0 }
    package var double: Double { Double(text) ?? .nan }
    package var isNull: Bool { self == .null }

    /// Compact JSON of the value.
    package func write(into writer: inout JSONWriter) {
        switch self {
        case .null: writer.null()
        case .bool(let flag): writer.bool(flag)
        case .number(let text): writer.raw(text)
        case .string(let text): writer.string(text)
        case .array(let items):
            writer.beginArray()
            for item in items { item.write(into: &writer) }
            writer.endArray()
        case .object(let members):
            writer.beginObject()
            for member in members {
                writer.key(member.name)
                member.value.write(into: &writer)
            }
            writer.endObject()
        }
    }
}

/// A member of an object, in the order of the text.
package struct JSONMember: Sendable, Equatable {
    package var name: String
    package var value: JSONValue

    package init(name: String, value: JSONValue) {
        self.name = name
        self.value = value
    }
}
