// SPDX-License-Identifier: Apache-2.0
// Collects the trace and span ids of a part, each once.

import Base
import Storage

/// Trace ids of a part that is being built, and the span ids of each. Neighbouring streams share
/// them: a request's lines lie in the streams of all services it went through.
struct TraceTable {
    /// Most distinct traces, spans and rows with ids. What goes beyond is kept in its blocks.
    static let maxIDs = 1 << 20
    private static let maxRows = 1 << 23

    /// Which ids the rows of a block have: numbers + 1, 0 = none.
    struct Rows {
        fileprivate(set) var traces: [UInt32]
        /// Among the spans of the row's trace; empty = no row has one.
        fileprivate(set) var spans: [UInt32]
    }

    private var ids: [RowIDs] = []
    private var firstNanos: [Int64] = []
    private var spanCounts: [UInt32] = []
    /// Number of a trace + 1; 0 = free.
    private var slots = [UInt32](repeating: 0, count: 256)
    /// Spans in order of appearance: trace, id and number in the trace.
    private var spans: [(trace: UInt32, id: UInt64, number: UInt32)] = []
    private var spanSlots = [UInt32](repeating: 0, count: 256)
    private var rowCount = 0
    private var spanRowCount = 0

    /// Takes the ids of a block's rows.
    ///
    /// - Returns: nil when the block has to keep them: a row has a span but no trace, or there are
    ///   too many.
    mutating func take(_ rows: [RowIDs], _ nanos: [Int64]) -> Rows? {
        guard ids.count + rows.count <= TraceTable.maxIDs,
            spans.count + rows.count <= TraceTable.maxIDs,
            rowCount + rows.count <= TraceTable.maxRows,
            rows.allSatisfy({ $0.span == 0 || $0.traceHigh | $0.traceLow != 0 })
        else { return nil }
        var taken = Rows(traces: [UInt32](repeating: 0, count: rows.count), spans: [])
        for (row, id) in rows.enumerated() where id.traceHigh | id.traceLow != 0 {
            let trace = number(of: id, nanos[row])
            taken.traces[row] = trace + 1
            rowCount += 1
            guard id.span != 0 else { continue }
            if taken.spans.isEmpty {
                taken.spans = [UInt32](repeating: 0, count: rows.count)
            }
            taken.spans[row] = number(ofSpan: id.span, trace) + 1
            spanRowCount += 1
        }
        return taken
    }

    private mutating func number(of id: RowIDs, _ nanos: Int64) -> UInt32 {
        var slot = TraceTable.slot(id.traceHigh, id.traceLow, slots.count)
        while slots[slot] != 0 {
            let number = slots[slot] - 1
            let known = ids[Int(number)]
            if known.traceHigh == id.traceHigh, known.traceLow == id.traceLow {
                firstNanos[Int(number)] = min(firstNanos[Int(number)], nanos)
                return number
            }
            slot = (slot + 1) & (slots.count - 1)
        }
        ids.append(RowIDs(traceHigh: id.traceHigh, traceLow: id.traceLow, span: 0))
        firstNanos.append(nanos)
        spanCounts.append(0)
        slots[slot] = UInt32(ids.count)
        if ids.count * 2 > slots.count {
            slots = [UInt32](repeating: 0, count: slots.count * 2)
            for (number, id) in ids.enumerated() {
                TraceTable.place(
                    number, TraceTable.slot(id.traceHigh, id.traceLow, slots.count), &slots)
            }
        }
        return UInt32(ids.count - 1)
    }

    private mutating func number(ofSpan id: UInt64, _ trace: UInt32) -> UInt32 {
        var slot = TraceTable.slot(UInt64(trace), id, spanSlots.count)
        while spanSlots[slot] != 0 {
            let known = spans[Int(spanSlots[slot] - 1)]
            if known.trace == trace, known.id == id { return known.number }
            slot = (slot + 1) & (spanSlots.count - 1)
        }
        let number = spanCounts[Int(trace)]
        spanCounts[Int(trace)] += 1
        spans.append((trace, id, number))
        spanSlots[slot] = UInt32(spans.count)
        if spans.count * 2 > spanSlots.count {
            spanSlots = [UInt32](repeating: 0, count: spanSlots.count * 2)
            for (index, span) in spans.enumerated() {
                TraceTable.place(
                    index, TraceTable.slot(UInt64(span.trace), span.id, spanSlots.count),
                    &spanSlots)
            }
        }
        return number
    }

