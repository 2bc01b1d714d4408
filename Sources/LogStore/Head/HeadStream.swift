// SPDX-License-Identifier: Apache-2.0
// One stream in a head.

import Base
import Glibc
import Telemetry

/// Rows of one stream, in order of arrival.
// Everything but `labels` is touched only under the lock of its shard.
final class HeadStream: @unchecked Sendable {
    /// So many rows of the newest time are compared one by one before a table is made.
    private static let tiesCompared = 16

    let labels: Labels
    private let memory: HeadMemory
    /// Another stream whose labels have the same hash.
    var next: HeadStream?
    private var chunks: [HeadChunk] = []
    private var maxNanos = Int64.min
    private var lastSequence: UInt64 = 0
    /// Whether all rows ascend by (time, log record).
    private var isOrdered = true
    /// Made at the first row that is not newer than all before.
    private var seen: DuplicateTable?

    init(_ labels: Labels, _ memory: HeadMemory) {
        self.labels = labels
        self.memory = memory
    }

    /// Memory of the empty stream, roughly.
    var baseBytes: Int { 200 + labels.bytes.count }

    /// Adds rows of a batch in their order, except those that are there already.
    ///
    /// - Parameter grown: gains the memory taken, in bytes.
    func append(
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
                if seen != nil { insert(hash, chunks.count - 1, chunk.rowCount - 1, &grown) }
            }
        }
    }

    /// The hash of a row under which it is noted, 0 while no table is needed; nil where the same row
    /// is there already.
    private func hashUnlessSeen(
        _ nanos: Int64, _ line: UnsafeRawBufferPointer, _ metadata: UnsafeRawBufferPointer,
        _ grown: inout Int
    ) -> UInt64? {
        if seen == nil, nanos <= maxNanos, !chunks.isEmpty {
            switch newestTieHolds(nanos, line, metadata) {
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

    /// Whether one of the last rows, all of time `nanos`, is the same; nil when that cannot be said
    /// by looking at a few.
    private func newestTieHolds(
        _ nanos: Int64, _ line: UnsafeRawBufferPointer, _ metadata: UnsafeRawBufferPointer
    ) -> Bool? {
        guard isOrdered, nanos == maxNanos else { return nil }
        var compared = 0
        for chunk in chunks.reversed() {
            var index = chunk.rowCount
            while index > 0 {
                index -= 1
                let row = chunk.row(index)
                if row.nanos != nanos { return false }
                if compared == HeadStream.tiesCompared { return nil }
                compared += 1
                if sameBytes(chunk.bytes(row.line), line),
                    sameBytes(chunk.bytes(row.metadata), metadata)
                {
                    return true
                }
            }
        }
        return false
    }

    // MARK: - Duplicates

    private func rowHash(
        _ nanos: Int64, _ line: UnsafeRawBufferPointer, _ metadata: UnsafeRawBufferPointer
    ) -> UInt64 {
        let hash = hash64(line, seed: UInt64(bitPattern: nanos))
        return metadata.isEmpty ? hash : hash64(metadata, seed: hash)
    }

    private func makeTable(_ grown: inout Int) {
        seen = DuplicateTable()
        for (number, chunk) in chunks.enumerated() {
            for index in 0..<chunk.rowCount {
                let row = chunk.row(index)
                let hash = rowHash(row.nanos, chunk.bytes(row.line), chunk.bytes(row.metadata))
                insert(hash, number, index, &grown)
            }
        }
    }

    private func insert(_ hash: UInt64, _ chunk: Int, _ row: Int, _ grown: inout Int) {
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

    /// Views of the chunks that overlap a range; nil when there are none. Called under the lock.
    func view(_ range: NanosRange) -> StreamView? {
        var views: [ChunkView] = []
        for chunk in chunks
        where chunk.rowCount > 0
            && range.overlaps(first: chunk.minNanos, last: chunk.maxNanos)
        {
            views.append(chunk.view())
        }
        if views.isEmpty { return nil }
        return StreamView(labels: labels, chunks: views, isOrdered: isOrdered)
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
