// SPDX-License-Identifier: Apache-2.0
// The codings of single columns.

import Base
import Telemetry
import Testing

@testable import LogStore

@Suite struct ColumnTests {
    private func timeBytes(_ nanos: [Int64]) -> [UInt8] {
        var writer = ByteWriter()
        TimeColumn.encode(nanos, into: &writer)
        return writer.bytes
    }

    private func times(_ bytes: [UInt8], _ n: Int) throws -> [Int64] {
        try parse(bytes) { reader throws(MalformedBytes) in
            try TimeColumn.decode(&reader, rows: n)
        }
    }

    @Test func timesComeBackInEveryShape() throws {
        var numbers = SeededNumbers(4)
        let start: Int64 = 1_700_000_000_123_456_789
        let day = 86_399_999_999_999
        var cases: [[Int64]] = [
            [start], [start, start], [start, start + 5], [0, 0, 0], [-10, -3, 0],
            (0..<1000).map { start + $0 * 1_000_000_000 },
            (0..<1000).map { start + $0 * 1_000_000_000 + ($0 % 2) * 1_000_000 },
            [start, start, start + 1, start + 1], [start, start + Int64(day)],
            [.min, 0, .max],
        ]
        for spread in [2, 1000, 1_000_000_000] {
            for unit in [1, 1_000_000] as [Int64] {
                cases.append(
                    (0..<500).map { _ in start + unit * Int64(numbers.below(spread)) }.sorted())
            }
        }
        for nanos in cases {
            #expect(try times(timeBytes(nanos), nanos.count) == nanos)
        }
    }

    @Test func regularTimesTakeFewBytes() {
        let start: Int64 = 1_700_000_000_000_000_000
        #expect(timeBytes((0..<10_000).map { start + $0 * 15_000_000_000 }).count < 20)
        // Milliseconds that vary by less than 64 around a step: one byte a row.
        let jittered = (0..<1000).map { start + ($0 * 100 + $0 * 7 % 13) * 1_000_000 }
        #expect(timeBytes(jittered).count < 1020)
    }

    @Test func noisyDistancesLieInPlanes() throws {
        var numbers = SeededNumbers(6)
        let nanos = (0..<2000).map { _ in Int64(numbers.below(100_000_000_000)) }.sorted()
        let bytes = timeBytes(nanos)
        #expect(bytes[0] == LogFormat.Time.planes)
        #expect(try times(bytes, nanos.count) == nanos)
        for _ in 0..<2000 {
            var damaged = bytes
            damaged[numbers.below(16)] = UInt8(truncatingIfNeeded: numbers.next())
            if numbers.chance(30) { damaged.removeLast(numbers.below(bytes.count)) }
            // Refused or other times: never a crash.
            _ = try? times(damaged, nanos.count)
        }
    }

    @Test func timesThatDescendAreRefused() {
        var writer = ByteWriter()
        writer.u8(LogFormat.Time.constantStep)
        writer.zigzag(10)
        writer.varint(UInt64(bitPattern: -1))
        #expect(throws: MalformedBytes.self) { try times(writer.bytes, 3) }
    }

    private func metadataBytes(_ rows: [Labels], _ ids: [RowIDs]) -> [UInt8] {
        var encoder = MetadataEncoder()
        for row in rows { row.bytes.withUnsafeBytes { encoder.append($0) } }
        var writer = ByteWriter()
        _ = encoder.encode(ids: ids, into: &writer)
        return writer.bytes
    }

    private func metadata(_ bytes: [UInt8], _ ids: [RowIDs]) throws -> [Labels] {
        let shared = SharedBytes(bytes)
        let columns = try MetadataColumns(shared.buffer, owner: shared, rows: ids.count)
        return ids.indices.map { row in
            var out: [UInt8] = []
            columns.append(row: row, ids: ids[row], into: &out)
            return Labels(canonical: out)
        }
    }

