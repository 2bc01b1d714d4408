// SPDX-License-Identifier: Apache-2.0
// Collects the series of one selection.

import Base
import Storage
import Telemetry

/// Collects pieces source by source, oldest source first.
struct SeriesSetBuilder: ~Copyable {
    let context: ReadContext
    private(set) var entries: [MergedSeriesSet.Entry] = []
    private(set) var pieces: [MergedSeriesSet.Piece] = []
    private(set) var parts: [OpenedPart] = []
    private(set) var heads: [HeadSelection] = []
    private(set) var reservedBytes = 0
    /// Whether the entries came in ascending order.
    private(set) var isSorted = true
    /// Entries by the hash of their labels, −1 = free; filled only when there are several sources.
    private var slots: [Int32]
    private let sourceCount: Int
    private var pendingBytes = 0

    /// - Parameter sourceCount: parts and heads; with one only, no series comes twice.
    init(sourceCount: Int, _ context: ReadContext) {
        self.sourceCount = sourceCount
        self.context = context
        slots = sourceCount > 1 ? [Int32](repeating: -1, count: 1024) : []
    }

    mutating func addPart(_ part: MetricPart, _ index: PartIndex) -> UInt32 {
        parts.append(OpenedPart(part, index))
        return UInt32(parts.count - 1)
    }

    mutating func add(_ labels: Labels, part source: UInt32, series: UInt32) {
        add(
            labels, MergedSeriesSet.Piece(isHead: false, source: source, index: series, next: -1),
            bytes: 32)
    }

    /// Adds series of a head, which share no labels.
    mutating func add(_ selection: HeadSelection) {
        let source = UInt32(heads.count)
        heads.append(selection)
        for index in selection.labels.indices {
            add(
                selection.labels[index],
                MergedSeriesSet.Piece(
                    isHead: true, source: source, index: UInt32(index), next: -1),
                bytes: selection.byteCount(index))
        }
    }

    private mutating func add(_ labels: Labels, _ piece: MergedSeriesSet.Piece, bytes: Int) {
        pieces.append(piece)
        let number = Int32(pieces.count - 1)
        pendingBytes += bytes
        if sourceCount > 1 {
            if entries.count * 2 >= slots.count { grow() }
            let slot = slot(of: labels)
            if slots[slot] >= 0 {
                let known = Int(slots[slot])
                pieces[Int(entries[known].lastPiece)].next = number
                entries[known].lastPiece = number
                return
            }
            slots[slot] = Int32(entries.count)
        }
        if isSorted, let last = entries.last, !(last.labels < labels) { isSorted = false }
        pendingBytes += labels.bytes.count + 96
        entries.append(
            MergedSeriesSet.Entry(labels: labels, firstPiece: number, lastPiece: number))
    }

    /// The slot of an entry with these labels, or the free one where it belongs.
    private func slot(of labels: Labels) -> Int {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: labels.hash) & mask
        while slots[slot] >= 0, entries[Int(slots[slot])].labels != labels {
            slot = (slot + 1) & mask
        }
        return slot
    }

    private mutating func grow() {
        slots = [Int32](repeating: -1, count: slots.count * 2)
        let mask = slots.count - 1
        for (number, entry) in entries.enumerated() {
            var slot = Int(truncatingIfNeeded: entry.labels.hash) & mask
            while slots[slot] >= 0 { slot = (slot + 1) & mask }
            slots[slot] = Int32(truncatingIfNeeded: number)
        }
    }

    /// Takes what was added since the last call from the query's budget.
    mutating func reserve() throws {
        let bytes = pendingBytes
        pendingBytes = 0
        reservedBytes += bytes
        do {
            try context.check()
            try context.reserve(bytes)
        } catch {
            context.release(reservedBytes)
            reservedBytes = 0
            throw error
        }
    }

    /// - Parameter isSorted: whether the set must be; its protocol says so.
    /// - Throws: `QueryInterruption` when there is no memory to sort in, or the query is to end.
    consuming func finish(
        _ range: MillisRange, _ aggregate: SampleAggregate = .last,
        isSorted mustBeSorted: Bool = true
    ) throws -> MergedSeriesSet {
        if isSorted || !mustBeSorted {
            return MergedSeriesSet(self, range: range, aggregate, order: [])
        }
        let context = context
        let byteCount = LabelOrder.byteCount(entries)
        defer { context.release(byteCount) }
        let order: [UInt32]
        do {
            try context.reserve(byteCount)
            order = try LabelOrder.ascending(entries, context)
        } catch {
            context.release(reservedBytes)
            throw error
        }
        return MergedSeriesSet(self, range: range, aggregate, order: order)
    }
}
