// SPDX-License-Identifier: Apache-2.0
// Log batches as log records hold them; the same diagram is in docs/formats/log-record.md.

import Base

/// Encoding of a `LogBatch`, little-endian, columns as they lie in memory:
///
///     u8 version = 1 | u8 columns (1 metadata, 2 trace ids, 4 span ids)
///     varint arenaCount  | arena bytes
///     varint streamCount | per stream: varint offset, varint count      (canonical labels)
///     varint rowCount
///     u32 × rowCount         index of the stream
///     i64 × rowCount         nanoseconds
///     (u32, u32) × rowCount  line: offset and count in the arena
///     (u32, u32) × rowCount  metadata, when the bit is set; else all empty
///     (u64, u64) × rowCount  trace ids, when the bit is set; else all absent
///     u64 × rowCount         span ids, when the bit is set; else all absent
///
/// Hashes of streams are not stored: they follow from the bytes.
package enum LogBatchFormat {
    package static let version: UInt8 = 1
    package static let hasMetadata: UInt8 = 1
    package static let hasTraceIDs: UInt8 = 2
    package static let hasSpanIDs: UInt8 = 4
    /// Largest arena, in bytes.
    package static let maxArenaCount = 1 << 30
}

extension LogBatch {
    /// Appends the batch as `init(decoding:)` reads it. Costs little more than the copy.
    package func encode(into writer: inout ByteWriter) {
        for piece in encodedPieces() { writer.raw(piece) }
    }

    /// The batch as `init(decoding:)` reads it, in pieces of which one is the arena itself, not
    /// copied.
    package func encodedPieces() -> [[UInt8]] {
        let n = rowCount
        var head = ByteWriter(reserving: 16)
        var columns: UInt8 = 0
        if metadata.contains(where: { !$0.isEmpty }) { columns |= LogBatchFormat.hasMetadata }
        if traceIDs.contains(where: { !$0.isZero }) { columns |= LogBatchFormat.hasTraceIDs }
        if spanIDs.contains(where: { !$0.isZero }) { columns |= LogBatchFormat.hasSpanIDs }
        head.u8(LogBatchFormat.version)
        head.u8(columns)
        head.varint(arena.count)
        let perRow = 20 + 8 + 24
        var writer = ByteWriter(reserving: n * perRow + streams.count * 10 + 32)
        writer.varint(streams.count)
        for stream in streams {
            writer.varint(Int(stream.slice.offset))
            writer.varint(Int(stream.slice.count))
        }
        writer.varint(n)
        writer.column(rowStreams)
        writer.column(nanos)
        writer.column(lines)
        if columns & LogBatchFormat.hasMetadata != 0 { writer.column(metadata) }
        if columns & LogBatchFormat.hasTraceIDs != 0 { writer.column(traceIDs) }
        if columns & LogBatchFormat.hasSpanIDs != 0 { writer.column(spanIDs) }
        return [head.bytes, arena, writer.bytes]
    }

    /// Reads what `encode` wrote. Every length, index and slice is checked, and labels and metadata
    /// must be canonical, so what is accepted can be appended without further checks.
    ///
    /// - Throws: `MalformedBytes` with the offset inside the record.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        self.init()
        var reader = ByteReader(bytes)
        let version = try reader.u8()
        guard version == LogBatchFormat.version else {
            throw MalformedBytes(offset: 0, expected: "log batch version \(LogBatchFormat.version)")
        }
        let columns = try reader.u8()
        guard columns < 8 else { throw MalformedBytes(offset: 1, expected: "known columns") }
        let arenaCount = try reader.length(
            limit: min(reader.remaining, LogBatchFormat.maxArenaCount), "arena size")
        let arenaBytes = try reader.bytes(arenaCount)
        arena = [UInt8](arenaBytes)

        // A stream takes two bytes at least, so the count cannot exceed what is left.
        let streamCount = try reader.length(limit: reader.remaining, "number of streams")
        streams.reserveCapacity(streamCount)
        for _ in 0..<streamCount {
            let offset = try reader.length(limit: arenaCount, "stream offset")
            let count = try reader.length(limit: arenaCount - offset, "stream size")
            let labels = UnsafeRawBufferPointer(rebasing: arenaBytes[offset..<(offset + count)])
            guard isCanonicalLabels(labels) else { throw reader.malformed("canonical labels") }
            streams.append(
                LabelsRef(slice: ByteSlice(offset: offset, count: count), hash: hash64(labels)))
        }

        let n = try reader.length(limit: reader.remaining, "number of rows")
        rowStreams = try reader.column(n, of: UInt32.self)
        guard rowStreams.allSatisfy({ Int($0) < streamCount }) else {
            throw reader.malformed("stream index below \(streamCount)")
        }
        nanos = try reader.column(n, of: Int64.self)
        lines = try reader.column(n, of: ByteSlice.self)
        guard lines.allSatisfy({ UInt64($0.offset) + UInt64($0.count) <= UInt64(arenaCount) })
        else { throw reader.malformed("line inside the arena") }

        if columns & LogBatchFormat.hasMetadata != 0 {
            metadata = try reader.column(n, of: ByteSlice.self)
            var previous = ByteSlice.empty
            for slice in metadata where slice != previous {
                guard UInt64(slice.offset) + UInt64(slice.count) <= UInt64(arenaCount),
                    isCanonicalLabels(UnsafeRawBufferPointer(rebasing: arenaBytes[slice.range]))
                else { throw reader.malformed("canonical metadata inside the arena") }
                previous = slice
            }
        } else {
            metadata = [ByteSlice](repeating: .empty, count: n)
        }
        if columns & LogBatchFormat.hasTraceIDs != 0 {
            let (words, overflow) = n.multipliedReportingOverflow(by: 2)
            guard !overflow else { throw reader.malformed("trace ids") }
            let raw = try reader.column(words, of: UInt64.self)
            traceIDs = (0..<n).map { TraceID(high: raw[2 * $0], low: raw[2 * $0 + 1]) }
        } else {
            traceIDs = [TraceID](repeating: .zero, count: n)
        }
        if columns & LogBatchFormat.hasSpanIDs != 0 {
            spanIDs = try reader.column(n, of: UInt64.self).map { SpanID($0) }
        } else {
            spanIDs = [SpanID](repeating: .zero, count: n)
        }
        guard reader.isAtEnd else { throw reader.malformed("end of the record") }
    }
}
