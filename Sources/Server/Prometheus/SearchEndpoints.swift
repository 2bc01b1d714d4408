// SPDX-License-Identifier: Apache-2.0
// search/metric_names, search/label_names, search/label_values.

import Base
import HTTPTypes
import Telemetry

/// Names for whoever types, as lines of JSON. Source: prometheus/prometheus `web/api/v1/search.go`.
struct SearchEndpoints: Sendable {
    let service: QueryService

    /// Most results of one answer. Source: Prometheus' `--web.search.max-limit`.
    private static let maxLimit = 10_000
    private static let maxTerms = 32

    private struct Found: Sendable {
        var name: String
        var score: Double
        var metadata: MetricMetadata?
    }

    func metricNames(_ request: APIRequest) async throws -> APIResponse {
        let withMetadata = try request.flag("include_metadata", default: false)
        let reader = service.metrics
        let tenant = request.tenant
        return try await search(request, key: "name") { wanted, context in
            try reader.labelValues("__name__", wanted, context)
        } metadata: { name in
            guard withMetadata else { return nil }
            return try reader.metadata(tenant, family: name).first?.1.first
        }
    }

    func labelNames(_ request: APIRequest) async throws -> APIResponse {
        let reader = service.metrics
        return try await search(request, key: "name") { try reader.labelNames($0, $1) }
    }

    func labelValues(_ request: APIRequest) async throws -> APIResponse {
        let label = request.parameter("label") ?? ""
        let reader = service.metrics
        return try await search(request, key: "value", needsLabel: label.isEmpty) {
            try reader.labelValues(label, $0, $1)
        }
    }

    private func search(
        _ request: APIRequest, key: String, needsLabel: Bool = false,
        _ read: @escaping @Sendable (SeriesRequest, ReadContext) throws -> [String],
        metadata: @escaping @Sendable (String) throws -> MetricMetadata? = { _ in nil }
    ) async throws -> APIResponse {
        let parameters = try SearchParameters(
            request, nowMillis: service.clock.wallNanos / 1_000_000, maxLimit: Self.maxLimit,
            maxTerms: Self.maxTerms)
        if needsLabel {
            throw APIError(.badData, "missing required parameter \"label\"")
        }
        let tenant = request.tenant
        return try await service.run(wording: prometheusWording) { context in
            var names: Set<String> = []
            for matchers in parameters.selectors.isEmpty ? [[]] : parameters.selectors {
                names.formUnion(
                    try read(
                        SeriesRequest(tenant: tenant, matchers: matchers, range: parameters.range),
                        context))
            }
            try context.reserve(names.reduce(0) { $0 + 48 + $1.utf8.count })
            var found: [Found] = []
            for name in names {
                // Scoring a long name costs its square.
                try context.check()
                if let score = parameters.filter.score(name) {
                    found.append(Found(name: name, score: score))
                }
            }
            found.sort { parameters.precedes(($0.name, $0.score), ($1.name, $1.score)) }
            let hasMore = found.count > parameters.limit
            found.removeLast(max(0, found.count - parameters.limit))
            for index in found.indices { found[index].metadata = try metadata(found[index].name) }
            return lines(found, key, parameters, hasMore: hasMore, warnings: context.warnings)
        }
    }

    private func lines(
        _ found: [Found], _ key: String, _ parameters: SearchParameters, hasMore: Bool,
        warnings: [String]
    ) -> APIResponse {
        var body: [UInt8] = []
        var start = 0
        repeat {
            let end = min(found.count, start + min(parameters.batchSize, Self.maxLimit))
            var json = JSONWriter()
            json.beginObject()
            json.key("results")
            json.beginArray()
            for one in found[start..<end] { write(one, key, parameters, into: &json) }
            json.endArray()
            if start == 0, !warnings.isEmpty {
                json.key("warnings")
                json.beginArray()
                for warning in warnings { json.string(warning) }
                json.endArray()
            }
            json.endObject()
            body += json.bytes + [UInt8(ascii: "\n")]
            start = end
        } while start < found.count
        var json = JSONWriter()
        json.beginObject()
        json.member("status", "success")
        json.member("has_more", hasMore)
        json.endObject()
        body += json.bytes + [UInt8(ascii: "\n")]
        return APIResponse(.ok, contentType: "application/x-ndjson; charset=utf-8", body: body)
    }

    private func write(
        _ one: Found, _ key: String, _ parameters: SearchParameters, into json: inout JSONWriter
    ) {
        json.beginObject()
        json.member(key, one.name)
        if parameters.includeScore {
            json.key("score")
            var text: [UInt8] = []
            appendFloatPlain(one.score, into: &text)
            json.raw(text)
        }
        if let metadata = one.metadata {
            json.member("type", metadata.type.text)
            if !metadata.help.isEmpty { json.member("help", metadata.help) }
            if !metadata.unit.isEmpty { json.member("unit", metadata.unit) }
        }
        json.endObject()
    }
}
