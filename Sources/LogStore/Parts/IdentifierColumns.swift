// SPDX-License-Identifier: Apache-2.0
// Trace and span ids of a block.

import Base

/// The two id columns; see `LogFormat`.
enum IdentifierColumns {
    /// Appends nothing when no row has an id.
    static func encode(_ ids: [RowIDs], into out: inout ByteWriter) {
        guard ids.contains(where: { $0 != .none }) else { return }
        encode(
            ids, isPresent: { $0.traceHigh != 0 || $0.traceLow != 0 },
            isSame: { $0.traceHigh == $1.traceHigh && $0.traceLow == $1.traceLow }, into: &out
        ) { id, out in
            out.u64(id.traceHigh)
            out.u64(id.traceLow)
        }
        encode(
            ids, isPresent: { $0.span != 0 }, isSame: { $0.span == $1.span }, into: &out
        ) { id, out in out.u64(id.span) }
    }

    private static func encode(
        _ ids: [RowIDs], isPresent: (RowIDs) -> Bool, isSame: (RowIDs, RowIDs) -> Bool,
        into out: inout ByteWriter, _ write: (RowIDs, inout ByteWriter) -> Void
    ) {
        let present = ids.filter(isPresent)
        if present.isEmpty {
            out.u8(LogFormat.Identifier.none)
            return
        }
        if present.count == ids.count {
            let isConstant = ids.allSatisfy { isSame($0, ids[0]) }
            out.u8(isConstant ? LogFormat.Identifier.constant : LogFormat.Identifier.all)
            for id in isConstant ? present.prefix(1) : present[...] { write(id, &out) }
            return
        }
        out.u8(LogFormat.Identifier.some)
        out.raw(bitmap(of: ids.count) { isPresent(ids[$0]) })
        for id in present { write(id, &out) }
    }

    /// Appends references to the ids of the part.
    ///
    /// - Parameters:
    ///   - traces: number of each row's trace + 1, 0 = none; some row has one.
    ///   - spans: number of each row's span in its trace + 1, 0 = none; or empty.
    static func encode(traces: [UInt32], spans: [UInt32], into out: inout ByteWriter) {
        out.u8(LogFormat.Identifier.traceNumbers)
        writePresence(traces, &out)
        var previous: Int64 = 0
        for trace in traces where trace > 0 {
            out.zigzag(Int64(trace - 1) - previous)
            previous = Int64(trace - 1)
        }
        guard !spans.isEmpty else {
            out.u8(LogFormat.Identifier.none)
            return
        }
        out.u8(LogFormat.Identifier.spanNumbers)
        writePresence(spans, &out)
        for span in spans where span > 0 { out.varint(UInt64(span - 1)) }
    }

    private static func writePresence(_ numbers: [UInt32], _ out: inout ByteWriter) {
        let isEverywhere = !numbers.contains(0)
        out.u8(isEverywhere ? 0 : 1)
        if !isEverywhere { out.raw(bitmap(of: numbers.count) { numbers[$0] > 0 }) }
    }

    /// - Parameters:
    ///   - wanted: rows to look ids up for, ascending; nil = all.
    ///   - part: looks up ids that the column refers to.
    /// - Returns: an id for each row; of rows that are not wanted it may be missing.
    static func decode(
        _ bytes: UnsafeRawBufferPointer, rows n: Int, only wanted: [UInt32]? = nil,
        part: TraceReader
    ) throws -> [RowIDs] {
        guard bytes.first == LogFormat.Identifier.traceNumbers else {
            return try decode(bytes, rows: n)
        }
        if let wanted { return try decodeFew(bytes, rows: n, wanted, part) }
        var ids = [RowIDs](repeating: .none, count: n)
        var reader = ByteReader(bytes)
        _ = try reader.u8()
        var numbers = [Int](repeating: -1, count: n)
        var number: Int64 = 0
        try forEachPresent(&reader, n) { reader, row in
            let (sum, overflow) = number.addingReportingOverflow(try reader.zigzag())
            guard !overflow, let place = Int(exactly: sum) else {
                throw reader.malformed("number of a trace")
            }
            number = sum
            numbers[row] = place
            (ids[row].traceHigh, ids[row].traceLow) = try part.trace(place)
        }
        switch try reader.u8() {
        case LogFormat.Identifier.none: break
        case LogFormat.Identifier.spanNumbers:
            try forEachPresent(&reader, n) { reader, row in
                let index = try reader.length(limit: LogFormat.Traces.maxCount, "span")
                guard numbers[row] >= 0 else { throw reader.malformed("span of a trace") }
                ids[row].span = try part.span(index, ofTrace: numbers[row])
            }
        default: throw reader.malformed("kind of span column")
        }
        guard reader.isAtEnd else { throw reader.malformed("end of ids") }
        return ids
    }

