// SPDX-License-Identifier: Apache-2.0
// Spans in, samples out.

import Base
import Ingest
import Telemetry
import TestKit
import Wire

/// Spans counted by themselves, without a pipeline.
struct CountedSpans {
    let clock = ManualClock()
    let metrics: SpanMetrics

    init(_ change: (inout SpanMetricsSettings) -> Void = { _ in }) {
        var settings = SpanMetricsSettings()
        change(&settings)
        metrics = SpanMetrics(settings, clock: clock)
    }

    func take(_ json: String) throws { take(try decode(Array(json.utf8))) }
    func take(_ batch: SpanBatch, tenant: Tenant = .anonymous) {
        metrics.record(spans: batch, tenant: tenant, generation: 1)
    }
    func decode(_ json: [UInt8]) throws -> SpanBatch {
        try json.withUnsafeBytes { try OTLPTraces.decodeJSON($0) }.batch
    }

    /// What a round says.
    func collect() -> WrittenSamples { WrittenSamples(metrics.collect()) }
}

/// Samples of a round by their series.
struct WrittenSamples {
    struct Sample: Equatable {
        var millis: Int64
        var value: Double
        var startMillis: Int64
    }
    struct Exemplar: Equatable {
        var labels: Labels
        var value: Double
        var millis: Int64
    }
    private(set) var samples: [Labels: [Sample]] = [:]
    private(set) var exemplars: [Labels: [Exemplar]] = [:]
    private(set) var histograms: [Labels: [NativeHistogram]] = [:]
    private(set) var families: [String: MetricType] = [:]
    let outputs: [SpanMetrics.Output]

    init(_ outputs: [SpanMetrics.Output]) {
        self.outputs = outputs
        for batch in outputs.map(\.batch) {
            for (index, series) in batch.sampleSeries.enumerated() {
                let labels = batch.arena.labels(batch.series[Int(series)])
                samples[labels, default: []].append(
                    Sample(
                        millis: batch.sampleMillis[index], value: batch.sampleValues[index],
                        startMillis: batch.sampleStartMillis.isEmpty
                            ? 0 : batch.sampleStartMillis[index]))
            }
            for (index, series) in batch.exemplarSeries.enumerated() {
                let slice = batch.exemplarLabels[index]
                exemplars[batch.arena.labels(batch.series[Int(series)]), default: []].append(
                    Exemplar(
                        labels: Labels(canonical: Array(batch.arena[slice.range])),
                        value: batch.exemplarValues[index], millis: batch.exemplarMillis[index]))
            }
            for (index, series) in batch.histogramSeries.enumerated() {
                let value = batch.arena.withSlice(batch.histograms[index]) {
                    try? NativeHistogram(decoding: $0)
                }
                guard let value else { continue }
                histograms[batch.arena.labels(batch.series[Int(series)]), default: []].append(value)
            }
            for family in batch.metadata {
                families[batch.arena.text(family.family)] = family.type
            }
        }
    }

    /// The last value of a series; nil when it is not there.
    func value(_ name: String, _ pairs: [String: String] = [:]) -> Double? {
        samples[labels(name, pairs)]?.last?.value
    }

    func labels(_ name: String, _ pairs: [String: String]) -> Labels {
        Labels(pairs.map { ($0.key, $0.value) } + [("__name__", name)])
    }

    /// All label sets of a metric.
    func sets(_ name: String) -> [Labels] {
        samples.keys.filter { $0["__name__"] == name }.sorted()
    }
}
