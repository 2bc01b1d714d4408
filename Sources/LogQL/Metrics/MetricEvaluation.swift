// SPDX-License-Identifier: Apache-2.0
// Metric queries: from the tree to the operators of the vector algebra.

import Base
import PromQL
import Telemetry

/// Two numbers' result. Division by zero is NaN, unlike in PromQL.
func logQLScalar(_ operation: BinaryOperator, _ x: Double, _ y: Double) -> Double {
    if operation == .divide || operation == .modulo, y == 0 { return .nan }
    return scalarResult(operation, x, y)
}

extension LogQLEngine {
    /// Answers a metric query at one time.
    ///
    /// - Throws: `PipelineError` when a line carries `__error__`, `QueryError` when series cannot be
    ///   matched, `QueryInterruption`, and what the reader throws.
    package func queryInstant(
        _ expression: MetricExpression, tenant: Tenant, atNanos nanos: Int64,
        _ context: ReadContext
    ) throws -> MetricResult {
        try query(expression, tenant: tenant, EvaluationSteps(instant: nanos), context)
    }

    /// Answers a metric query at all steps; see `queryInstant`.
    package func queryRange(
        _ expression: MetricExpression, tenant: Tenant, _ steps: EvaluationSteps,
        _ context: ReadContext
    ) throws -> MetricResult {
        try query(expression, tenant: tenant, steps, context)
    }

    private func query(
        _ expression: MetricExpression, tenant: Tenant, _ steps: EvaluationSteps,
        _ context: ReadContext
    ) throws -> MetricResult {
        if case .literal(let number) = expression {
            return MetricResult(
                value: .scalar(number), steps: steps, statistics: LogQLStatistics())
        }
        let evaluation = MetricEvaluation(
            reader: reader, tenant: tenant, steps: steps, context: context,
            nowNanos: clock.wallNanos)
        do {
            var series = try evaluation.run(expression)
            if !expression.sorts { series.sort { $0.labels < $1.labels } }
            return MetricResult(
                value: .series(series), steps: steps, statistics: evaluation.statistics)
        } catch let error as QueryError {
            throw logQLError(error)
        }
    }

    /// LogQL's text for what the shared algebra found.
    private func logQLError(_ error: QueryError) -> QueryError {
        guard error.description.hasPrefix("found duplicate series for the match group") else {
            return error
        }
        let isLeft = error.description.contains("on the left hand-side")
        return QueryError(
            "found duplicate series on the \(isLeft ? "left" : "right") hand-side;many-to-many "
                + "matching not allowed: matching labels must be unique on one side")
    }
}

extension MetricExpression {
    /// Whether the order of the answer is the query's doing.
    var sorts: Bool {
        switch self {
        case .aggregation(let operation, _, _, let inner):
            operation == .sort || operation == .sortDescending || inner.sorts
        case .binary(_, _, let left, let right): left.sorts || right.sorts
        case .labelReplace(let inner, _): inner.sorts
        case .range, .literal, .vector: false
        }
    }
}

/// One evaluation of one query.
private final class MetricEvaluation {
    private let reader: any LogReading
    private let tenant: Tenant
    private let steps: EvaluationSteps
    private let scope: EvaluationScope
    private let nowNanos: Int64
    var statistics = LogQLStatistics()

    init(
        reader: any LogReading, tenant: Tenant, steps: EvaluationSteps, context: ReadContext,
        nowNanos: Int64
    ) {
        self.reader = reader
        self.tenant = tenant
        self.steps = steps
        self.nowNanos = nowNanos
        scope = EvaluationScope(context: context, annotations: Annotations())
    }

    func run(_ expression: MetricExpression) throws -> [MetricSeries] {
        let root = MergeOperator(try node(expression), steps: steps.count, scope: scope)
        let series = try root.series()
        var result: [MetricSeries] = []
        for item in series {
            try scope.context.reserve(StepColumn.byteCount(steps: steps.count))
            var column = StepColumn(steps: steps.count)
            try root.next(into: &column)
            if !column.isEmpty { result.append(MetricSeries(labels: item.labels, column: column)) }
        }
        return result
    }

    private func node(_ expression: MetricExpression) throws -> any VectorOperator {
        switch expression {
        case .range(let aggregation): return try rangeNode(aggregation, pushed: nil)
        case .literal(let number), .vector(let number):
            var column = StepColumn(steps: steps.count)
            for step in 0..<steps.count { column.set(step, number) }
            return ColumnsOperator([OutputSeries(.empty)], [column])
        case .aggregation(let operation, let parameter, let grouping, let inner):
            return try aggregationNode(operation, parameter, grouping, inner)
        case .binary(let operation, let modifiers, let left, let right):
            return try binaryNode(operation, modifiers, left, right)
        case .labelReplace(let inner, let replacement):
            let replacer = try LabelReplacer(replacement)
            return RelabelOperator(try node(inner), scope: scope) { series in
                OutputSeries(replacer.apply(series.labels))
            }
        }
    }

    private func rangeNode(
        _ aggregation: RangeAggregation, pushed: LabelGrouping?
    ) throws -> any VectorOperator {
        let evaluation = RangeEvaluation(
            aggregation: aggregation, steps: steps, tenant: tenant, context: scope.context,
            nowNanos: nowNanos, pushedGrouping: pushed)
        let series = try evaluation.series(from: reader, &statistics)
        return ColumnsOperator(
            series.map { OutputSeries($0.labels) }, series.map(\.column))
    }

    // MARK: aggregations

