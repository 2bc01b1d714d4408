// SPDX-License-Identifier: Apache-2.0
// Spans on both sides of calls between services.

import Base
import Storage
import Telemetry

/// One side of a call that waits for the other: a client or producer span (caller) or a server or
/// consumer span (callee), as far as it is needed to count the call.
struct CallRow: Sendable, Equatable, BitwiseCopyable {
    /// Key of the span, 40 bits of its mixed ids: of a million spans that wait, two have the same one
    /// every other time, and one call is then missing or one too many.
    var span: UInt64
    /// Of a callee, the key of its parent in the same trace.
    var parent: UInt64 = 0
    /// Number of the five minutes in which it starts.
    var bucket: Int32
    /// Numbers in the index's names.
    var service: UInt32
    /// Of a caller: the name its attributes give to the other side; 0 = none.
    var peer: UInt32 = 0
    /// Bucket of `DurationHistogram`.
    var duration: UInt16 = 0
    var flags: UInt8 = 0

    static let callee: UInt8 = 1
    static let error: UInt8 = 2
    /// A caller that called a database: nothing will call itself its child.
    static let database: UInt8 = 4
    /// A caller that several callees may belong to.
    static let producer: UInt8 = 8
    /// A producer that a callee was found of.
    static let joined: UInt8 = 16

    static let keyBits: UInt64 = 40

    @inline(__always)
    func has(_ flag: UInt8) -> Bool { flags & flag != 0 }

    /// The part of a span's key that is of its trace.
    @inline(__always)
    static func key(_ id: TraceID) -> UInt64 { mixed(id.high ^ mixed(id.low)) }

    /// - Parameter trace: `key` of its trace.
    @inline(__always)
    static func key(_ trace: UInt64, _ id: SpanID) -> UInt64 {
        mixed(trace ^ id.rawValue) &>> (64 - keyBits)
    }
}

/// Calls of a pair of services that start in one bucket of five minutes.
struct CallEdge: Hashable, Sendable {
    var bucket: Int64
    var caller: UInt32
    var callee: UInt32

    static func == (a: CallEdge, b: CallEdge) -> Bool {
        a.bucket == b.bucket && a.caller == b.caller && a.callee == b.callee
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(
            UInt64(bitPattern: bucket) &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(caller) &<< 32
                ^ UInt64(callee))
    }
}

/// Who called whom. The two sides of a call come from different processes, often in different heads
/// or parts: they stay single spans (`rows`) until both are there, then they count as one call of an
/// edge. They are looked for every few thousand spans, when a head is sealed, when parts are merged,
/// and when an answer is made. A callee
/// belongs to the caller with its own id (Zipkin), else to the one its parent id names. Callers of
/// databases, and others when an answer is made, count as calls of the name in their attributes.
///
/// Duplicates fall together while they are single. One that is sent again after its call was counted
/// stays single, or counts once more where its attributes name the other side: `Correlation` is told
/// of such spans and leaves them out.
struct CallIndex: Sendable, Equatable {
    /// Rows that come before they are joined.
    private static let joinEvery = 4096

    private(set) var names = NameTable()
    /// Those that `join` left over, then those that came since.
    private(set) var rows: [CallRow] = []
    /// How many of `rows` the latest `join` left.
    private var waiting = 0
    private(set) var edges: [CallEdge: OperationCounts] = [:]

    /// Entries, as limits and `PartDescriptor.rowCount` count them.
    var count: Int { rows.count + edges.count }

    var byteCount: Int {
        rows.count * MemoryLayout<CallRow>.stride + edges.count * 512 + names.texts.count * 96
    }

    mutating func number(_ name: UnsafeRawBufferPointer) -> UInt32 { names.number(name) }

    /// Amortised O(log n) hash look-ups in a table of its own.
    mutating func add(_ row: CallRow) {
        rows.append(row)
        // Those that were left over are looked at again once as many new ones have come.
        if rows.count - waiting >= max(CallIndex.joinEvery, waiting) { join() }
    }

    /// Takes rows that an earlier `join` left, in place of those it has.
    mutating func adopt(_ left: [CallRow]) {
        rows = left
        waiting = left.count
    }

    mutating func add(_ edge: CallEdge, _ counts: OperationCounts) {
        edges[edge, default: OperationCounts()].merge(counts)
    }

    /// Those of five minutes that touch a range, and callees near it.
    func filtered(_ range: NanosRange, callees near: NanosRange) -> CallIndex {
        if range == .all { return self }
        var result = self
        result.rows.removeAll {
            !($0.has(CallRow.callee) ? near : range).touches(bucket: Int64($0.bucket))
        }
        result.waiting = 0
        result.edges = edges.filter { range.touches(bucket: $0.key.bucket) }
        return result
    }

    /// Adds what another one has, without joining.
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

