// SPDX-License-Identifier: Apache-2.0
// The series of one selection across heads and parts.

import Base
import Storage
import Telemetry

/// A part and its index, held for one reading.
final class OpenedPart: Sendable {
    let part: MetricPart
    let index: PartIndex

    init(_ part: MetricPart, _ index: PartIndex) {
        self.part = part
        self.index = index
    }
}

/// Series sorted by labels, each with its pieces in the order in which they were acknowledged.
/// Parts are immutable and head pieces are copies: nothing that happens later shows.
final class MergedSeriesSet: SeriesSet {
    struct Piece {
        /// Index into the parts, or `.max` for a head piece.
        var source: UInt32
        /// Series number in the part, or index of the head piece.
        var index: UInt32
        /// The series' next piece, or −1.
        var next: Int32
    }
    struct Entry {
        var labels: Labels
        var firstPiece: Int32
        var lastPiece: Int32
    }

    private let range: MillisRange
    private let entries: [Entry]
    private let pieces: [Piece]
    private let parts: [OpenedPart]
    private let heads: [HeadPiece]
    private let context: ReadContext
    private let reservedBytes: Int
    private let times = TimeColumnCache()

    init(_ builder: consuming SeriesSetBuilder, range: MillisRange, isSorted: Bool) {
        self.range = range
        context = builder.context
        reservedBytes = builder.reservedBytes
        pieces = builder.pieces
        parts = builder.parts
        heads = builder.heads
        let found = builder.entries
        if builder.isSorted || !isSorted {
            entries = found
        } else {
            entries = LabelOrder.ascending(found.map(\.labels)).map { found[Int($0)] }
        }
    }

    deinit { context.release(reservedBytes) }

    var count: Int { entries.count }

    func labels(_ index: Int) -> Labels { entries[index].labels }

    func read(
        _ index: Int, into columns: inout SampleColumns, _ context: ReadContext
    ) throws {
        try context.check()
        let before = columns.count
        let byteCount = try readAll(index, into: &columns, context)
        try context.count(samples: columns.count - before, bytes: byteCount)
    }

    func readNewest(
        _ index: Int, into columns: inout SampleColumns, _ context: ReadContext
    ) throws {
        try context.check()
        if let newest = newestFloat(index) {
            columns.append(millis: newest.millis, value: newest.value)
            try context.count(samples: 1, bytes: 16)
            return
        }
        let before = columns.count
        let byteCount = try readAll(index, into: &columns, context)
        try context.count(samples: columns.count - before, bytes: byteCount)
        columns.keepNewest(from: before)
    }

    /// The newest sample where the series' last piece is of a head and tells it at once, and no other
    /// piece reaches as far.
    private func newestFloat(_ index: Int) -> (millis: Int64, value: Double)? {
        let entry = entries[index]
        let last = pieces[Int(entry.lastPiece)]
        guard last.source == .max, let newest = heads[Int(last.index)].newestFloat(range) else {
            return nil
        }
        var next = entry.firstPiece
        while next != entry.lastPiece {
            let piece = pieces[Int(next)]
            let maxMillis =
                piece.source == .max
                ? heads[Int(piece.index)].maxMillis : parts[Int(piece.source)].part.maxMillis
            if maxMillis >= newest.millis { return nil }
            next = piece.next
        }
        return newest
    }

    /// Whether the newest sample in the range is one and no stale marker.
    func isPresent(
        _ index: Int, _ scratch: inout SampleColumns, _ context: ReadContext
    ) throws
        -> Bool
    {
        if let newest = newestFloat(index) { return !StaleMarker.isStale(newest.value) }
        let entry = entries[index]
        let piece = pieces[Int(entry.firstPiece)]
        if piece.next < 0 {
            let newest = try newest(of: piece, context)
            switch newest {
            case .absent: return false
            case .known(_, let isStale): return !isStale
            case .unknown: break
            }
        }
        scratch.removeAll()
        _ = try readAll(index, into: &scratch, context)
        return scratch.count > 0 && !scratch.isStale(scratch.count - 1)
    }

    private func newest(of piece: Piece, _ context: ReadContext) throws -> NewestSample {
        if piece.source == .max {
            let head = heads[Int(piece.index)]
            return head.series.newest(range, head.extras)
        }
        let source = parts[Int(piece.source)]
        do {
            return try source.part.newest(
                Int(piece.index), range, source.index, times, source: Int(piece.source))
        } catch {
            // The slow way says what is damaged and reads the rest.
            return .unknown
        }
    }

    /// Appends all samples in the range. Returns the bytes that were decoded.
    private func readAll(
        _ index: Int, into columns: inout SampleColumns, _ context: ReadContext
    ) throws -> Int {
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
        return byteCount
    }
}