    private func aggregationNode(
        _ operation: AggregationOperation, _ parameter: Int, _ grouping: LabelGrouping?,
        _ inner: MetricExpression
    ) throws -> any VectorOperator {
        let groups = Grouping(
            labels: grouping?.labels ?? [], without: grouping?.isWithout ?? false)
        let input: any VectorOperator
        if case .range(let range) = inner, range.canBeAggregatedEarly(by: operation) {
            input = try rangeNode(
                range, pushed: grouping ?? LabelGrouping(isWithout: false, labels: []))
        } else {
            input = try node(inner)
        }
        func aggregate(_ shared: AggregationOperator) -> any VectorOperator {
            AggregateOperator(input, shared, by: groups, steps: steps.count, scope: scope)
        }
        func select(_ shared: AggregationOperator) -> any VectorOperator {
            SelectiveOperator(
                input, shared, by: groups,
                parameter: [Double](repeating: Double(parameter), count: steps.count),
                steps: steps.count, scope: scope)
        }
        switch operation {
        case .sum: return aggregate(.sum)
        case .avg: return aggregate(.avg)
        case .max: return aggregate(.max)
        case .min: return aggregate(.min)
        case .count: return aggregate(.count)
        case .stddev: return aggregate(.stddev)
        case .stdvar: return aggregate(.stdvar)
        // With all series at hand the exact answer costs no more than an approximation.
        case .topk, .approximateTopK: return select(.topk)
        case .bottomk: return select(.bottomk)
        case .sort, .sortDescending:
            return try sorted(input, descending: operation == .sortDescending)
        }
    }

    /// Orders series by their value at the first step, NaN last; only sensible for one step.
    private func sorted(
        _ input: any VectorOperator, descending: Bool
    ) throws -> any VectorOperator {
        var items: [(OutputSeries, StepColumn)] = []
        for series in try input.series() {
            try scope.context.reserve(StepColumn.byteCount(steps: steps.count))
            var column = StepColumn(steps: steps.count)
            try input.next(into: &column)
            items.append((series, column))
        }
        items.sort { a, b in
            let x = a.1.values[0], y = b.1.values[0]
            if x.isNaN || y.isNaN { return !x.isNaN && y.isNaN }
            if x == y { return a.0.labels < b.0.labels }
            return descending ? x > y : x < y
        }
        return ColumnsOperator(items.map(\.0), items.map(\.1))
    }

    // MARK: binary operations

    private func binaryNode(
        _ operation: BinaryOperator, _ modifiers: BinaryModifiers, _ left: MetricExpression,
        _ right: MetricExpression
    ) throws -> any VectorOperator {
        if case .literal(let number) = left {
            return scalarNode(
                operation, modifiers, number, isLeft: true, guarded(operation, try node(right)))
        }
        if case .literal(let number) = right {
            let divisor = operation.dividesBy(number) ? Double.nan : number
            return scalarNode(operation, modifiers, divisor, isLeft: false, try node(left))
        }
        let leftNode = try node(left), rightNode = try node(right)
        if operation.isSet {
            return SetOperator(
                leftNode, operation, rightNode, matching: modifiers.matching, steps: steps.count,
                scope: scope)
        }
        return BinaryVectorOperator(
            leftNode, operation, guarded(operation, rightNode), matching: modifiers.matching,
            returnBool: modifiers.returnsBool, steps: steps.count, scope: scope)
    }

    private func scalarNode(
        _ operation: BinaryOperator, _ modifiers: BinaryModifiers, _ number: Double, isLeft: Bool,
        _ vector: any VectorOperator
    ) -> any VectorOperator {
        ScalarOperandOperator(
            vector, operation, scalar: [Double](repeating: number, count: steps.count),
            scalarIsLeft: isLeft, returnBool: modifiers.returnsBool, scope: scope)
    }

    /// Makes divisors of zero NaN, so that the shared arithmetic gives what LogQL wants.
    private func guarded(
        _ operation: BinaryOperator, _ divisor: any VectorOperator
    ) -> any VectorOperator {
        guard operation.dividesBy(0) else { return divisor }
        return MapOperator(divisor, scope: scope, renames: false) { column in
            for step in column.kinds.indices where column.values[step] == 0 {
                column.values[step] = .nan
            }
        }
    }
}

extension BinaryOperator {
    fileprivate func dividesBy(_ number: Double) -> Bool {
        number == 0 && (self == .divide || self == .modulo)
    }
}

extension RangeAggregation {
    /// Whether aggregating its series gives the same as aggregating its lines, so that series of
    /// labels that nobody asked for need not be made.
    fileprivate func canBeAggregatedEarly(by aggregation: AggregationOperation) -> Bool {
        guard grouping == nil else { return false }
        switch (aggregation, operation) {
        case (.sum, .countOverTime), (.sum, .bytesOverTime), (.sum, .bytesRate),
            (.sum, .sumOverTime), (.sum, .rate), (.max, .maxOverTime), (.min, .minOverTime):
            return true
        default: return false
        }
    }
}

/// `label_replace`: sets a label from a pattern over another.
private struct LabelReplacer {
    let replacement: LabelReplacement
    let expression: RegularExpression
    let names: [String]

    init(_ replacement: LabelReplacement) throws {
        self.replacement = replacement
        expression = try RegularExpression("^(?:" + replacement.pattern + ")$")
        names = expression.groupNames()
    }

    func apply(_ labels: Labels) -> Labels {
        let source = Array((labels[replacement.source] ?? "").utf8)
        let spans = source.withUnsafeBytes { expression.captures($0) }
        guard let spans else { return labels }
        var value: [UInt8] = []
        appendExpansion(of: replacement.replacement, source, spans, names, to: &value)
        return labels.setting(
            replacement.destination, String(decoding: value, as: UTF8.self))
    }
}
