// SPDX-License-Identifier: Apache-2.0
// Turns the structured metadata of a block's rows into columns.

import Base
import Telemetry

/// Collects canonical metadata row by row and writes one column per key. Reused from block to block.
struct MetadataEncoder {
    private struct Key {
        var name: [UInt8]
        var rows: [UInt32] = []
        var values: [ByteSlice] = []
    }
    /// Canonical bytes of distinct neighbours.
    private var arena: [UInt8] = []
    private var rows: [ByteSlice] = []

    var byteCount: Int { arena.count }

    mutating func append(_ metadata: UnsafeRawBufferPointer) {
        if let last = rows.last, arena.withSlice(last, { sameBytes($0, metadata) }) {
            rows.append(last)
        } else {
            rows.append(arena.keep(metadata))
        }
    }

    mutating func reset() {
        arena.removeAll(keepingCapacity: true)
        rows.removeAll(keepingCapacity: true)
    }

    /// Calls `body` with the canonical bytes of rows, of equal neighbours once.
    func forEachDistinct(_ body: (UnsafeRawBufferPointer) -> Void) {
        arena.withUnsafeBytes { all in
            var last = ByteSlice.empty
            for slice in rows where slice != last && !slice.isEmpty {
                body(UnsafeRawBufferPointer(rebasing: all[slice.range]))
                last = slice
            }
        }
    }

    /// Appends the column; nothing when no row has metadata.
    ///
    /// - Returns: the bounds of the columns that hold numbers and nothing else, ascending by name.
    func encode(ids: [RowIDs], into out: inout ByteWriter) -> [NumberRange] {
        guard rows.contains(where: { !$0.isEmpty }) else { return [] }
        return arena.withUnsafeBytes { all in
            var ranges: [NumberRange] = []
            var keys = collectKeys(all)
            keys.sort { a, b in
                a.name.withUnsafeBytes { x in b.name.withUnsafeBytes { compareBytes(x, $0) < 0 } }
            }
            out.varint(keys.count)
            for key in keys {
                out.lengthPrefixed(key.name)
                if let bounds = write(key, ids, all, &out) {
                    ranges.append(NumberRange(name: key.name, bounds: bounds))
                }
            }
            return ranges
        }
    }

    private func collectKeys(_ all: UnsafeRawBufferPointer) -> [Key] {
        var keys: [Key] = []
        var index: [UInt64: [Int]] = [:]
        // Rows mostly have the same keys in the same order: look first where it was last time.
        for (row, slice) in rows.enumerated() where !slice.isEmpty {
            var expected = 0
            forEachLabel(in: UnsafeRawBufferPointer(rebasing: all[slice.range])) { name, value in
                var found = -1
                if expected < keys.count,
                    keys[expected].name.withUnsafeBytes({ sameBytes($0, name) })
                {
                    found = expected
                } else {
                    let hash = hash64(name)
                    for candidate in index[hash] ?? []
                    where keys[candidate].name.withUnsafeBytes({ sameBytes($0, name) }) {
                        found = candidate
                    }
                    if found < 0 {
                        found = keys.count
                        keys.append(Key(name: [UInt8](name)))
                        index[hash, default: []].append(found)
                    }
                }
                expected = found + 1
                let offset = value.baseAddress.map { $0 - (all.baseAddress ?? $0) } ?? 0
                keys[found].rows.append(UInt32(row))
                keys[found].values.append(ByteSlice(offset: offset, count: value.count))
            }
        }
        return keys
    }

    /// - Returns: the bounds of the values; nil when one is no number.
    private func write(
        _ key: Key, _ ids: [RowIDs], _ all: UnsafeRawBufferPointer, _ out: inout ByteWriter
    ) -> NumberBounds? {
        func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: all[slice.range])
        }
        if let coding = identifierCoding(key, ids, bytes) {
            out.u8(coding)
            out.u8(0)
            return nil
        }
        // Distinct values in order of appearance, as long as an index fits a byte.
        var dictionary: [[UInt8]: UInt8] = [:]
        var values: [ByteSlice] = []
        var indices: [UInt8] = []
        indices.reserveCapacity(key.values.count)
        var previous = ByteSlice.empty
        for slice in key.values {
            if slice == previous, let last = indices.last {
                indices.append(last)
                continue
            }
            previous = slice
            let value = [UInt8](bytes(slice))
            if let known = dictionary[value] {
                indices.append(known)
                continue
            }
            if values.count == LogFormat.Metadata.maxDictionary { break }
            let index = UInt8(truncatingIfNeeded: values.count)
            dictionary[value] = index
            values.append(slice)
            indices.append(index)
        }
        let fits = indices.count == key.values.count
        let coding =
            fits && values.count == 1
            ? LogFormat.Metadata.constant
            : fits && values.count * 2 <= key.values.count
                ? LogFormat.Metadata.dictionary : LogFormat.Metadata.strings
        out.u8(coding)
        writePresence(key, &out)
        switch coding {
        case LogFormat.Metadata.constant: out.lengthPrefixed(bytes(key.values[0]))
        case LogFormat.Metadata.dictionary:
            out.varint(values.count)
            for value in values { out.lengthPrefixed(bytes(value)) }
            out.raw(indices)
        default:
            for value in key.values { out.varint(Int(value.count)) }
            for value in key.values { out.raw(bytes(value)) }
        }
        return MetadataEncoder.bounds(fits ? values : key.values, bytes)
    }

    /// Ends at the first value that is no number, which mostly is the very first.
    private static func bounds(
        _ values: [ByteSlice], _ bytes: (ByteSlice) -> UnsafeRawBufferPointer
    ) -> NumberBounds? {
        var all: NumberBounds?
        for value in values {
            guard let one = NumberBounds(bytes(value)) else { return nil }
            if all == nil { all = one } else { all?.formUnion(one) }
        }
        return all
    }

    private func writePresence(_ key: Key, _ out: inout ByteWriter) {
        guard key.rows.count < rows.count else {
            out.u8(0)
            return
        }
        out.u8(1)
        var bits = [UInt8](repeating: 0, count: (rows.count + 7) / 8)
        for row in key.rows { bits[Int(row) >> 3] |= 1 << UInt8(row & 7) }
        out.raw(bits)
    }

    /// Whether the values are just the text of the rows' trace or span ids, as they are when the ids
    /// were lifted out of this key.
    private func identifierCoding(
        _ key: Key, _ ids: [RowIDs], _ bytes: (ByteSlice) -> UnsafeRawBufferPointer
    ) -> UInt8? {
        guard let first = key.values.first, first.count == 32 || first.count == 16 else {
            return nil
        }
        let isTrace = first.count == 32
        let withID = ids.reduce(0) {
            $0 + ((isTrace ? $1.traceHigh | $1.traceLow : $1.span) != 0 ? 1 : 0)
        }
        guard withID == key.rows.count else { return nil }
        for (row, value) in zip(key.rows, key.values) {
            let id = ids[Int(row)]
            // An id of zeros is none, so its text could not be told from none.
            if isTrace {
                if id.traceHigh | id.traceLow == 0 || !id.isTraceText(bytes(value)) { return nil }
            } else if id.span == 0 || !id.isSpanText(bytes(value)) {
                return nil
            }
        }
        return isTrace ? LogFormat.Metadata.traceID : LogFormat.Metadata.spanID
    }
}
