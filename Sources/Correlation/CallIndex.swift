// SPDX-License-Identifier: Apache-2.0
// Spans on both sides of calls between services.

import Base
import Storage
import Telemetry

/// One side of a call: a client or producer span (caller) or a server or consumer span (callee).
struct CallRow: Sendable, Equatable {
    var traceID: TraceID
    var spanID: SpanID
    /// Of a callee.
    var parentID = SpanID.zero
    var startNanos: Int64
    /// Not below 0.
    var durationNanos: Int64
    /// Numbers in the index's names.
    var service: UInt32
    /// Of a caller: the name its attributes give to the other side; 0 = none.
    var peer: UInt32 = 0
    var flags: UInt8 = 0

    static let callee: UInt8 = 1
    static let error: UInt8 = 2
    /// A caller that called a database: nothing will call itself its child.
    static let database: UInt8 = 4
    /// A caller that several callees may belong to.
    static let producer: UInt8 = 8
    /// A producer that a callee was found of.
    static let joined: UInt8 = 16

    func has(_ flag: UInt8) -> Bool { flags & flag != 0 }

    var key: SpanReference { SpanReference(traceID: traceID, spanID: spanID) }
}

/// Identity of a span within its trace.
struct SpanReference: Hashable, Comparable, Sendable {
    var traceID: TraceID
    var spanID: SpanID

    static func < (a: SpanReference, b: SpanReference) -> Bool {
        if a.traceID != b.traceID { return a.traceID < b.traceID }
        return a.spanID.rawValue < b.spanID.rawValue
    }
}

/// Calls of a pair of services that start in one bucket of five minutes.
struct CallEdge: Hashable, Sendable {
    var bucket: Int64
    var caller: UInt32
    var callee: UInt32
}

/// Who called whom. The two sides of a call come from different processes, often in different heads
/// or parts: they stay single spans (`rows`) until both are there, which is when a head is sealed,
/// when parts are merged, or when an answer is made; then they count as one call of an edge. A callee
/// belongs to the caller with its own id (Zipkin), else to the one its parent id names. Callers of
/// databases, and others when an answer is made, count as calls of the name in their attributes.
///
/// Duplicates fall together while they are single. One that is sent again after its call was counted
/// stays single, or counts once more where its attributes name the other side.
struct CallIndex: Sendable, Equatable {
    private(set) var names = NameTable()
    private(set) var rows: [CallRow] = []
    private(set) var edges: [CallEdge: OperationCounts] = [:]

    /// Entries, as limits and `PartDescriptor.rowCount` count them.
    var count: Int { rows.count + edges.count }

    mutating func number(_ name: UnsafeRawBufferPointer) -> UInt32 { names.number(name) }

    mutating func add(_ row: CallRow) { rows.append(row) }

    mutating func add(_ edge: CallEdge, _ counts: OperationCounts) {
        edges[edge, default: OperationCounts()].merge(counts)
    }

    /// Those of five minutes that touch a range, and callees near it.
    func filtered(_ range: NanosRange, callees near: NanosRange) -> CallIndex {
        if range == .all { return self }
        var result = self
        result.rows.removeAll {
            $0.has(CallRow.callee)
                ? !near.contains($0.startNanos) : !range.touches(nanos: $0.startNanos)
        }
        result.edges = edges.filter { range.touches(bucket: $0.key.bucket) }
        return result
    }

    mutating func merge(_ other: CallIndex) {
        let numbers = other.names.texts.map { text in
            text.withUnsafeBytes { names.number($0) }
        }
        rows.reserveCapacity(rows.count + other.rows.count)
        for row in other.rows {
            var row = row
            row.service = numbers[Int(row.service)]
            row.peer = numbers[Int(row.peer)]
            rows.append(row)
        }
        for (edge, counts) in other.edges {
            add(
                CallEdge(
                    bucket: edge.bucket, caller: numbers[Int(edge.caller)],
                    callee: numbers[Int(edge.callee)]), counts)
        }
    }

