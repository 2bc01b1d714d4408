// SPDX-License-Identifier: Apache-2.0
// OTLP traces to protobuf.

import Base
import Telemetry

extension OTLPTraces {
    /// Encodes a batch as `ExportTraceServiceRequest`, which has the bytes of `TracesData` and of
    /// Tempo's `Trace`. Resources and scopes come in the batch's order, spans in theirs.
    ///
    /// - Throws: `MalformedBytes` when an attribute, event or link list of the batch is damaged.
    package static func encode(_ batch: SpanBatch) throws(MalformedBytes) -> [UInt8] {
        var writer = ProtobufWriter(reserving: batch.arena.count + 64 * batch.rowCount)
        try encode(batch, into: &writer)
        return writer.bytes
    }

    /// As `encode`, into the message at hand.
    static func encode(
        _ batch: SpanBatch, into writer: inout ProtobufWriter
    ) throws(MalformedBytes) {
        for group in batch.groupedByResource() {
            let mark = writer.begin(1)
            let resource = batch.resources[group.resource]
            let resourceMark = writer.begin(1)
            try encodeAttributes(resource.attributes, 1, batch, &writer)
            writer.uint32(2, resource.droppedAttributes)
            writer.end(resourceMark)
            for scopeGroup in group.scopes {
                let scopeMark = writer.begin(2)
                try encodeScope(batch.scopes[scopeGroup.scope], batch, &writer)
                for row in scopeGroup.rows { try encodeSpan(row, batch, &writer) }
                batch.arena.withSlice(batch.scopes[scopeGroup.scope].schemaURL) {
                    writer.bytes(3, $0)
                }
                writer.end(scopeMark)
            }
            batch.arena.withSlice(resource.schemaURL) { writer.bytes(3, $0) }
            writer.end(mark)
        }
    }

    private static func encodeAttributes(
        _ slice: ByteSlice, _ field: UInt32, _ batch: SpanBatch, _ writer: inout ProtobufWriter
    ) throws(MalformedBytes) {
        if slice.isEmpty { return }
        try batch.arena.readSlice(slice) { (list) throws(MalformedBytes) in
            try OTLPAttributes.write(list: list, field: field, into: &writer)
        }
    }

    private static func encodeScope(
        _ scope: SpanBatch.Scope, _ batch: SpanBatch, _ writer: inout ProtobufWriter
    ) throws(MalformedBytes) {
        let mark = writer.begin(1)
        batch.arena.withSlice(scope.name) { writer.bytes(1, $0) }
        batch.arena.withSlice(scope.version) { writer.bytes(2, $0) }
        try encodeAttributes(scope.attributes, 3, batch, &writer)
        writer.uint32(4, scope.droppedAttributes)
        writer.end(mark)
    }

    private static func encodeSpan(
        _ i: Int, _ batch: SpanBatch, _ writer: inout ProtobufWriter
    ) throws(MalformedBytes) {
        let mark = writer.begin(2)
        write(batch.traceIDs[i], 1, &writer)
        write(batch.spanIDs[i], 2, &writer)
        batch.arena.withSlice(batch.traceStates[i]) { writer.bytes(3, $0) }
        if !batch.parentIDs[i].isZero { write(batch.parentIDs[i], 4, &writer) }
        batch.arena.withSlice(batch.names[i]) { writer.bytes(5, $0) }
        writer.uint32(6, UInt32(batch.kinds[i]))
        writer.fixed64(7, UInt64(bitPattern: batch.startNanos[i]))
        writer.fixed64(8, UInt64(bitPattern: batch.endNanos[i]))
        try encodeAttributes(batch.attributes[i], 9, batch, &writer)
        writer.uint32(10, batch.droppedAttributes[i])
        try batch.arena.readSlice(batch.events[i]) { (list) throws(MalformedBytes) in
            try encodeEvents(list, &writer)
        }
        writer.uint32(12, batch.droppedEvents[i])
        try batch.arena.readSlice(batch.links[i]) { (list) throws(MalformedBytes) in
            try encodeLinks(list, &writer)
        }
        writer.uint32(14, batch.droppedLinks[i])
        if batch.statusCodes[i] != 0 || !batch.statusMessages[i].isEmpty {
            let status = writer.begin(15)
            batch.arena.withSlice(batch.statusMessages[i]) { writer.bytes(2, $0) }
            writer.uint32(3, UInt32(batch.statusCodes[i]))
            writer.end(status)
        }
        writer.fixed32(16, batch.flags[i])
        writer.end(mark)
    }

    private static func encodeEvents(
        _ list: UnsafeRawBufferPointer, _ writer: inout ProtobufWriter
    ) throws(MalformedBytes) {
        for event in try SpanEventCoding.decode(list) {
            let mark = writer.begin(11)
            writer.fixed64(1, UInt64(bitPattern: event.nanos))
            writer.string(2, event.name)
            try event.attributes.readBytes { (list) throws(MalformedBytes) in
                try OTLPAttributes.write(list: list, field: 3, into: &writer)
            }
            writer.uint32(4, event.droppedAttributes)
            writer.end(mark)
        }
    }

    private static func encodeLinks(
        _ list: UnsafeRawBufferPointer, _ writer: inout ProtobufWriter
    ) throws(MalformedBytes) {
        for link in try SpanLinkCoding.decode(list) {
            let mark = writer.begin(13)
            write(link.traceID, 1, &writer)
            write(link.spanID, 2, &writer)
            writer.string(3, link.traceState)
            try link.attributes.readBytes { (list) throws(MalformedBytes) in
                try OTLPAttributes.write(list: list, field: 4, into: &writer)
            }
            writer.uint32(5, link.droppedAttributes)
            writer.fixed32(6, link.flags)
            writer.end(mark)
        }
    }

    static func write(_ id: TraceID, _ field: UInt32, _ writer: inout ProtobufWriter) {
        withUnsafeBytes(of: (id.high.bigEndian, id.low.bigEndian)) {
            writer.bytes(field, $0, always: true)
        }
    }
    static func write(_ id: SpanID, _ field: UInt32, _ writer: inout ProtobufWriter) {
        withUnsafeBytes(of: id.rawValue.bigEndian) { writer.bytes(field, $0, always: true) }
    }
}
