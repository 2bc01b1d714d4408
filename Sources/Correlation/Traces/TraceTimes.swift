// SPDX-License-Identifier: Apache-2.0
// Where the time of a trace went.

import Telemetry

/// Self time and critical path of the spans of one trace.
///
/// *Parent.* The span whose id is a span's parent id. Where client and server share an id (Zipkin),
/// the server's span is the child of the client's, and what names that id is the child of the
/// server's. Of other spans with one id the first row stands for it. A span whose parent is not
/// there, or that is its own parent, stands at the top.
///
/// *Self time* of a span is its duration less the union of its children's intervals, each clipped to
/// the span. A span that ends before it starts has a duration of 0.
///
/// *Critical path.* From the end of the root span backwards: of the children, clipped to their
/// parent, that end at or before the present moment, the one that ends last is on the path (of
/// those that end together the longest); the time between its end and the present moment is the
/// parent's own; the walk goes on through the child and then, from the child's start, through the
/// earlier children. A child that still ran at that moment did not hold up what came after and is
/// not on the path, nor is a consumer, for which nobody waits. A span's number is the time that the
/// path spends in the span itself; the numbers of a trace add up to the duration of its root.
/// Spans of trees other than the root's have 0.
///
/// Source of the walk: Zhang et al., "CRISP: Critical Path Analysis of Large-Scale Microservice
/// Architectures" (USENIX ATC 2022), section 3.
///
/// Cycles and duplicate ids are harmless: each row is walked at most once. O(n log n).
package struct TraceTimes: Sendable, Equatable {
    /// Row of the root: the earliest span that names no parent, else the earliest whose parent is
    /// missing, else the earliest; nil without spans.
    package let root: Int?
    /// By row, in nanoseconds.
    package let selfTimeNanos: [Int64]
    package let criticalPathNanos: [Int64]

    package init(_ spans: SpanBatch) {
        let starts = spans.startNanos
        let ends = zip(starts, spans.endNanos).map { max($0, $1) }
        let parents = TraceTimes.parents(spans)
        var children = [[Int]](repeating: [], count: spans.rowCount)
        for (row, parent) in parents.enumerated() {
            if let parent { children[parent].append(row) }
        }
        selfTimeNanos = spans.traceIDs.indices.map { row in
            let whole = Interval(row: row, first: starts[row], last: ends[row])
            let pieces = children[row].map { child in
                Interval(row: child, first: starts[child], last: ends[child]).clipped(to: whole)
            }
            return max(0, whole.length - TraceTimes.unionLength(pieces))
        }
        let root = TraceTimes.root(spans, parents)
        self.root = root
        var path = [Int64](repeating: 0, count: spans.rowCount)
        var stack: [Interval] = []
        if let root { stack.append(Interval(row: root, first: starts[root], last: ends[root])) }
        while let parent = stack.popLast() {
            var moment = parent.last
            var own: Int64 = 0
            var candidates: [Interval] = []
            for child in children[parent.row] where child != root && spans.kinds[child] != 5 {
                let interval = Interval(row: child, first: starts[child], last: ends[child])
                    .clipped(to: parent)
                if interval.first <= interval.last { candidates.append(interval) }
            }
            candidates.sort { a, b in
                a.last == b.last ? (a.first, a.row) < (b.first, b.row) : a.last > b.last
            }
            for child in candidates where child.last <= moment {
                own = saturatingSum(own, distance(child.last, moment))
                stack.append(child)
                moment = child.first
            }
            path[parent.row] = saturatingSum(own, distance(parent.first, moment))
        }
        criticalPathNanos = path
    }

    private static func root(_ spans: SpanBatch, _ parents: [Int?]) -> Int? {
        func earliest(_ rows: some Sequence<Int>) -> Int? {
            rows.min { (spans.startNanos[$0], $0) < (spans.startNanos[$1], $1) }
        }
        let rows = spans.traceIDs.indices
        let tops = rows.filter { parents[$0] == nil }
        return earliest(tops.filter { spans.parentIDs[$0].isZero })
            ?? earliest(tops) ?? earliest(rows)
    }

    private static func parents(_ spans: SpanBatch) -> [Int?] {
        var rows: [SpanID: [Int]] = [:]
        for row in spans.traceIDs.indices { rows[spans.spanIDs[row], default: []].append(row) }
        return spans.traceIDs.indices.map { row in
            if spans.kinds[row] == 2,
                let client = rows[spans.spanIDs[row]]?.first(where: { spans.kinds[$0] == 3 })
            {
                return client
            }
            guard !spans.parentIDs[row].isZero, spans.parentIDs[row] != spans.spanIDs[row],
                let candidates = rows[spans.parentIDs[row]]
            else { return nil }
            return candidates.first { spans.kinds[$0] == 2 } ?? candidates.first
        }
    }

    /// A span's time, or a part of it.
    private struct Interval {
        var row: Int
        var first: Int64
        var last: Int64

        var length: Int64 { distance(first, last) }

        func clipped(to other: Interval) -> Interval {
            Interval(row: row, first: max(first, other.first), last: min(last, other.last))
        }
    }

    /// How much of time some intervals cover together. Those that end before they begin count 0.
    private static func unionLength(_ intervals: [Interval]) -> Int64 {
        var covered: Int64 = 0
        var end = Int64.min
        for piece in intervals.sorted(by: { $0.first < $1.first }) where piece.last > end {
            covered = saturatingSum(covered, distance(max(piece.first, end), piece.last))
            end = piece.last
        }
        return covered
    }
}

/// Nanoseconds from one time to a later one, 0 when it is not later, held at the largest number.
package func distance(_ from: Int64, _ to: Int64) -> Int64 {
    guard to > from else { return 0 }
    let (length, overflow) = to.subtractingReportingOverflow(from)
    return overflow ? .max : length
}

private func saturatingSum(_ a: Int64, _ b: Int64) -> Int64 {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? .max : sum
}