    private static func slot(_ a: UInt64, _ b: UInt64, _ count: Int) -> Int {
        let mixed = (a ^ 0x9e37_79b9_7f4a_7c15).multipliedFullWidth(by: b ^ 0xbf58_476d_1ce4_e5b9)
        return Int(truncatingIfNeeded: mixed.high ^ mixed.low) & (count - 1)
    }

    private static func place(_ number: Int, _ start: Int, _ slots: inout [UInt32]) {
        var slot = start
        while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = UInt32(number + 1)
    }

    // MARK: - Writing

    /// The ids in the order of their first lines, ready to be referred to.
    func sorted() -> Sorted { Sorted(self) }

    struct Sorted {
        /// By number: place in the order.
        private let ranks: [UInt32]
        private let order: [UInt32]
        private let ids: [RowIDs]
        /// Spans of trace number i: `starts[i]..<starts[i + 1]`.
        private let spans: [UInt64]
        private let starts: [Int]
        /// Whether referring to them takes less than keeping them in the blocks.
        let isWorthwhile: Bool

        fileprivate init(_ table: TraceTable) {
            ids = table.ids
            order = table.ids.indices.map { UInt32($0) }.sorted {
                let a = table.firstNanos[Int($0)], b = table.firstNanos[Int($1)]
                return a == b ? $0 < $1 : a < b
            }
            var ranks = [UInt32](repeating: 0, count: order.count)
            for (rank, number) in order.enumerated() { ranks[Int(number)] = UInt32(rank) }
            self.ranks = ranks
            var starts = [0]
            for count in table.spanCounts { starts.append(starts[starts.count - 1] + Int(count)) }
            var spans = [UInt64](repeating: 0, count: table.spans.count)
            for span in table.spans {
                spans[starts[Int(span.trace)] + Int(span.number)] = span.id
            }
            self.starts = starts
            self.spans = spans
            let there = 17 * ids.count + 8 * spans.count + 2 * table.rowCount
            isWorthwhile = there < 16 * table.rowCount + 8 * table.spanRowCount
        }

        /// A block's ids as references, or as they are when that is worth more.
        func encode(_ rows: Rows, into out: inout ByteWriter) {
            if isWorthwhile {
                IdentifierColumns.encode(
                    traces: rows.traces.map { $0 == 0 ? 0 : ranks[Int($0) - 1] + 1 },
                    spans: rows.spans, into: &out)
                return
            }
            let all = rows.traces.indices.map { row -> RowIDs in
                guard rows.traces[row] > 0 else { return .none }
                let trace = Int(rows.traces[row]) - 1
                var id = ids[trace]
                if !rows.spans.isEmpty, rows.spans[row] > 0 {
                    id.span = spans[starts[trace] + Int(rows.spans[row]) - 1]
                }
                return id
            }
            IdentifierColumns.encode(all, into: &out)
        }

        /// Writes the ids; the bytes are the section that points at them.
        func place(in store: inout FrameStore) -> [UInt8] {
            var section = ByteWriter()
            guard isWorthwhile else {
                section.varint(0)
                return section.bytes
            }
            section.varint(ids.count)
            let size = LogFormat.Traces.chunkCount
            for start in stride(from: 0, to: order.count, by: size) {
                let numbers = order[start..<min(start + size, order.count)].map { Int($0) }
                var chunk = ByteWriter(reserving: numbers.count * 40)
                for number in numbers {
                    chunk.u64(ids[number].traceHigh)
                    chunk.u64(ids[number].traceLow)
                }
                for number in numbers { chunk.varint(starts[number + 1] - starts[number]) }
                for number in numbers {
                    for span in spans[starts[number]..<starts[number + 1]] { chunk.u64(span) }
                }
                let frame = store.reserve()
                store.store(chunk.bytes, as: frame, compresses: false)
                section.varint(frame)
            }
            return section.bytes
        }
    }
}
