// SPDX-License-Identifier: Apache-2.0
// labels, label values, series, metadata, exemplars.

import Base
import PromQL
import Telemetry

/// Catalogue endpoints of Prometheus' API.
struct SeriesEndpoints: Sendable {
    let service: QueryService

    private static let truncated = ["results truncated due to limit"]

    private func names(
        _ request: APIRequest,
        _ read: @escaping @Sendable (SeriesRequest, ReadContext) throws -> [String]
    ) async throws -> APIResponse {
        let limit = try request.limitParameter()
        let range = try request.metadataRange()
        let selectors = try request.selectors()
        guard let range else { return emptyList() }
        let tenant = request.tenant
        var (values, missing) = try await service.run { context in
            var all: [String] = []
            for matchers in selectors.isEmpty ? [[]] : selectors {
                let wanted = SeriesRequest(tenant: tenant, matchers: matchers, range: range)
                all += try read(wanted, context)
            }
            // Those of one selector come in order.
            if selectors.count > 1 {
                all = Set(all).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            }
            return (all, context.warnings)
        }
        let cut = limit > 0 && values.count > limit
        if cut { values.removeLast(values.count - limit) }
        if cut { missing += Self.truncated }
        return .json(
            from: PrometheusEnvelope(ListJSON(values) { $1.string($0) }, warnings: missing))
    }

    private func emptyList() -> APIResponse {
        prometheusSuccess { json in
            json.beginArray()
            json.endArray()
        }
    }

    func labels(_ request: APIRequest) async throws -> APIResponse {
        let reader = service.metrics
        return try await names(request) { try reader.labelNames($0, $1) }
    }

    func labelValues(_ request: APIRequest) async throws -> APIResponse {
        let name = unescapedLabelName(request.pathParameters["name"] ?? "")
        guard !name.isEmpty else {
            throw APIError(.badData, "invalid label name: \"\"")
        }
        let reader = service.metrics
        return try await names(request) { try reader.labelValues(name, $0, $1) }
    }

    func series(_ request: APIRequest) async throws -> APIResponse {
        guard !request.parameters(named: "match[]").isEmpty else {
            throw APIError(.badData, "no match[] parameter provided")
        }
        let limit = try request.limitParameter()
        let range = try request.metadataRange()
        let selectors = try request.selectors(place: "invalid parameter \"match[]\": ")
        guard let range else { return emptyList() }
        let tenant = request.tenant
        let reader = service.metrics
        return try await service.run { context in
            var found: [Labels] = []
            var seen: Set<Labels> = []
            for matchers in selectors {
                let set = try reader.select(
                    SeriesRequest(
                        tenant: tenant, matchers: matchers, range: range, samples: .newest),
                    context)
                for index in 0..<set.count {
                    if index % 1024 == 0 { try context.check() }
                    let labels = set.labels(index)
                    if selectors.count == 1 || seen.insert(labels).inserted { found.append(labels) }
                }
            }
            if selectors.count > 1 { found.sort() }
            let cut = limit > 0 && found.count > limit
            if cut { found.removeLast(found.count - limit) }
            return .json(
                from: PrometheusEnvelope(
                    ListJSON(found) { writeLabels($0, into: &$1) },
                    warnings: context.warnings + (cut ? Self.truncated : [])),
                holding: service.budget.share(
                    found.reduce(0) { $0 + $1.bytes.count + OutputSeries.overheadBytes }))
        }
    }

    func metadata(_ request: APIRequest) async throws -> APIResponse {
        let limit = try request.looseLimit("limit") ?? .max
        let perMetric = try request.looseLimit("limit_per_metric") ?? 0
        let family = request.nonEmpty("metric")
        let tenant = request.tenant
        let reader = service.metrics
        return try await service.run { _ in
            let all = try reader.metadata(tenant, family: family)
            return prometheusSuccess { json in
                json.beginObject()
                for (name, entries) in all.prefix(limit) {
                    json.key(name)
                    json.beginArray()
                    for entry in perMetric > 0 ? entries.prefix(perMetric) : entries[...] {
                        json.beginObject()
                        json.member("type", entry.type.text)
                        json.member("help", entry.help)
                        json.member("unit", entry.unit)
                        json.endObject()
                    }
                    json.endArray()
                }
                json.endObject()
            }
        }
    }

    func exemplars(_ request: APIRequest) async throws -> APIResponse {
        guard let range = try request.metadataRange() else {
            throw APIError(.badData, "end timestamp must not be before start timestamp")
        }
        let selectors: [[LabelMatcher]]
        do {
            selectors = try selectorsOfQuery(request.parameter("query") ?? "")
        } catch {
            throw APIError(.badData, "\(error)")
        }
        if selectors.isEmpty { return .noContent }
        let tenant = request.tenant
        let reader = service.metrics
        return try await service.run { context in
            var found: [Exemplar] = []
            for matchers in selectors {
                found += try reader.exemplars(
                    SeriesRequest(tenant: tenant, matchers: matchers, range: range), context)
            }
            found.sort { $0.series == $1.series ? $0.millis < $1.millis : $0.series < $1.series }
            return prometheusSuccess(warnings: context.warnings) { json in
                json.beginArray()
                var index = 0
                while index < found.count {
                    let series = found[index].series
                    json.beginObject()
                    json.key("seriesLabels")
                    writeLabels(series, into: &json)
                    json.key("exemplars")
                    json.beginArray()
                    while index < found.count, found[index].series == series {
                        let exemplar = found[index]
                        json.beginObject()
                        json.key("labels")
                        writeLabels(exemplar.labels, into: &json)
                        json.key("value")
                        json.floatString(exemplar.value)
                        json.key("timestamp")
                        json.seconds(millis: exemplar.millis)
                        json.endObject()
                        index += 1
                    }
                    json.endArray()
                    json.endObject()
                }
                json.endArray()
            }
        }
    }
}

/// A label set as a JSON object.
func writeLabels(_ labels: Labels, into json: inout JSONWriter) {
    json.beginObject()
    labels.forEachBytes { name, value in
        json.key(name)
        json.string(value)
    }
    json.endObject()
}

/// Matchers of every selector in a query, whatever it does with them.
func selectorsOfQuery(_ text: String) throws -> [[LabelMatcher]] {
    var result: [[LabelMatcher]] = []
    var pending = [try parseExpression(text)]
    while let expression = pending.popLast() {
        if case .selector(let selector) = expression { result.append(selector.matchers) }
        pending.append(contentsOf: expression.children)
    }
    return result
}