    /// The ids of a few rows: others are passed over eight at a time and what they refer to is not
    /// looked up.
    private static func decodeFew(
        _ bytes: UnsafeRawBufferPointer, rows n: Int, _ wanted: [UInt32], _ part: TraceReader
    ) throws -> [RowIDs] {
        var ids = [RowIDs](repeating: .none, count: n)
        var reader = ByteReader(bytes)
        _ = try reader.u8()
        // Of the wanted rows that have one.
        var numbers: [Int] = []
        numbers.reserveCapacity(wanted.count)
        var traces = try PresentRows(&reader, n)
        var number = 0
        for row in wanted {
            guard let before = traces.take(Int(row)) else {
                numbers.append(-1)
                continue
            }
            number &+= try reader.sumOfZigzags(before + 1)
            numbers.append(number)
            (ids[Int(row)].traceHigh, ids[Int(row)].traceLow) = try part.trace(number)
        }
        try reader.skipVarints(traces.left)
        switch try reader.u8() {
        case LogFormat.Identifier.none: break
        case LogFormat.Identifier.spanNumbers:
            var spans = try PresentRows(&reader, n)
            for (place, row) in wanted.enumerated() {
                guard let before = spans.take(Int(row)) else { continue }
                try reader.skipVarints(before)
                let index = try reader.length(limit: LogFormat.Traces.maxCount, "span")
                guard numbers[place] >= 0 else { throw reader.malformed("span of a trace") }
                ids[Int(row)].span = try part.span(index, ofTrace: numbers[place])
            }
            try reader.skipVarints(spans.left)
        default: throw reader.malformed("kind of span column")
        }
        guard reader.isAtEnd else { throw reader.malformed("end of ids") }
        return ids
    }

    /// Counts the rows that have an id.
    private struct PresentRows {
        /// Nil when all have one.
        private let bits: UnsafeRawBufferPointer?
        private let count: Int
        /// Rows that were counted.
        private var next = 0

        /// Takes the presence off `reader`.
        init(_ reader: inout ByteReader, _ n: Int) throws(MalformedBytes) {
            count = n
            switch try reader.u8() {
            case 0: bits = nil
            case 1: bits = try reader.bytes((n + 7) / 8)
            default: throw reader.malformed("presence of ids")
            }
        }

        /// How many rows with an id lie between the last one taken and this one; nil when it has
        /// none.
        ///
        /// - Parameter row: after the last one taken.
        mutating func take(_ row: Int) -> Int? {
            if let bits, !isSet(row, in: bits) { return nil }
            let before = present(next..<row)
            next = row + 1
            return before
        }

        /// How many rows with an id come after the last one taken.
        var left: Int { present(next..<count) }

        private func present(_ rows: Range<Int>) -> Int {
            guard let bits else { return rows.count }
            var sum = 0
            var row = rows.lowerBound
            while row < rows.upperBound {
                if row & 7 == 0, row + 8 <= rows.upperBound {
                    sum &+= bits[row >> 3].nonzeroBitCount
                    row &+= 8
                } else {
                    if isSet(row, in: bits) { sum &+= 1 }
                    row &+= 1
                }
            }
            return sum
        }
    }

    private static func forEachPresent(
        _ reader: inout ByteReader, _ n: Int, _ body: (inout ByteReader, Int) throws -> Void
    ) throws {
        switch try reader.u8() {
        case 0: for row in 0..<n { try body(&reader, row) }
        case 1:
            let present = try reader.bytes((n + 7) / 8)
            for row in 0..<n where isSet(row, in: present) { try body(&reader, row) }
        default: throw reader.malformed("presence of ids")
        }
    }

    static func decode(
        _ bytes: UnsafeRawBufferPointer, rows n: Int
    ) throws(MalformedBytes) -> [RowIDs] {
        var ids = [RowIDs](repeating: .none, count: n)
        var reader = ByteReader(bytes)
        try decode(&reader, n) { (reader, rows) throws(MalformedBytes) in
            let high = try reader.u64(), low = try reader.u64()
            for row in rows {
                ids[row].traceHigh = high
                ids[row].traceLow = low
            }
        }
        try decode(&reader, n) { (reader, rows) throws(MalformedBytes) in
            let span = try reader.u64()
            for row in rows { ids[row].span = span }
        }
        guard reader.isAtEnd else { throw reader.malformed("end of ids") }
        return ids
    }

    private static func decode(
        _ reader: inout ByteReader, _ n: Int,
        _ read: (inout ByteReader, Range<Int>) throws(MalformedBytes) -> Void
    ) throws(MalformedBytes) {
        switch try reader.u8() {
        case LogFormat.Identifier.none: break
        case LogFormat.Identifier.constant: try read(&reader, 0..<n)
        case LogFormat.Identifier.all: for row in 0..<n { try read(&reader, row..<(row + 1)) }
        case LogFormat.Identifier.some:
            let present = try reader.bytes((n + 7) / 8)
            for row in 0..<n where isSet(row, in: present) { try read(&reader, row..<(row + 1)) }
        default: throw reader.malformed("kind of id column")
        }
    }
}

/// One bit per row, low bit first.
func bitmap(of n: Int, _ isSet: (Int) -> Bool) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: (n + 7) / 8)
    for i in 0..<n where isSet(i) { bytes[i >> 3] |= 1 << UInt8(i & 7) }
    return bytes
}

func isSet(_ i: Int, in bitmap: UnsafeRawBufferPointer) -> Bool {
    bitmap[i >> 3] >> UInt8(i & 7) & 1 == 1
}
