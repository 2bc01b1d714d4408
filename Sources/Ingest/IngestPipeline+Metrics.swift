// SPDX-License-Identifier: Apache-2.0
// Metrics on their way in.

import Base
import MetricStore
import Storage
import Synchronization
import Telemetry

/// What became of a metric batch.
package struct MetricWriteReport: Sendable {
    /// Items made durable, duplicates of stored ones included.
    package var samples = 0
    package var histograms = 0
    package var exemplars = 0
    package var refusals = Refusals()

    package init() {}
}

extension IngestPipeline {
    /// Admits and commits a batch. What is refused is left out and reported; the rest is durable
    /// when this returns.
    @concurrent
    package func write(
        metrics given: MetricBatch, tenant: Tenant
    ) async throws(IngestError) -> MetricWriteReport {
        var report = MetricWriteReport()
        senders.note(given, tenant, nowMillis: nowNanos / 1_000_000)
        let batch = limited(given, tenant, &report)
        let oldest = admitted.lowerBound
        let admission = metrics.admit(
            batch, tenant: tenant, now: Millis(nowNanos / 1_000_000),
            oldest: Millis(oldest / 1_000_000))
        for refusal in admission.samples + admission.histograms {
            report.refusals.add(refusal.reason.text)
        }
        counters.samplesRefused.wrappingAdd(report.refusals.count, ordering: .relaxed)
        let kept = batch.removing(admission)
        report.samples = kept.sampleSeries.count
        report.histograms = kept.histogramSeries.count
        report.exemplars = kept.exemplarSeries.count
        if kept.isEmpty { return report }
        var writer = ByteWriter(reserving: kept.arena.count + 24 * kept.sampleSeries.count + 1024)
        kept.encode(into: &writer)
        let payload = writer.bytes
        try await commit(tenant, .metrics, payload) { ticket in
            if let forward, forward.isActive {
                forward.take(
                    payload, points: kept.pointCount, tenant: tenant.name,
                    sequence: ticket.sequence)
                forward.count(kept)
            }
            metrics.append(
                kept, tenant: tenant, generation: ticket.generation, sequence: ticket.sequence,
                known: admission.known)
            observe { $0.record(metrics: kept, tenant: tenant, generation: ticket.generation) }
        }
        counters.samples.wrappingAdd(report.samples + report.histograms, ordering: .relaxed)
        counters.exemplars.wrappingAdd(report.exemplars, ordering: .relaxed)
        return report
    }
}
