// SPDX-License-Identifier: Apache-2.0
// One stream in a head.

import Base
import Glibc
import Telemetry

/// A stream and its rows.
// `rows` and `next` are touched only under the lock of its shard.
final class HeadStream: @unchecked Sendable {
    let labels: Labels
    /// Another stream whose labels have the same hash.
    var next: HeadStream?
    private var rows: StreamRows

    init(_ labels: Labels, _ memory: HeadMemory) {
        self.labels = labels
        rows = StreamRows(memory)
    }

    /// Memory of the empty stream, roughly.
    var baseBytes: Int { 200 + labels.bytes.count }

    /// See `StreamRows.append`.
    func append(
        _ rows: ArraySlice<UInt32>, of batch: LogBatch, sequence: UInt64,
        _ counts: inout LogAppendCounts, _ grown: inout Int
    ) {
        self.rows.append(rows, of: batch, sequence: sequence, &counts, &grown)
    }

    /// Views of the chunks that overlap a range; nil when there are none. Called under the lock.
    func view(_ range: NanosRange) -> StreamView? {
        let views = rows.views(range)
        if views.isEmpty { return nil }
        return StreamView(labels: labels, chunks: views, isOrdered: rows.isOrdered)
    }

    func overlaps(_ range: NanosRange) -> Bool { rows.overlaps(range) }
}

/// Rows of one stream, in order of arrival. A value, so that the row at hand costs no check of access
/// to each property.
private struct StreamRows {
    /// What a row that is not the newest is looked for in before a table of all rows is made: runs
    /// by their times, runs row by row, and rows byte by byte. Several pushes at once come in any
    /// order, but not far from it.
    private static let runsPassed = 64
    private static let runsSearched = 8
    private static let rowsCompared = 16

    /// Rows of one chunk, one behind the other, that do not descend in time.
    private struct Run {
        var chunk: Int
        var start: Int
        var end: Int
        var firstNanos: Int64
        var lastNanos: Int64
        /// Latest time of this run and all before it.
        var highestNanos: Int64

        init(chunk: Int, row: Int, nanos: Int64, highest: Int64) {
            self.chunk = chunk
            start = row
            end = row + 1
            firstNanos = nanos
            lastNanos = nanos
            highestNanos = highest
        }
    }

    private let memory: HeadMemory
    private var chunks: [HeadChunk] = []
    /// In order of arrival, until there is a table.
    private var runs: [Run] = []
    /// The run that grows, not among them.
    private var run: Run?
    private var maxNanos = Int64.min
    private var lastSequence: UInt64 = 0
    /// Whether all rows ascend by (time, log record).
    private(set) var isOrdered = true
    /// Made when looking at runs no longer does.
    private var seen: DuplicateTable?

    init(_ memory: HeadMemory) { self.memory = memory }

    /// Adds rows of a batch in their order, except those that are there already.
    ///
    /// - Parameter grown: gains the memory taken, in bytes.
    mutating func append(
        _ rows: ArraySlice<UInt32>, of batch: LogBatch, sequence: UInt64,
        _ counts: inout LogAppendCounts, _ grown: inout Int
    ) {
        // The chunk that is filled is held here, so that no row counts references.
        var filling = chunks.last
        batch.arena.withUnsafeBytes { arena in
            for number in rows {
                let row = Int(number)
                let nanos = batch.nanos[row]
                let line = UnsafeRawBufferPointer(rebasing: arena[batch.lines[row].range])
                let metadata = UnsafeRawBufferPointer(rebasing: arena[batch.metadata[row].range])
                var hash: UInt64 = 0
                // A row newer than all others, the usual case, cannot be a duplicate.
                if nanos <= maxNanos || seen != nil {
                    guard let fresh = hashUnlessSeen(nanos, line, metadata, &grown) else {
                        counts.duplicateRows.append(row)
                        continue
                    }
                    hash = fresh
                }
                let byteCount = line.count + metadata.count
                let chunk: HeadChunk
                if let last = filling, last.hasRoom(for: byteCount) {
                    chunk = last
                } else {
                    chunk = HeadChunk.following(filling, toHold: byteCount, memory)
                    grown += chunk.allocatedBytes
                    chunks.append(chunk)
                    filling = chunk
                }
                grown += chunk.append(
                    nanos: nanos, sequence: sequence, line: line, metadata: metadata,
                    ids: RowIDs(batch.traceIDs[row], batch.spanIDs[row]))
                if nanos < maxNanos || (nanos == maxNanos && sequence < lastSequence) {
                    isOrdered = false
                }
                maxNanos = max(maxNanos, nanos)
                lastSequence = sequence
                counts.accepted += 1
                if seen == nil {
                    noteRun(nanos, chunk.rowCount - 1, &grown)
                } else {
                    insert(hash, chunks.count - 1, chunk.rowCount - 1, &grown)
                }
            }
        }
    }

