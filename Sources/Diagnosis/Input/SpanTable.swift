// SPDX-License-Identifier: Apache-2.0
// Spans in columns, as far as they matter here.

import Correlation
import Telemetry

/// Spans of all stretches.
struct SpanTable: Sendable {
    // One entry per span in each column.
    var stretches: [Stretch] = []
    /// Number of the trace: index into `traceIDs`.
    var traces: [Int32] = []
    var ids: [SpanID] = []
    var parentIDs: [SpanID] = []
    var services: [Int32] = []
    var operations: [Int32] = []
    /// OTLP's `SpanKind`.
    var kinds: [UInt8] = []
    var starts: [Int64] = []
    /// At least `starts`.
    var ends: [Int64] = []
    var isError: [Bool] = []
    /// Index into `codes`, -1 for none.
    var code: [Int32] = []

    // What `link` finds out.
    /// Row of the parent, -1 for none.
    private(set) var parents: [Int32] = []
    /// Nanoseconds in which the span was what its trace waited for: of the spans that run at a
    /// moment the one that began last.
    private(set) var ownNanos: [Int64] = []
    /// Service that a client span calls, -1 where no span of it is known.
    private(set) var peers: [Int32] = []

    /// Index into a trace's rows.
    private(set) var rowsOfTrace: [[Int32]] = []
    var traceIDs: [TraceID] = []
    var codes: [CodeLocation] = []
    var operationNames = NameTable()

    var count: Int { ids.count }

    func duration(_ row: Int) -> Int64 { distance(starts[row], ends[row]) }

    /// Finds parents, own times and callees. O(n log n).
    ///
    /// A trace that lies in two stretches is two.
    mutating func link() {
        parents = [Int32](repeating: -1, count: count)
        ownNanos = [Int64](repeating: 0, count: count)
        peers = [Int32](repeating: -1, count: count)
        rowsOfTrace = [[Int32]](repeating: [], count: traceIDs.count)
        for row in 0..<count { rowsOfTrace[Int(traces[row])].append(Int32(row)) }
        for rows in rowsOfTrace {
            linkParents(rows)
            attributeTime(rows)
        }
        for row in 0..<count {
            let parent = parents[row]
            if parent >= 0, services[Int(parent)] != services[row] {
                peers[Int(parent)] = services[row]
            }
        }
    }

    private mutating func linkParents(_ rows: [Int32]) {
        var byID: [SpanID: Int32] = [:]
        for row in rows {
            // Where both sides of a call share an id the callee stands for it.
            if let other = byID[ids[Int(row)]], kinds[Int(other)] == 2 { continue }
            byID[ids[Int(row)]] = row
        }
        for row in rows {
            let parent = parentIDs[Int(row)]
            guard !parent.isZero, let found = byID[parent], found != row else { continue }
            parents[Int(row)] = found
        }
    }

    /// Goes through the starts and ends of a trace's spans; each moment belongs to the running span
    /// that began last. Unlike duration less children this holds for spans that run beside their
    /// siblings, as reactive frameworks and fan-outs have them, and it adds up to the trace.
    private mutating func attributeTime(_ rows: [Int32]) {
        var events: [(nanos: Int64, isStart: Bool, row: Int32)] = []
        events.reserveCapacity(2 * rows.count)
        for row in rows {
            events.append((starts[Int(row)], true, row))
            events.append((ends[Int(row)], false, row))
        }
        events.sort { a, b in
            if a.nanos != b.nanos { return a.nanos < b.nanos }
            if a.isStart != b.isStart { return a.isStart }
            // Parents before children that begin with them: rows of longer spans first.
            return ends[Int(a.row)] > ends[Int(b.row)]
        }
        var running: [Int32] = []
        var isOver: Set<Int32> = []
        var last: Int64 = 0
        for event in events {
            while let top = running.last, isOver.contains(top) { running.removeLast() }
            if let top = running.last {
                ownNanos[Int(top)] &+= distance(last, event.nanos)
            }
            last = event.nanos
            if event.isStart { running.append(event.row) } else { isOver.insert(event.row) }
        }
    }

    /// Keeps the rows of the traces that are wanted, by number, and says which those were. `link` comes
    /// after it.
    @discardableResult
    mutating func keep(traces isWanted: [Bool]) -> [Int] {
        let kept = (0..<count).filter { isWanted[Int(traces[$0])] }
        stretches = kept.map { stretches[$0] }
        traces = kept.map { traces[$0] }
        ids = kept.map { ids[$0] }
        parentIDs = kept.map { parentIDs[$0] }
        services = kept.map { services[$0] }
        operations = kept.map { operations[$0] }
        kinds = kept.map { kinds[$0] }
        starts = kept.map { starts[$0] }
        ends = kept.map { ends[$0] }
        isError = kept.map { isError[$0] }
        code = kept.map { code[$0] }
        return kept
    }
}
