// SPDX-License-Identifier: Apache-2.0
// Identity, times and structure of all rows of a part that is being made.

import Base
import Telemetry

/// What must be known of all rows before the first block is written: in which trace each is, where
/// its parent is, and what the structure of its trace makes of it. Some 70 bytes per row.
struct PartRows {
    /// By row, in the part's order.
    private(set) var traces: [UInt32] = []
    private(set) var spanIDs: [SpanID] = []
    private(set) var parentIDs: [SpanID] = []
    private(set) var starts: [Int64] = []
    private(set) var ends: [Int64] = []
    private(set) var kinds: [UInt8] = []
    private(set) var tree = TreeColumns()
    /// Row + 1 of the parent where it is in the part, else 0.
    private var parentRows: [UInt32] = []
    /// By trace number, in order of first start.
    private(set) var traceIDs: [TraceID] = []

    init(reserving count: Int) {
        traces.reserveCapacity(count)
        spanIDs.reserveCapacity(count)
        parentIDs.reserveCapacity(count)
        starts.reserveCapacity(count)
        ends.reserveCapacity(count)
        kinds.reserveCapacity(count)
    }

    var count: Int { traces.count }

    /// Adds a row. `trace` is any number that tells traces apart, until `connect`.
    mutating func add(
        trace: UInt32, spanID: SpanID, parentID: SpanID, start: Int64, end: Int64, kind: UInt8
    ) {
        traces.append(trace)
        spanIDs.append(spanID)
        parentIDs.append(parentID)
        starts.append(start)
        ends.append(end)
        kinds.append(kind)
    }

    func parent(_ row: Int) -> ParentColumn.Parent {
        if parentIDs[row].isZero { return .none }
        return parentRows[row] > 0 ? .row(Int(parentRows[row]) - 1) : .id(parentIDs[row])
    }

    /// Numbers the traces that have rows and computes their structure.
    ///
    /// - Parameter ids: by the numbers given to `add`; those without rows are left out.
    mutating func connect(_ ids: [TraceID]) {
        _ = number(ids)
        let groups = beginStructure()
        for trace in traceIDs.indices { connect(rows: groups.rows(of: trace)) }
    }

    /// Numbers the traces that have rows, and computes the structure of some. That of the others has
    /// to be given by `setStructure` as far as it is going to be written.
    ///
    /// - Parameters:
    ///   - ids: by the numbers given to `add`; those without rows are left out.
    ///   - isOpen: by those numbers, whether a trace's structure has to be computed.
    ///   - parentRows: by row, the row of the parent in the part, or -1; not looked at in open traces.
    mutating func connect(_ ids: [TraceID], isOpen: [Bool], parentRows known: (Int) -> Int) {
        let old = number(ids)
        let groups = beginStructure()
        for trace in traceIDs.indices {
            let rows = groups.rows(of: trace)
            if isOpen[old[trace]] {
                connect(rows: rows)
            } else {
                for row in rows { parentRows[Int(row)] = UInt32(known(Int(row)) + 1) }
            }
        }
    }

    /// Takes over the stored structure of a row from another part.
    mutating func setStructure(of row: Int, _ other: TreeColumns, _ otherRow: Int) {
        tree.set(row, other, otherRow)
    }

    private mutating func beginStructure() -> TraceGroups {
        tree = TreeColumns(count: count)
        parentRows = [UInt32](repeating: 0, count: count)
        return TraceGroups(traces, count: traceIDs.count)
    }

    /// Numbers the traces that have rows by their first starts. Returns the old numbers by the new.
    private mutating func number(_ ids: [TraceID]) -> [Int] {
        var firstStarts = [Int64](repeating: .max, count: ids.count)
        var counts = [UInt32](repeating: 0, count: ids.count)
        for (row, trace) in traces.enumerated() {
            counts[Int(trace)] += 1
            firstStarts[Int(trace)] = min(firstStarts[Int(trace)], starts[row])
        }
        let order = ids.indices.filter { counts[$0] > 0 }.sorted { a, b in
            firstStarts[a] == firstStarts[b] ? ids[a] < ids[b] : firstStarts[a] < firstStarts[b]
        }
        var numbers = [UInt32](repeating: 0, count: ids.count)
        for (number, old) in order.enumerated() { numbers[old] = UInt32(number) }
        traceIDs = order.map { ids[$0] }
        for row in traces.indices { traces[row] = numbers[Int(traces[row])] }
        return order
    }

    private mutating func connect(rows: ArraySlice<UInt32>) {
        let structure = SpanStructure(
            spanIDs: rows.map { spanIDs[Int($0)] }, parentIDs: rows.map { parentIDs[Int($0)] },
            starts: rows.map { starts[Int($0)] }, ends: rows.map { ends[Int($0)] },
            kinds: rows.map { kinds[Int($0)] })
        tree.set(structure, rows: rows)
        for (index, row) in rows.enumerated() {
            let parent = structure.parents[index]
            guard parent >= 0 else { continue }
            // Where client and server share an id, the parent in the tree is not the one named.
            let parentRow = rows[rows.startIndex + Int(parent)]
            if spanIDs[Int(parentRow)] == parentIDs[Int(row)] {
                parentRows[Int(row)] = parentRow + 1
            }
        }
    }
}

// MARK: - Pieces of a block

extension PartRows {
    /// The pieces of a block that name traces and rows of the part, and so are written anew in every
    /// part.
    func encodeTraces(_ range: Range<Int>, into writer: inout ByteWriter) {
        var previous: Int64 = 0
        for row in range {
            let number = Int64(traces[row])
            writer.zigzag(number - previous)
            previous = number
        }
    }

    func encodeParents(_ range: Range<Int>, into writer: inout ByteWriter) {
        ParentColumn.encode(range.lazy.map { parent($0) }, into: &writer)
    }

    func encodeTree(_ range: Range<Int>, into writer: inout ByteWriter) {
        tree.encodeTree(range, into: &writer)
    }

    func encodeTimes(_ range: Range<Int>, into writer: inout ByteWriter) {
        tree.encodeTimes(range, starts: starts, ends: ends, into: &writer)
    }
}

/// Rows by trace, ascending, in one array.
struct TraceGroups {
    private var starts: [UInt32]
    private var sorted: [UInt32]

    /// - Parameters:
    ///   - traces: per row the number of its trace.
    ///   - count: all numbers are below it.
    init(_ traces: [UInt32], count: Int) {
        starts = [UInt32](repeating: 0, count: count + 1)
        for trace in traces { starts[Int(trace) + 1] &+= 1 }
        for i in 0..<count { starts[i + 1] &+= starts[i] }
        var next = starts
        sorted = [UInt32](repeating: 0, count: traces.count)
        for (row, trace) in traces.enumerated() {
            sorted[Int(next[Int(trace)])] = UInt32(truncatingIfNeeded: row)
            next[Int(trace)] &+= 1
        }
    }

    func rows(of trace: Int) -> ArraySlice<UInt32> {
        sorted[Int(starts[trace])..<Int(starts[trace + 1])]
    }
}

/// Numbers for trace ids, in order of first sight.
struct TraceNumbers {
    private(set) var ids: [TraceID] = []
    private var table = RowTable()

    /// The number of an id, a new one if need be.
    mutating func number(_ id: TraceID) -> UInt32 {
        let tag = id.tag
        if let slot = table.find(tag, { ids[Int($0)] == id }) { return table.row(at: slot) }
        let number = UInt32(truncatingIfNeeded: ids.count)
        table.insert(tag, number)
        ids.append(id)
        return number
    }
}
