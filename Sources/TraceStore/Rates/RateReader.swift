// SPDX-License-Identifier: Apache-2.0
// Spans per operation and minute: reading.

import Base
import Telemetry

/// An entry of a `RateTable`.
struct RateEntry {
    var minute: Int64
    var kind: UInt8
    var status: UInt8
    var durations: DurationHistogram
    /// Rows of the part; below its row count.
    var slowest: Int
    var other: Int
}

enum RateReader {
    /// Reads what `RateTable` wrote.
    ///
    /// - Parameters:
    ///   - limit: rows of the part.
    ///   - isWanted: asked for each operation before its entries are read.
    static func read(
        _ section: UnsafeRawBufferPointer, rows limit: Int,
        _ isWanted: (_ service: UnsafeRawBufferPointer, _ name: UnsafeRawBufferPointer) -> Bool,
        _ body: (
            _ service: UnsafeRawBufferPointer, _ name: UnsafeRawBufferPointer, RateEntry
        ) -> Void
    ) throws(MalformedBytes) {
        var reader = ByteReader(section)
        guard try reader.u8() == TraceFormat.version else {
            throw reader.malformed("rates version \(TraceFormat.version)")
        }
        let n = try reader.length(limit: reader.remaining, "number of operations")
        for _ in 0..<n {
            let service = try reader.lengthPrefixed()
            let name = try reader.lengthPrefixed()
            var entries = ByteReader(try reader.lengthPrefixed())
            guard isWanted(service, name) else { continue }
            var minute: Int64 = 0
            while !entries.isAtEnd {
                minute = minute &+ (try entries.zigzag())
                body(service, name, try entry(&entries, minute, limit))
            }
        }
        guard reader.isAtEnd else { throw reader.malformed("the end of rates") }
    }

    private static func entry(
        _ reader: inout ByteReader, _ minute: Int64, _ limit: Int
    ) throws(MalformedBytes) -> RateEntry {
        let kind = try reader.u8(), status = try reader.u8()
        let count = try reader.length(limit: limit, "spans of a minute")
        var durations = DurationHistogram()
        let runs = try reader.length(limit: reader.remaining / 2, "number of buckets")
        var bucket = 0
        for _ in 0..<runs {
            bucket += try reader.length(limit: Int(DurationHistogram.maxIndex), "bucket")
            guard bucket <= Int(DurationHistogram.maxIndex) else {
                throw reader.malformed("bucket")
            }
            let spans = try reader.length(limit: limit, "spans of a bucket")
            durations.add(index: UInt16(bucket), count: UInt64(spans))
        }
        guard durations.count == UInt64(count) else {
            throw reader.malformed("\(count) spans in buckets")
        }
        let slowest = try reader.length(limit: Int.max, "row")
        let other = Int64(slowest) &+ (try reader.zigzag())
        guard slowest < limit, other >= 0, other < Int64(limit) else {
            throw reader.malformed("row below \(limit)")
        }
        return RateEntry(
            minute: minute, kind: kind, status: status, durations: durations, slowest: slowest,
            other: Int(other))
    }
}
