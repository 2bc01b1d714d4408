// SPDX-License-Identifier: Apache-2.0
// Brings the rows of many pieces into one order.

import Base
import Storage
import Telemetry

/// Takes rows in the order of a merge.
protocol RowSink {
    /// Takes rows at these positions of the selection of `rows`; a descending merge means them in
    /// reverse.
    ///
    /// - Returns: false to end the merge.
    mutating func take(_ rows: DecodedRows, _ positions: Range<Int>, stream: Int) throws -> Bool
}

/// Merges the pieces of a plan by (time, stream, arrival), ascending or descending, dropping
/// duplicates.
///
/// A heap holds each piece under the time that bounds its rows; a piece is decoded only when it
/// comes to the top, so a reader that stops early leaves the others untouched. As long as the top
/// piece stays ahead of the next one its rows go out in runs.
struct RowMerge {
    private struct Entry {
        /// Time, stream and rank, inverted for a descending merge so that the least comes first.
        var key: Int64
        var stream: UInt32
        var rank: UInt32
        var cursor: Int32

        static func < (a: Entry, b: Entry) -> Bool {
            if a.key != b.key { return a.key < b.key }
            if a.stream != b.stream { return a.stream < b.stream }
            return a.rank < b.rank
        }
    }
    private struct Cursor {
        var piece: Int
        /// Nil until decoded.
        var rows: DecodedRows?
        /// Rows already gone out, counted in the direction of the merge.
        var done = 0
    }
    /// A row among others of the same stream and time.
    private struct Tie {
        var rows: DecodedRows
        var position: Int
        var source: UInt32
        var sequence: UInt64
        var rank: UInt32

        /// Its number in its piece. Positions count from where the rows of a block that were put
        /// together at once begin.
        var row: UInt32 { rows.selection[position] }
    }

    /// What becomes of a block that cannot be read.
    enum Damage {
        /// Its rows are left out and the context is told: for queries.
        case skip
        /// The merge ends: a part made of others must not lack anything.
        case fail
    }

    private let damaged: Damage
    private let plan: ReadPlan
    private let range: NanosRange
    private let filter: LineSelector
    private let conditions: RowConditions
    /// Rows of blocks that belong to another trace may be left out.
    private let trace: TraceID?
    private let cache: FrameCache?
    private let context: ReadContext
    private let isDescending: Bool
    private let columns: LogColumns
    /// Rows of a block to put together at first; 0 = all.
    private let atFirst: Int
    private var heap: [Entry] = []
    private var cursors: [Cursor] = []
    private var reserved = 0
    private var deletions: DeletionFilter

    /// Rows that were left out because they are deleted, by request; counted where damage fails.
    var removed: [String: LogRemoval] { deletions.removed }

    init(
        _ plan: ReadPlan, range: NanosRange, filter: LineSelector,
        conditions: RowConditions = .none, trace: TraceID? = nil, cache: FrameCache?,
        isDescending: Bool,
        columns: LogColumns = .all, atFirst: Int = 0, _ context: ReadContext, damaged: Damage
    ) {
        self.columns = columns
        self.atFirst = atFirst
        self.conditions = conditions
        self.trace = trace
        self.damaged = damaged
        deletions = DeletionFilter(counts: damaged == .fail)
        self.plan = plan
        self.range = range
        self.filter = filter
        self.cache = cache
        self.isDescending = isDescending
        self.context = context
    }

    /// Merges these pieces into `sink`.
    ///
    /// - Parameter checkpoint: called before each piece is decoded; what it throws ends the merge.
    /// - Returns: false when the sink wanted no more.
    mutating func run(
        _ pieces: some Sequence<Int>, into sink: inout some RowSink, checkpoint: () throws -> Void
    ) throws -> Bool {
        heap.removeAll(keepingCapacity: true)
        cursors.removeAll(keepingCapacity: true)
        defer {
            context.release(reserved)
            reserved = 0
        }
        for number in pieces {
            let piece = plan.pieces[number]
            heap.append(
                entry(
                    isDescending ? piece.maxNanos : piece.minNanos, piece,
                    cursor: cursors.count))
            cursors.append(Cursor(piece: number))
        }
        for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(index) }

