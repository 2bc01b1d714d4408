// SPDX-License-Identifier: Apache-2.0
// Events and links of a span, encoded in the arena.

import Base

/// An event of a span, decoded.
package struct SpanEvent: Sendable, Equatable {
    package var nanos: Int64
    package var name: String
    package var droppedAttributes: UInt32
    /// `AttributeCoding` list.
    package var attributes: [UInt8]
    package init(nanos: Int64, name: String, droppedAttributes: UInt32, attributes: [UInt8]) {
        self.nanos = nanos
        self.name = name
        self.droppedAttributes = droppedAttributes
        self.attributes = attributes
    }
}

/// List of events: repeated { i64 nanos, varint dropped, name, attribute list }, the last two
/// preceded by their byte counts.
package enum SpanEventCoding {
    package static func encode(
        nanos: Int64, name: UnsafeRawBufferPointer, droppedAttributes: UInt32,
        attributes: UnsafeRawBufferPointer, into writer: inout ByteWriter
    ) {
        writer.i64(nanos)
        writer.varint(UInt64(droppedAttributes))
        writer.lengthPrefixed(name)
        writer.lengthPrefixed(attributes)
    }

    package static func decode(
        _ bytes: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> [SpanEvent] {
        var reader = ByteReader(bytes)
        var events: [SpanEvent] = []
        while !reader.isAtEnd {
            let nanos = try reader.i64()
            let dropped = try reader.length(limit: Int(UInt32.max), "dropped count")
            let name = String(decoding: try reader.lengthPrefixed(), as: UTF8.self)
            let attributes = [UInt8](try reader.lengthPrefixed())
            events.append(
                SpanEvent(
                    nanos: nanos, name: name, droppedAttributes: UInt32(dropped),
                    attributes: attributes))
        }
        return events
    }
}

/// A link from a span to another, decoded.
package struct SpanLink: Sendable, Equatable {
    package var traceID: TraceID
    package var spanID: SpanID
    package var flags: UInt32
    package var droppedAttributes: UInt32
    package var traceState: String
    /// `AttributeCoding` list.
    package var attributes: [UInt8]
    package init(
        traceID: TraceID, spanID: SpanID, flags: UInt32, droppedAttributes: UInt32,
        traceState: String, attributes: [UInt8]
    ) {
        self.traceID = traceID
        self.spanID = spanID
        self.flags = flags
        self.droppedAttributes = droppedAttributes
        self.traceState = traceState
        self.attributes = attributes
    }
}

/// List of links: repeated { u64 high, u64 low, u64 span id, u32 flags, varint dropped, trace
/// state, attribute list }, the last two preceded by their byte counts.
package enum SpanLinkCoding {
    package static func encode(
        traceID: TraceID, spanID: SpanID, flags: UInt32, droppedAttributes: UInt32,
        traceState: UnsafeRawBufferPointer, attributes: UnsafeRawBufferPointer,
        into writer: inout ByteWriter
    ) {
        writer.u64(traceID.high)
        writer.u64(traceID.low)
        writer.u64(spanID.rawValue)
        writer.u32(flags)
        writer.varint(UInt64(droppedAttributes))
        writer.lengthPrefixed(traceState)
        writer.lengthPrefixed(attributes)
    }

    package static func decode(
        _ bytes: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> [SpanLink] {
        var reader = ByteReader(bytes)
        var links: [SpanLink] = []
        while !reader.isAtEnd {
            let id = TraceID(high: try reader.u64(), low: try reader.u64())
            let spanID = SpanID(try reader.u64())
            let flags = try reader.u32()
            let dropped = try reader.length(limit: Int(UInt32.max), "dropped count")
            let state = String(decoding: try reader.lengthPrefixed(), as: UTF8.self)
            let attributes = [UInt8](try reader.lengthPrefixed())
            links.append(
                SpanLink(
                    traceID: id, spanID: spanID, flags: flags, droppedAttributes: UInt32(dropped),
                    traceState: state, attributes: attributes))
        }
        return links
    }
}
