// SPDX-License-Identifier: Apache-2.0
// A whole JSON document, for the answers of discovery APIs.

import Base

/// JSON as a tree. Answers of discovery APIs are read here, some kilobytes at a time or once in a
/// while; nothing on the path of a sample uses it.
indirect enum JSONTree: Sendable {
    case null
    case bool(Bool)
    /// As it is written.
    case number(String)
    case string(String)
    case array([JSONTree])
    /// A later member of the same name wins.
    case object([String: JSONTree])

    /// Most values in one document: a tree costs far more memory than its text.
    static let valueLimit = 4_000_000

    /// - Throws: for text that is no JSON, is not UTF-8, or has more values than the limit.
    init(
        _ bytes: [UInt8], valueLimit: Int = JSONTree.valueLimit
    ) throws(DiscoveryError) {
        var budget = valueLimit
        do {
            self = try bytes.withUnsafeBytes { buffer in
                var reader = JSONReader(buffer)
                let tree = try Self.read(&reader, &budget)
                try reader.end()
                return tree
            }
        } catch let error as DiscoveryError { throw error } catch {
            throw DiscoveryError("\(error)")
        }
    }

    private static func read(_ reader: inout JSONReader, _ budget: inout Int) throws -> JSONTree {
        budget -= 1
        guard budget >= 0 else { throw DiscoveryError("the JSON document has too many values") }
        switch try reader.peek() {
        case .null:
            _ = try reader.nullIfPresent()
            return .null
        case .bool: return .bool(try reader.bool())
        case .number: return .number(String(decoding: try reader.number(), as: UTF8.self))
        case .string: return .string(try reader.string().string)
        case .array:
            var items: [JSONTree] = []
            try reader.beginArray()
            while try reader.nextElement() { items.append(try read(&reader, &budget)) }
            return .array(items)
        case .object:
            var members: [String: JSONTree] = [:]
            try reader.beginObject()
            while let key = try reader.nextKey() {
                let name = key.string
                members[name] = try read(&reader, &budget)
            }
            return .object(members)
        }
    }

    /// The member of an object; null when there is none or this is no object.
    subscript(name: String) -> JSONTree {
        if case .object(let members) = self { return members[name] ?? .null }
        return .null
    }

    var isNull: Bool {
        if case .null = self { return true }
        return false
    }

    /// Elements of an array; none for anything else.
    var items: [JSONTree] {
        if case .array(let items) = self { return items }
        return []
    }

    /// Members of an object, by name; none for anything else.
    var members: [(name: String, value: JSONTree)] {
        guard case .object(let members) = self else { return [] }
        return members.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// A string's or a number's text; empty for anything else.
    var text: String {
        switch self {
        case .string(let text), .number(let text): text
        case .null, .bool, .array, .object: ""
        }
    }

    /// A string's text; nil for anything else.
    var string: String? {
        if case .string(let text) = self { return text }
        return nil
    }

    var integer: Int? {
        if case .number(let text) = self { return Int(text) }
        return nil
    }

    /// Null when this is no boolean.
    var bool: Bool? {
        if case .bool(let value) = self { return value }
        return nil
    }

    /// Members whose values are texts, by name.
    var texts: [NamedText] {
        members.compactMap { member in member.value.string.map { NamedText(member.name, $0) } }
    }
}
