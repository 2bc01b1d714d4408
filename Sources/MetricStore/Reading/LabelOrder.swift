// SPDX-License-Identifier: Apache-2.0
// Sorting many label sets.

import Base
import Telemetry

/// Sorts label sets by `Labels.<` with few comparisons of bytes: what all of a group have in common
/// is passed over once, eight bytes of the first value that differs order the group as numbers, and
/// only sets that agree in them are looked at again.
struct LabelOrder {
    private let sets: [MergedSeriesSet.Entry]
    private var items: [(key: UInt64, index: UInt32)]
    /// Groups still to be ordered, and the bytes that all of a group share, up to whole labels.
    private var pending: [(items: Range<Int>, shared: Int)] = []

    /// Sets of a group that are compared whole.
    private static let smallGroup = 8

    private init(_ sets: [MergedSeriesSet.Entry]) {
        self.sets = sets
        items = sets.indices.map { (0, UInt32(truncatingIfNeeded: $0)) }
    }

    /// Indices of entries in ascending order of their labels. O(bytes + n log n).
    ///
    /// - Throws: `QueryInterruption` when the query is to end before they are in order.
    static func ascending(
        _ sets: [MergedSeriesSet.Entry], _ context: ReadContext
    ) throws(QueryInterruption) -> [UInt32] {
        var order = LabelOrder(sets)
        order.pending.append((0..<sets.count, 0))
        while let group = order.pending.popLast() {
            if group.items.count > 64 { try context.check() }
            order.sort(group.items, after: group.shared)
        }
        return order.items.map(\.index)
    }

    /// Orders a group, or splits it into groups that still have to be.
    private mutating func sort(_ group: Range<Int>, after shared: Int) {
        guard group.count > LabelOrder.smallGroup, let common = common(group, after: shared) else {
            compareWhole(group)
            return
        }
        if let end = common.labelEnd {
            pending.append((group, end))
            return
        }
        for position in group { items[position].key = key(position, shared, common.prefix) }
        items[group].sort { $0.key < $1.key }
        var start = group.lowerBound
        while start < group.upperBound {
            var end = start + 1
            while end < group.upperBound, items[end].key == items[start].key { end += 1 }
            if end - start == group.count {
                // Zero bytes against ends of values.
                compareWhole(group)
            } else if end - start > 1 {
                pending.append((start..<end, shared))
            }
            start = end
        }
    }

    private mutating func compareWhole(_ group: Range<Int>) {
        items[group].sort { sets[Int($0.index)].labels < sets[Int($1.index)].labels }
    }

    /// What the next labels of a group have in common: bytes of the value, and where the label ends
    /// when it is the same in all. Nil when not all have it.
    private func common(
        _ group: Range<Int>, after shared: Int
    ) -> (prefix: Int, labelEnd: Int?)? {
        sets[Int(items[group.lowerBound].index)].labels.bytes.withUnsafeBytes { first in
            guard let (name, value, end) = label(first, shared) else { return nil }
            var prefix = value.count
            var isSame = true
            for position in group.dropFirst() {
                let goesOn = sets[Int(items[position].index)].labels.bytes.withUnsafeBytes {
                    other in
                    guard let (otherName, otherValue, _) = label(other, shared),
                        equalBytes(name, otherName)
                    else { return false }
                    isSame = isSame && otherValue.count == value.count
                    prefix = min(prefix, otherValue.count)
                    var count = 0
                    while count < prefix, value[count] == otherValue[count] { count &+= 1 }
                    prefix = count
                    return true
                }
                if !goesOn { return nil }
            }
            return (prefix, isSame && prefix == value.count ? end : nil)
        }
    }

    /// Eight bytes of the value after `prefix`.
    private func key(_ position: Int, _ shared: Int, _ prefix: Int) -> UInt64 {
        sets[Int(items[position].index)].labels.bytes.withUnsafeBytes { bytes in
            guard let (_, value, _) = label(bytes, shared) else { return 0 }
            return leadingBytes(UnsafeRawBufferPointer(rebasing: value[prefix...]))
        }
    }

    @inline(__always)
    private func label(
        _ bytes: UnsafeRawBufferPointer, _ offset: Int
    ) -> (name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, end: Int)? {
        var reader = ByteReader(bytes)
        reader.offset = offset
        guard let name = try? reader.lengthPrefixed(), let value = try? reader.lengthPrefixed()
        else { return nil }
        return (name, value, reader.offset)
    }
}
