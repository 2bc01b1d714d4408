// SPDX-License-Identifier: Apache-2.0
// Answers metrics queries.

import Base
import Telemetry

extension TraceQLEngine {
    /// Evaluates a metrics query over a range or at an instant.
    ///
    /// Where single spans decide (filters by their own attributes) the reader's spans are counted as
    /// they come; otherwise the traces that may answer are read whole, one after the other. Held are
    /// the series, not the spans. The answer is exact: hints to sample change nothing.
    ///
    /// - Throws: `TraceQLValidationError` for a search, `QueryInterruption`, what the reader throws.
    package func metrics(
        _ query: MetricsQuery, _ context: ReadContext
    ) throws -> MetricsAnswer {
        guard case .metrics(let expression) = query.query.kind else {
            throw TraceQLValidationError(
                "not a metrics query: add a function such as | rate(), or send it to the search "
                    + "endpoint")
        }
        var evaluation = MetricsEvaluation(
            engine: self, query: query, hints: MetricsHints(query.query.hints), context: context)
        let spansBefore = context.samplesRead, bytesBefore = context.bytesRead
        guard case .series(let series) = try evaluation.value(expression) else {
            throw TraceQLValidationError("a metrics query needs a function such as rate()")
        }
        evaluation.statistics.inspectedSpans = context.samplesRead - spansBefore
        evaluation.statistics.inspectedBytes = context.bytesRead - bytesBefore
        return evaluation.answer(series)
    }
}

/// Hints that a metrics query obeys.
struct MetricsHints {
    /// `exemplars=n`.
    var exemplars: Int?
    /// `extrapolate=true`: sampled spans count for those that were dropped.
    var isExtrapolated = false

    /// Hints of other names or types are ignored, as upstream does.
    init(_ hints: [(name: String, value: Static)]) {
        for hint in hints {
            switch (hint.name, hint.value) {
            case ("exemplars", .int(let count)): exemplars = Int(clamping: max(0, count))
            case ("exemplars", .bool(false)): exemplars = 0
            case ("extrapolate", .bool(let flag)): isExtrapolated = flag
            default: continue
            }
        }
    }
}

struct MetricsEvaluation {
    let engine: TraceQLEngine
    let query: MetricsQuery
    let hints: MetricsHints
    let context: ReadContext
    var statistics = MetricsStatistics()

    mutating func value(_ expression: MetricsExpression) throws -> MetricsValue {
        switch expression {
        case .number(let value): return .number(value)
        case .staged(let inner, let stages):
            guard case .series(let series) = try value(inner) else {
                throw TraceQLValidationError("topk, bottomk and thresholds need series")
            }
            return .series(try staged(series, stages))
        case .pipeline(let pipeline, let aggregation, let stages):
            return .series(try staged(try firstStage(pipeline, aggregation), stages))
        case .binary(let operation, let left, let right):
            switch (try value(left), try value(right)) {
            case (.number(let a), .number(let b)):
                guard let result = Arithmetic.apply(operation, a, b) else {
                    throw TraceQLValidationError(
                        "\(a.text) \(operation.rawValue) \(b.text) has no value")
                }
                return .number(result)
            case (.number(let a), .series(let series)):
                let number = Arithmetic.number(a) ?? .nan
                return .series(
                    MetricsMath.scaled(series) { MetricsMath.apply(operation, number, $0) })
            case (.series(let series), .number(let b)):
                let number = Arithmetic.number(b) ?? .nan
                return .series(
                    MetricsMath.scaled(series) { MetricsMath.apply(operation, $0, number) })
            case (.series(let a), .series(let b)):
                return .series(MetricsMath.combined(operation, a, b))
            }
        }
    }

    private func staged(
        _ series: [SeriesColumn], _ stages: [MetricsStage]
    ) throws -> [SeriesColumn] {
        var result = series
        for stage in stages {
            try context.check()
            result = stage.apply(result, query.grid)
        }
        return result
    }

    // MARK: first stage

    private mutating func firstStage(
        _ pipeline: SpansetPipeline, _ aggregation: MetricsAggregation
    ) throws -> [SeriesColumn] {
        let maxExemplars = hints.exemplars ?? query.maxExemplars
        let function: MetricsFunction
        switch aggregation.function {
        case "rate": function = .rate
        case "count_over_time": function = .count
        case "min_over_time": function = .minimum
        case "max_over_time": function = .maximum
        case "sum_over_time": function = .sum
        case "avg_over_time": function = .average
        case "quantile_over_time": function = .quantile(aggregation.quantiles)
        case "histogram_over_time": function = .histogram
        default:
            var counting = try CompareAccumulator(
                aggregation, query.grid, maxExemplars: maxExemplars,
                isExtrapolated: hints.isExtrapolated)
            return try count(pipeline, aggregation, &counting)
        }
        var counting = SpanAccumulator(
            aggregation, function, query.grid, maxExemplars: maxExemplars,
            isExtrapolated: hints.isExtrapolated)
        return try count(pipeline, aggregation, &counting)
    }

    private mutating func count(
        _ pipeline: SpansetPipeline, _ aggregation: MetricsAggregation,
        _ counting: inout some SpanCounting
    ) throws -> [SeriesColumn] {
        if !aggregation.needsTrace, let condition = pipeline.spanCondition {
            try countSpans(condition, &counting)
        } else {
            try countTraces(pipeline, &counting)
        }
        return try counting.series(context)
    }

