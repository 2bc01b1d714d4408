// SPDX-License-Identifier: Apache-2.0
// Values of one attribute key and type.

import Base
import Storage
import Telemetry

/// Collects the values of a column; see `AttributeColumns` for its bytes.
///
/// A class, because a value of so many arrays costs more to hand around than its work.
final class AttributeColumn {
    let key: [UInt8]
    let type: AttributeType
    private(set) var count = 0
    /// Plain string bytes or encoded values.
    private var bytes: [UInt8] = []
    private var lengths: [UInt32] = []
    /// Ints and doubles as bit patterns, flags as 0 and 1.
    private var numbers: [UInt64] = []
    /// Distinct strings by hash, as indices into `distinct`; empty once given up.
    private var indexByHash: [UInt64: UInt8] = [:]
    private var distinct: [[UInt8]] = []
    private var indices: [UInt8] = []
    private var hasDictionary = true

    init(key: [UInt8], type: AttributeType) {
        self.key = key
        self.type = type
    }

    func isNamed(_ other: UnsafeRawBufferPointer, _ otherType: AttributeType) -> Bool {
        type == otherType && key.withUnsafeBytes { equalBytes($0, other) }
    }

    /// Adds an encoded value without its type byte. Its list was walked before and is kept as it
    /// is where that fails, so that these reads do not.
    func append(_ value: UnsafeRawBufferPointer) {
        count += 1
        var reader = ByteReader(value)
        switch type {
        case .empty: break
        case .string:
            let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
            keep((try? reader.lengthPrefixed()) ?? nothing)
        case .bool: numbers.append((try? reader.u8()) == 0 ? 0 : 1)
        case .int: numbers.append(UInt64(bitPattern: (try? reader.zigzag()) ?? 0))
        case .double: numbers.append((try? reader.u64()) ?? 0)
        case .bytes, .array, .map:
            bytes.append(contentsOf: value)
            lengths.append(UInt32(value.count))
        }
    }

    private func keep(_ text: UnsafeRawBufferPointer) {
        guard hasDictionary else {
            bytes.append(contentsOf: text)
            lengths.append(UInt32(text.count))
            return
        }
        if let last = indices.last,
            distinct[Int(last)].withUnsafeBytes({ equalBytes($0, text) })
        {
            indices.append(last)
            return
        }
        let hash = hash64(text)
        if let known = indexByHash[hash],
            distinct[Int(known)].withUnsafeBytes({ equalBytes($0, text) })
        {
            indices.append(known)
        } else if indexByHash[hash] == nil, distinct.count < Limits.dictionaryValues {
            indexByHash[hash] = UInt8(distinct.count)
            indices.append(UInt8(distinct.count))
            distinct.append([UInt8](text))
        } else {
            spellOut()
            keep(text)
        }
    }

    /// Gives the dictionary up. The strings so far stay, for the catalogue.
    private func spellOut() {
        hasDictionary = false
        for index in indices {
            bytes.append(contentsOf: distinct[Int(index)])
            lengths.append(UInt32(distinct[Int(index)].count))
        }
        indexByHash = [:]
        indices = []
    }

    /// A dictionary pays when values repeat.
    private var useDictionary: Bool { hasDictionary && distinct.count * 2 <= Swift.max(2, count) }

    func encode(into writer: inout ByteWriter) {
        switch type {
        case .empty: break
        case .string: encodeStrings(into: &writer)
        case .bool: for number in numbers { writer.u8(UInt8(truncatingIfNeeded: number)) }
        case .int: IntColumn.encode(numbers, into: &writer)
        case .double: for number in numbers { writer.u64(number) }
        case .bytes, .array, .map:
            var offset = 0
            bytes.withUnsafeBytes { all in
                for length in lengths {
                    let end = offset + Int(length)
                    writer.lengthPrefixed(UnsafeRawBufferPointer(rebasing: all[offset..<end]))
                    offset = end
                }
            }
        }
    }

    private func encodeStrings(into writer: inout ByteWriter) {
        if useDictionary {
            writer.u8(1)
            writer.varint(distinct.count)
            for text in distinct { writer.lengthPrefixed(text) }
            if distinct.count > 1 { writer.raw(indices) }
        } else if hasDictionary {
            writer.u8(0)
            for index in indices { writer.varint(distinct[Int(index)].count) }
            for index in indices { writer.raw(distinct[Int(index)]) }
        } else {
            writer.u8(0)
            for length in lengths { writer.varint(UInt64(length)) }
            writer.raw(bytes)
        }
    }

    /// A filter of the values where they are too many to be listed: of the hashes of strings, and of
    /// whole numbers that lie far enough apart for the range not to say the same.
    func filter(_ summary: AttributeColumns.Summary) -> [UInt8] {
        switch type {
        case .string where !hasDictionary: XorFilter.encode(distinctHashes().sorted()) ?? []
        case .int where summary.numbers == nil: numberFilter(summary)
        default: []
        }
    }

    private func distinctHashes() -> Set<UInt64> {
        var hashes: Set<UInt64> = []
        var offset = 0
        bytes.withUnsafeBytes { all in
            for length in lengths {
                let end = offset + Int(length)
                hashes.insert(
                    mixed(hash64(UnsafeRawBufferPointer(rebasing: all[offset..<end]))))
                offset = end
            }
        }
        return hashes
    }

    private func numberFilter(_ summary: AttributeColumns.Summary) -> [UInt8] {
        guard let low = summary.low, let high = summary.high else { return [] }
        var keys: [UInt64] = []
        var last: UInt64?
        for number in numbers.sorted() where number != last {
            keys.append(keyInFilter(int: number))
            last = number
        }
        guard (high &- low) / Limits.filteredNumberSpacing >= UInt64(keys.count) else { return [] }
        return XorFilter.encode(keys) ?? []
    }

    var summary: AttributeColumns.Summary {
        var summary = AttributeColumns.Summary(key: key, type: type, valueCount: count)
        switch type {
        case .string:
            if hasDictionary { summary.strings = distinct } else { summary.someStrings = distinct }
        case .int:
            summary.low = numbers.map { Int64(bitPattern: $0) }.min().map(UInt64.init(bitPattern:))
            summary.high = numbers.map { Int64(bitPattern: $0) }.max().map(UInt64.init(bitPattern:))
        case .double:
            let values = numbers.map(Double.init(bitPattern:))
            if !values.contains(where: \.isNaN) {
                summary.low = values.min()?.bitPattern
                summary.high = values.max()?.bitPattern
            }
        case .empty, .bool, .bytes, .array, .map: break
        }
        if type == .int || type == .double || type == .bool { summary.numbers = distinctNumbers }
        return summary
    }

    /// Distinct numbers, ascending; nil when there are too many.
    private var distinctNumbers: [UInt64]? {
        var seen: Set<UInt64> = []
        for number in numbers where seen.insert(number).inserted {
            if seen.count > Limits.catalogueValues { return nil }
        }
        return seen.sorted()
    }
}

/// The key of a whole number in the filter of its column.
func keyInFilter(int bits: UInt64) -> UInt64 { mixed(bits &+ 0x9e37_79b9_7f4a_7c15) }

/// The key of a string in the filter of its column.
func keyInFilter(text: [UInt8]) -> UInt64 { text.withUnsafeBytes { mixed(hash64($0)) } }