    /// Counts the calls of which both sides are there. O(n log n).
    mutating func join() {
        // Of equal spans the first that came stays.
        let order = rows.indices.sorted { a, b in
            let x = rows[a], y = rows[b]
            if x.key != y.key { return x.key < y.key }
            let side = x.flags & CallRow.callee, other = y.flags & CallRow.callee
            return side == other ? a < b : side < other
        }
        var sorted: [CallRow] = []
        sorted.reserveCapacity(rows.count)
        for index in order {
            let row = rows[index]
            if let last = sorted.last, last.key == row.key,
                last.has(CallRow.callee) == row.has(CallRow.callee)
            {
                sorted[sorted.count - 1].flags |= row.flags & CallRow.joined
                continue
            }
            sorted.append(row)
        }
        var gone = [Bool](repeating: false, count: sorted.count)
        var start = 0
        while start < sorted.count {
            var end = start + 1
            while end < sorted.count, sorted[end].traceID == sorted[start].traceID { end += 1 }
            join(&sorted, start..<end, &gone)
            start = end
        }
        rows = zip(sorted, gone).filter { !$0.1 }.map { $0.0 }
    }

    /// Joins the rows of one trace, sorted by span id, callers before callees.
    private mutating func join(
        _ sorted: inout [CallRow], _ trace: Range<Int>, _ gone: inout [Bool]
    ) {
        func caller(_ id: SpanID) -> Int? {
            var low = trace.lowerBound, high = trace.upperBound
            while low < high {
                let middle = (low + high) / 2
                if sorted[middle].spanID.rawValue < id.rawValue {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            guard low < trace.upperBound, sorted[low].spanID == id,
                !sorted[low].has(CallRow.callee)
            else { return nil }
            return low
        }
        for index in trace where sorted[index].has(CallRow.callee) {
            let callee = sorted[index]
            guard let found = caller(callee.spanID) ?? caller(callee.parentID) else { continue }
            gone[index] = true
            sorted[found].flags |= CallRow.joined
            let caller = sorted[found]
            if caller.service != callee.service {
                count(caller, callee.service, isError: callee.has(CallRow.error))
            }
        }
        for index in trace where !sorted[index].has(CallRow.callee) {
            let caller = sorted[index]
            if caller.has(CallRow.joined) {
                gone[index] = !caller.has(CallRow.producer)
            } else if caller.has(CallRow.database) {
                gone[index] = true
                if caller.peer != 0, caller.peer != caller.service { count(caller, caller.peer) }
            }
        }
    }

    private mutating func count(_ caller: CallRow, _ callee: UInt32, isError: Bool = false) {
        let edge = CallEdge(
            bucket: ServiceBucket.number(caller.startNanos), caller: caller.service,
            callee: callee)
        edges[edge, default: OperationCounts()].count(
            caller.durationNanos, caller.has(CallRow.error) || isError)
    }

    /// The calls of every pair of services in the five minutes that touch a range. Callees may start
    /// outside: what is on the wire at its end still belongs together. O(n log n).
    func calls(range: NanosRange = .all) -> [CallPair: OperationCounts] {
        var joined = self
        joined.join()
        for row in joined.rows
        where !row.has(CallRow.callee) && !row.has(CallRow.joined) && row.peer != 0
            && row.peer != row.service
        {
            joined.count(row, row.peer)
        }
        var result: [CallPair: OperationCounts] = [:]
        for (edge, counts) in joined.edges where range.touches(bucket: edge.bucket) {
            let pair = CallPair(
                caller: joined.names.text(edge.caller), callee: joined.names.text(edge.callee))
            result[pair, default: OperationCounts()].merge(counts)
        }
        return result
    }
}

struct CallPair: Hashable, Sendable { var caller: String, callee: String }

extension OperationCounts {
    mutating func count(_ nanos: Int64, _ isError: Bool) {
        count &+= 1
        if isError { errorCount &+= 1 }
        durations.add(nanos: nanos)
    }
}

extension NanosRange {
    func touches(bucket: Int64) -> Bool {
        ServiceBucket.number(first.rawValue) <= bucket
            && bucket <= ServiceBucket.number(last.rawValue)
    }

    fileprivate func touches(nanos: Int64) -> Bool { touches(bucket: ServiceBucket.number(nanos)) }
}

/// Names by number; number 0 is the empty one.
struct NameTable: Sendable, Equatable {
    private(set) var texts: [[UInt8]] = [[]]
    private var byHash: [UInt64: [UInt32]] = [:]

    mutating func number(_ name: UnsafeRawBufferPointer) -> UInt32 {
        if name.isEmpty { return 0 }
        let hash = hash64(name)
        if let known = byHash[hash]?.first(where: { number in
            texts[Int(number)].withUnsafeBytes { equalBytes($0, name) }
        }) {
            return known
        }
        let number = UInt32(truncatingIfNeeded: texts.count)
        texts.append([UInt8](name))
        byHash[hash, default: []].append(number)
        return number
    }

    func text(_ number: UInt32) -> String { String(decoding: texts[Int(number)], as: UTF8.self) }
}
