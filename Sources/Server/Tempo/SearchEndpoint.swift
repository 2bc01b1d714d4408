// SPDX-License-Identifier: Apache-2.0
// GET /api/search: TraceQL.

import Base
import Telemetry
import TraceQL
import Wire

/// Tempo's search with the fields its strict clients know, and no others.
struct SearchEndpoint: Sendable {
    let service: QueryService

    func search(_ request: APIRequest) async throws -> APIResponse {
        let text = try queryText(request)
        let query: TraceQLQuery
        do {
            query = try TraceQLParser.parse(text)
        } catch {
            throw APIError(.badData, "invalid TraceQL query: \(error)")
        }
        let limit = try count(request, "limit", 20)
        let spans = try count(request, "spss", 3)
        let range = try TraceEndpoints(service: service).range(request)
        let search = TraceSearch(
            query, tenant: request.tenant, range: range, limit: limit, spansPerSpanset: spans)
        let engine = TraceQLEngine(reader: service.traces)
        return try await service.run { context in
            let found = try engine.search(search, context)
            var json = JSONWriter(reserving: 1 << 14)
            json.beginObject()
            json.key("traces")
            json.beginArray()
            for trace in found { try write(trace, into: &json) }
            json.endArray()
            json.key("metrics")
            json.beginObject()
            json.member("inspectedTraces", found.count)
            json.endObject()
            json.endObject()
            return .json(json.bytes)
        }
    }

    /// The TraceQL text: `q`, or what `tags`, `minDuration` and `maxDuration` say.
    private func queryText(_ request: APIRequest) throws -> String {
        let tags = TagSearch(
            tags: request.nonEmpty("tags"), minDuration: request.nonEmpty("minDuration"),
            maxDuration: request.nonEmpty("maxDuration"))
        guard let text = request.nonEmpty("q") else { return try tags.query() }
        guard tags.isEmpty else {
            throw APIError(
                .badData,
                "q cannot be combined with tags, minDuration or maxDuration: "
                    + "write {.key=\"value\" && traceDuration > 10ms} in q")
        }
        return text
    }

    private func count(_ request: APIRequest, _ name: String, _ standard: Int) throws -> Int {
        guard let text = request.nonEmpty(name) else { return standard }
        guard let value = Int(text), (1...10_000).contains(value) else {
            throw APIError(.badData, "invalid \(name): must be a number from 1 to 10000")
        }
        return value
    }
}

private func write(_ trace: TraceSearchResult, into json: inout JSONWriter) throws {
    json.beginObject()
    json.member("traceID", trace.traceID.description)
    json.member("rootServiceName", trace.rootServiceName)
    json.member("rootTraceName", trace.rootTraceName)
    json.member("startTimeUnixNano", String(trace.startNanos))
    json.member("durationMs", Int(trace.durationNanos / 1_000_000))
    json.key("spanSets")
    json.beginArray()
    for set in trace.spansets {
        json.beginObject()
        json.key("spans")
        json.beginArray()
        for span in set.spans {
            json.beginObject()
            json.member("spanID", span.spanID.description)
            json.member("name", span.name)
            json.member("startTimeUnixNano", String(span.startNanos))
            json.member("durationNanos", String(span.durationNanos))
            json.key("attributes")
            var attributes = ByteWriter()
            for (name, value) in span.attributes {
                AttributeCoding.encode(name, value, into: &attributes)
            }
            try attributes.bytes.withUnsafeBytes {
                try OTLPAttributes.write(list: $0, into: &json)
            }
            json.endObject()
        }
        json.endArray()
        json.member("matched", set.matched)
        json.endObject()
    }
    json.endArray()
    json.endObject()
}