    /// The hash of a row under which it is noted, 0 while no table is needed; nil where the same row
    /// is there already.
    private mutating func hashUnlessSeen(
        _ nanos: Int64, _ line: UnsafeRawBufferPointer, _ metadata: UnsafeRawBufferPointer,
        _ grown: inout Int
    ) -> UInt64? {
        if seen == nil {
            switch runsHold(nanos, line, metadata) {
            case .some(true): return nil
            case .some(false): return 0
            case .none: makeTable(&grown)
            }
        }
        if seen == nil { return 0 }
        let hash = rowHash(nanos, line, metadata)
        if nanos <= maxNanos, isSeen(hash, nanos, line, metadata) { return nil }
        return hash
    }

    /// Counts the row that was added last to its run.
    private mutating func noteRun(_ nanos: Int64, _ row: Int, _ grown: inout Int) {
        let chunk = chunks.count - 1
        guard let last = run else {
            run = Run(chunk: chunk, row: row, nanos: nanos, highest: nanos)
            return
        }
        let highest = max(last.highestNanos, nanos)
        if last.chunk == chunk, nanos >= last.lastNanos {
            run?.end = row + 1
            run?.lastNanos = nanos
            run?.highestNanos = highest
            return
        }
        runs.append(last)
        run = Run(chunk: chunk, row: row, nanos: nanos, highest: highest)
        grown += MemoryLayout<Run>.stride
    }

    /// Whether a row is there already; nil when that cannot be said by looking at a few runs.
    private func runsHold(
        _ nanos: Int64, _ line: UnsafeRawBufferPointer, _ metadata: UnsafeRawBufferPointer
    ) -> Bool? {
        var passed = 0
        var searched = 0
        var compared = 0
        var next = runs.count
        var candidate = run
        while let run = candidate {
            next -= 1
            candidate = next >= 0 ? runs[next] : nil
            if run.highestNanos < nanos { return false }
            passed += 1
            if passed > StreamRows.runsPassed { return nil }
            guard run.firstNanos <= nanos, nanos <= run.lastNanos else { continue }
            searched += 1
            if searched > StreamRows.runsSearched { return nil }
            let chunk = chunks[run.chunk]
            var index = StreamRows.firstRow(of: run, in: chunk, from: nanos)
            while index < run.end {
                let row = chunk.row(index)
                if row.nanos != nanos { break }
                compared += 1
                if compared > StreamRows.rowsCompared { return nil }
                if sameBytes(chunk.bytes(row.line), line),
                    sameBytes(chunk.bytes(row.metadata), metadata)
                {
                    return true
                }
                index += 1
            }
        }
        return false
    }

    /// The run's first row that is not older; its end when all are.
    private static func firstRow(of run: Run, in chunk: HeadChunk, from nanos: Int64) -> Int {
        var low = run.start
        var high = run.end
        while low < high {
            let middle = (low + high) / 2
            if chunk.row(middle).nanos < nanos { low = middle + 1 } else { high = middle }
        }
        return low
    }

    // MARK: - Duplicates

    private func rowHash(
        _ nanos: Int64, _ line: UnsafeRawBufferPointer, _ metadata: UnsafeRawBufferPointer
    ) -> UInt64 {
        let hash = hash64(line, seed: UInt64(bitPattern: nanos))
        return metadata.isEmpty ? hash : hash64(metadata, seed: hash)
    }

    private mutating func makeTable(_ grown: inout Int) {
        seen = DuplicateTable()
        grown -= runs.count * MemoryLayout<Run>.stride
        (runs, run) = ([], nil)
        for (number, chunk) in chunks.enumerated() {
            for index in 0..<chunk.rowCount {
                let row = chunk.row(index)
                let hash = rowHash(row.nanos, chunk.bytes(row.line), chunk.bytes(row.metadata))
                insert(hash, number, index, &grown)
            }
        }
    }

    private mutating func insert(_ hash: UInt64, _ chunk: Int, _ row: Int, _ grown: inout Int) {
        grown += seen?.insert(hash, chunk: chunk, row: row) ?? 0
    }

    private func isSeen(
        _ hash: UInt64, _ nanos: Int64, _ line: UnsafeRawBufferPointer,
        _ metadata: UnsafeRawBufferPointer
    ) -> Bool {
        seen?.contains(hash) { number, index in
            let chunk = chunks[number]
            let row = chunk.row(index)
            return row.nanos == nanos && sameBytes(chunk.bytes(row.line), line)
                && sameBytes(chunk.bytes(row.metadata), metadata)
        } ?? false
    }

    // MARK: - Reading

    /// Views of the chunks that overlap a range.
    func views(_ range: NanosRange) -> [ChunkView] {
        var views: [ChunkView] = []
        for chunk in chunks
        where chunk.rowCount > 0
            && range.overlaps(first: chunk.minNanos, last: chunk.maxNanos)
        {
            views.append(chunk.view())
        }
        return views
    }

    func overlaps(_ range: NanosRange) -> Bool {
        chunks.contains {
            $0.rowCount > 0 && range.overlaps(first: $0.minNanos, last: $0.maxNanos)
        }
    }
}

/// A stream at one moment.
struct StreamView: Sendable {
    let labels: Labels
    let chunks: [ChunkView]
    let isOrdered: Bool
}

/// Whether two buffers hold the same bytes.
func sameBytes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    guard a.count == b.count else { return false }
    guard let x = a.baseAddress, let y = b.baseAddress else { return true }
    return memcmp(x, y, a.count) == 0
}
