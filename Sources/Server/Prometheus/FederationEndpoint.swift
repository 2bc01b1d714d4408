// SPDX-License-Identifier: Apache-2.0
// /federate: the newest samples as an exposition.

import Base
import HTTPTypes
import PromQL
import Telemetry
import Wire

/// Source: prometheus/prometheus `web/federate.go`.
struct FederationEndpoint: Sendable {
    let service: QueryService
    let externalLabels: @Sendable () -> [(name: String, value: String)]

    func federate(_ request: APIRequest) async throws -> APIResponse {
        let selectors: [[LabelMatcher]]
        do {
            selectors = try request.parameters(named: "match[]").map { try parseSelector($0) }
        } catch { throw APIError(.badData, "\(error)") }
        let format: ExpositionFormat =
            (request.headers[.accept] ?? "").contains("application/openmetrics-text")
            ? .openMetrics : .text
        let now = service.clock.wallNanos / 1_000_000
        let lookback = Int64(service.limits.lookbackSeconds * 1000)
        let range = MillisRange(first: Millis(now - lookback), last: Millis(now))
        let (tenant, reader, externals) = (request.tenant, service.metrics, externalLabels())
        return try await service.run { context in
            var newest: [Labels: Newest] = [:]
            var columns = SampleColumns()
            for matchers in selectors {
                let set = try reader.select(
                    SeriesRequest(tenant: tenant, matchers: matchers, range: range), context)
                for index in 0..<set.count where newest[set.labels(index)] == nil {
                    try context.check()
                    columns.removeAll()
                    try set.read(index, into: &columns, context)
                    guard let sample = Newest(columns) else { continue }
                    try context.reserve(sample.byteCount + set.labels(index).bytes.count)
                    newest[set.labels(index)] = sample
                }
            }
            var page = FederationPage(format, externals)
            for (labels, sample) in newest.sorted(by: { $0.key < $1.key }) {
                page.add(labels, sample)
            }
            return APIResponse(
                .ok,
                contentType: format == .text
                    ? "text/plain; version=0.0.4; charset=utf-8"
                    : "application/openmetrics-text; version=1.0.0; charset=utf-8",
                body: page.finished())
        }
    }
}

/// The newest sample of a series; nil for one that ended.
private struct Newest {
    var millis: Int64
    var value: Double
    var histogram: NativeHistogram?

    init?(_ columns: SampleColumns) {
        guard let last = columns.millis.indices.last else { return nil }
        millis = columns.millis[last]
        value = columns.values[last]
        histogram = columns.histograms.isEmpty ? nil : columns.histograms[last]
        if histogram?.isStale ?? StaleMarker.isStale(value) { return nil }
    }

    var byteCount: Int {
        64 + 8 * ((histogram?.positiveBuckets.count ?? 0) + (histogram?.customBounds.count ?? 0))
    }
}

/// Families as they come: sorted by name, since names sort first only among equal labels.
private struct FederationPage {
    private var writer: ExpositionWriter
    private let externals: [(name: String, value: String)]
    /// Samples of each family, to be written name by name.
    private var families: [String: [(labels: Labels, sample: Newest)]] = [:]

    init(_ format: ExpositionFormat, _ externals: [(name: String, value: String)]) {
        writer = ExpositionWriter(format)
        // An instance label keeps the reader from adding its own.
        let hasInstance = externals.contains { $0.name == "instance" }
        self.externals = (externals + (hasInstance ? [] : [("instance", "")]))
            .sorted { $0.name < $1.name }
    }

    mutating func add(_ labels: Labels, _ sample: Newest) {
        guard let name = labels["__name__"] else { return }
        // Exponential buckets have no place in either text.
        if let histogram = sample.histogram, !histogram.usesCustomBounds { return }
        families[name, default: []].append((labels, sample))
    }

    mutating func finished() -> [UInt8] {
        for (name, samples) in families.sorted(by: { $0.key < $1.key }) {
            let floats = samples.filter { $0.sample.histogram == nil }
            if !floats.isEmpty { writer.family(name, .unknown) }
            for (labels, sample) in floats { write(name, labels, [], sample.value, sample.millis) }
            let histograms = samples.filter { $0.sample.histogram != nil }
            if !histograms.isEmpty { writer.family(name, .histogram) }
            for (labels, sample) in histograms { writeHistogram(name, labels, sample) }
        }
        writer.finish()
        return writer.bytes
    }

    private mutating func writeHistogram(_ name: String, _ labels: Labels, _ sample: Newest) {
        guard let histogram = sample.histogram else { return }
        let counts = histogram.allBuckets
        for bound in histogram.customBounds {
            let total = counts.reduce(0.0) { $1.upper <= bound ? $0 + $1.count : $0 }
            write(name + "_bucket", labels, [("le", floatText(bound))], total, sample.millis)
        }
        write(name + "_bucket", labels, [("le", "+Inf")], histogram.count, sample.millis)
        write(name + "_sum", labels, [], histogram.sum, sample.millis)
        write(name + "_count", labels, [], histogram.count, sample.millis)
    }

    private mutating func write(
        _ name: String, _ labels: Labels, _ more: [(String, String)], _ value: Double,
        _ millis: Int64
    ) {
        var line = ByteWriter()
        line.lengthPrefixed("__name__")
        line.lengthPrefixed(name)
        for (key, text) in labels.pairs where key != "__name__" {
            line.lengthPrefixed(key)
            line.lengthPrefixed(text)
        }
        for (key, text) in externals where labels[key] == nil {
            line.lengthPrefixed(key)
            line.lengthPrefixed(text)
        }
        for (key, text) in more {
            line.lengthPrefixed(key)
            line.lengthPrefixed(text)
        }
        line.bytes.withUnsafeBytes { writer.sample(canonical: $0, value, millis: millis) }
    }
}
