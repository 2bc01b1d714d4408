// SPDX-License-Identifier: Apache-2.0
// The series every scrape writes about itself.

import Base
import Telemetry

/// `up` and its companions for one target.
///
/// Source: prometheus/prometheus `scrape/scrape.go`, `report` and `reportStale`.
struct ReportSeries: Sendable {
    /// Values of one scrape, in the order of the series.
    struct Values: Sendable {
        var isUp = false
        var durationSeconds = 0.0
        var counts = ScrapeCounts()
        /// Bytes of the answer; -1 when it was too large.
        var bodyBytes = 0
    }

    private static let names = [
        "up", "scrape_duration_seconds", "scrape_samples_scraped",
        "scrape_samples_post_metric_relabeling", "scrape_series_added",
    ]
    private static let extraNames = [
        "scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes",
    ]

    private let labels: [Labels]
    private let timeoutSeconds: Double
    private let sampleLimit: Int

    init(_ configuration: ScrapeConfiguration, _ target: Target) {
        let names =
            configuration.extraScrapeMetrics ? Self.names + Self.extraNames : Self.names
        labels = names.map { name in
            var builder = LabelsBuilder(target.labels)
            builder.set("__name__", name)
            return builder.labels()
        }
        timeoutSeconds = target.timeoutSeconds
        sampleLimit = configuration.sampleLimit
    }

    func add(_ values: Values, millis: Int64, to batch: inout MetricBatch) {
        let all = [
            values.isUp ? 1 : 0, values.durationSeconds, Double(values.counts.samples),
            Double(values.counts.kept), Double(values.counts.added), timeoutSeconds,
            Double(sampleLimit), Double(values.bodyBytes),
        ]
        for (series, value) in zip(labels, all) {
            batch.addSample(series: batch.addSeries(series), millis: millis, value: value)
        }
    }

    /// - Returns: how many markers were added.
    func addStaleMarkers(millis: Int64, to batch: inout MetricBatch) -> Int {
        for series in labels {
            batch.addSample(
                series: batch.addSeries(series), millis: millis, value: StaleMarker.value)
        }
        return labels.count
    }
}
