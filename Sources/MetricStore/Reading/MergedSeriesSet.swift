// SPDX-License-Identifier: Apache-2.0
// The series of one selection across heads and parts.

import Storage
import Telemetry

/// Series sorted by labels, each with its pieces in the order in which they were acknowledged.
/// Parts are immutable and head pieces are copies: nothing that happens later shows.
final class MergedSeriesSet: SeriesSet {
    fileprivate struct Piece {
        /// Index into the parts, or `.max` for a head piece.
        var source: UInt32
        /// Series number in the part, or index of the head piece.
        var index: UInt32
        /// The series' next piece, or −1.
        var next: Int32
    }
    fileprivate struct Entry {
        var labels: Labels
        var firstPiece: Int32
        var lastPiece: Int32
    }

    private let range: MillisRange
    private let entries: [Entry]
    private let pieces: [Piece]
    private let parts: [(part: MetricPart, index: PartIndex)]
    private let heads: [HeadPiece]
    private let context: ReadContext
    private let reservedBytes: Int
    private let times = TimeColumnCache()

    fileprivate init(_ builder: consuming SeriesSetBuilder, range: MillisRange) {
        self.range = range
        context = builder.context
        reservedBytes = builder.reservedBytes
        pieces = builder.pieces
        parts = builder.parts
        heads = builder.heads
        entries = builder.entries
    }

    deinit { context.release(reservedBytes) }

    var count: Int { entries.count }

    func labels(_ index: Int) -> Labels { entries[index].labels }

    func read(
        _ index: Int, into columns: inout SampleColumns, _ context: ReadContext
    ) throws {
        try context.check()
        let before = columns.count
        var taken = SampleColumns()
        swap(&taken, &columns)
        var runs = SampleRuns(taken)
        var byteCount = 0
        var next = entries[index].firstPiece
        while next >= 0 {
            let piece = pieces[Int(next)]
            if piece.source == .max {
                byteCount += heads[Int(piece.index)].read(range, into: &runs)
            } else {
                let source = parts[Int(piece.source)]
                byteCount += try source.part.read(
                    Int(piece.index), range, source.index, times, source: Int(piece.source),
                    into: &runs, skipping: context.noteMissing)
            }
            next = piece.next
        }
        columns = runs.finish().columns
        try context.count(samples: columns.count - before, bytes: byteCount)
    }
}

/// Collects pieces source by source, oldest source first.
struct SeriesSetBuilder: ~Copyable {
    fileprivate let context: ReadContext
    fileprivate var entries: [MergedSeriesSet.Entry] = []
    fileprivate var pieces: [MergedSeriesSet.Piece] = []
    fileprivate var parts: [(part: MetricPart, index: PartIndex)] = []
    fileprivate var heads: [HeadPiece] = []
    fileprivate var reservedBytes = 0
    /// Entry by labels; filled only when there are several sources.
    private var entryOfLabels: [Labels: Int] = [:]
    private let sourceCount: Int
    /// Whether the entries came in ascending order.
    fileprivate var isSorted = true

    init(sourceCount: Int, _ context: ReadContext) {
        self.sourceCount = sourceCount
        self.context = context
    }

    mutating func addPart(_ part: MetricPart, _ index: PartIndex) -> UInt32 {
        parts.append((part, index))
        return UInt32(parts.count - 1)
    }

    mutating func add(_ labels: Labels, part source: UInt32, series: UInt32) {
        add(labels, MergedSeriesSet.Piece(source: source, index: series, next: -1), bytes: 32)
    }

    mutating func add(_ labels: Labels, head piece: HeadPiece) {
        heads.append(piece)
        add(
            labels,
            MergedSeriesSet.Piece(source: .max, index: UInt32(heads.count - 1), next: -1),
            bytes: piece.byteCount + MemoryLayout<HeadPiece>.stride)
    }

    private mutating func add(_ labels: Labels, _ piece: MergedSeriesSet.Piece, bytes: Int) {
        pieces.append(piece)
        let number = Int32(pieces.count - 1)
        pendingBytes += bytes
        if sourceCount > 1, let known = entryOfLabels[labels] {
            pieces[Int(entries[known].lastPiece)].next = number
            entries[known].lastPiece = number
            return
        }
        if sourceCount > 1 { entryOfLabels[labels] = entries.count }
        if let last = entries.last, !(last.labels < labels) { isSorted = false }
        pendingBytes += labels.bytes.count + 96
        entries.append(
            MergedSeriesSet.Entry(labels: labels, firstPiece: number, lastPiece: number))
    }
    private var pendingBytes = 0

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

    /// - Throws: `QueryInterruption` when the query is to end before the series are in order.
    consuming func finish(_ range: MillisRange) throws -> MergedSeriesSet {
        if !isSorted {
            do {
                try context.sort(&entries) { $0.labels < $1.labels }
            } catch {
                context.release(reservedBytes)
                throw error
            }
        }
        return MergedSeriesSet(self, range: range)
    }
}
