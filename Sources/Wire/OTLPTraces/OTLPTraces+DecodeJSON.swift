// SPDX-License-Identifier: Apache-2.0
// OTLP traces from JSON.

import Base
import Telemetry

extension OTLPTraces {
    /// Decodes an `ExportTraceServiceRequest` in OTLP's JSON: ids as hexadecimal of any case,
    /// 64-bit integers as numbers or strings, enums as numbers or names, null as absent.
    ///
    /// - Throws: `MalformedJSON` when the text is not such an object or nests too deep. A span that
    ///   is JSON but no span is left out and counted.
    package static func decodeJSON(
        _ body: UnsafeRawBufferPointer
    ) throws(MalformedJSON) -> DecodedSpans {
        guard body.count <= maxBodyBytes else {
            throw MalformedJSON(offset: 0, expected: "a body of at most \(maxBodyBytes) bytes")
        }
        var assembly = SpanAssembly()
        assembly.batch.arena.reserveCapacity(body.count / 2)
        var reader = JSONReader(body, maxDepth: OTLPAttributes.maxJSONDepth)
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            guard key.equals("resourceSpans") else {
                try reader.skipValue()
                continue
            }
            try reader.beginArray()
            while try reader.nextElement() { try decodeResourceSpans(&reader, &assembly) }
        }
        try reader.end()
        return assembly.result
    }

    private static func decodeResourceSpans(
        _ reader: inout JSONReader, _ assembly: inout SpanAssembly
    ) throws(MalformedJSON) {
        let resource = assembly.addResource()
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            if key.equals("resource") {
                try reader.beginObject()
                while let key = try reader.nextKey() {
                    if try reader.nullIfPresent() { continue }
                    if key.equals("attributes") {
                        try OTLPAttributes.appendList(&reader, to: &assembly.inner)
                        assembly.takeResourceAttributes(resource)
                    } else if key.equals("droppedAttributesCount") {
                        assembly.batch.resources[resource].droppedAttributes &+=
                            try reader.uint32OrString()
                    } else {
                        try reader.skipValue()
                    }
                }
            } else if key.equals("scopeSpans") {
                try reader.beginArray()
                while try reader.nextElement() {
                    try decodeScopeSpans(&reader, resource, &assembly)
                }
            } else if key.equals("schemaUrl") {
                assembly.batch.resources[resource].schemaURL = try reader.keptString(
                    &assembly.batch.arena)
            } else {
                try reader.skipValue()
            }
        }
    }

    private static func decodeScopeSpans(
        _ reader: inout JSONReader, _ resource: Int, _ assembly: inout SpanAssembly
    ) throws(MalformedJSON) {
        let scope = assembly.addScope()
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            if key.equals("spans") {
                try reader.beginArray()
                while try reader.nextElement() {
                    var attempt = reader
                    do throws(MalformedJSON) {
                        try decodeSpan(&attempt, resource, scope, &assembly)
                        reader = attempt
                    } catch {
                        // One span of another form does not cost the others, where it is JSON.
                        try reader.skipValue()
                        assembly.dropSpan()
                    }
                }
            } else if key.equals("scope") {
                try decodeScope(&reader, scope, &assembly)
            } else if key.equals("schemaUrl") {
                assembly.batch.scopes[scope].schemaURL = try reader.keptString(
                    &assembly.batch.arena)
            } else {
                try reader.skipValue()
            }
        }
    }

    private static func decodeScope(
        _ reader: inout JSONReader, _ scope: Int, _ assembly: inout SpanAssembly
    ) throws(MalformedJSON) {
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            if key.equals("name") {
                assembly.batch.scopes[scope].name = try reader.keptString(&assembly.batch.arena)
            } else if key.equals("version") {
                assembly.batch.scopes[scope].version = try reader.keptString(
                    &assembly.batch.arena)
            } else if key.equals("attributes") {
                try OTLPAttributes.appendList(&reader, to: &assembly.inner)
                assembly.takeScopeAttributes(scope)
            } else if key.equals("droppedAttributesCount") {
                assembly.batch.scopes[scope].droppedAttributes = try reader.uint32OrString()
            } else {
                try reader.skipValue()
            }
        }
    }

    private static func decodeSpan(
        _ reader: inout JSONReader, _ resource: Int, _ scope: Int, _ assembly: inout SpanAssembly
    ) throws(MalformedJSON) {
        assembly.beginSpan(resource: resource, scope: scope)
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            if key.equals("traceId") {
                assembly.set(traceID: traceID(try reader.string()))
            } else if key.equals("spanId") {
                assembly.set(spanID: spanID(try reader.string()))
            } else if key.equals("parentSpanId") {
                let id = try reader.string()
                assembly.set(parentID: id.raw.isEmpty ? .zero : spanID(id))
            } else if key.equals("name") {
                assembly.row.name = try reader.keptString(&assembly.batch.arena)
            } else if key.equals("kind") {
                assembly.row.kind = try reader.enumeration(spanKindNames)
            } else if key.equals("startTimeUnixNano") {
                assembly.row.startNanos = nanos(try reader.uint64OrString())
            } else if key.equals("endTimeUnixNano") {
                assembly.row.endNanos = nanos(try reader.uint64OrString())
            } else if key.equals("attributes") {
                assembly.attributes.bytes.removeAll(keepingCapacity: true)
                try OTLPAttributes.appendList(&reader, to: &assembly.attributes)
            } else if key.equals("status") {
                try decodeStatus(&reader, &assembly)
            } else if key.equals("events") {
                assembly.events.bytes.removeAll(keepingCapacity: true)
                try reader.beginArray()
                while try reader.nextElement() { try decodeEvent(&reader, &assembly) }
            } else if key.equals("links") {
                assembly.links.bytes.removeAll(keepingCapacity: true)
                try reader.beginArray()
                while try reader.nextElement() { try decodeLink(&reader, &assembly) }
            } else if key.equals("traceState") {
                assembly.row.traceState = try reader.keptString(&assembly.batch.arena)
            } else if key.equals("flags") {
                assembly.row.flags = try reader.uint32OrString()
            } else if key.equals("droppedAttributesCount") {
                assembly.row.droppedAttributes = try reader.uint32OrString()
            } else if key.equals("droppedEventsCount") {
                assembly.row.droppedEvents = try reader.uint32OrString()
            } else if key.equals("droppedLinksCount") {
                assembly.row.droppedLinks = try reader.uint32OrString()
            } else {
                try reader.skipValue()
            }
        }
        assembly.endSpan()
    }

    private static func decodeStatus(
        _ reader: inout JSONReader, _ assembly: inout SpanAssembly
    ) throws(MalformedJSON) {
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            if key.equals("code") {
                assembly.row.statusCode = try reader.enumeration(statusCodeNames)
            } else if key.equals("message") {
                assembly.row.statusMessage = try reader.keptString(&assembly.batch.arena)
            } else {
                try reader.skipValue()
            }
        }
    }

    private static func decodeEvent(
        _ reader: inout JSONReader, _ assembly: inout SpanAssembly
    ) throws(MalformedJSON) {
        var time: Int64 = 0
        var name: JSONText?
        var dropped: UInt32 = 0
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            if key.equals("timeUnixNano") {
                time = nanos(try reader.uint64OrString())
            } else if key.equals("name") {
                name = try reader.string()
            } else if key.equals("attributes") {
                assembly.inner.bytes.removeAll(keepingCapacity: true)
                try OTLPAttributes.appendList(&reader, to: &assembly.inner)
            } else if key.equals("droppedAttributesCount") {
                dropped = try reader.uint32OrString()
            } else {
                try reader.skipValue()
            }
        }
        var scratch: [UInt8] = []
        let text = name ?? JSONText(raw: UnsafeRawBufferPointer(start: nil, count: 0))
        text.withBytes(scratch: &scratch) {
            assembly.addEvent(nanos: time, name: $0, dropped: dropped)
        }
    }

    private static func decodeLink(
        _ reader: inout JSONReader, _ assembly: inout SpanAssembly
    ) throws(MalformedJSON) {
        var trace: TraceID?
        var span: SpanID?
        var state = JSONText(raw: UnsafeRawBufferPointer(start: nil, count: 0))
        var flags: UInt32 = 0
        var dropped: UInt32 = 0
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            if key.equals("traceId") {
                trace = traceID(try reader.string())
            } else if key.equals("spanId") {
                span = spanID(try reader.string())
            } else if key.equals("traceState") {
                state = try reader.string()
            } else if key.equals("attributes") {
                assembly.inner.bytes.removeAll(keepingCapacity: true)
                try OTLPAttributes.appendList(&reader, to: &assembly.inner)
            } else if key.equals("droppedAttributesCount") {
                dropped = try reader.uint32OrString()
            } else if key.equals("flags") {
                flags = try reader.uint32OrString()
            } else {
                try reader.skipValue()
            }
        }
        var scratch: [UInt8] = []
        state.withBytes(scratch: &scratch) {
            assembly.addLink(
                traceID: trace, spanID: span, flags: flags, dropped: dropped, traceState: $0)
        }
    }

    /// Exactly 32 hexadecimal digits.
    static func traceID(_ text: JSONText) -> TraceID? {
        text.raw.count == 32 ? TraceID(hex: text.raw) : nil
    }
    /// Exactly 16 hexadecimal digits.
    static func spanID(_ text: JSONText) -> SpanID? {
        text.raw.count == 16 ? SpanID(hex: text.raw) : nil
    }

    /// Names of `SpanKind` by number.
    static let spanKindNames = [
        "SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT",
        "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER",
    ]
    /// Names of `StatusCode` by number.
    static let statusCodeNames = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"]
}