    /// The same under other names. What then leads from a service to itself is no call any more.
    /// O(n).
    func renamed(_ name: (String) -> String?) -> CallIndex {
        var result = CallIndex()
        let numbers = names.texts.indices.map { number -> UInt32 in
            let text = names.text(UInt32(truncatingIfNeeded: number))
            var shown = name(text) ?? text
            return shown.withUTF8 { result.names.number(UnsafeRawBufferPointer($0)) }
        }
        result.rows = rows.map { row in
            var row = row
            row.service = numbers[Int(row.service)]
            row.peer = numbers[Int(row.peer)]
            return row
        }
        for (edge, counts) in edges {
            let caller = numbers[Int(edge.caller)], callee = numbers[Int(edge.callee)]
            if caller == callee { continue }
            result.add(CallEdge(bucket: edge.bucket, caller: caller, callee: callee), counts)
        }
        return result
    }

    /// Counts the calls of which both sides are there. O(n).
    mutating func join() {
        var gone = [Bool](repeating: false, count: rows.count)
        var table = CallTable(rows.count)
        // Of equal spans the first that came stays.
        for index in rows.indices {
            if let first = table.insert(rows[index], index, rows) {
                rows[first].flags |= rows[index].flags & CallRow.joined
                gone[index] = true
            }
        }
        for index in rows.indices where rows[index].has(CallRow.callee) && !gone[index] {
            let callee = rows[index]
            guard
                let found = table.caller(callee.span, rows) ?? table.caller(callee.parent, rows)
            else { continue }
            gone[index] = true
            rows[found].flags |= CallRow.joined
            let caller = rows[found]
            if caller.service != callee.service {
                count(caller, callee.service, isError: callee.has(CallRow.error))
            }
        }
        for index in rows.indices where !rows[index].has(CallRow.callee) && !gone[index] {
            let caller = rows[index]
            if caller.has(CallRow.joined) {
                gone[index] = !caller.has(CallRow.producer)
            } else if caller.has(CallRow.database) {
                gone[index] = true
                if caller.peer != 0, caller.peer != caller.service { count(caller, caller.peer) }
            }
        }
        var kept = 0
        for index in rows.indices where !gone[index] {
            rows[kept] = rows[index]
            kept += 1
        }
        rows.removeLast(rows.count - kept)
        waiting = kept
    }

    private mutating func count(_ caller: CallRow, _ callee: UInt32, isError: Bool = false) {
        let edge = CallEdge(
            bucket: Int64(caller.bucket), caller: caller.service, callee: callee)
        edges[edge, default: OperationCounts()].count(
            index: caller.duration, caller.has(CallRow.error) || isError)
    }

    /// The calls of every pair of services in the five minutes that touch a range. Callees may start
    /// outside: what is on the wire at its end still belongs together. O(n).
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

    /// By what they know and count, whatever came first.
    static func == (a: CallIndex, b: CallIndex) -> Bool {
        a.names == b.names && a.rows == b.rows && a.edges == b.edges
    }
}

/// Rows by the key of their span and their side; open addressing, at most half full.
private struct CallTable {
    /// Number of a row + 1; 0 = free.
    private var slots: [UInt32]
    private let mask: Int

    init(_ count: Int) {
        var size = 16
        while size < count * 2 { size *= 2 }
        slots = [UInt32](repeating: 0, count: size)
        mask = size - 1
    }

    /// Enters a row; returns the number of the one that is there already.
    @inline(__always)
    mutating func insert(_ row: CallRow, _ index: Int, _ rows: [CallRow]) -> Int? {
        let side = row.flags & CallRow.callee
        var slot = CallTable.home(row.span, side) & mask
        while slots[slot] != 0 {
            let other = Int(slots[slot]) - 1
            if rows[other].span == row.span, rows[other].flags & CallRow.callee == side {
                return other
            }
            slot = (slot + 1) & mask
        }
        slots[slot] = UInt32(truncatingIfNeeded: index + 1)
        return nil
    }

    @inline(__always)
    func caller(_ span: UInt64, _ rows: [CallRow]) -> Int? {
        var slot = CallTable.home(span, 0) & mask
        while slots[slot] != 0 {
            let other = Int(slots[slot]) - 1
            if rows[other].span == span, !rows[other].has(CallRow.callee) { return other }
            slot = (slot + 1) & mask
        }
        return nil
    }

    @inline(__always)
    private static func home(_ span: UInt64, _ side: UInt8) -> Int {
        Int(truncatingIfNeeded: span ^ UInt64(side) &* 0x5bd1_e995)
    }
}

struct CallPair: Hashable, Sendable { var caller: String, callee: String }

extension OperationCounts {
    /// - Parameter index: bucket of `DurationHistogram`.
    mutating func count(index: UInt16, _ isError: Bool) {
        count &+= 1
        if isError { errorCount &+= 1 }
        durations.add(index: index, count: 1)
    }
}

extension NanosRange {
    func touches(bucket: Int64) -> Bool {
        ServiceBucket.number(first.rawValue) <= bucket
            && bucket <= ServiceBucket.number(last.rawValue)
    }
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
