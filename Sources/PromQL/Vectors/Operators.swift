// SPDX-License-Identifier: Apache-2.0
// The operators that metric queries of all languages share.

/// Operators between expressions, in their written form.
package enum BinaryOperator: String, Sendable, CaseIterable {
    case add = "+", subtract = "-", multiply = "*", divide = "/", modulo = "%", power = "^"
    case atan2 = "atan2"
    case equal = "==", notEqual = "!=", greater = ">", less = "<"
    case greaterOrEqual = ">=", lessOrEqual = "<="
    case trimUpper = "</", trimLower = ">/"
    case and = "and", or = "or", unless = "unless"

    package var isComparison: Bool {
        switch self {
        case .equal, .notEqual, .greater, .less, .greaterOrEqual, .lessOrEqual: true
        default: false
        }
    }
    package var isSet: Bool { self == .and || self == .or || self == .unless }

    /// Whether the result is another metric than the operands.
    package var changesMetric: Bool {
        switch self {
        case .add, .subtract, .multiply, .divide, .modulo, .power, .atan2: true
        default: false
        }
    }

    /// Higher binds tighter.
    var precedence: Int {
        switch self {
        case .or: 1
        case .and, .unless: 2
        case .equal, .notEqual, .greater, .less, .greaterOrEqual, .lessOrEqual, .trimUpper,
            .trimLower:
            3
        case .add, .subtract: 4
        case .multiply, .divide, .modulo, .atan2: 5
        case .power: 6
        }
    }
}

/// Aggregation operators.
package enum AggregationOperator: String, Sendable, CaseIterable {
    case sum, avg, count, min, max, group, stddev, stdvar, topk, bottomk
    case countValues = "count_values"
    case quantile
    case limitk
    case limitRatio = "limit_ratio"

    package var takesParameter: Bool {
        switch self {
        case .topk, .bottomk, .countValues, .quantile, .limitk, .limitRatio: true
        default: false
        }
    }
    package var isExperimental: Bool { self == .limitk || self == .limitRatio }
}

/// How the series of two operands find each other.
package struct VectorMatching: Sendable, Equatable {
    package enum Cardinality: Sendable { case oneToOne, manyToOne, oneToMany, manyToMany }
    package var cardinality = Cardinality.oneToOne
    /// The labels of `on` or `ignoring`.
    package var labels: [String] = []
    package var isOn = false
    /// Labels of `group_left` or `group_right` taken over from the "one" side.
    package var include: [String] = []
    package var fillLeft: Double?
    package var fillRight: Double?
    package init() {}
}
