// SPDX-License-Identifier: Apache-2.0
// JSON as a tree: for test data only.

import Base

/// A JSON value; objects keep the order of the text.
indirect enum JSONValue: Equatable {
    case null, bool(Bool)
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([Member])

    struct Member: Equatable {
        var name: String
        var value: JSONValue
    }

    init(_ bytes: [UInt8]) throws {
        self = try bytes.withUnsafeBytes { raw in
            var reader = JSONReader(raw)
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
            var values: [JSONValue] = []
            try reader.beginArray()
            while try reader.nextElement() { values.append(try JSONValue(&reader)) }
            self = .array(values)
        case .object:
            var members: [Member] = []
            try reader.beginObject()
            while let key = try reader.nextKey() {
                members.append(Member(name: key.string, value: try JSONValue(&reader)))
            }
            self = .object(members)
        }
    }

    subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }
    var members: [Member] {
        guard case .object(let members) = self else { return [] }
        return members
    }
    var elements: [JSONValue] {
        guard case .array(let values) = self else { return [] }
        return values
    }
    var text: String? {
        switch self {
        case .string(let text), .number(let text): text
        default: nil
        }
    }
    /// Members sorted by name at every level: for comparison.
    var sorted: JSONValue {
        switch self {
        case .array(let values): .array(values.map(\.sorted))
        case .object(let members):
            .object(
                members.map { Member(name: $0.name, value: $0.value.sorted) }
                    .sorted { $0.name < $1.name })
        default: self
        }
    }
}
