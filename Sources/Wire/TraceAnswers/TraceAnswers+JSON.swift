// SPDX-License-Identifier: Apache-2.0
// Spans in protobuf's JSON, of OTLP's kind and of Tempo's.

import Base
import Telemetry

extension TraceAnswers {
    /// How ids and enums are written. Fields with default values are left out in both.
    enum Style {
        /// Hexadecimal ids, enums as numbers.
        case otlp
        /// Base64 ids, enums by name.
        case tempo
    }

    /// Writes an array of `ResourceSpans`.
    static func writeResourceSpans(
        _ batch: SpanBatch, _ style: Style, _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        json.beginArray()
        try writeElements(batch, style, &json)
        json.endArray()
    }

    /// Writes the `ResourceSpans` of a batch, one after the other.
    static func writeElements(
        _ batch: SpanBatch, _ style: Style, _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        for group in batch.groupedByResource() {
            let resource = batch.resources[group.resource]
            json.beginObject()
            json.key("resource")
            json.beginObject()
            try writeAttributes(resource.attributes, batch, &json)
            write("droppedAttributesCount", resource.droppedAttributes, &json)
            json.endObject()
            json.key("scopeSpans")
            json.beginArray()
            for scopeGroup in group.scopes {
                json.beginObject()
                try writeScope(batch.scopes[scopeGroup.scope], batch, &json)
                json.key("spans")
                json.beginArray()
                for row in scopeGroup.rows { try writeSpan(row, batch, style, &json) }
                json.endArray()
                write("schemaUrl", batch.scopes[scopeGroup.scope].schemaURL, batch, &json)
                json.endObject()
            }
            json.endArray()
            write("schemaUrl", resource.schemaURL, batch, &json)
            json.endObject()
        }
    }

    private static func write(_ name: String, _ value: UInt32, _ json: inout JSONWriter) {
        if value != 0 { json.member(name, Int(value)) }
    }

    private static func write(
        _ name: String, _ text: ByteSlice, _ batch: SpanBatch, _ json: inout JSONWriter
    ) {
        if text.isEmpty { return }
        json.key(name)
        batch.arena.withSlice(text) { json.string($0) }
    }

    private static func writeAttributes(
        _ slice: ByteSlice, _ batch: SpanBatch, _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        if slice.isEmpty { return }
        json.key("attributes")
        try batch.arena.readSlice(slice) { (list) throws(MalformedBytes) in
            try OTLPAttributes.write(list: list, into: &json)
        }
    }

    private static func writeAttributes(
        _ list: [UInt8], _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        if list.isEmpty { return }
        json.key("attributes")
        try list.readBytes { (list) throws(MalformedBytes) in
            try OTLPAttributes.write(list: list, into: &json)
        }
    }

    private static func writeScope(
        _ scope: SpanBatch.Scope, _ batch: SpanBatch, _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        json.key("scope")
        json.beginObject()
        write("name", scope.name, batch, &json)
        write("version", scope.version, batch, &json)
        try writeAttributes(scope.attributes, batch, &json)
        write("droppedAttributesCount", scope.droppedAttributes, &json)
        json.endObject()
    }

    private static func writeTime(_ name: String, _ nanos: Int64, _ json: inout JSONWriter) {
        if nanos != 0 { json.member(name, String(nanos)) }
    }

    private static func write(
        _ name: String, _ id: TraceID, _ style: Style, _ json: inout JSONWriter
    ) {
        json.key(name)
        switch style {
        case .otlp: json.string(id.description)
        case .tempo:
            var text: [UInt8] = []
            withUnsafeBytes(of: (id.high.bigEndian, id.low.bigEndian)) {
                appendBase64($0, to: &text)
            }
            text.withUnsafeBytes { json.string($0) }
        }
    }

    private static func write(
        _ name: String, _ id: SpanID, _ style: Style, _ json: inout JSONWriter
    ) {
        json.key(name)
        switch style {
        case .otlp: json.string(id.description)
        case .tempo:
            var text: [UInt8] = []
            withUnsafeBytes(of: id.rawValue.bigEndian) { appendBase64($0, to: &text) }
            text.withUnsafeBytes { json.string($0) }
        }
    }

    private static func writeEnum(
        _ name: String, _ value: UInt8, _ names: [String], _ style: Style, _ json: inout JSONWriter
    ) {
        guard value != 0 else { return }
        if style == .tempo, names.indices.contains(Int(value)) {
            json.member(name, names[Int(value)])
        } else {
            json.member(name, Int(value))
        }
    }

    private static func writeSpan(
        _ i: Int, _ batch: SpanBatch, _ style: Style, _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        json.beginObject()
        write("traceId", batch.traceIDs[i], style, &json)
        write("spanId", batch.spanIDs[i], style, &json)
        write("traceState", batch.traceStates[i], batch, &json)
        if !batch.parentIDs[i].isZero { write("parentSpanId", batch.parentIDs[i], style, &json) }
        write("flags", batch.flags[i], &json)
        write("name", batch.names[i], batch, &json)
        writeEnum("kind", batch.kinds[i], OTLPTraces.spanKindNames, style, &json)
        writeTime("startTimeUnixNano", batch.startNanos[i], &json)
        writeTime("endTimeUnixNano", batch.endNanos[i], &json)
        try writeAttributes(batch.attributes[i], batch, &json)
        write("droppedAttributesCount", batch.droppedAttributes[i], &json)
        if !batch.events[i].isEmpty { try writeEvents(batch.events[i], batch, &json) }
        write("droppedEventsCount", batch.droppedEvents[i], &json)
        if !batch.links[i].isEmpty { try writeLinks(batch.links[i], batch, style, &json) }
        write("droppedLinksCount", batch.droppedLinks[i], &json)
        json.key("status")
        json.beginObject()
        write("message", batch.statusMessages[i], batch, &json)
        writeEnum("code", batch.statusCodes[i], OTLPTraces.statusCodeNames, style, &json)
        json.endObject()
        json.endObject()
    }

    private static func writeEvents(
        _ slice: ByteSlice, _ batch: SpanBatch, _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        json.key("events")
        json.beginArray()
        try batch.arena.readSlice(slice) { (list) throws(MalformedBytes) in
            for event in try SpanEventCoding.decode(list) {
                json.beginObject()
                writeTime("timeUnixNano", event.nanos, &json)
                if !event.name.isEmpty { json.member("name", event.name) }
                try writeAttributes(event.attributes, &json)
                write("droppedAttributesCount", event.droppedAttributes, &json)
                json.endObject()
            }
        }
        json.endArray()
    }

    private static func writeLinks(
        _ slice: ByteSlice, _ batch: SpanBatch, _ style: Style, _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        json.key("links")
        json.beginArray()
        try batch.arena.readSlice(slice) { (list) throws(MalformedBytes) in
            for link in try SpanLinkCoding.decode(list) {
                json.beginObject()
                write("traceId", link.traceID, style, &json)
                write("spanId", link.spanID, style, &json)
                if !link.traceState.isEmpty { json.member("traceState", link.traceState) }
                try writeAttributes(link.attributes, &json)
                write("droppedAttributesCount", link.droppedAttributes, &json)
                write("flags", link.flags, &json)
                json.endObject()
            }
        }
        json.endArray()
    }
}
