// SPDX-License-Identifier: Apache-2.0
// Attribute keys of a part and their values: what completion reads.

import Base
import Telemetry

/// Keys by scope with up to a few hundred distinct values each.
///
///     u8 version | varint n, per entry: u8 scope (AttributeScope; 255 = span names), key,
///     u8 complete, varint n, n values (varint count + bytes: an encoded attribute value)
struct Catalogue: Sendable {
    struct Key: Hashable, Sendable {
        /// `AttributeScope.rawValue`, or `nameScope`.
        var scope: UInt8
        var name: [UInt8]
    }
    struct Entry: Sendable {
        /// Encoded `AttributeValue`s.
        var values: Set<[UInt8]> = []
        /// Whether `values` are all there are.
        var isComplete = true
    }
    static let nameScope: UInt8 = 255
    static let eventNameScope: UInt8 = 254

    private(set) var entries: [Key: Entry] = [:]

    init() {}

    mutating func add(_ key: Key, _ values: some Sequence<[UInt8]>, isComplete: Bool) {
        guard entries[key] != nil || entries.count < Limits.catalogueKeys else { return }
        var entry = entries.removeValue(forKey: key) ?? Entry()
        if !isComplete { entry.isComplete = false }
        for value in values where !entry.values.contains(value) {
            if value.count <= Limits.catalogueValueBytes,
                entry.values.count < Limits.catalogueValues
            {
                entry.values.insert(value)
            } else {
                entry.isComplete = false
            }
        }
        entries[key] = entry
    }

    /// Adds the columns of one block.
    mutating func add(_ summaries: [AttributeColumns.Summary], scope: AttributeScope) {
        for summary in summaries {
            let key = Key(scope: scope.rawValue, name: summary.key)
            if let strings = summary.strings {
                add(key, strings.lazy.map(encodedString), isComplete: true)
            } else if let numbers = summary.numbers {
                add(key, numbers.lazy.map { encoded($0, summary.type) }, isComplete: true)
            } else {
                add(key, [], isComplete: summary.type == .empty)
            }
        }
    }

    /// Adds one attribute list, of a resource or a scope.
    mutating func add(list: UnsafeRawBufferPointer, scope: AttributeScope) {
        // A list that ends badly is catalogued as far as it goes.
        try? AttributeCoding.forEach(in: list) { name, value in
            let type = value.first.flatMap(AttributeType.init(rawValue:)) ?? .empty
            let key = Key(scope: scope.rawValue, name: [UInt8](name))
            switch type {
            case .string, .bool, .int, .double: add(key, [[UInt8](value)], isComplete: true)
            case .empty, .bytes, .array, .map: add(key, [], isComplete: type == .empty)
            }
        }
    }

    func encode() -> [UInt8] {
        var writer = ByteWriter()
        writer.u8(TraceFormat.version)
        writer.varint(entries.count)
        let sorted = entries.sorted {
            ($0.key.scope, order($0.key.name)) < ($1.key.scope, order($1.key.name))
        }
        for (key, entry) in sorted {
            writer.u8(key.scope)
            writer.lengthPrefixed(key.name)
            writer.u8(entry.isComplete ? 1 : 0)
            writer.varint(entry.values.count)
            for value in entry.values.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
                writer.lengthPrefixed(value)
            }
        }
        return writer.bytes
    }

    init(decoding reader: inout ByteReader) throws(MalformedBytes) {
        guard try reader.u8() == TraceFormat.version else {
            throw reader.malformed("catalogue version \(TraceFormat.version)")
        }
        let n = try reader.length(limit: reader.remaining, "number of keys")
        for _ in 0..<n {
            let key = Key(
                scope: try reader.u8(), name: [UInt8](try reader.lengthPrefixed()))
            var entry = Entry()
            entry.isComplete = try reader.u8() != 0
            let count = try reader.length(limit: reader.remaining, "number of values")
            for _ in 0..<count { entry.values.insert([UInt8](try reader.lengthPrefixed())) }
            entries[key] = entry
        }
        guard reader.isAtEnd else { throw reader.malformed("the end of the catalogue") }
    }
}

/// Bytes ordered as bytes, for tuples.
private struct ByteOrder: Comparable {
    var bytes: [UInt8]
    static func < (a: ByteOrder, b: ByteOrder) -> Bool {
        a.bytes.lexicographicallyPrecedes(b.bytes)
    }
}
private func order(_ bytes: [UInt8]) -> ByteOrder { ByteOrder(bytes: bytes) }

/// A string as `AttributeCoding` writes it.
func encodedString(_ text: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    writer.u8(AttributeType.string.rawValue)
    writer.lengthPrefixed(text)
    return writer.bytes
}

/// A number or flag as `AttributeCoding` writes it.
func encoded(_ bits: UInt64, _ type: AttributeType) -> [UInt8] {
    var writer = ByteWriter()
    writer.u8(type.rawValue)
    switch type {
    case .int: writer.zigzag(Int64(bitPattern: bits))
    case .double: writer.u64(bits)
    default: writer.u8(UInt8(truncatingIfNeeded: bits))
    }
    return writer.bytes
}
