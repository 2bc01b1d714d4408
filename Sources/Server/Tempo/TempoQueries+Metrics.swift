// SPDX-License-Identifier: Apache-2.0
// Metrics queries of Tempo's API, whichever door they come through.

import Base
import Telemetry
import TraceQL
import Wire

extension TempoQueries {
    /// Series of an answer when the request names no limit, and at most. Source of the first:
    /// grafana/tempo, `query_frontend.metrics.max_response_series`.
    static let defaultSeries = 1000
    static let maxSeries = 100_000
    /// Exemplars of an answer when the request names no number.
    static let defaultExemplars = 100

    /// A metrics query; times and step in nanoseconds.
    struct Metrics: Sendable {
        var text: String
        var start: Int64
        var end: Int64
        /// Nil = by the length of the range.
        var step: Int64?
        /// One sample for all of the range.
        var isInstant: Bool
        var exemplars = TempoQueries.defaultExemplars
        var maxSeries = TempoQueries.defaultSeries
    }

    func metrics(_ wanted: Metrics, tenant: Tenant) async throws -> TempoSeriesAnswer {
        let query = try parsed(wanted.text)
        let grid = try refusing {
            if wanted.isInstant {
                return try MetricsGrid.instant(startNanos: wanted.start, endNanos: wanted.end)
            }
            let step =
                wanted.step
                ?? MetricsGrid.defaultStepNanos(startNanos: wanted.start, endNanos: wanted.end)
            return try MetricsGrid.range(
                startNanos: wanted.start, endNanos: wanted.end, stepNanos: step)
        }
        let request = MetricsQuery(
            query, tenant: tenant, grid: grid, maxSeries: wanted.maxSeries,
            maxExemplars: wanted.exemplars)
        let reader = service.traces
        return try await service.run { context in
            let answer = try refusing {
                try TraceQLEngine(reader: reader).metrics(request, context)
            }
            return TempoSeriesAnswer(answer, context)
        }
    }
}

extension TempoSeriesAnswer {
    fileprivate init(_ answer: MetricsAnswer, _ context: ReadContext) {
        var statistics = TempoStatistics()
        statistics.inspectedTraces = answer.statistics.inspectedTraces
        statistics.inspectedBytes = answer.statistics.inspectedBytes
        statistics.inspectedSpans = answer.statistics.inspectedSpans
        statistics.totalJobs = 1
        statistics.completedJobs = 1
        // What could not be read is missing as much as what did not fit.
        let reasons = [answer.partialMessage].compactMap { $0 } + context.warnings
        self.init(
            series: answer.series.map { Series($0, answer.grid) }, statistics: statistics,
            incomplete: reasons.isEmpty ? nil : reasons.joined(separator: "; "))
    }
}

extension TempoSeriesAnswer.Series {
    /// Steps without a sample are left out.
    fileprivate init(_ series: MetricsSeries, _ grid: MetricsGrid) {
        var samples: [TempoSeriesAnswer.Sample] = []
        samples.reserveCapacity(series.values.count)
        for (step, value) in series.values.enumerated() where !value.isNaN {
            samples.append(.init(millis: grid.timestampMillis(step), value: value))
        }
        self.init(
            labels: series.labels.map { ($0.name, $0.value) }, samples: samples,
            exemplars: series.exemplars.map { exemplar in
                .init(
                    labels: exemplar.labels.map { ($0.name, $0.value) }, value: exemplar.value,
                    millis: exemplar.timestampMillis)
            })
    }
}
