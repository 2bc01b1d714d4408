// SPDX-License-Identifier: Apache-2.0
// Function calls that yield vectors.

import Base
import Telemetry

extension Evaluator {
    func call(_ node: Call, _ grid: StepGrid) throws -> any VectorOperator {
        if let function = RangeFunction(rawValue: node.name) {
            return try rangeCall(node, function, grid)
        }
        if let function = floatFunctions[node.name] {
            return try mapFloats(node.arguments[0], grid) { _, value in function(value) }
        }
        if let function = dateFunctions[node.name] { return try mapDates(node, grid, function) }
        if let function = histogramFunctions[node.name] {
            return try mapHistograms(node.arguments[0], grid, function)
        }
        switch node.name {
        case "absent":
            let argument = node.arguments[0].unwrapped
            return AbsentOperator(
                try vector(argument, grid), labels: argument.labelsWhenAbsent,
                steps: grid.count, scope: scope)
        case "clamp", "clamp_min", "clamp_max": return try clamp(node, grid)
        case "histogram_quantile", "histogram_quantiles", "histogram_fraction":
            return try histogramStatistic(node, grid)
        case "info": return try info(node, grid)
        case "label_join": return try labelJoin(node, grid)
        case "label_replace": return try labelReplace(node, grid)
        case "round": return try round(node, grid)
        case "sort", "sort_desc", "sort_by_label", "sort_by_label_desc":
            return try sort(node, grid)
        case "timestamp": return try timestamp(node, grid)
        case "start_timestamp": return try startTimestamp(node, grid)
        case "vector":
            var column = StepColumn(steps: grid.count)
            for (step, value) in try scalar(node.arguments[0], grid).enumerated() {
                column.set(step, value)
            }
            return ColumnsOperator([OutputSeries(.empty)], [column])
        default: throw QueryError("function \(quotedText(node.name)) is not supported")
        }
    }

    private func timestamp(_ node: Call, _ grid: StepGrid) throws -> any VectorOperator {
        if case .selector(let selector) = node.arguments[0].unwrapped {
            return merged(
                try self.selector(selector, grid, .timestamp), of: node.arguments[0], grid)
        }
        let input = try vector(node.arguments[0], grid)
        let mapped = MapOperator(input, scope: scope, renames: true) { column in
            for step in column.kinds.indices where column.kinds[step] != .none {
                column.set(step, Double(grid.millis(step)) / 1000)
            }
        }
        return merged(mapped, of: node.arguments[0], grid)
    }

    private func startTimestamp(_ node: Call, _ grid: StepGrid) throws -> any VectorOperator {
        // Only samples have a start time, computed values have none.
        guard options.useStartTimestamps,
            case .selector(let selector) = node.arguments[0].unwrapped
        else { return ColumnsOperator([], []) }
        return merged(
            try self.selector(selector, grid, .startTimestamp), of: node.arguments[0], grid)
    }

    private func rangeCall(
        _ node: Call, _ function: RangeFunction, _ grid: StepGrid
    ) throws -> any VectorOperator {
        var parameters: [[Double]] = []
        var matrix: Expression?
        var parameterPosition = node.range
        for argument in node.arguments {
            if argument.kind == .matrix {
                matrix = argument.unwrapped
            } else {
                if parameters.isEmpty { parameterPosition = argument.range }
                parameters.append(try scalar(argument, grid))
            }
        }
        guard let matrix else {
            throw QueryError("function \(quotedText(node.name)) needs a range vector")
        }
        let vector = try rangeVector(matrix, grid, aggregate: function.aggregate)
        if vector.anchored, !function.allowsAnchored {
            throw QueryError(
                "anchored modifier can only be used with: changes, delta, increase, rate, "
                    + "resets - not with \(node.name)")
        }
        if vector.smoothed, !function.allowsSmoothed {
            throw QueryError(
                "smoothed modifier can only be used with: delta, increase, rate - not with "
                    + node.name)
        }
        let first = node.arguments.first?.range ?? node.range
        let last = node.arguments.last?.range ?? node.range
        let call = RangeCall(
            function: function, vector: vector, annotations: scope.annotations,
            usesStartTimestamps: options.useStartTimestamps,
            argumentsPosition: SourceRange(first.start, last.end),
            parameterPosition: parameterPosition)
        let result = RangeFunctionOperator(
            call, grid, parameters: parameters, lookback: options.lookbackMillis, scope: scope)
        if function == .absent {
            return AbsentOperator(
                result, labels: matrix.labelsWhenAbsent, steps: grid.count, scope: scope)
        }
        return merged(result, of: matrix, grid, strict: true)
    }
}
