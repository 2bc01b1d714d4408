// SPDX-License-Identifier: Apache-2.0
// Front door of evaluation.

import Base
import Telemetry

/// Settings of an engine, named as Prometheus' flags and features.
package struct PromQLOptions: Sendable {
    /// How old a sample may be to be the current one.
    package var lookbackMillis: Int64 = 300_000
    /// Step of subqueries that name none: the global evaluation interval.
    package var subqueryStepMillis: Int64 = 60_000
    package var delayedNameRemoval = false
    package var useStartTimestamps = false
    package var parser = ParserOptions()
    package var slicing = Slicing()
    /// Most bytes of values that may wait for the places of a query that say the same; a larger
    /// result is computed for each of them. 0 = nothing is shared.
    package var sharedBytes = 32 << 20
    package init() {}
}

/// A query that is parsed, with its times put in.
struct PreparedQuery {
    let text: String
    let expression: Expression
    let grid: StepGrid
    let isInstant: Bool
}

/// Evaluates PromQL over whatever can be read series by series. Safe to share between threads.
package struct PromQLEngine: Sendable {
    let reader: any SeriesReading
    package let options: PromQLOptions

    package init(reader: any SeriesReading, options: PromQLOptions = PromQLOptions()) {
        self.reader = reader
        self.options = options
    }

    /// Evaluates at one time.
    ///
    /// - Parameter countsSamples: also count samples by step; costs a pass over the windows of
    ///   ranges.
    /// - Throws: `ParseError` for bad text, `QueryError` for what cannot be evaluated,
    ///   `QueryInterruption` when a limit of `context` is reached, and what the reader throws.
    package func query(
        _ text: String, tenant: Tenant = .anonymous, at time: Millis, context: ReadContext,
        lookbackMillis: Int64? = nil, countsSamples: Bool = false
    ) throws -> QueryResult {
        try evaluate(
            try prepared(text, at: time), tenant, context, lookbackMillis,
            countsSamples: countsSamples)
    }

    /// Evaluates at `start`, `start + stepMillis`, … up to `end`; always answers a matrix.
    package func queryRange(
        _ text: String, tenant: Tenant = .anonymous, start: Millis, end: Millis,
        stepMillis: Int64, context: ReadContext, lookbackMillis: Int64? = nil,
        countsSamples: Bool = false
    ) throws -> QueryResult {
        try evaluate(
            try prepared(text, start: start, end: end, stepMillis: stepMillis), tenant, context,
            lookbackMillis, countsSamples: countsSamples)
    }

    // MARK: Preparation

    func prepared(_ text: String, at time: Millis) throws -> PreparedQuery {
        let expression = try parseExpression(text, options: options.parser)
        let times = QueryTimes(start: time.rawValue, end: time.rawValue, step: 0)
        return PreparedQuery(
            text: text, expression: try Resolution(times: times).resolve(expression),
            grid: StepGrid(at: time.rawValue), isInstant: true)
    }

    func prepared(
        _ text: String, start: Millis, end: Millis, stepMillis: Int64
    ) throws -> PreparedQuery {
        let expression = try parseExpression(text, options: options.parser)
        guard expression.kind == .vector || expression.kind == .scalar else {
            throw QueryError(
                "invalid expression type \(quotedText(expression.kind.documented)) for range "
                    + "query, must be Scalar or instant Vector")
        }
        let times = QueryTimes(
            start: start.rawValue, end: end.rawValue, step: stepMillis)
        let resolved = try Resolution(times: times).resolve(expression)
        guard stepMillis > 0 else { throw QueryError("query step must be greater than 0") }
        let grid = StepGrid(start: start.rawValue, end: end.rawValue, step: stepMillis)
        try PromQLEngine.checkSize(grid)
        return PreparedQuery(text: text, expression: resolved, grid: grid, isInstant: false)
    }

    /// Most steps of a query or subquery: what a column of them takes must stay affordable.
    private static let maxSteps = 10_000_000

    static func checkSize(_ grid: StepGrid) throws(QueryError) {
        if grid.count > maxSteps {
            throw QueryError(
                "query processing would load too many samples into memory: \(grid.count) steps, "
                    + "at most \(maxSteps) are allowed; use a longer step or a shorter range")
        }
    }

    // MARK: Evaluation

    /// - Parameter recorder: who watches, when the query is explained.
    func evaluate(
        _ query: PreparedQuery, _ tenant: Tenant, _ context: ReadContext,
        _ lookbackMillis: Int64?, _ recorder: PlanRecorder? = nil, countsSamples: Bool = false
    ) throws -> QueryResult {
        let grid = query.grid
        try context.check()
        let annotations = Annotations()
        var options = options
        if let lookbackMillis { options.lookbackMillis = lookbackMillis }
        // What upstream would read is counted, so that is read: every place for itself.
        let expression =
            countsSamples ? query.expression : MatcherPropagation.apply(query.expression)
        let shared =
            countsSamples || options.sharedBytes <= 0
            ? nil : SharedEvaluations(SharedExpressions(expression))
        defer { shared?.removeAll() }
        let scope = EvaluationScope(
            context: context, annotations: annotations,
            delayedNameRemoval: options.delayedNameRemoval)
        if countsSamples { scope.counts = try SampleCounts(grid, context) }
        let evaluator = Evaluator(
            reader: reader, tenant: tenant, options: options, scope: scope, shared: shared,
            recorder: recorder)
        let value: QueryValue
        switch expression.kind {
        case .string: value = .string(millis: grid.start, evaluator.string(expression))
        case .scalar:
            let values = try evaluator.scalar(expression, grid)
            if query.isInstant {
                value = .scalar(millis: grid.start, values.first ?? .nan)
            } else {
                var series = MatrixSeries(labels: .empty)
                for (step, scalar) in values.enumerated() {
                    series.append(grid.millis(step), .float(scalar))
                }
                value = .matrix(series.isEmpty ? [] : [series])
            }
        case .matrix: value = .matrix(try evaluator.matrix(expression, grid))
        default:
            let root = evaluator.named(try evaluator.vector(expression, grid), grid)
            value =
                query.isInstant
                ? .vector(try collectVector(root, grid, context))
                : .matrix(try collectMatrix(root, grid, context))
        }
        return QueryResult(
            value: value, warnings: annotations.texts(.warning, query: query.text),
            infos: annotations.texts(.info, query: query.text), samples: scope.counts?.total())
    }

    private func collectVector(
        _ root: any VectorOperator, _ grid: StepGrid, _ context: ReadContext
    ) throws -> [VectorSample] {
        var column = StepColumn(steps: grid.count)
        var result: [VectorSample] = []
        for series in try root.series() {
            try context.check()
            try root.next(into: &column)
            if let value = column[0] {
                try context.reserve(MemoryLayout<VectorSample>.stride)
                result.append(
                    VectorSample(labels: series.labels, millis: grid.start, value: value))
            }
        }
        return result
    }

    private func collectMatrix(
        _ root: any VectorOperator, _ grid: StepGrid, _ context: ReadContext
    ) throws -> [MatrixSeries] {
        var column = StepColumn(steps: grid.count)
        var result: [MatrixSeries] = []
        let gridMillis = (0..<grid.count).map { grid.millis($0) }
        for item in try root.series() {
            try context.check()
            try root.next(into: &column)
            let series = MatrixSeries(labels: item.labels, column, gridMillis)
            if series.isEmpty { continue }
            try context.reserve(series.byteCount)
            result.append(series)
        }
        try context.sort(&result) { $0.labels < $1.labels }
        return result
    }
}