    @Test func metadataComesBackInEveryCoding() throws {
        let n = 1000
        let ids = (0..<n).map { row in
            row % 3 == 0
                ? RowIDs.none
                : RowIDs(
                    traceHigh: 0, traceLow: UInt64(row) &* 0x9e37_79b9_7f4a_7c15,
                    span: UInt64(row))
        }
        let rows = (0..<n).map { row -> Labels in
            var pairs = [("constant", "c"), ("few", "v\(row % 7)"), ("many", "m\(row)")]
            if row % 2 == 0 { pairs.append(("half", "h")) }
            if row % 5 == 0 { pairs.append(("rare", "r\(row % 300)")) }
            if ids[row] != .none {
                pairs.append(("trace_id", ids[row].trace.description))
                pairs.append(("span_id", ids[row].spanID.description))
            }
            return Labels(pairs.map { (name: $0.0, value: $0.1) })
        }
        let bytes = metadataBytes(rows, ids)
        #expect(try metadata(bytes, ids) == rows)
        // The ids themselves are not stored again.
        #expect(bytes.count < n * 12)
        // An id in another case is kept as it was sent.
        let upper = rows.map { row -> Labels in
            var builder = LabelsBuilder(row)
            if let id = row["trace_id"] { builder.set("trace_id", id.uppercased()) }
            return builder.labels()
        }
        #expect(try metadata(metadataBytes(upper, ids), ids) == upper)
    }

    @Test func identifiersComeBackInEveryCoding() throws {
        let one = RowIDs(traceHigh: 1, traceLow: 2, span: 3)
        let cases: [[RowIDs]] = [
            [one], [one, one, one],
            (0..<100).map { RowIDs(traceHigh: 9, traceLow: UInt64($0), span: 0) },
            (0..<100).map { RowIDs(traceHigh: 0, traceLow: UInt64($0 % 2), span: UInt64($0 % 3)) },
            [.none, .none, RowIDs(traceHigh: 0, traceLow: 0, span: 1)],
        ]
        for ids in cases {
            var writer = ByteWriter()
            IdentifierColumns.encode(ids, into: &writer)
            let got = try writer.bytes.withUnsafeBytes {
                try IdentifierColumns.decode($0, rows: ids.count)
            }
            #expect(got == ids)
        }
        var writer = ByteWriter()
        IdentifierColumns.encode([.none, .none], into: &writer)
        #expect(writer.count == 0)
    }

    /// Checksums stand before the decoders; here the bytes are wrong all the same.
    @Test func decodersOfColumnsNeverCrash() throws {
        var numbers = SeededNumbers(8)
        var maker = RowMaker(seed: 8)
        let rows = maker.rows(120)
        let ids = rows.map { RowIDs($0.trace, $0.span) }
        let sorted = rows.map(\.nanos).sorted()
        var lengths = ByteWriter()
        LengthColumn.encode(rows.map { UInt32($0.line.count) }, into: &lengths)
        var identifiers = ByteWriter()
        IdentifierColumns.encode(ids, into: &identifiers)
        let streams = StreamIndex(Set(rows.map(\.stream)).sorted())
        let total = rows.reduce(0) { $0 + $1.line.count }
        let columns = [
            timeBytes(sorted), metadataBytes(rows.map(\.metadata), ids), lengths.bytes,
            identifiers.bytes, streams.encodedSymbols(), streams.encodedStreams(),
            streams.encodedPostings(),
        ]
        var refused = 0
        for round in 0..<6000 {
            let kind = round % columns.count
            var bytes = columns[kind]
            for _ in 0...numbers.below(3) {
                bytes[numbers.below(bytes.count)] = UInt8(truncatingIfNeeded: numbers.next())
            }
            if numbers.chance(20) { bytes.removeLast(numbers.below(bytes.count)) }
            do {
                switch kind {
                case 0: _ = try times(bytes, sorted.count)
                case 1: _ = try metadata(bytes, ids)
                case 2:
                    _ = try parse(bytes) { reader throws(MalformedBytes) in
                        try LengthColumn.decode(&reader, rows: rows.count, total: total)
                    }
                case 3:
                    _ = try bytes.withUnsafeBytes {
                        try IdentifierColumns.decode($0, rows: rows.count)
                    }
                default:
                    let index = try StreamIndex(
                        symbols: kind == 4 ? bytes : columns[4],
                        streams: kind == 5 ? bytes : columns[5],
                        postings: kind == 6 ? bytes : columns[6])
                    _ = index.matching([LabelMatcher(equal: "app", "app-1")])
                }
            } catch is MalformedBytes { refused += 1 }
        }
        #expect(refused > 1000)
    }
}
