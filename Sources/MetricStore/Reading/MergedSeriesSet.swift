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
        var isHead: Bool
        /// Index into the parts, or into the selections of head shards.
        var source: UInt32
        /// Series number in the part, or index in the selection.
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
    private let aggregate: SampleAggregate
    private let entries: [Entry]
    /// Entries in the order of the set; empty when that is their own.
    private let order: [UInt32]
    private let pieces: [Piece]
    private let parts: [OpenedPart]
    private let heads: [HeadSelection]
    private let context: ReadContext
    private let reservedBytes: Int
    private let times = TimeColumnCache()

    init(
        _ builder: consuming SeriesSetBuilder, range: MillisRange, _ aggregate: SampleAggregate,
        order: [UInt32]
    ) {
        self.range = range
        self.aggregate = aggregate
        context = builder.context
        reservedBytes = builder.reservedBytes
        pieces = builder.pieces
        parts = builder.parts
        heads = builder.heads
        entries = builder.entries
        self.order = order
    }

    deinit { context.release(reservedBytes) }

    var count: Int { entries.count }

    func labels(_ index: Int) -> Labels { entries[position(index)].labels }

    @inline(__always)
    private func position(_ index: Int) -> Int { order.isEmpty ? index : Int(order[index]) }

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

    /// The newest sample where the series' last piece tells it without reading the others, and no
    /// other piece reaches as far.
    private func newestFloat(_ index: Int) -> (millis: Int64, value: Double)? {
        let entry = entries[position(index)]
        let last = pieces[Int(entry.lastPiece)]
        let newest: (millis: Int64, value: Double)?
        if last.isHead {
            // The rule first, without a call that would take all of the selection along.
            if case .newest(let millis, let bits) = heads[Int(last.source)].held[Int(last.index)] {
                newest = (millis, Double(bitPattern: bits))
            } else {
                newest = heads[Int(last.source)].newestFloat(Int(last.index), range)
            }
        } else {
            let source = parts[Int(last.source)]
            do throws(PartCorruption) {
                newest = try source.part.newestFloat(
                    Int(last.index), range, source.index, times, source: Int(last.source))
            } catch {
                // Reading all, which follows, notes what is damaged and goes on with the rest.
                newest = nil
            }
        }
        guard let newest else { return nil }
        var next = entry.firstPiece
        while next != entry.lastPiece {
            let piece = pieces[Int(next)]
            if maxMillis(piece) >= newest.millis { return nil }
            next = piece.next
        }
        return newest
    }

    /// A time that no sample of a piece is after.
    private func maxMillis(_ piece: Piece) -> Int64 {
        piece.isHead
            ? heads[Int(piece.source)].maxMillis(Int(piece.index))
            : parts[Int(piece.source)].part.maxMillis
    }

    /// Whether the newest sample in the range is one and no stale marker.
    func isPresent(
        _ index: Int, _ scratch: inout SampleColumns, _ context: ReadContext
    ) throws -> Bool {
        if let newest = newestFloat(index) { return !StaleMarker.isStale(newest.value) }
        scratch.removeAll()
        _ = try readAll(index, into: &scratch, context)
        return scratch.count > 0 && !scratch.isStale(scratch.count - 1)
    }

    /// Appends all samples in the range. Returns the bytes that were decoded.
    private func readAll(
        _ index: Int, into columns: inout SampleColumns, _ context: ReadContext
    ) throws -> Int {
        var taken = SampleColumns()
        swap(&taken, &columns)
        var runs = SampleRuns(taken)
        var byteCount = 0
        var next = entries[position(index)].firstPiece
        while next >= 0 {
            let piece = pieces[Int(next)]
            if piece.isHead {
                byteCount += heads[Int(piece.source)].read(
                    Int(piece.index), range, into: &runs)
            } else {
                let source = parts[Int(piece.source)]
                byteCount += try source.part.read(
                    Int(piece.index), range, source.index, times, source: Int(piece.source),
                    aggregate, into: &runs, skipping: context.noteMissing)
            }
            next = piece.next
        }
        columns = runs.finish().columns
        return byteCount
    }
}
