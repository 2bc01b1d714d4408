// SPDX-License-Identifier: Apache-2.0
// How large a span is as a message.

import Base
import Telemetry

extension OTLPTraces {
    /// Bytes of one span's `Span` message in protobuf, without the resource and scope around it:
    /// what `encode` would write for it. O(bytes of the span), allocates nothing.
    package static func protobufSize(of row: Int, in batch: SpanBatch) -> Int {
        var size = 18 + 10  // ids
        size += field(batch.traceStates[row])
        if !batch.parentIDs[row].isZero { size += 10 }
        size += field(batch.names[row])
        if batch.kinds[row] != 0 { size += 2 }
        if batch.startNanos[row] != 0 { size += 9 }
        if batch.endNanos[row] != 0 { size += 9 }
        size += number(batch.droppedAttributes[row]) + number(batch.droppedEvents[row])
        size += number(batch.droppedLinks[row])
        if batch.statusCodes[row] != 0 || !batch.statusMessages[row].isEmpty {
            size += field(field(batch.statusMessages[row]) + (batch.statusCodes[row] == 0 ? 0 : 2))
        }
        if batch.flags[row] != 0 { size += 6 }
        // The lists were written by our decoders: reading them cannot fail. If it did, the size is
        // that of what comes before.
        batch.arena.withUnsafeBytes { arena in
            func list(_ slice: ByteSlice) -> ByteReader {
                ByteReader(UnsafeRawBufferPointer(rebasing: arena[slice.range]))
            }
            var attributes = list(batch.attributes[row])
            size += (try? attributesSize(&attributes)) ?? 0
            var events = list(batch.events[row])
            while !events.isAtEnd, let event = try? eventSize(&events) { size += field(event) }
            var links = list(batch.links[row])
            while !links.isAtEnd, let link = try? linkSize(&links) { size += field(link) }
        }
        return size
    }

    /// Bytes of a length-delimited field below 16 with so much in it.
    private static func field(_ content: Int) -> Int {
        1 + ByteWriter.varintCount(UInt64(content)) + content
    }
    private static func field(_ text: ByteSlice) -> Int {
        text.isEmpty ? 0 : field(Int(text.count))
    }
    private static func number(_ value: UInt32) -> Int {
        value == 0 ? 0 : 1 + ByteWriter.varintCount(UInt64(value))
    }

    private static func eventSize(_ reader: inout ByteReader) throws(MalformedBytes) -> Int {
        var size = try reader.i64() == 0 ? 0 : 9
        size += number(UInt32(truncatingIfNeeded: try reader.varint()))
        let name = try reader.lengthPrefixed().count
        if name > 0 { size += field(name) }
        var attributes = ByteReader(try reader.lengthPrefixed())
        return size + (try attributesSize(&attributes))
    }

    private static func linkSize(_ reader: inout ByteReader) throws(MalformedBytes) -> Int {
        try reader.skip(24)
        var size = 18 + 10
        if try reader.u32() != 0 { size += 5 }
        size += number(UInt32(truncatingIfNeeded: try reader.varint()))
        let state = try reader.lengthPrefixed().count
        if state > 0 { size += field(state) }
        var attributes = ByteReader(try reader.lengthPrefixed())
        return size + (try attributesSize(&attributes))
    }

    private static func attributesSize(_ reader: inout ByteReader) throws(MalformedBytes) -> Int {
        var size = 0
        while !reader.isAtEnd { size += field(try pairSize(&reader, depth: 0)) }
        return size
    }

    private static func pairSize(
        _ reader: inout ByteReader, depth: Int
    ) throws(MalformedBytes) -> Int {
        let key = try reader.lengthPrefixed().count
        return (key == 0 ? 0 : field(key)) + field(try valueSize(&reader, depth: depth))
    }

    private static func valueSize(
        _ reader: inout ByteReader, depth: Int
    ) throws(MalformedBytes) -> Int {
        guard depth < AttributeCoding.maxDepth,
            let type = AttributeType(rawValue: try reader.u8())
        else { throw reader.malformed("attribute value") }
        switch type {
        case .empty: return 0
        case .string, .bytes: return field(try reader.lengthPrefixed().count)
        case .bool:
            try reader.skip(1)
            return 2
        case .int: return 1 + ByteWriter.varintCount(UInt64(bitPattern: try reader.zigzag()))
        case .double:
            try reader.skip(8)
            return 9
        case .array, .map:
            var size = 0
            let n = try reader.length(limit: reader.remaining, "number of elements")
            for _ in 0..<n {
                size += field(
                    type == .array
                        ? try valueSize(&reader, depth: depth + 1)
                        : try pairSize(&reader, depth: depth + 1))
            }
            return field(size)
        }
    }
}
