// SPDX-License-Identifier: Apache-2.0
// Turns expressions into running operators.

import Base
import Glibc
import Telemetry

/// Builds the operators of one query. Expects an expression whose times are resolved.
final class Evaluator {
    let reader: any SeriesReading
    let tenant: Tenant
    let options: PromQLOptions
    let scope: EvaluationScope
    /// What the only selector selects, when this evaluates a slice of an expression.
    let slice: (any SeriesSet)?
    /// What is evaluated once for several places; nil inside a slice.
    let shared: SharedEvaluations?
    /// What was selected last.
    var selected: (any SeriesSet)?
    /// Who watches, when the query is explained.
    let recorder: PlanRecorder?

    init(
        reader: any SeriesReading, tenant: Tenant, options: PromQLOptions, scope: EvaluationScope,
        shared: SharedEvaluations? = nil, slice: (any SeriesSet)? = nil,
        recorder: PlanRecorder? = nil
    ) {
        self.reader = reader
        self.tenant = tenant
        self.options = options
        self.scope = scope
        self.shared = shared
        self.slice = slice
        self.recorder = recorder
    }

    // MARK: Kinds of values

    /// The operator of an instant vector.
    func vector(_ expression: Expression, _ grid: StepGrid) throws -> any VectorOperator {
        guard let recorder else { return try planned(expression, grid) }
        let inner = expression.unwrapped
        return try recorder.vector(inner, grid) { try planned(inner, grid) }
    }

    private func planned(_ expression: Expression, _ grid: StepGrid) throws -> any VectorOperator {
        if grid.count == 0 { return ColumnsOperator([], []) }
        if grid.count > 1, expression.isStepInvariant {
            let single = StepGrid(at: grid.start)
            return BroadcastOperator(
                try onGrid(single, .stepInvariant) { try $0.vector(expression, single) },
                steps: grid.count)
        }
        if let shared, let id = shared.id(expression) {
            return shared.view(id, grid, into: scope.annotations, recorder) {
                evaluation(of: expression, grid, shared)
            }
        }
        return try unshared(expression, grid)
    }

    /// The operator of an instant vector for one place only.
    private func unshared(_ expression: Expression, _ grid: StepGrid) throws -> any VectorOperator {
        if let selector = sliceable(expression, grid) {
            return try sliced(expression, selector, grid)
        }
        return try whole(expression, grid)
    }

    private func evaluation(
        of expression: Expression, _ grid: StepGrid, _ shared: SharedEvaluations
    ) -> SharedEvaluation {
        SharedEvaluation(
            steps: grid.count, limitBytes: options.sharedBytes, context: scope.context
        ) { [reader, tenant, options, scope, recorder] annotations in
            let scope = EvaluationScope(
                context: scope.context, annotations: annotations,
                delayedNameRemoval: options.delayedNameRemoval)
            return try Evaluator(
                reader: reader, tenant: tenant, options: options, scope: scope, shared: shared,
                recorder: recorder
            ).unshared(expression, grid)
        }
    }

    /// The operator of an instant vector, in one piece.
    func whole(_ expression: Expression, _ grid: StepGrid) throws -> any VectorOperator {
        switch expression {
        case .selector(let node): return try selector(node, grid, .value)
        case .parenthesized(let node): return try vector(node.expression, grid)
        case .unary(let node): return try unary(node, grid)
        case .aggregation(let node): return try aggregation(node, grid)
        case .binary(let node): return try binary(node, grid)
        case .call(let node): return try call(node, grid)
        case .number, .string, .matrix, .subquery, .duration:
            throw QueryError(
                "expected an instant vector, got \(expression.kind.documented)")
        }
    }

    /// The value of a scalar at each step.
    func scalar(_ expression: Expression, _ grid: StepGrid) throws -> [Double] {
        guard let recorder else { return try computed(expression, grid) }
        return try recorder.scalar(expression, grid) { try computed(expression, grid) }
    }

    private func computed(_ expression: Expression, _ grid: StepGrid) throws -> [Double] {
        switch expression {
        case .number(let node): return [Double](repeating: node.value, count: grid.count)
        case .parenthesized(let node): return try scalar(node.expression, grid)
        case .unary(let node):
            let values = try scalar(node.operand, grid)
            return node.isNegation ? values.map { -$0 } : values
        case .binary(let node):
            let left = try scalar(node.left, grid), right = try scalar(node.right, grid)
            return zip(left, right).map { scalarResult(node.operation, $0, $1) }
        case .call(let node): return try scalarCall(node, grid)
        default: throw QueryError("expected a scalar, got \(expression.kind.documented)")
        }
    }

    private func scalarCall(_ node: Call, _ grid: StepGrid) throws -> [Double] {
        switch node.name {
        case "time": return (0..<grid.count).map { Double(grid.millis($0)) / 1000 }
        case "pi": return [Double](repeating: .pi, count: grid.count)
        case "scalar": return try onlyElement(node.arguments[0], grid)
        case "max_of", "min_of":
            let left = try scalar(node.arguments[0], grid)
            let right = try scalar(node.arguments[1], grid)
            return zip(left, right).map { a, b in
                if a.isNaN || b.isNaN { return .nan }
                return node.name == "max_of" ? fmax(a, b) : fmin(a, b)
            }
        default: throw QueryError("function \(quotedText(node.name)) yields no scalar")
        }
    }

