// SPDX-License-Identifier: Apache-2.0
// Calls as the bytes of a section.

import Base
import Storage
import Telemetry

/// See `CorrelationFormat`, section 12.
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
        encodeRows(into: &writer)
        return writer.bytes
    }

    /// Rows by five minutes, side and key, column by column.
    private func encodeRows(into writer: inout ByteWriter) {
        let sorted = rows.sorted { a, b in
            if a.bucket != b.bucket { return a.bucket < b.bucket }
            let side = a.flags & CallRow.callee, other = b.flags & CallRow.callee
            return side == other ? a.span < b.span : side < other
        }
        let groups = CallIndex.groups(sorted)
        writer.varint(groups.count)
        for group in groups {
            writer.zigzag(Int64(sorted[group.lowerBound].bucket))
            writer.varint(group.count << 1 | Int(sorted[group.lowerBound].flags & CallRow.callee))
        }
        for group in groups {
            var previous: UInt64 = 0
            for row in sorted[group] {
                writer.varint(row.span - previous)
                previous = row.span
            }
        }
        for row in sorted where row.has(CallRow.callee) {
            writer.u32(UInt32(truncatingIfNeeded: row.parent))
            writer.u8(UInt8(truncatingIfNeeded: row.parent &>> 32))
        }
        for row in sorted { writer.u8(row.flags) }
        for row in sorted { writer.varint(UInt64(row.service)) }
        for row in sorted where !row.has(CallRow.callee) { writer.varint(UInt64(row.peer)) }
        for row in sorted { writer.u8(UInt8(truncatingIfNeeded: row.duration)) }
        for row in sorted { writer.u8(UInt8(truncatingIfNeeded: row.duration &>> 8)) }
    }

    /// Runs of rows of the same five minutes and side.
    private static func groups(_ sorted: [CallRow]) -> [Range<Int>] {
        var groups: [Range<Int>] = []
        var start = 0
        for place in sorted.indices.dropFirst() {
            let row = sorted[place], first = sorted[start]
            if row.bucket != first.bucket || (row.flags ^ first.flags) & CallRow.callee != 0 {
                groups.append(start..<place)
                start = place
            }
        }
        if start < sorted.count { groups.append(start..<sorted.count) }
        return groups
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
        try decodeRows(&reader, name)
    }

    private mutating func decodeRows(
        _ reader: inout ByteReader, _ name: (inout ByteReader) throws(MalformedBytes) -> UInt32
    ) throws(MalformedBytes) {
        var rows: [CallRow] = []
        let groupCount = try reader.length(limit: reader.remaining / 2, "number of groups")
        var ends: [Int] = []
        for _ in 0..<groupCount {
            let bucket = try reader.zigzag()
            // Beyond these numbers no nanosecond falls.
            guard abs(bucket / 2) < Int64.max / ServiceBucket.width else {
                throw reader.malformed("bucket number")
            }
            // A row takes five bytes at least.
            let coded = try reader.length(limit: reader.remaining / 5 * 2 + 1, "rows of a group")
            guard coded / 2 <= reader.remaining / 5 - rows.count else {
                throw reader.malformed("rows within the section")
            }
            var row = CallRow(span: 0, bucket: Int32(truncatingIfNeeded: bucket), service: 0)
            row.flags = UInt8(coded & 1)
            rows.append(contentsOf: repeatElement(row, count: coded / 2))
            ends.append(rows.count)
        }
        var start = 0
        for end in ends {
            var span: UInt64 = 0
            for i in start..<end {
                let (next, overflow) = span.addingReportingOverflow(try reader.varint())
                guard !overflow, next &>> CallRow.keyBits == 0 else {
                    throw reader.malformed("a key of \(CallRow.keyBits) bits")
                }
                span = next
                rows[i].span = span
            }
            start = end
        }
        for i in rows.indices where rows[i].has(CallRow.callee) {
            rows[i].parent =
                UInt64(try reader.u32()) | UInt64(try reader.u8()) &<< 32
        }
        for i in rows.indices {
            let flags = try reader.u8()
            guard (flags ^ rows[i].flags) & CallRow.callee == 0 else {
                throw reader.malformed("the side of the group")
            }
            rows[i].flags = flags
        }
        for i in rows.indices { rows[i].service = try name(&reader) }
        for i in rows.indices where !rows[i].has(CallRow.callee) {
            rows[i].peer = try name(&reader)
        }
        for i in rows.indices { rows[i].duration = UInt16(try reader.u8()) }
        for i in rows.indices { rows[i].duration |= UInt16(try reader.u8()) &<< 8 }
        adopt(rows)
    }
}
