// SPDX-License-Identifier: Apache-2.0
// Joining what several sources hold of one series.

import Base
import Telemetry

/// Columns that are filled run by run: each run (a chunk, a side buffer) ascends by itself, and of
/// equal times the earlier run's sample is kept. Sources therefore add their runs in the order in
/// which they were acknowledged. Where the runs already follow each other in time, which is the
/// rule, nothing is moved.
struct SampleRuns {
    var columns: SampleColumns
    /// Where this series' samples begin: the caller's columns may hold others before.
    private let start: Int
    private var isAscending = true

    init(_ columns: consuming SampleColumns) {
        start = columns.count
        self.columns = columns
    }

    /// Begins a run; its times and float values are appended to `columns.millis` and `.values`.
    func begin() -> Int { columns.millis.count }

    /// Ends a run: trims it to the range and completes the other columns.
    mutating func end(
        from runStart: Int, histograms: [NativeHistogram] = [], starts: [Int64] = [],
        counts: [Double] = [], in range: MillisRange
    ) {
        let count = columns.millis.count - runStart
        if !histograms.isEmpty {
            if columns.histograms.isEmpty {
                columns.histograms = [NativeHistogram?](repeating: nil, count: runStart)
            }
            columns.histograms.append(contentsOf: histograms)
            columns.values.append(contentsOf: repeatElement(0, count: count))
        } else if !columns.histograms.isEmpty {
            columns.histograms.append(contentsOf: repeatElement(nil, count: count))
        }
        if !starts.isEmpty {
            if columns.startMillis.isEmpty {
                columns.startMillis = [Int64](repeating: 0, count: runStart)
            }
            columns.startMillis.append(contentsOf: starts)
        } else if !columns.startMillis.isEmpty {
            columns.startMillis.append(contentsOf: repeatElement(0, count: count))
        }
        if !counts.isEmpty {
            if columns.counts.isEmpty {
                columns.counts = [Double](repeating: 1, count: runStart)
            }
            columns.counts.append(contentsOf: counts)
        } else if !columns.counts.isEmpty {
            columns.counts.append(contentsOf: repeatElement(1, count: count))
        }
        trim(from: runStart, to: range)
        guard runStart > start, columns.millis.count > runStart else { return }
        if columns.millis[runStart] <= columns.millis[runStart - 1] { isAscending = false }
    }

    private mutating func trim(from runStart: Int, to range: MillisRange) {
        let count = columns.millis.count
        let (first, end) = columns.millis.withUnsafeBufferPointer { millis in
            var end = count
            while end > runStart, millis[end - 1] > range.last.rawValue { end -= 1 }
            var first = runStart
            while first < end, millis[first] < range.first.rawValue { first += 1 }
            return (first, end)
        }
        if end < count { remove(end..<count) }
        if first > runStart { remove(runStart..<first) }
    }

    private mutating func remove(_ range: Range<Int>) {
        columns.millis.removeSubrange(range)
        columns.values.removeSubrange(range)
        if !columns.histograms.isEmpty { columns.histograms.removeSubrange(range) }
        if !columns.startMillis.isEmpty { columns.startMillis.removeSubrange(range) }
        if !columns.counts.isEmpty { columns.counts.removeSubrange(range) }
    }

    /// Takes the samples of these times out of a run that has ended.
    ///
    /// - Parameter deleted: ascending by their first.
    mutating func remove(_ deleted: [MillisRange], from runStart: Int) {
        var end = columns.millis.count
        // From behind, stretch by stretch: nearly always one of them.
        while end > runStart {
            let isDeleted = isCovered(
                columns.millis[end - 1], columns.millis[end - 1], by: deleted)
            var first = end - 1
            while first > runStart,
                isCovered(columns.millis[first - 1], columns.millis[first - 1], by: deleted)
                    == isDeleted
            { first -= 1 }
            if isDeleted { remove(first..<end) }
            end = first
        }
    }

    /// What was dropped for having a time that an earlier run has taken.
    struct Dropped: Equatable {
        /// With the same value.
        var duplicates = 0
        /// With another one.
        var conflicts = 0

        static func += (a: inout Dropped, b: Dropped) {
            a.duplicates += b.duplicates
            a.conflicts += b.conflicts
        }
    }

    /// Takes back what was appended since `begin`, which may be half a run.
    mutating func abandon(from runStart: Int) {
        columns.millis.removeLast(columns.millis.count - runStart)
        columns.values.removeLast(columns.values.count - runStart)
    }

    /// The columns with this series' samples in ascending time, one per time.
    consuming func finish() -> (columns: SampleColumns, dropped: Dropped) {
        var dropped = Dropped()
        if isAscending { return (columns, dropped) }
        let millis = columns.millis
        // Positions encode precedence: run after run, and the sort is told to respect it.
        let order = (start..<millis.count).sorted { (millis[$0], $0) < (millis[$1], $1) }
        var kept: [Int] = []
        kept.reserveCapacity(order.count)
        for position in order {
            if let last = kept.last, millis[last] == millis[position] {
                if isSame(last, position) {
                    dropped.duplicates += 1
                } else {
                    dropped.conflicts += 1
                }
                continue
            }
            kept.append(position)
        }
        let old = columns
        remove(start..<columns.millis.count)
        for position in kept {
            columns.millis.append(old.millis[position])
            columns.values.append(old.values[position])
            if !old.histograms.isEmpty { columns.histograms.append(old.histograms[position]) }
            if !old.startMillis.isEmpty { columns.startMillis.append(old.startMillis[position]) }
            if !old.counts.isEmpty { columns.counts.append(old.counts[position]) }
        }
        return (columns, dropped)
    }

    /// Whether two samples have the same value, bit for bit.
    private func isSame(_ a: Int, _ b: Int) -> Bool {
        guard !columns.histograms.isEmpty,
            columns.histograms[a] != nil || columns.histograms[b] != nil
        else { return columns.values[a].bitPattern == columns.values[b].bitPattern }
        guard let x = columns.histograms[a], let y = columns.histograms[b] else { return false }
        // Encoded, because a stale sum equals nothing, not even itself.
        var p = ByteWriter()
        var q = ByteWriter()
        x.encode(into: &p)
        y.encode(into: &q)
        return p.bytes == q.bytes
    }
}
