// SPDX-License-Identifier: Apache-2.0
// The series of a head in order of their labels.

import Base
import Telemetry

/// Sorts the series of shards by labels.
///
/// Labels are made numbers that order as they do, so that a comparison of two series looks at eight
/// bytes in most cases and at numbers that lie together in the others. Comparing label bytes where
/// they are would miss the cache twice for each of 20 comparisons a series.
struct SeriesOrder {
    struct Place {
        var shard: Int
        var ref: Int
    }
    private struct Row {
        /// The first two labels.
        var leading: UInt64
        /// Where the series' labels begin and end.
        var start: UInt32
        var end: UInt32
        var shard: UInt32
        var ref: UInt32
    }
    private var rows: [Row] = []

    /// O(series × labels) and a sort. Holds some 60 bytes a series.
    init(_ shards: [ShardState]) {
        var labels = InternTable()
        var numbers: [UInt32] = []
        rows.reserveCapacity(shards.reduce(0) { $0 + $1.series.count })
        for (number, shard) in shards.enumerated() {
            for ref in shard.series.indices {
                let start = UInt32(truncatingIfNeeded: numbers.count)
                shard.labels.withBytes(ref) { bytes in
                    forEachLabel(in: bytes) { _, _, place in
                        let label = UnsafeRawBufferPointer(rebasing: bytes[place])
                        numbers.append(UInt32(truncatingIfNeeded: labels.intern(label)))
                    }
                }
                rows.append(
                    Row(
                        leading: 0, start: start, end: UInt32(truncatingIfNeeded: numbers.count),
                        shard: UInt32(truncatingIfNeeded: number),
                        ref: UInt32(truncatingIfNeeded: ref)))
            }
        }
        // From 1, so that 0 stands for no label, which comes first.
        var rank = [UInt32](repeating: 0, count: labels.count)
        for (position, label) in labels.sortedLabels().enumerated() {
            rank[label] = UInt32(truncatingIfNeeded: position + 1)
        }
        for i in numbers.indices { numbers[i] = rank[Int(numbers[i])] }
        numbers.withUnsafeBufferPointer { numbers in
            for i in rows.indices {
                let (start, count) = (Int(rows[i].start), rows[i].end - rows[i].start)
                rows[i].leading =
                    (count > 0 ? UInt64(numbers[start]) : 0) << 32
                    | (count > 1 ? UInt64(numbers[start + 1]) : 0)
            }
            rows.sort { a, b in
                if a.leading != b.leading { return a.leading < b.leading }
                var (i, j) = (Int(a.start) &+ 2, Int(b.start) &+ 2)
                while i < Int(a.end), j < Int(b.end) {
                    if numbers[i] != numbers[j] { return numbers[i] < numbers[j] }
                    i &+= 1
                    j &+= 1
                }
                return a.end &- a.start < b.end &- b.start
            }
        }
    }

    var count: Int { rows.count }

    subscript(position: Int) -> Place {
        Place(shard: Int(rows[position].shard), ref: Int(rows[position].ref))
    }
}

extension InternTable {
    /// Numbers of all entries, which are labels in canonical bytes, by name and then value.
    fileprivate func sortedLabels() -> [Int] {
        var names = InternTable()
        var keyed: [(name: UInt32, value: UInt64, index: Int)] = []
        keyed.reserveCapacity(count)
        for index in 0..<count {
            withBytes(index) { bytes in
                forEachLabel(in: bytes) { name, value in
                    let number = UInt32(truncatingIfNeeded: names.intern(name))
                    keyed.append((number, leadingBytes(value), index))
                }
            }
        }
        var rank = [UInt32](repeating: 0, count: names.count)
        for (position, name) in names.sortedEntries().enumerated() {
            rank[name] = UInt32(truncatingIfNeeded: position)
        }
        for i in keyed.indices { keyed[i].name = rank[Int(keyed[i].name)] }
        keyed.sort { a, b in
            if a.name != b.name { return a.name < b.name }
            if a.value != b.value { return a.value < b.value }
            return withBytes(a.index) { x in
                withBytes(b.index) { y in compareLabels(x, y) < 0 }
            }
        }
        return keyed.map(\.index)
    }
}