    /// `scalar(v)`: the float of a vector of one, else NaN.
    private func onlyElement(_ argument: Expression, _ grid: StepGrid) throws -> [Double] {
        let input = try vector(argument, grid)
        var values = [Double](repeating: .nan, count: grid.count)
        var counts = [Int](repeating: 0, count: grid.count)
        var column = StepColumn(steps: grid.count)
        for _ in try input.series() {
            try input.next(into: &column)
            for step in 0..<grid.count where column.kinds[step] == .float {
                counts[step] += 1
                values[step] = counts[step] == 1 ? column.values[step] : .nan
            }
        }
        return values
    }

    func string(_ expression: Expression) -> String {
        if case .string(let node) = expression.unwrapped { return node.value }
        return ""
    }

    /// A string that names a label.
    ///
    /// - Parameter message: of the error when it cannot, followed by the string.
    func labelName(
        _ expression: Expression, _ message: String, isQuoted: Bool = false
    ) throws -> String {
        guard case .string(let node) = expression.unwrapped else { return "" }
        if node.invalidBytes == nil, !node.value.isEmpty { return node.value }
        throw QueryError(message + (isQuoted ? node.text : node.value))
    }

    // MARK: Names

    /// Drops the names whose removal was delayed.
    func named(_ input: any VectorOperator, _ grid: StepGrid) -> any VectorOperator {
        guard options.delayedNameRemoval else { return input }
        let renamed = RelabelOperator(input, scope: scope) { series in
            series.dropName ? OutputSeries(series.labels.withoutName) : series
        }
        return MergeOperator(renamed, steps: grid.count, scope: scope)
    }

    /// Where names go at once, series may end up the same.
    ///
    /// - Parameter expression: what `input` is made from.
    func merged(
        _ input: any VectorOperator, of expression: Expression, _ grid: StepGrid,
        strict: Bool = false
    ) -> any VectorOperator {
        if options.delayedNameRemoval || expression.seriesWiseSelector?.hasOneName ?? false {
            return input
        }
        return MergeOperator(input, steps: grid.count, scope: scope, strict: strict)
    }

    // MARK: Operators

    private func unary(_ node: UnaryExpression, _ grid: StepGrid) throws -> any VectorOperator {
        let input = try vector(node.operand, grid)
        guard node.isNegation else { return input }
        let negated = MapOperator(input, scope: scope, renames: true) { column in
            for step in column.kinds.indices {
                switch column[step] {
                case .float(let value): column.set(step, -value)
                case .histogram(let histogram): column.set(step, histogram.multiplied(by: -1))
                case nil: break
                }
            }
        }
        return merged(negated, of: node.operand, grid)
    }

    private func aggregation(_ node: Aggregation, _ grid: StepGrid) throws -> any VectorOperator {
        if let operation = try presence(node, grid) { return operation }
        let grouping = Grouping(labels: node.grouping, without: node.without)
        if node.operation == .countValues {
            let label =
                try node.parameter.map {
                    try labelName($0, "invalid label name ", isQuoted: true)
                } ?? ""
            return CountValuesOperator(
                try vector(node.expression, grid), label: label, by: grouping, steps: grid.count,
                scope: scope)
        }
        var parameter: [Double] = []
        if let expression = node.parameter { parameter = try scalar(expression, grid) }
        let parameterPosition = node.parameter?.range ?? node.range
        let input = try vector(node.expression, grid)
        switch node.operation {
        case .topk, .bottomk, .limitk, .limitRatio:
            return SelectiveOperator(
                input, node.operation, by: grouping, parameter: parameter, steps: grid.count,
                scope: scope, at: node.range, parameterAt: parameterPosition)
        case .quantile:
            for q in [parameter.min() ?? 0, parameter.max() ?? 0] where q < 0 || q > 1 {
                scope.annotations.warn(MessageText.invalidQuantile(q), at: parameterPosition)
            }
            if parameter.contains(where: \.isNaN) {
                scope.annotations.warn(MessageText.invalidQuantile(.nan), at: parameterPosition)
            }
        default: break
        }
        return AggregateOperator(
            input, node.operation, by: grouping, parameter: parameter, steps: grid.count,
            scope: scope, at: node.expression.range)
    }

    private func binary(_ node: BinaryExpression, _ grid: StepGrid) throws -> any VectorOperator {
        let position = Expression.binary(node).range
        let leftIsScalar = node.left.kind == .scalar
        if leftIsScalar || node.right.kind == .scalar {
            let scalars = try scalar(leftIsScalar ? node.left : node.right, grid)
            let operand = leftIsScalar ? node.right : node.left
            let input = try vector(operand, grid)
            return merged(
                ScalarOperandOperator(
                    input, node.operation, scalar: scalars, scalarIsLeft: leftIsScalar,
                    returnBool: node.returnBool, scope: scope, at: position),
                of: operand, grid)
        }
        let left = try vector(node.left, grid), right = try vector(node.right, grid)
        let matching = node.matching ?? VectorMatching()
        if node.operation.isSet {
            let set = SetOperator(
                left, node.operation, right, matching: matching, steps: grid.count, scope: scope)
            // Both sides of `or` may bring the same series, at different steps.
            return node.operation == .or
                ? MergeOperator(set, steps: grid.count, scope: scope) : set
        }
        return BinaryVectorOperator(
            left, node.operation, right, matching: matching, returnBool: node.returnBool,
            steps: grid.count, scope: scope, at: position)
    }
}
