// SPDX-License-Identifier: Apache-2.0
// Tempo's answer to a search.

import Base
import Telemetry

/// Tempo's `SearchResponse`, as the JSON of `/api/search` and as protobuf.
///
/// The JSON is read by decoders that refuse unknown names and numbers where protobuf's JSON has
/// strings, so it holds exactly the schema's fields: 64-bit integers as strings, 32-bit ones as
/// numbers. Trace ids always have 32 digits. Source: grafana/tempo `pkg/tempopb/tempo.proto`.
package struct TempoSearchAnswer: Sendable {
    /// A span that matched.
    package struct Span: Sendable {
        package var id: SpanID
        package var name: String
        package var startNanos: Int64
        package var durationNanos: Int64
        package var attributes: NamedValues

        package init(
            id: SpanID, name: String, startNanos: Int64, durationNanos: Int64,
            attributes: NamedValues
        ) {
            self.id = id
            self.name = name
            self.startNanos = startNanos
            self.durationNanos = durationNanos
            self.attributes = attributes
        }
    }

    /// Spans that matched together: the first of them, and how many there are.
    package struct SpanSet: Sendable {
        package var spans: [Span]
        package var matched: Int
        package var attributes: NamedValues

        package init(spans: [Span], matched: Int, attributes: NamedValues) {
            self.spans = spans
            self.matched = matched
            self.attributes = attributes
        }
    }

    /// Spans of one service in a trace.
    package struct Service: Sendable {
        package var name: String
        package var spanCount: Int
        package var errorCount: Int

        package init(name: String, spanCount: Int, errorCount: Int) {
            self.name = name
            self.spanCount = spanCount
            self.errorCount = errorCount
        }
    }

    package struct Trace: Sendable {
        package var id: TraceID
        package var rootServiceName: String
        package var rootTraceName: String
        package var startNanos: Int64
        package var durationNanos: Int64
        package var spanSets: [SpanSet]
        /// Ascending by name.
        package var services: [Service]

        package init(
            id: TraceID, rootServiceName: String, rootTraceName: String, startNanos: Int64,
            durationNanos: Int64, spanSets: [SpanSet], services: [Service]
        ) {
            self.id = id
            self.rootServiceName = rootServiceName
            self.rootTraceName = rootTraceName
            self.startNanos = startNanos
            self.durationNanos = durationNanos
            self.spanSets = spanSets
            self.services = services
        }

        fileprivate var durationMillis: UInt32 { UInt32(clamping: durationNanos / 1_000_000) }
    }

    package var traces: [Trace]
    package var statistics: TempoStatistics

    package init(traces: [Trace], statistics: TempoStatistics) {
        self.traces = traces
        self.statistics = statistics
    }

    // MARK: JSON

    /// - Throws: `MalformedBytes` for attributes nested deeper than `AttributeCoding.maxDepth`.
    package func json() throws(MalformedBytes) -> [UInt8] {
        var json = JSONWriter(reserving: 512 + 512 * traces.count)
        json.beginObject()
        json.key("traces")
        json.beginArray()
        for trace in traces { try write(trace, into: &json) }
        json.endArray()
        json.key("metrics")
        statistics.writeSearch(into: &json)
        json.endObject()
        return json.bytes
    }

    private func write(_ trace: Trace, into json: inout JSONWriter) throws(MalformedBytes) {
        json.beginObject()
        json.member("traceID", trace.id.description)
        json.member("rootServiceName", trace.rootServiceName)
        json.member("rootTraceName", trace.rootTraceName)
        json.member("startTimeUnixNano", String(max(0, trace.startNanos)))
        json.member("durationMs", Int(trace.durationMillis))
        // The first set under its older name too, for clients that know no other.
        if let first = trace.spanSets.first {
            json.key("spanSet")
            try write(first, into: &json)
        }
        json.key("spanSets")
        json.beginArray()
        for set in trace.spanSets { try write(set, into: &json) }
        json.endArray()
        json.key("serviceStats")
        json.beginObject()
        for service in trace.services {
            json.key(service.name)
            json.beginObject()
            json.member("spanCount", Int(UInt32(clamping: service.spanCount)))
            if service.errorCount > 0 {
                json.member("errorCount", Int(UInt32(clamping: service.errorCount)))
            }
            json.endObject()
        }
        json.endObject()
        json.endObject()
    }

    private func write(_ set: SpanSet, into json: inout JSONWriter) throws(MalformedBytes) {
        json.beginObject()
        json.key("spans")
        json.beginArray()
        for span in set.spans {
            json.beginObject()
            json.member("spanID", span.id.description)
            json.member("name", span.name)
            json.member("startTimeUnixNano", String(max(0, span.startNanos)))
            json.member("durationNanos", String(max(0, span.durationNanos)))
            json.key("attributes")
            try json.keyValues(span.attributes)
            json.endObject()
        }
        json.endArray()
        json.member("matched", Int(UInt32(clamping: set.matched)))
        if !set.attributes.isEmpty {
            json.key("attributes")
            try json.keyValues(set.attributes)
        }
        json.endObject()
    }

    // MARK: protobuf

    /// - Throws: as `json`.
    package func protobuf() throws(MalformedBytes) -> [UInt8] {
        var writer = ProtobufWriter(reserving: 512 + 512 * traces.count)
        for trace in traces {
            let mark = writer.begin(1)
            try encode(trace, into: &writer)
            writer.end(mark)
        }
        statistics.encodeSearch(2, into: &writer)
        return writer.bytes
    }

    private func encode(
        _ trace: Trace, into writer: inout ProtobufWriter
    ) throws(MalformedBytes) {
        writer.string(1, trace.id.description)
        writer.string(2, trace.rootServiceName)
        writer.string(3, trace.rootTraceName)
        writer.uint64(4, UInt64(clamping: trace.startNanos))
        writer.uint32(5, trace.durationMillis)
        if let first = trace.spanSets.first { try encode(first, 6, into: &writer) }
        for set in trace.spanSets { try encode(set, 7, into: &writer) }
        for service in trace.services {
            writer.message(8) { entry in
                entry.string(1, service.name)
                entry.message(2) { counts in
                    counts.uint32(1, UInt32(clamping: service.spanCount))
                    counts.uint32(2, UInt32(clamping: service.errorCount))
                }
            }
        }
    }

    private func encode(
        _ set: SpanSet, _ field: UInt32, into writer: inout ProtobufWriter
    ) throws(MalformedBytes) {
        let mark = writer.begin(field)
        for span in set.spans {
            let spanMark = writer.begin(1)
            writer.string(1, span.id.description)
            writer.string(2, span.name)
            writer.uint64(3, UInt64(clamping: span.startNanos))
            writer.uint64(4, UInt64(clamping: span.durationNanos))
            try writer.keyValues(5, span.attributes)
            writer.end(spanMark)
        }
        writer.uint32(2, UInt32(clamping: set.matched))
        try writer.keyValues(3, set.attributes)
        writer.end(mark)
    }
}
