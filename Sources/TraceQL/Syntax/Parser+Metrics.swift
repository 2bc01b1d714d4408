// SPDX-License-Identifier: Apache-2.0
// Metrics queries: `{…} | rate() by (…) | topk(5)` and arithmetic over them.

import Telemetry

extension Parser {
    static let metricsFunctions: Set<String> = [
        "rate", "count_over_time", "min_over_time", "max_over_time", "sum_over_time",
        "avg_over_time", "quantile_over_time", "histogram_over_time", "compare",
    ]

    mutating func metricsAggregation() throws(TraceQLSyntaxError) -> MetricsAggregation {
        var result = MetricsAggregation(function: next().text)
        try expectSymbol("(")
        switch result.function {
        case "rate", "count_over_time": break
        case "compare":
            try expectSymbol("{")
            if !isSymbol("}") { result.selection = try fieldExpression() }
            try expectSymbol("}")
            while takeSymbol(",") {
                guard case .int(let number) = try constant() else { throw unexpected() }
                result.compareParameters.append(number)
            }
            guard result.compareParameters.count <= 3, result.compareParameters.count != 2 else {
                throw unexpected()
            }
        default:
            guard let attribute = token.attribute else { throw unexpected() }
            next()
            result.attribute = attribute
            if result.function == "quantile_over_time" {
                while takeSymbol(",") {
                    switch try constant() {
                    case .int(let number): result.quantiles.append(Double(number))
                    case .float(let number): result.quantiles.append(number)
                    default: throw unexpected()
                    }
                }
                guard !result.quantiles.isEmpty else { throw unexpected(",") }
            }
        }
        try expectSymbol(")")
        if isWord("by"), result.function != "compare" {
            next()
            try expectSymbol("(")
            result.grouping = try attributeList()
            try expectSymbol(")")
        }
        return result
    }

    /// `| topk(5)`, `> 10`, in any order and number.
    mutating func metricsStages() throws(TraceQLSyntaxError) -> [MetricsStage] {
        var stages: [MetricsStage] = []
        while token.kind == .symbol {
            if isSymbol("|") {
                next()
                guard isWord("topk") || isWord("bottomk") else { throw unexpected() }
                let isTop = next().text == "topk"
                try expectSymbol("(")
                guard case .int(let count)? = token.value else { throw unexpected("INTEGER") }
                next()
                try expectSymbol(")")
                stages.append(isTop ? .topk(count) : .bottomk(count))
            } else if let operation = FieldOperator(rawValue: token.text), operation.isComparison,
                operation != .matches, operation != .notMatches
            {
                next()
                stages.append(.threshold(operation, try thresholdNumber()))
            } else {
                break
            }
        }
        return stages
    }

    /// A number or arithmetic on numbers; a duration stands alone, in seconds.
    private mutating func thresholdNumber() throws(TraceQLSyntaxError) -> Double {
        if case .duration(let nanos)? = token.value {
            next()
            return Double(nanos) / 1e9
        }
        let expression = try metricsMath(minimum: 3)
        guard let value = folded(expression) else { throw unexpected() }
        switch value {
        case .int(let number): return Double(number)
        case .float(let number): return number
        default: throw unexpected()
        }
    }

    /// A metrics query that is no single pipeline. It must have at least one pipeline in it.
    mutating func metricsRoot() throws(TraceQLSyntaxError) -> MetricsExpression {
        let expression = try metricsMath(minimum: 3)
        guard folded(expression) == nil else { throw unexpected() }
        let stages = try metricsStages()
        return stages.isEmpty ? expression : .staged(expression, stages)
    }

    private mutating func metricsMath(
        minimum: Int
    ) throws(TraceQLSyntaxError) -> MetricsExpression {
        try enter()
        defer { leave() }
        var left = try metricsOperand()
        while token.kind == .symbol, let operation = FieldOperator(rawValue: token.text),
            operation.isArithmetic, operation.precedence >= minimum
        {
            guard operation != .modulo, operation != .power else { throw unexpected() }
            let place = token
            next()
            try countOperator()
            let right = try metricsMath(minimum: operation.precedence + 1)
            if let a = folded(left), let b = folded(right) {
                guard let number = Arithmetic.apply(operation, a, b) else {
                    throw TraceQLSyntaxError(
                        line: place.line, column: place.column,
                        "\(a.text) \(operation.rawValue) \(b.text) has no value")
                }
                left = .number(number)
            } else {
                left = .binary(operation, left, right)
            }
        }
        return left
    }

    private mutating func metricsOperand() throws(TraceQLSyntaxError) -> MetricsExpression {
        if isSymbol("(") {
            let holdsPipeline = metricsParentheses.contains(position)
            next()
            try enter()
            defer { leave() }
            let result: MetricsExpression
            if holdsPipeline {
                result = try metricsPipeline()
            } else {
                let inner = try metricsMath(minimum: 3)
                let stages = try metricsStages()
                result = stages.isEmpty ? inner : .staged(inner, stages)
            }
            try expectSymbol(")")
            return result
        }
        let start = position
        switch try constant() {
        case .int(let number): return .number(.int(number))
        case .float(let number): return .number(.float(number))
        default:
            position = start
            throw unexpected()
        }
    }

    private mutating func metricsPipeline() throws(TraceQLSyntaxError) -> MetricsExpression {
        let pipeline = try self.pipeline()
        if case .scalar? = pipeline.stages.last { throw unexpected() }
        guard takeSymbol("|") else { throw unexpected("|") }
        guard token.kind == .identifier, Parser.metricsFunctions.contains(token.text) else {
            throw unexpected()
        }
        let aggregation = try metricsAggregation()
        return .pipeline(pipeline, aggregation, try metricsStages())
    }

    /// The number an expression without any pipeline is; whole numbers divide without remainder.
    private func folded(_ expression: MetricsExpression) -> Static? {
        if case .number(let value) = expression { value } else { nil }
    }
}
