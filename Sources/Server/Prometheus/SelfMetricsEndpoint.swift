// SPDX-License-Identifier: Apache-2.0
// status/self_metrics: the server's own metrics as JSON.

import Base

/// Metric families as ProtoJSON writes them. Source: prometheus/prometheus `web/api/v1/api.go`,
/// `prompb/io/prometheus/client/metrics.proto`.
struct SelfMetricsEndpoint: Sendable {
    let admin: AdminEndpoints

    func metrics(_ request: APIRequest) async throws -> APIResponse {
        var filter: RegularExpression?
        if let pattern = request.nonEmpty("metric_name_pattern") {
            do throws(RegexError) {
                filter = try RegularExpression(pattern)
            } catch {
                throw APIError(.badData, "invalid metric_name_pattern: \(error)")
            }
        }
        _ = try await admin.metricsPage(request)
        let families = admin.metrics.snapshot.filter { filter?.matchesWhole($0.name) ?? true }
        return prometheusSuccess { json in
            json.beginArray()
            for (name, family) in families { write(name, family, into: &json) }
            json.endArray()
        }
    }

    private func write(
        _ name: String, _ family: SelfMetrics.Family, into json: inout JSONWriter
    ) {
        json.beginObject()
        json.member("name", name)
        json.member("help", family.help)
        json.member("type", family.kind.rawValue.uppercased())
        json.key("metric")
        json.beginArray()
        for (labels, value) in family.values.sorted(by: { $0.key < $1.key }) {
            json.beginObject()
            write(labels, into: &json)
            json.key(family.kind.rawValue)
            json.beginObject()
            json.key("value")
            write(value, into: &json)
            json.endObject()
            json.endObject()
        }
        for (labels, values) in family.distributions.sorted(by: { $0.key < $1.key }) {
            json.beginObject()
            write(labels, into: &json)
            json.key("histogram")
            write(values, family.bounds, into: &json)
            json.endObject()
        }
        if let summary = family.summary {
            json.beginObject()
            json.key("summary")
            write(summary, into: &json)
            json.endObject()
        }
        json.endArray()
        json.endObject()
    }

    private func write(_ values: SelfMetrics.Summary, into json: inout JSONWriter) {
        json.beginObject()
        json.member("sampleCount", String(values.count))
        json.key("sampleSum")
        write(values.sum, into: &json)
        json.key("quantile")
        json.beginArray()
        for (quantile, value) in values.quantiles {
            json.beginObject()
            json.key("quantile")
            write(quantile, into: &json)
            json.key("value")
            write(value, into: &json)
            json.endObject()
        }
        json.endArray()
        json.endObject()
    }

    /// ProtoJSON has 64-bit integers as strings.
    private func write(
        _ values: SelfMetrics.Distribution, _ bounds: [Double], into json: inout JSONWriter
    ) {
        json.beginObject()
        json.member("sampleCount", String(values.counts.reduce(0, +)))
        json.key("sampleSum")
        write(values.sum, into: &json)
        json.key("bucket")
        json.beginArray()
        var total = 0
        for (bound, count) in zip(bounds, values.counts) {
            total += count
            json.beginObject()
            json.member("cumulativeCount", String(total))
            json.key("upperBound")
            write(bound, into: &json)
            json.endObject()
        }
        json.endArray()
        json.endObject()
    }

    /// Labels come in exposition form; their values are routes, reasons and versions of ours.
    private func write(_ labels: String, into json: inout JSONWriter) {
        guard !labels.isEmpty else { return }
        json.key("label")
        json.beginArray()
        for pair in labels.split(separator: "\",") {
            let parts = pair.split(separator: "=\"", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { continue }
            json.beginObject()
            json.member("name", String(parts[0]))
            json.member("value", String(parts[1].last == "\"" ? parts[1].dropLast() : parts[1]))
            json.endObject()
        }
        json.endArray()
    }

    private func write(_ value: Double, into json: inout JSONWriter) {
        guard value.isFinite else {
            return json.string(value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity")
        }
        var text: [UInt8] = []
        appendFloatPlain(value, into: &text)
        json.raw(text)
    }
}
