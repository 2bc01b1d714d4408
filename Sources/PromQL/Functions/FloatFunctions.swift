// SPDX-License-Identifier: Apache-2.0
// Functions of one float.

import Base
import Glibc
import Telemetry

/// Mathematical functions and those of dates, by name. Dates take Unix seconds.
let floatFunctions: [String: @Sendable (Double) -> Double] = [
    "abs": { $0.magnitude },
    "acos": acos, "acosh": acosh, "asin": asin, "asinh": asinh, "atan": atan, "atanh": atanh,
    "ceil": { $0.rounded(.up) },
    "cos": cos, "cosh": cosh,
    "deg": { $0 * 180 / .pi },
    "exp": exp,
    "floor": { $0.rounded(.down) },
    "ln": log, "log10": log10, "log2": log2,
    "rad": { $0 * .pi / 180 },
    "sgn": { $0 < 0 ? -1 : $0 > 0 ? 1 : $0 },
    "sin": sin, "sinh": sinh,
    "sqrt": { $0.squareRoot() },
    "tan": tan, "tanh": tanh,
]

let dateFunctions: [String: @Sendable (Int64) -> Double] = [
    "days_in_month": { seconds in
        let time = CivilTime(unixSeconds: seconds)
        return Double(CivilTime.daysInMonth(year: time.year, month: time.month))
    },
    "day_of_month": { Double(CivilTime(unixSeconds: $0).day) },
    "day_of_week": { Double(CivilTime.weekday(unixSeconds: $0)) },
    "day_of_year": { Double(CivilTime(unixSeconds: $0).dayOfYear) },
    "hour": { Double(CivilTime(unixSeconds: $0).hour) },
    "minute": { Double(CivilTime(unixSeconds: $0).minute) },
    "month": { Double(CivilTime(unixSeconds: $0).month) },
    "year": { Double(CivilTime(unixSeconds: $0).year) },
]

/// Functions of one native histogram.
let histogramFunctions: [String: @Sendable (NativeHistogram) -> Double] = [
    "histogram_count": { $0.count },
    "histogram_sum": { $0.sum },
    "histogram_avg": { $0.sum / $0.count },
    "histogram_stddev": { $0.variance.squareRoot() },
    "histogram_stdvar": { $0.variance },
]

/// Seconds as Go converts a float: towards zero, out of range to the least integer.
private func wholeSeconds(_ value: Double) -> Int64 {
    let whole = value.rounded(.towardZero)
    // Beyond this the calendar's arithmetic would overflow.
    guard whole.magnitude < 9e15 else {
        return value.isNaN ? 0 : whole > 0 ? 9_000_000_000_000_000 : -9_000_000_000_000_000
    }
    return Int64(whole)
}

extension Evaluator {
    /// Applies a function to the floats of a vector and leaves its histograms out.
    func mapFloats(
        _ argument: Expression, _ grid: StepGrid,
        _ change: @escaping @Sendable (Int, Double) -> Double?
    ) throws -> any VectorOperator {
        let input = try vector(argument, grid)
        let mapped = MapOperator(input, scope: scope, renames: true) { column in
            for step in column.kinds.indices where column.kinds[step] != .none {
                if column.kinds[step] == .float, let value = change(step, column.values[step]) {
                    column.set(step, value)
                } else {
                    column.remove(step)
                }
            }
        }
        return merged(mapped, of: argument, grid)
    }

    func mapDates(
        _ node: Call, _ grid: StepGrid, _ function: @escaping @Sendable (Int64) -> Double
    ) throws -> any VectorOperator {
        if let argument = node.arguments.first {
            return try mapFloats(argument, grid) { _, value in function(wholeSeconds(value)) }
        }
        var column = StepColumn(steps: grid.count)
        for step in 0..<grid.count {
            let millis = grid.millis(step)
            column.set(step, function(millis / 1000))
        }
        return ColumnsOperator([OutputSeries(.empty)], [column])
    }

    func mapHistograms(
        _ argument: Expression, _ grid: StepGrid,
        _ function: @escaping @Sendable (NativeHistogram) -> Double
    ) throws -> any VectorOperator {
        let input = try vector(argument, grid)
        let mapped = MapOperator(input, scope: scope, renames: true) { column in
            for step in column.kinds.indices where column.kinds[step] != .none {
                if let histogram = column.histogram(step) {
                    column.set(step, function(histogram))
                } else {
                    column.remove(step)
                }
            }
        }
        return merged(mapped, of: argument, grid)
    }

    func clamp(_ node: Call, _ grid: StepGrid) throws -> any VectorOperator {
        var low = [Double](repeating: -.infinity, count: grid.count)
        var high = [Double](repeating: .infinity, count: grid.count)
        switch node.name {
        case "clamp_min": low = try scalar(node.arguments[1], grid)
        case "clamp_max": high = try scalar(node.arguments[1], grid)
        default:
            low = try scalar(node.arguments[1], grid)
            high = try scalar(node.arguments[2], grid)
        }
        return try mapFloats(node.arguments[0], grid) { [low, high] step, value in
            if high[step] < low[step] { return nil }
            // Go's Min and Max: NaN wins.
            if value.isNaN || low[step].isNaN || high[step].isNaN { return .nan }
            return Swift.max(low[step], Swift.min(high[step], value))
        }
    }

    func round(_ node: Call, _ grid: StepGrid) throws -> any VectorOperator {
        var nearest = [Double](repeating: 1, count: grid.count)
        if node.arguments.count > 1 { nearest = try scalar(node.arguments[1], grid) }
        return try mapFloats(node.arguments[0], grid) { [nearest] step, value in
            let inverse = 1 / nearest[step]
            return (value * inverse + 0.5).rounded(.down) / inverse
        }
    }
}
