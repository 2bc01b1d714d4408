// SPDX-License-Identifier: Apache-2.0
// Rules' queries on the engines.

import LogQL
import PromQL
import Telemetry
import TraceQL

/// Answers the queries of one evaluation from the engines, inside the budget of one context.
package struct EngineQuerying: RuleQuerying {
    private let metrics: PromQLEngine
    private let series: any SeriesReading
    /// Nil where there are only metrics.
    private let logs: LogQLEngine?
    private let traces: TraceQLEngine?
    private let tenant: Tenant
    private let context: ReadContext

    /// Most traces that a trace query counts.
    package static let traceLimit = 10_000

    package init(
        metrics: PromQLEngine, series: any SeriesReading, logs: LogQLEngine? = nil,
        traces: TraceQLEngine? = nil, tenant: Tenant, context: ReadContext
    ) {
        self.metrics = metrics
        self.series = series
        self.logs = logs
        self.traces = traces
        self.tenant = tenant
        self.context = context
    }

    package func query(
        _ text: String, _ language: RuleLanguage, atNanos nanos: Int64, windowMillis: Int64
    ) throws -> [RuleSample] {
        switch language {
        case .promql: return try queryMetrics(text, atNanos: nanos)
        case .logql: return try queryLogs(text, atNanos: nanos)
        case .traceql: return try queryTraces(text, atNanos: nanos, windowMillis: windowMillis)
        }
    }

    private func queryMetrics(_ text: String, atNanos nanos: Int64) throws -> [RuleSample] {
        let result = try metrics.query(
            text, tenant: tenant, at: Millis(millisRoundedDown(nanos)), context: context)
        switch result.value {
        case .scalar(_, let value): return [RuleSample(labels: .empty, value: .float(value))]
        case .vector(let samples):
            return samples.map { RuleSample(labels: $0.labels, value: $0.value) }
        case .string, .matrix: throw RuleQueryError("rule result is not a vector or scalar")
        }
    }

    private func queryLogs(_ text: String, atNanos nanos: Int64) throws -> [RuleSample] {
        guard let logs else { throw RuleQueryError("there are no logs to query here") }
        guard case .metric(let metric) = try LogQLParser.parse(text) else {
            throw RuleQueryError("a rule needs a metric query, not a log query")
        }
        let result = try logs.queryInstant(metric, tenant: tenant, atNanos: nanos, context)
        switch result.value {
        case .scalar(let value): return [RuleSample(labels: .empty, value: .float(value))]
        case .series(let series):
            return series.compactMap { series in
                series.column[0].map {
                    RuleSample(labels: series.labels.withoutEmptyValues, value: $0)
                }
            }
        }
    }

    /// How many traces of the window match, by the service of their root span.
    private func queryTraces(
        _ text: String, atNanos nanos: Int64, windowMillis: Int64
    ) throws -> [RuleSample] {
        guard let traces else { throw RuleQueryError("there are no traces to query here") }
        let first = nanos &- windowMillis &* 1_000_000 &+ 1
        let search = TraceSearch(
            try TraceQLParser.parse(text), tenant: tenant,
            range: NanosRange(first: Nanos(first), last: Nanos(nanos)),
            limit: Self.traceLimit + 1, spansPerSpanset: 1)
        let found = try traces.search(search, context)
        guard found.count <= Self.traceLimit else {
            throw RuleQueryError(
                "more than \(Self.traceLimit) traces match: narrow the query or shorten the "
                    + "group's interval")
        }
        var counts: [String: Int] = [:]
        for trace in found { counts[trace.rootServiceName, default: 0] += 1 }
        return counts.sorted { $0.key < $1.key }.map { service, count in
            RuleSample(labels: Labels([("service", service)]), value: .float(Double(count)))
        }
    }

    package func queryRange(
        _ text: String, _ language: RuleLanguage, startMillis: Int64, endMillis: Int64,
        stepMillis: Int64
    ) throws -> [MatrixSeries] {
        switch language {
        case .promql:
            let result = try metrics.queryRange(
                text, tenant: tenant, start: Millis(startMillis), end: Millis(endMillis),
                stepMillis: stepMillis, context: context)
            guard case .matrix(let series) = result.value else {
                throw RuleQueryError("rule result is not a vector or scalar")
            }
            return series
        case .logql: return try queryLogRange(text, startMillis, endMillis, stepMillis)
        case .traceql: throw RuleQueryError("trace queries have no values over a range of time")
        }
    }

    private func queryLogRange(
        _ text: String, _ start: Int64, _ end: Int64, _ step: Int64
    ) throws -> [MatrixSeries] {
        guard let logs else { throw RuleQueryError("there are no logs to query here") }
        guard case .metric(let metric) = try LogQLParser.parse(text) else {
            throw RuleQueryError("a rule needs a metric query, not a log query")
        }
        let steps = try EvaluationSteps(
            startNanos: start &* 1_000_000, endNanos: end &* 1_000_000,
            stepNanos: step &* 1_000_000)
        let result = try logs.queryRange(metric, tenant: tenant, steps, context)
        let times = (0..<steps.count).map { start &+ Int64($0) &* step }
        switch result.value {
        case .scalar(let value):
            var series = MatrixSeries(labels: .empty)
            series.floatMillis = times
            series.floats = [Double](repeating: value, count: times.count)
            return [series]
        case .series(let all):
            return all.map { item in
                var series = MatrixSeries(labels: item.labels.withoutEmptyValues)
                for (index, millis) in times.enumerated() {
                    guard case .float(let value)? = item.column[index] else { continue }
                    series.floatMillis.append(millis)
                    series.floats.append(value)
                }
                return series
            }
        }
    }

    package func newest(
        _ matchers: [LabelMatcher], in range: MillisRange
    ) throws -> [NewestSample] {
        let set = try series.select(
            SeriesRequest(tenant: tenant, matchers: matchers, range: range, samples: .newest),
            context)
        var columns = SampleColumns()
        var result: [NewestSample] = []
        for index in 0..<set.count {
            try context.check()
            columns.removeAll()
            try set.readNewest(index, into: &columns, context)
            guard columns.count > 0, let millis = columns.millis.last,
                let value = columns.values.last
            else { continue }
            let labels = set.labels(index)
            // Stores may return more than asked for.
            guard
                matchers.allSatisfy({ $0.matches(labels[$0.name] ?? "") }),
                range.first.rawValue <= millis, millis <= range.last.rawValue
            else { continue }
            let isStale = columns.isStale(columns.count - 1)
            result.append(
                NewestSample(
                    labels: labels, millis: millis, value: isStale ? StaleMarker.value : value))
        }
        return result
    }
}

/// Whole milliseconds of nanoseconds since the epoch, rounded down.
package func millisRoundedDown(_ nanos: Int64) -> Int64 {
    nanos / 1_000_000 - (nanos % 1_000_000 < 0 ? 1 : 0)
}

extension Labels {
    /// LogQL tells empty values from absent ones; series cannot.
    fileprivate var withoutEmptyValues: Labels { Labels(pairs) }
}
