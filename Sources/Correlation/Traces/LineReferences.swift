// SPDX-License-Identifier: Apache-2.0
// Which streams have lines of a trace, and about when.

import Storage
import Telemetry

/// References of traces to log lines, in columns and sorted runs: no object per trace.
///
/// A trace is known by 32 bits of its mixed id. So a reference may belong to another trace, of a
/// million about once in four thousand look-ups; whoever reads the lines compares their ids. Lines of a trace
/// in one stream and window are one reference.
struct LineReferences: Sendable, Equatable {
    struct Row: Comparable, Sendable, BitwiseCopyable {
        /// Of the trace.
        var key: UInt32
        /// Number of the stream.
        var stream: UInt32
        var window: Int64

        @inline(__always)
        static func < (a: Row, b: Row) -> Bool {
            if a.key != b.key { return a.key < b.key }
            return a.window == b.window ? a.stream < b.stream : a.window < b.window
        }
    }
    /// Rows after which those that came last are sorted.
    static let runLength = 8192

    /// Hashes of streams by number.
    private(set) var streams: [UInt64] = []
    private var streamNumbers: [UInt64: UInt32] = [:]
    /// Each sorted by key, without duplicates.
    private var runs: [[Row]] = []
    private var open: [Row] = []

    /// Rows held; some of them may be in two runs.
    var count: Int { runs.reduce(open.count) { $0 + $1.count } }
    var byteCount: Int { count * MemoryLayout<Row>.stride + streams.count * 64 }

    static func key(_ id: TraceID) -> UInt32 {
        UInt32(truncatingIfNeeded: mixed(id.high ^ mixed(id.low)) &>> 32)
    }

    /// The number of a stream. A look-up.
    mutating func number(ofStream hash: UInt64) -> UInt32 {
        if let known = streamNumbers[hash] { return known }
        let number = UInt32(truncatingIfNeeded: streams.count)
        streams.append(hash)
        streamNumbers[hash] = number
        return number
    }

    /// Adds a line; no look-up. Amortised O(log `runLength`).
    @inline(__always)
    mutating func add(_ id: TraceID, stream: UInt32, nanos: Int64) {
        add(
            Row(
                key: LineReferences.key(id), stream: stream,
                window: LogReference.window(ofNanos: nanos)))
    }

    @inline(__always)
    private mutating func add(_ row: Row) {
        if open.last == row { return }
        open.append(row)
        if open.count >= LineReferences.runLength {
            runs.append(LineReferences.sortedUnique(open))
            open.removeAll(keepingCapacity: true)
        }
    }

    mutating func merge(_ other: LineReferences) {
        let numbers = other.streams.map { number(ofStream: $0) }
        let isSame = numbers.indices.allSatisfy { numbers[$0] == UInt32($0) }
        func renumbered(_ rows: [Row]) -> [Row] {
            isSame
                ? rows
                : rows.map { row in
                    Row(key: row.key, stream: numbers[Int(row.stream)], window: row.window)
                }
        }
        runs += other.runs.map(renumbered)
        for row in renumbered(other.open) { add(row) }
    }

    /// Adds a run that a part held: sorted, its streams numbered as here.
    mutating func add(run: [Row]) { runs.append(run) }

    /// References with the key of a trace. O(runs · log `runLength` + `runLength`).
    func references(_ id: TraceID) -> [LogReference] {
        let key = LineReferences.key(id)
        var found: [LogReference] = []
        func add(_ row: Row) {
            found.append(
                LogReference(streamHash: streams[Int(row.stream)], window: row.window))
        }
        for row in open where row.key == key { add(row) }
        for run in runs {
            var low = 0, high = run.count
            while low < high {
                let middle = (low + high) / 2
                if run[middle].key < key { low = middle + 1 } else { high = middle }
            }
            while low < run.count, run[low].key == key {
                add(run[low])
                low += 1
            }
        }
        return found
    }

    /// All rows once, streams numbered by ascending hash, at most `most` of each trace; and how many
    /// were beyond that. The same references give the same answer however they came.
    func sorted(most: Int) -> (streams: [UInt64], rows: [Row], dropped: Int) {
        let order = streams.indices.sorted { streams[$0] < streams[$1] }
        var numbers = [UInt32](repeating: 0, count: streams.count)
        for (new, old) in order.enumerated() { numbers[old] = UInt32(truncatingIfNeeded: new) }
        var rows: [Row] = []
        rows.reserveCapacity(count)
        for run in runs + [open] {
            for row in run {
                rows.append(
                    Row(key: row.key, stream: numbers[Int(row.stream)], window: row.window))
            }
        }
        rows = LineReferences.sortedUnique(rows)
        let all = rows.count
        var ofTrace = 0
        var key: UInt32?
        rows.removeAll { row in
            ofTrace = row.key == key ? ofTrace + 1 : 1
            key = row.key
            return ofTrace > most
        }
        return (order.map { streams[$0] }, rows, all - rows.count)
    }

    private static func sortedUnique(_ rows: [Row]) -> [Row] {
        var sorted = rows
        sort(&sorted)
        var kept = 0
        for row in sorted where kept == 0 || sorted[kept - 1] != row {
            sorted[kept] = row
            kept += 1
        }
        sorted.removeLast(sorted.count - kept)
        return sorted
    }

    /// Many rows are distributed by the digits of their keys, which are random; the few of one key
    /// are compared. O(n), for a copy of memory.
    private static func sort(_ rows: inout [Row]) {
        guard rows.count >= 512 else {
            rows.sort()
            return
        }
        var other = rows
        rows.withUnsafeMutableBufferPointer { rows in
            other.withUnsafeMutableBufferPointer { other in
                distribute(rows, into: other, by: 0)
                distribute(other, into: rows, by: 8)
                distribute(rows, into: other, by: 16)
                distribute(other, into: rows, by: 24)
            }
            var start = 0
            while start < rows.count {
                var end = start + 1
                while end < rows.count, rows[end].key == rows[start].key { end += 1 }
                if end - start > 1 { rows[start..<end].sort() }
                start = end
            }
        }
    }

    /// Copies rows in the order of eight bits of their keys; those of equal bits as they were.
    private static func distribute(
        _ rows: UnsafeMutableBufferPointer<Row>, into other: UnsafeMutableBufferPointer<Row>,
        by shift: UInt32
    ) {
        withUnsafeTemporaryAllocation(of: Int.self, capacity: 256) { places in
            places.initialize(repeating: 0)
            for row in rows { places[Int(row.key &>> shift & 0xff)] &+= 1 }
            var next = 0
            for digit in places.indices {
                let count = places[digit]
                places[digit] = next
                next &+= count
            }
            for row in rows {
                let digit = Int(row.key &>> shift & 0xff)
                other[places[digit]] = row
                places[digit] &+= 1
            }
        }
    }
}