        while let top = heap.first {
            let cursor = Int(top.cursor)
            guard let rows = cursors[cursor].rows else {
                try checkpoint()
                try decode(cursor)
                continue
            }
            let next = second()
            let stream = streamOrdinal(top)
            if let next, plan.gathers[stream], next.key == top.key, next.stream == top.stream {
                let ties = try gather(top, checkpoint)
                for tie in ties {
                    let position = tie.position..<(tie.position + 1)
                    if try !sink.take(tie.rows, position, stream: stream) { return false }
                }
                continue
            }
            let count = rows.selection.count
            var done = cursors[cursor].done
            let start = done
            repeat { done += 1 } while done < count && precedes(rows, done, top, next)
            cursors[cursor].done = done
            let positions = isDescending ? (count - done)..<(count - start) : start..<done
            try advance(cursor)
            if try !sink.take(rows, positions, stream: stream) { return false }
        }
        return true
    }

    private func entry(_ nanos: Int64, _ piece: Piece, cursor: Int) -> Entry {
        isDescending
            ? Entry(
                key: ~nanos, stream: ~piece.stream, rank: ~piece.rank, cursor: Int32(cursor))
            : Entry(key: nanos, stream: piece.stream, rank: piece.rank, cursor: Int32(cursor))
    }

    /// Time of the row that is number `done` in the direction of the merge.
    private func nanos(_ rows: DecodedRows, _ done: Int) -> Int64 {
        let position = isDescending ? rows.selection.count - 1 - done : done
        return rows.nanos[Int(rows.selection[position])]
    }

    /// Whether a row comes before everything that `next` may bring.
    private func precedes(
        _ rows: DecodedRows, _ done: Int, _ top: Entry, _ next: Entry?
    ) -> Bool {
        guard let next else { return true }
        let time = nanos(rows, done)
        let key = isDescending ? ~time : time
        if key != next.key { return key < next.key }
        if top.stream != next.stream { return top.stream < next.stream }
        return !plan.gathers[streamOrdinal(top)] && top.rank < next.rank
    }

    private func streamOrdinal(_ entry: Entry) -> Int {
        Int(isDescending ? ~entry.stream : entry.stream)
    }

    /// Decodes the piece at the top of the heap and puts it where its first row belongs.
    private mutating func decode(_ cursor: Int) throws {
        let piece = plan.pieces[cursors[cursor].piece]
        guard let conditions = conditions.onMetadata(of: plan.streams[Int(piece.stream)]) else {
            removeTop()
            return
        }
        var decoded: DecodedRows?
        switch piece.origin {
        case .block(let part, let number):
            do {
                decoded = try DecodedRows.decode(
                    number, of: part, range: range, filter: filter, conditions: conditions,
                    trace: trace,
                    // What may be there twice, and what is deleted, is told by all it has.
                    columns: plan.gathers[Int(piece.stream)] || !part.deletions.isEmpty
                        ? .all : columns, cache: cache,
                    atFirst: part.deletions.isEmpty ? atFirst : 0, isDescending: isDescending,
                    context)
                if !part.deletions.isEmpty, let rows = decoded {
                    try deletions.apply(
                        part.deletions, to: rows, of: plan.streams[Int(piece.stream)])
                    if rows.selection.isEmpty { decoded = nil }
                }
            } catch let fault as PartCorruption where damaged == .skip {
                context.noteMissing(fault)
            }
        case .chunk(let view):
            let rows = DecodedRows(view, range: range)
            try context.count(samples: rows.nanos.count, bytes: rows.byteCount)
            conditions.apply(to: rows)
            filter.apply(to: rows)
            if !rows.selection.isEmpty { decoded = rows }
        }
        guard let decoded else {
            removeTop()
            return
        }
        reserved += decoded.heldBytes
        try context.reserve(decoded.heldBytes)
        cursors[cursor].rows = decoded
        heap[0] = entry(nanos(decoded, 0), piece, cursor: cursor)
        siftDown(0)
    }

    /// Moves the top of the heap, which is this cursor, to its next row or drops it.
    private mutating func advance(_ cursor: Int) throws {
        guard var rows = cursors[cursor].rows else { return }
        let piece = plan.pieces[cursors[cursor].piece]
        if cursors[cursor].done == rows.selection.count, let later = try later(rows) {
            context.release(rows.heldBytes)
            reserved += later.heldBytes - rows.heldBytes
            try context.reserve(later.heldBytes)
            rows = later
            cursors[cursor].rows = later
            cursors[cursor].done = 0
        }
        if cursors[cursor].done < rows.selection.count {
            heap[0] = entry(nanos(rows, cursors[cursor].done), piece, cursor: cursor)
            siftDown(0)
        } else {
            cursors[cursor].rows = nil
            context.release(rows.heldBytes)
            reserved -= rows.heldBytes
            removeTop()
        }
    }

    /// The rows of a block after these.
    private func later(_ rows: DecodedRows) throws -> DecodedRows? {
        do {
            return try rows.later?.next()
        } catch let fault as PartCorruption where damaged == .skip {
            context.noteMissing(fault)
            return nil
        }
    }

    // MARK: - Rows of equal time

    /// Takes all rows of the top's stream and time off the heap: in the order of the merge, each
    /// distinct row once, at the place of its first arrival.
    private mutating func gather(_ top: Entry, _ checkpoint: () throws -> Void) throws -> [Tie] {
        var ties: [Tie] = []
        while let entry = heap.first, entry.key == top.key, entry.stream == top.stream {
            let cursor = Int(entry.cursor)
            guard let rows = cursors[cursor].rows else {
                try checkpoint()
                try decode(cursor)
                continue
            }
            let time = nanos(rows, cursors[cursor].done)
            let piece = plan.pieces[cursors[cursor].piece]
            let count = rows.selection.count
            while cursors[cursor].done < count, nanos(rows, cursors[cursor].done) == time {
                let done = cursors[cursor].done
                let position = isDescending ? count - 1 - done : done
                ties.append(
                    Tie(
                        rows: rows, position: position, source: piece.source,
                        sequence: rows.sequence(Int(rows.selection[position])), rank: piece.rank))
                cursors[cursor].done += 1
            }
            try advance(cursor)
        }
        ties.sort {
            ($0.source, $0.sequence, $0.rank, $0.row) < ($1.source, $1.sequence, $1.rank, $1.row)
        }
        let distinct = removingDuplicates(ties)
        return isDescending ? distinct.reversed() : distinct
    }

    private func removingDuplicates(_ ties: [Tie]) -> [Tie] {
        var kept: [Tie] = []
        var byHash: [UInt64: [Int]] = [:]
        for tie in ties {
            let row = Int(tie.rows.selection[tie.position])
            let hash = hash64(tie.rows.line(row))
            let isDuplicate = (byHash[hash] ?? []).contains { isSame(kept[$0], tie) }
            if isDuplicate { continue }
            byHash[hash, default: []].append(kept.count)
            kept.append(tie)
        }
        return kept
    }

    private func isSame(_ a: Tie, _ b: Tie) -> Bool {
        let x = Int(a.rows.selection[a.position]), y = Int(b.rows.selection[b.position])
        guard sameBytes(a.rows.line(x), b.rows.line(y)) else { return false }
        var p: [UInt8] = [], q: [UInt8] = []
        a.rows.appendMetadata(x, into: &p)
        b.rows.appendMetadata(y, into: &q)
        return p == q
    }

    // MARK: - Heap

    /// The entry that would be on top without the top.
    private func second() -> Entry? {
        switch heap.count {
        case 0, 1: nil
        case 2: heap[1]
        default: heap[1] < heap[2] ? heap[1] : heap[2]
        }
    }

    private mutating func removeTop() {
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            siftDown(0)
        }
    }

    private mutating func siftDown(_ start: Int) {
        var index = start
        let moving = heap[index]
        while true {
            var child = 2 * index + 1
            if child >= heap.count { break }
            if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
            if !(heap[child] < moving) { break }
            heap[index] = heap[child]
            index = child
        }
        heap[index] = moving
    }
}
