// SPDX-License-Identifier: Apache-2.0
// Spans per operation and minute: writing.

import Base
import Telemetry

/// Counts, durations and exemplars per (service, span name, minute, kind, status), added up while the
/// rows of a part are written. So rates, errors and quantiles of any time are read without a span.
///
///     u8 version | varint n, n operations by service and name:
///     operation = service, name (varint count + bytes each) | varint count of the entries' bytes,
///                 entries one after the other
///     entry     = zigzag minute less that of the one before | u8 kind | u8 status | varint spans |
///                 varint k, k × (varint bucket less the one before, varint spans) |
///                 varint row of the slowest | zigzag row of another − that of the slowest
///
/// Minute m begins 60 × m seconds after 1970. Buckets are those of `DurationHistogram`. The other row
/// is that of the least mixed span id: as good as random, and the same whatever was merged.
struct RateTable {
    private struct Entry {
        var kind: UInt8
        var status: UInt8
        var buckets: [UInt16] = []
        var slowest = 0
        var slowestNanos: Int64 = -1
        var other = 0
        var otherRank = UInt64.max
    }
    private var operations = ByteWriter()
    private var operationCount = 0
    private var service: [UInt8] = []
    private var name: [UInt8] = []
    private var hasOperation = false
    private var entries = ByteWriter()
    private var lastMinute: Int64 = 0
    private var minute: Int64 = 0
    /// Of the present minute.
    private var present: [Entry] = []

    /// Adds a row; rows come in the order of the part.
    mutating func add(
        service: UnsafeRawBufferPointer, name: UnsafeRawBufferPointer, kind: UInt8, status: UInt8,
        start: Int64, end: Int64, spanID: SpanID, row: Int
    ) {
        let isSame =
            hasOperation && self.name.withUnsafeBytes { equalBytes($0, name) }
            && self.service.withUnsafeBytes { equalBytes($0, service) }
        if !isSame {
            endOperation()
            hasOperation = true
            self.service = [UInt8](service)
            self.name = [UInt8](name)
        }
        let minute = RateTable.minute(start)
        if minute != self.minute { endMinute() }
        self.minute = minute
        var index = present.firstIndex { $0.kind == kind && $0.status == status } ?? present.count
        if index == present.count {
            present.append(Entry(kind: kind, status: status))
            index = present.count - 1
        }
        let nanos = distance(start, end)
        present[index].buckets.append(DurationHistogram.index(nanos))
        if nanos > present[index].slowestNanos {
            present[index].slowestNanos = nanos
            present[index].slowest = row
        }
        let rank = RateTable.rank(spanID)
        if rank < present[index].otherRank {
            present[index].otherRank = rank
            present[index].other = row
        }
    }

    /// Number of the minute a time falls into, rounding towards the past.
    static func minute(_ nanos: Int64) -> Int64 {
        nanos / width - (nanos % width < 0 ? 1 : 0)
    }

    /// Which span is as good as random: the one of the least rank.
    static func rank(_ id: SpanID) -> UInt64 {
        foldedProduct(id.rawValue ^ 0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9)
    }

    /// Of a minute, in nanoseconds.
    static let width: Int64 = 60_000_000_000

    private mutating func endMinute() {
        for entry in present.sorted(by: { ($0.kind, $0.status) < ($1.kind, $1.status) }) {
            let buckets = entry.buckets.sorted()
            var runs: [(bucket: UInt16, count: Int)] = []
            for bucket in buckets {
                if let last = runs.last, last.bucket == bucket {
                    runs[runs.count - 1].count += 1
                } else {
                    runs.append((bucket, 1))
                }
            }
            let entry = RateEntry(
                minute: minute, kind: entry.kind, status: entry.status,
                durations: DurationHistogram(), slowest: entry.slowest, other: entry.other)
            RateTable.encode(after: lastMinute, entry, runs: runs, into: &entries)
            lastMinute = minute
        }
        present.removeAll(keepingCapacity: true)
    }

    /// Writes an entry.
    ///
    /// - Parameters:
    ///   - last: minute of the entry before.
    ///   - entry: all but its durations.
    ///   - runs: spans by bucket, ascending, none of them 0.
    static func encode(
        after last: Int64, _ entry: RateEntry, runs: [(bucket: UInt16, count: Int)],
        into writer: inout ByteWriter
    ) {
        writer.zigzag(entry.minute - last)
        writer.u8(entry.kind)
        writer.u8(entry.status)
        writer.varint(runs.reduce(0) { $0 + $1.count })
        writer.varint(runs.count)
        var previous: UInt16 = 0
        for run in runs {
            writer.varint(Int(run.bucket - previous))
            writer.varint(run.count)
            previous = run.bucket
        }
        writer.varint(entry.slowest)
        writer.zigzag(Int64(entry.other - entry.slowest))
    }

    private mutating func endOperation() {
        guard hasOperation else { return }
        endMinute()
        operations.lengthPrefixed(service)
        operations.lengthPrefixed(name)
        operations.lengthPrefixed(entries.bytes)
        operationCount += 1
        entries.bytes.removeAll(keepingCapacity: true)
        lastMinute = 0
        minute = 0
    }

    consuming func encode() -> [UInt8] {
        endOperation()
        var writer = ByteWriter(reserving: operations.count + 16)
        writer.u8(TraceFormat.version)
        writer.varint(operationCount)
        writer.raw(operations.bytes)
        return writer.bytes
    }
}
