// SPDX-License-Identifier: Apache-2.0
// Zipkin v2 spans from JSON.

import Base
import Telemetry

extension ZipkinSpans {
    /// Decodes a JSON list of spans. Numbers may be strings, tags may be numbers or booleans, ids
    /// may be short: they are padded on the left. Unknown fields are ignored.
    ///
    /// - Parameter receivedNanos: arrival, for spans that say nothing of their time.
    /// - Throws: `MalformedJSON` when the text is no list in valid JSON. A span of another form is
    ///   left out and counted instead.
    package static func decodeJSON(
        _ body: UnsafeRawBufferPointer, receivedNanos: Int64
    ) throws(MalformedJSON) -> DecodedSpans {
        guard body.count <= maxBodyBytes else {
            throw MalformedJSON(offset: 0, expected: "a body of at most \(maxBodyBytes) bytes")
        }
        var assembly = ZipkinAssembly(receivedNanos: receivedNanos)
        assembly.spans.batch.arena.reserveCapacity(body.count / 2)
        var reader = JSONReader(body, maxDepth: maxJSONDepth)
        try reader.beginArray()
        while try reader.nextElement() {
            if try reader.nullIfPresent() { continue }
            assembly.span.reset()
            var attempt = reader
            do throws(MalformedJSON) {
                try decode(&attempt, &assembly.span)
            } catch {
                // Steps over it where it is JSON at all.
                try reader.skipValue()
                assembly.spans.rejected.add(.malformed)
                continue
            }
            reader = attempt
            assembly.take()
        }
        try reader.end()
        return assembly.spans.result
    }

    private static func decode(
        _ reader: inout JSONReader, _ span: inout ZipkinSpan
    ) throws(MalformedJSON) {
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            if key.equals("traceId") {
                span.traceID = TraceID(hex: try reader.string().raw)
            } else if key.equals("id") {
                span.spanID = SpanID(hex: try reader.string().raw)
            } else if key.equals("parentId") {
                let id = try reader.string().raw
                span.parentID = id.isEmpty ? .zero : SpanID(hex: id)
            } else if key.equals("name") {
                span.name = try reader.keptString(&span.text)
            } else if key.equals("kind") {
                span.kind = kind(try reader.string())
            } else if key.equals("timestamp") {
                span.timestampMicros = try reader.wholeNumber()
            } else if key.equals("duration") {
                span.durationMicros = try reader.wholeNumber()
            } else if key.equals("localEndpoint") {
                span.local = try endpoint(&reader, &span.text)
            } else if key.equals("remoteEndpoint") {
                span.remote = try endpoint(&reader, &span.text)
            } else if key.equals("annotations") {
                try reader.beginArray()
                while try reader.nextElement() { try annotation(&reader, &span) }
            } else if key.equals("tags") {
                try tags(&reader, &span)
            } else if key.equals("debug") {
                span.isDebug = try reader.bool()
            } else if key.equals("shared") {
                span.isShared = try reader.bool()
            } else {
                try reader.skipValue()
            }
        }
    }

    private static func kind(_ text: JSONText) -> UInt8 {
        if text.equals("SERVER") { return 2 }
        if text.equals("CLIENT") { return 3 }
        if text.equals("PRODUCER") { return 4 }
        if text.equals("CONSUMER") { return 5 }
        return 0
    }

    private static func endpoint(
        _ reader: inout JSONReader, _ text: inout [UInt8]
    ) throws(MalformedJSON) -> ZipkinEndpoint {
        var endpoint = ZipkinEndpoint()
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            if key.equals("serviceName") {
                endpoint.serviceName = try reader.keptString(&text)
            } else if key.equals("ipv4") {
                endpoint.ipv4 = try reader.keptString(&text)
            } else if key.equals("ipv6") {
                endpoint.ipv6 = try reader.keptString(&text)
            } else if key.equals("port") {
                endpoint.port = Int64(clamping: try reader.wholeNumber())
            } else {
                try reader.skipValue()
            }
        }
        return endpoint
    }

    private static func annotation(
        _ reader: inout JSONReader, _ span: inout ZipkinSpan
    ) throws(MalformedJSON) {
        var micros: UInt64 = 0
        var value = ByteSlice.empty
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if try reader.nullIfPresent() { continue }
            if key.equals("timestamp") {
                micros = try reader.wholeNumber()
            } else if key.equals("value") {
                value = try reader.keptString(&span.text)
            } else {
                try reader.skipValue()
            }
        }
        span.addAnnotation(micros: micros, value)
    }

    private static func tags(
        _ reader: inout JSONReader, _ span: inout ZipkinSpan
    ) throws(MalformedJSON) {
        try reader.beginObject()
        while let key = try reader.nextKey() {
            let start = span.text.count
            key.append(to: &span.text)
            let name = ByteSlice(offset: start, count: span.text.count - start)
            let value: ByteSlice
            switch try reader.peek() {
            case .string: value = try reader.keptString(&span.text)
            case .null:
                _ = try reader.nullIfPresent()
                value = .empty
            default: value = span.text.keep(try reader.skipValue())
            }
            // An empty key means nothing to anybody.
            if !name.isEmpty { span.addTag(name, value) }
        }
    }
}

extension JSONReader {
    /// A number that is not negative, as number or string; a fraction is cut off.
    fileprivate mutating func wholeNumber() throws(MalformedJSON) -> UInt64 {
        let isString = try peek() == .string
        let start = offset
        let text = isString ? try string().raw : try number()
        if let value = parseUInt64(text) { return value }
        guard let value = parseDouble(text), value >= 0, value < 0x1p64 else {
            throw malformed("a number that is not negative", at: start)
        }
        return UInt64(value)
    }
}
