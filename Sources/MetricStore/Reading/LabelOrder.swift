// SPDX-License-Identifier: Apache-2.0
// Sorting many label sets.

import Base
import Telemetry

/// Sorts label sets by `Labels.<` with few comparisons of bytes: what all of a group have in common
/// is passed over once, eight bytes of the first value that differs order the group as numbers, and
/// only sets that agree in them are looked at again.
struct LabelOrder {
    private struct Item {
        /// Eight bytes of a value.
        var key: UInt64
        /// Place of the set in the bytes.
        var start: Int
        var count: UInt32
        var index: UInt32
    }
    /// All sets, back to back.
    private let bytes: UnsafeRawBufferPointer
    private var items: [Item]
    /// Groups still to be ordered, and the bytes that all of a group share, up to whole labels.
    private var pending: [(items: Range<Int>, shared: Int)] = []

    /// Sets of a group that are compared whole.
    private static let smallGroup = 8

    /// Bytes that sorting takes while it lasts.
    static func byteCount(_ entries: [MergedSeriesSet.Entry]) -> Int {
        entries.reduce(0) { $0 + $1.labels.bytes.count + MemoryLayout<Item>.stride }
    }

    /// Indices of entries in ascending order of their labels. O(bytes + n log n).
    ///
    /// - Throws: `QueryInterruption` when the query is to end before they are in order.
    static func ascending(
        _ entries: [MergedSeriesSet.Entry], _ context: ReadContext
    ) throws -> [UInt32] {
        // Copied, because a walk over one array costs no count of references per set.
        var all: [UInt8] = []
        all.reserveCapacity(entries.reduce(0) { $0 + $1.labels.bytes.count })
        var items: [Item] = []
        items.reserveCapacity(entries.count)
        for (index, entry) in entries.enumerated() {
            items.append(
                Item(
                    key: 0, start: all.count, count: UInt32(entry.labels.bytes.count),
                    index: UInt32(truncatingIfNeeded: index)))
            all.append(contentsOf: entry.labels.bytes)
        }
        return try all.withUnsafeBytes { bytes in
            var order = LabelOrder(bytes: bytes, items: items)
            order.pending.append((0..<entries.count, 0))
            while let group = order.pending.popLast() {
                if group.items.count > 64 { try context.check() }
                order.sort(group.items, after: group.shared)
            }
            return order.items.map(\.index)
        }
    }

    private init(bytes: UnsafeRawBufferPointer, items: [Item]) {
        self.bytes = bytes
        self.items = items
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
        for position in group { items[position].key = key(items[position], shared, common.prefix) }
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
        let bytes = bytes
        items[group].sort { a, b in
            compareLabels(LabelOrder.set(a, bytes), LabelOrder.set(b, bytes)) < 0
        }
    }

    /// What the next labels of a group have in common: bytes of the value, and where the label ends
    /// when it is the same in all. Nil when not all have it.
    private func common(
        _ group: Range<Int>, after shared: Int
    ) -> (prefix: Int, labelEnd: Int?)? {
        guard let (name, value, end) = label(items[group.lowerBound], shared) else { return nil }
        var prefix = value.count
        var isSame = true
        for position in group.dropFirst() {
            guard let (otherName, otherValue, _) = label(items[position], shared),
                equalBytes(name, otherName)
            else { return nil }
            isSame = isSame && otherValue.count == value.count
            let most = min(prefix, otherValue.count)
            prefix = 0
            while prefix < most, value[prefix] == otherValue[prefix] { prefix &+= 1 }
        }
        return (prefix, isSame && prefix == value.count ? end : nil)
    }

    /// Eight bytes of the value after `prefix`.
    private func key(_ item: Item, _ shared: Int, _ prefix: Int) -> UInt64 {
        guard let (_, value, _) = label(item, shared) else { return 0 }
        return leadingBytes(UnsafeRawBufferPointer(rebasing: value[prefix...]))
    }

    @inline(__always)
    private static func set(
        _ item: Item, _ bytes: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[item.start..<(item.start &+ Int(item.count))])
    }

    /// The label after the shared ones and where it ends; nil when there is none. A set that is cut
    /// short has none either: it is then compared whole, which orders any bytes.
    @inline(__always)
    private func label(
        _ item: Item, _ shared: Int
    ) -> (name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, end: Int)? {
        var reader = ByteReader(LabelOrder.set(item, bytes))
        reader.offset = shared
        if reader.isAtEnd { return nil }
        do throws(MalformedBytes) {
            let name = try reader.lengthPrefixed()
            let value = try reader.lengthPrefixed()
            return (name, value, reader.offset)
        } catch { return nil }
    }
}