    /// Where a counted span must start. Intervals are open at their start.
    private var range: NanosRange {
        NanosRange(first: Nanos(query.grid.startNanos + 1), last: Nanos(query.grid.endNanos))
    }

    private mutating func countSpans(
        _ condition: SpanConditionOfPipeline, _ counting: inout some SpanCounting
    ) throws {
        var request = SpanRequest(tenant: query.tenant, range: range)
        var filter: CompiledExpression?
        if case .expression(let expression) = condition {
            (request.conditions, request.matchAll) = Prefilter.conditions(expression)
            filter = try CompiledExpression(expression)
        }
        var matched = 0
        let range = range, context = context
        try engine.reader.search(request, context) { batch in
            try context.check()
            try batch.arena.withUnsafeBytes { arena in
                let spans = SpanReader(batch: batch, arena: arena, trace: nil)
                for row in 0..<batch.rowCount where range.contains(batch.startNanos[row]) {
                    if let filter, !spans.value(filter, row).isTrue { continue }
                    if try counting.observe(spans, row, context) { matched += 1 }
                }
            }
            return true
        }
        statistics.matchedSpans += matched
    }

    private mutating func countTraces(
        _ pipeline: SpansetPipeline, _ counting: inout some SpanCounting
    ) throws {
        let compiled = try CompiledPipeline(pipeline)
        let candidates = try engine.candidates(
            pipeline, tenant: query.tenant, range: range, context)
        var traces = 0, matched = 0
        let range = range, context = context
        try engine.reader.traces(candidates, tenant: query.tenant, context) { batch in
            guard batch.rowCount > 0 else { return true }
            try context.check()
            traces += 1
            let shape = TraceShape(batch)
            try batch.arena.withUnsafeBytes { arena in
                let spans = SpanReader(batch: batch, arena: arena, trace: shape)
                for set in TraceEvaluation(reader: spans, shape: shape).run(compiled) {
                    for row in set.rows where range.contains(batch.startNanos[row]) {
                        if try counting.observe(spans, row, context) { matched += 1 }
                    }
                }
            }
            return true
        }
        statistics.inspectedTraces += traces
        statistics.matchedSpans += matched
        context.release(candidates.count * TraceQLEngine.candidateBytes)
    }

    // MARK: answer

    func answer(_ columns: [SeriesColumn]) -> MetricsAnswer {
        let grid = query.grid
        var series = SeriesColumn.sorted(
            columns.filter { $0.isMarker || !$0.values.allSatisfy(\.isNaN) })
        var message: String?
        if query.maxSeries > 0, series.count > query.maxSeries {
            message =
                "Response exceeds maximum series limit of \(query.maxSeries): \(series.count) "
                + "series, of which the first are returned with their full values. Group by fewer "
                + "attributes or add | topk(\(query.maxSeries))."
            series.removeSubrange(query.maxSeries...)
        }
        return MetricsAnswer(
            grid: grid,
            series: series.map { column in
                MetricsSeries(
                    labels: column.labels, values: column.values,
                    exemplars: column.exemplars.compactMap { exemplar in
                        guard let interval = grid.interval(of: exemplar.nanos),
                            interval < column.values.count, !column.values[interval].isNaN
                        else { return nil }
                        return MetricsExemplar(
                            traceID: exemplar.traceID, spanID: exemplar.spanID,
                            timestampMillis: exemplar.nanos / 1_000_000,
                            value: exemplar.value ?? column.values[interval])
                    })
            },
            partialMessage: message, statistics: statistics)
    }
}

// MARK: - What one span decides

/// A pipeline that single spans decide.
enum SpanConditionOfPipeline {
    case everything
    case expression(FieldExpression)

    private func joined(
        _ operation: FieldOperator, _ other: SpanConditionOfPipeline
    ) -> SpanConditionOfPipeline {
        switch (self, other) {
        case (.everything, _): operation == .and ? other : .everything
        case (_, .everything): operation == .and ? self : .everything
        case (.expression(let a), .expression(let b)):
            .expression(.binary(operation, a, b))
        }
    }

    func and(_ other: SpanConditionOfPipeline) -> SpanConditionOfPipeline { joined(.and, other) }
    func or(_ other: SpanConditionOfPipeline) -> SpanConditionOfPipeline { joined(.or, other) }
}

extension SpansetPipeline {
    /// The condition on a span that stands for the whole pipeline; nil where the trace matters.
    var spanCondition: SpanConditionOfPipeline? {
        var result = SpanConditionOfPipeline.everything
        for stage in stages {
            switch stage {
            case .spanset(let expression):
                guard let condition = expression.spanCondition else { return nil }
                result = result.and(condition)
            case .select: continue
            case .scalarFilter, .scalar, .group, .coalesce: return nil
            }
        }
        return result
    }
}

extension SpansetExpression {
    fileprivate var spanCondition: SpanConditionOfPipeline? {
        switch self {
        case .filter(nil): return .everything
        case .filter(let expression?): return expression.needsTrace ? nil : .expression(expression)
        case .pipeline(let pipeline): return pipeline.spanCondition
        case .binary(.or, let left, let right):
            guard let a = left.spanCondition, let b = right.spanCondition else { return nil }
            return a.or(b)
        case .binary: return nil
        }
    }
}

extension MetricsAggregation {
    /// `compare()` also compares names of roots.
    fileprivate var needsTrace: Bool {
        function == "compare"
            || (grouping + (attribute.map { [$0] } ?? [])).contains {
                $0.intrinsic?.needsTrace ?? false
            }
    }
}
