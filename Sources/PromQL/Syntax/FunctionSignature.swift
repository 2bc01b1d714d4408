// SPDX-License-Identifier: Apache-2.0
// Names and types of PromQL's functions.

/// What the parser knows of a function.
package struct FunctionSignature: Sendable, Equatable {
    package var name: String
    package var arguments: [ValueKind]
    /// 0: as many arguments as listed. Positive: the last listed may be left out or given up to
    /// this many times. −1: any number of times, or left out.
    package var variadic = 0
    package var result: ValueKind
    package var isExperimental = false

    init(
        _ name: String, _ arguments: [ValueKind], variadic: Int = 0,
        result: ValueKind = .vector, experimental: Bool = false
    ) {
        self.name = name
        self.arguments = arguments
        self.variadic = variadic
        self.result = result
        isExperimental = experimental
    }

    /// All functions, by name. Source: prometheus/prometheus `promql/parser/functions.go`.
    package static let all: [String: FunctionSignature] = {
        var table: [String: FunctionSignature] = [:]
        for signature in list { table[signature.name] = signature }
        return table
    }()

    private static let vectorToVector = [
        "abs", "absent", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh",
        "deg", "exp", "floor", "histogram_avg", "histogram_count", "histogram_sum",
        "histogram_stddev", "histogram_stdvar", "ln", "log10", "log2", "rad", "sgn", "sin", "sinh",
        "sort", "sort_desc", "sqrt", "tan", "tanh", "timestamp",
    ]
    private static let matrixToVector = [
        "absent_over_time", "avg_over_time", "changes", "count_over_time", "delta", "deriv",
        "first_over_time", "idelta", "increase", "irate", "last_over_time", "max_over_time",
        "min_over_time", "present_over_time", "rate", "resets", "stddev_over_time",
        "stdvar_over_time", "sum_over_time",
    ]
    private static let experimentalMatrixToVector = [
        "mad_over_time", "ts_of_first_over_time", "ts_of_last_over_time", "ts_of_max_over_time",
        "ts_of_min_over_time",
    ]
    private static let datesOfVector = [
        "days_in_month", "day_of_month", "day_of_week", "day_of_year", "hour", "minute", "month",
        "year",
    ]

    private static let list: [FunctionSignature] =
        vectorToVector.map { FunctionSignature($0, [.vector]) }
        + matrixToVector.map { FunctionSignature($0, [.matrix]) }
        + experimentalMatrixToVector.map {
            FunctionSignature($0, [.matrix], experimental: true)
        }
        + datesOfVector.map { FunctionSignature($0, [.vector], variadic: 1) }
        + ["start", "end", "range", "step"].map {
            FunctionSignature($0, [], result: .scalar, experimental: true)
        }
        + ["max_of", "min_of"].map {
            FunctionSignature($0, [.scalar, .scalar], result: .scalar, experimental: true)
        }
        + ["sort_by_label", "sort_by_label_desc"].map {
            FunctionSignature($0, [.vector, .string], variadic: -1, experimental: true)
        }
        + [
            FunctionSignature("clamp", [.vector, .scalar, .scalar]),
            FunctionSignature("clamp_max", [.vector, .scalar]),
            FunctionSignature("clamp_min", [.vector, .scalar]),
            FunctionSignature(
                "double_exponential_smoothing", [.matrix, .scalar, .scalar], experimental: true),
            FunctionSignature("histogram_fraction", [.scalar, .scalar, .vector]),
            FunctionSignature("histogram_quantile", [.scalar, .vector]),
            FunctionSignature(
                "histogram_quantiles", [.vector, .string, .scalar, .scalar], variadic: 9,
                experimental: true),
            FunctionSignature("info", [.vector, .vector], variadic: 1, experimental: true),
            FunctionSignature("label_join", [.vector, .string, .string, .string], variadic: -1),
            FunctionSignature("label_replace", [.vector, .string, .string, .string, .string]),
            FunctionSignature("pi", [], result: .scalar),
            FunctionSignature("predict_linear", [.matrix, .scalar]),
            FunctionSignature("quantile_over_time", [.scalar, .matrix]),
            FunctionSignature("round", [.vector, .scalar], variadic: 1),
            FunctionSignature("scalar", [.vector], result: .scalar),
            FunctionSignature("start_timestamp", [.vector], experimental: true),
            FunctionSignature("time", [], result: .scalar),
            FunctionSignature("vector", [.scalar]),
        ]
}
