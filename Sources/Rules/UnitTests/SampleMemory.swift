// SPDX-License-Identifier: Apache-2.0
// Samples in memory, for rules that are tried out.

import Base
import Ingest
import Synchronization
import Telemetry

/// What rules write is there for the next query; see `InMemorySeries`.
package final class SampleMemory: SeriesReading, RuleSink {
    private let series = Mutex(InMemorySeries())

    package init() {}

    package var seriesCount: Int { series.withLock { $0.seriesCount } }

    /// Takes a batch; of two values for one time the first stays, as in Prometheus' storage.
    package func write(
        metrics batch: MetricBatch, tenant: Tenant
    ) async throws(IngestError) -> MetricWriteReport {
        add(batch)
    }

    /// See `write`.
    @discardableResult
    package func add(_ batch: MetricBatch) -> MetricWriteReport {
        var report = MetricWriteReport()
        series.withLock { series in
            func insert(_ place: UInt32, _ sample: SampleColumns) -> Bool {
                let labels = batch.arena.labels(batch.series[Int(place)])
                if series.insert(labels, sample) { return true }
                report.refusals.add(
                    "duplicate sample for timestamp \(sample.millis[0]); overrides not allowed")
                return false
            }
            for (index, place) in batch.sampleSeries.enumerated() {
                var sample = SampleColumns()
                sample.append(millis: batch.sampleMillis[index], value: batch.sampleValues[index])
                if insert(place, sample) { report.samples += 1 }
            }
            for (index, place) in batch.histogramSeries.enumerated() {
                var sample = SampleColumns()
                do {
                    let histogram = try batch.arena.withSlice(batch.histograms[index]) {
                        try NativeHistogram(decoding: $0)
                    }
                    sample.append(millis: batch.histogramMillis[index], histogram: histogram)
                } catch {
                    report.refusals.add("malformed histogram: \(error)")
                    continue
                }
                if insert(place, sample) { report.histograms += 1 }
            }
        }
        return report
    }

    // MARK: reading

    private var snapshot: InMemorySeries { series.withLock { $0 } }

    package func select(
        _ request: SeriesRequest, _ context: ReadContext
    ) throws -> any SeriesSet { try snapshot.select(request, context) }

    package func labelNames(_ request: SeriesRequest, _ context: ReadContext) throws -> [String] {
        try snapshot.labelNames(request, context)
    }

    package func labelValues(
        _ name: String, _ request: SeriesRequest, _ context: ReadContext
    ) throws -> [String] { try snapshot.labelValues(name, request, context) }

    package func exemplars(
        _ request: SeriesRequest, _ context: ReadContext
    ) throws -> [Exemplar] { try snapshot.exemplars(request, context) }

    package func metadata(
        _ tenant: Tenant, family: String?
    ) throws -> [(String, [MetricMetadata])] { try snapshot.metadata(tenant, family: family) }
}
