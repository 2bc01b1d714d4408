// SPDX-License-Identifier: Apache-2.0
// What a tenant's limits leave of a batch.

import Base
import MetricStore
import Telemetry

extension IngestPipeline {
    /// Milliseconds that a series counts as known for at a restart: what the limiter remembers.
    private static let knownMillis: Int64 = 7_200_000

    /// Leaves out series that are new and over a limit; all of the batch when it is too large.
    func limited(
        _ batch: MetricBatch, _ tenant: Tenant, _ report: inout MetricWriteReport
    ) -> MetricBatch {
        let limits = limiter.limits(of: tenant)
        if limits.maxSamplesPerRequest > 0, batch.pointCount > limits.maxSamplesPerRequest {
            let reason = LimitReason.maxSamplesPerRequest
            report.refusals.add(reason.text(limits, tenant: tenant), count: batch.pointCount)
            limiter.count(tenant, reason, series: 0, samples: batch.pointCount)
            return MetricBatch()
        }
        let verdict = limiter.check(batch, tenant, nowSeconds: nowNanos / 1_000_000_000)
        guard !verdict.reasons.isEmpty else { return batch }
        var samples: [LimitReason: Int] = [:]
        var series: [LimitReason: Int] = [:]
        for index in batch.sampleSeries + batch.histogramSeries {
            if let reason = verdict.reasons[index] { samples[reason, default: 0] += 1 }
        }
        for reason in verdict.reasons.values { series[reason, default: 0] += 1 }
        for reason in LimitReason.allCases {
            guard let count = series[reason] else { continue }
            let text = reason.text(verdict.limits, tenant: tenant)
            report.refusals.add(text, count: max(1, samples[reason] ?? 0))
            limiter.count(tenant, reason, series: count, samples: samples[reason] ?? 0)
        }
        return batch.keeping { verdict.reasons[$0] == nil }
    }

    /// Hashes of the series that the store has had lately.
    static func recentSeries(
        _ metrics: MetricStore, _ clock: any Clock
    ) -> SeriesLimiter.Seed {
        { tenant in
            let now = clock.wallNanos / 1_000_000
            let request = SeriesRequest(
                tenant: tenant, matchers: [],
                range: MillisRange(first: Millis(now - knownMillis), last: Millis(now + 600_000)))
            do {
                let set = try metrics.select(request, ReadContext())
                return (0..<set.count).map { set.labels($0).hash }
            } catch {
                // The next batch asks again; until then nothing is refused.
                return nil
            }
        }
    }
}
