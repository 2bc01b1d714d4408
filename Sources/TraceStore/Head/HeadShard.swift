// SPDX-License-Identifier: Apache-2.0
// Spans in memory, one shard of the trace ids.

import Base
import Synchronization
import Telemetry

/// Rows that no longer change, with their resources and scopes.
final class HeadSegment: Sendable {
    let batch: SpanBatch
    let minStart: Int64
    let maxStart: Int64

    init(_ batch: SpanBatch) {
        self.batch = batch
        minStart = batch.startNanos.min() ?? .max
        maxStart = batch.startNanos.max() ?? .min
    }
}

/// All spans of the trace ids that fall on this shard, in segments.
///
/// Rows are numbered from 0 in order of arrival. Two tables lead to them: by span key, to find
/// duplicates, and by trace id to the newest row, from which `previous` leads to the older ones.
final class HeadShard: Sendable {
    private struct State {
        var closed: [HeadSegment] = []
        var open = SpanGatherer()
        /// Number of the first row of each segment; the last belongs to the open one.
        var starts: [UInt32] = [0]
        var spans = RowTable()
        var traces = RowTable()
        /// Per row the number + 1 of the row before it in the same trace; 0 = none.
        var previous: [UInt32] = []
        var closedBytes = 0

        var byteCount: Int {
            closedBytes + open.byteCount + spans.byteCount + traces.byteCount
                + previous.count * 4
        }

        func key(_ row: UInt32) -> SpanKey {
            let (segment, index) = locate(row)
            return segment < closed.count
                ? closed[segment].batch.key(index) : open.batch.key(index)
        }

        func traceID(_ row: UInt32) -> TraceID {
            let (segment, index) = locate(row)
            return segment < closed.count
                ? closed[segment].batch.traceIDs[index] : open.batch.traceIDs[index]
        }

        /// The segment and the index in it of a row.
        func locate(_ row: UInt32) -> (segment: Int, index: Int) {
            var low = 0, high = starts.count
            while high - low > 1 {
                let middle = (low + high) / 2
                if starts[middle] <= row { low = middle } else { high = middle }
            }
            return (low, Int(row - starts[low]))
        }

        mutating func closeWhenFull() -> Bool {
            guard
                open.batch.rowCount >= Limits.segmentRows
                    || open.batch.arena.count >= Limits.segmentArenaBytes
            else { return false }
            closedBytes += open.byteCount
            closed.append(HeadSegment(open.batch))
            open = SpanGatherer()
            starts.append(UInt32(previous.count))
            return true
        }
    }
    private let state = Mutex(State())

    /// Adds rows of a batch whose keys are new; the numbers of the others go to `duplicates`.
    /// Returns by how many bytes the shard has grown.
    func append(_ batch: SpanBatch, rows: [Int], duplicates: inout [Int]) -> Int {
        state.withLock { state in
            let before = state.byteCount
            state.open.begin(batch)
            for row in rows {
                let key = batch.key(row), tag = key.tag
                if state.spans.find(tag, { state.key($0) == key }) != nil {
                    duplicates.append(row)
                    continue
                }
                if state.closeWhenFull() { state.open.begin(batch) }
                let number = UInt32(state.previous.count)
                state.open.add(batch, row)
                state.spans.insert(tag, number)
                let traceTag = key.traceID.tag
                if let slot = state.traces.find(traceTag, { state.traceID($0) == key.traceID }) {
                    state.previous.append(state.traces.row(at: slot) + 1)
                    state.traces.setRow(number, at: slot)
                } else {
                    state.previous.append(0)
                    state.traces.insert(traceTag, number)
                }
            }
            return state.byteCount - before
        }
    }

    /// Whether a span is here. O(1).
    func contains(_ key: SpanKey) -> Bool {
        state.withLock { state in state.spans.find(key.tag) { state.key($0) == key } != nil }
    }

    /// Whether spans of a trace are here. O(1).
    func contains(_ id: TraceID) -> Bool {
        state.withLock { state in
            state.traces.find(id.tag) { state.traceID($0) == id } != nil
        }
    }

    /// Copies the spans of one trace; false when there are none. O(spans of the trace).
    func gather(_ id: TraceID, into gatherer: inout SpanGatherer) -> Bool {
        state.withLock { state in
            guard let slot = state.traces.find(id.tag, { state.traceID($0) == id }) else {
                return false
            }
            var rows = [state.traces.row(at: slot)]
            while let last = rows.last, state.previous[Int(last)] != 0 {
                rows.append(state.previous[Int(last)] - 1)
            }
            for row in rows.reversed() {
                let (segment, index) = state.locate(row)
                let source =
                    segment < state.closed.count ? state.closed[segment].batch : state.open.batch
                gatherer.begin(source)
                gatherer.add(source, index)
            }
            return true
        }
    }

    /// All rows as they are now. O(segments); the open segment is copied by the next append.
    func segments() -> [HeadSegment] {
        state.withLock { state in
            state.open.batch.rowCount == 0
                ? state.closed : state.closed + [HeadSegment(state.open.batch)]
        }
    }
}
