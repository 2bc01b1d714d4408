// SPDX-License-Identifier: Apache-2.0
// Calls as the bytes of a section.

import Base
import Storage
import Telemetry

/// See `CorrelationFormat`, section 9.
extension CallIndex {
    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.varint(names.texts.count)
        for text in names.texts { writer.lengthPrefixed(text) }
        writer.varint(edges.count)
        let sortedEdges = edges.sorted {
            ($0.key.bucket, $0.key.caller, $0.key.callee)
                < ($1.key.bucket, $1.key.caller, $1.key.callee)
        }
        for (edge, counts) in sortedEdges {
            writer.zigzag(edge.bucket)
            writer.varint(UInt64(edge.caller))
            writer.varint(UInt64(edge.callee))
            writer.varint(counts.count)
            writer.varint(counts.errorCount)
            counts.durations.encode(into: &writer)
        }
        writer.varint(rows.count)
        for row in rows {
            writer.u64(row.traceID.high)
            writer.u64(row.traceID.low)
        }
        for row in rows { writer.u64(row.spanID.rawValue) }
        for row in rows { writer.u8(row.flags) }
        for row in rows where row.has(CallRow.callee) { writer.u64(row.parentID.rawValue) }
        for row in rows { writer.varint(UInt64(row.service)) }
        for row in rows { writer.varint(UInt64(row.peer)) }
        var previous: Int64 = 0
        for row in rows {
            writer.zigzag(row.startNanos &- previous)
            previous = row.startNanos
        }
        for row in rows { writer.varint(UInt64(Swift.max(0, row.durationNanos))) }
        return writer.bytes
    }

    init(decoding reader: inout ByteReader) throws(MalformedBytes) {
        self.init()
        let nameCount = try reader.length(limit: reader.remaining, "number of names")
        guard nameCount > 0, try reader.lengthPrefixed().isEmpty else {
            throw reader.malformed("the empty name first")
        }
        for index in 1..<Swift.max(1, nameCount) {
            guard number(try reader.lengthPrefixed()) == UInt32(index) else {
                throw reader.malformed("names once each")
            }
        }
        func name(_ reader: inout ByteReader) throws(MalformedBytes) -> UInt32 {
            let number = try reader.length(limit: nameCount - 1, "number of a name")
            return UInt32(truncatingIfNeeded: number)
        }
        let edgeCount = try reader.length(limit: reader.remaining, "number of edges")
        for _ in 0..<edgeCount {
            let bucket = try reader.zigzag()
            let edge = CallEdge(
                bucket: bucket, caller: try name(&reader), callee: try name(&reader))
            var counts = OperationCounts()
            counts.count = try reader.varint()
            counts.errorCount = try reader.varint()
            counts.durations = try DurationHistogram(from: &reader)
            add(edge, counts)
        }
        let n = try reader.length(limit: reader.remaining / 24, "number of calls")
        var rows: [CallRow] = []
        rows.reserveCapacity(n)
        for _ in 0..<n {
            rows.append(
                CallRow(
                    traceID: TraceID(high: try reader.u64(), low: try reader.u64()),
                    spanID: .zero, startNanos: 0, durationNanos: 0, service: 0))
        }
        for i in 0..<n { rows[i].spanID = SpanID(try reader.u64()) }
        for i in 0..<n { rows[i].flags = try reader.u8() }
        for i in 0..<n where rows[i].has(CallRow.callee) {
            rows[i].parentID = SpanID(try reader.u64())
        }
        for i in 0..<n { rows[i].service = try name(&reader) }
        for i in 0..<n { rows[i].peer = try name(&reader) }
        var start: Int64 = 0
        for i in 0..<n {
            start = start &+ (try reader.zigzag())
            rows[i].startNanos = start
        }
        for i in 0..<n {
            rows[i].durationNanos = Int64(try reader.length(limit: Int.max, "duration"))
        }
        for row in rows { add(row) }
    }
}
