// SPDX-License-Identifier: Apache-2.0
// The syntax tree of PromQL.

import Telemetry

/// What an expression evaluates to.
package enum ValueKind: String, Sendable {
    case none, scalar, vector, matrix, string

    /// As error messages and the documentation name it.
    var documented: String {
        switch self {
        case .vector: "instant vector"
        case .matrix: "range vector"
        default: rawValue
        }
    }
}

/// A PromQL expression. Every node knows where it stands in the text.
package indirect enum Expression: Sendable {
    case number(NumberLiteral)
    case string(StringLiteral)
    case selector(VectorSelector)
    case matrix(MatrixSelector)
    case subquery(Subquery)
    case call(Call)
    case aggregation(Aggregation)
    case binary(BinaryExpression)
    case unary(UnaryExpression)
    case parenthesized(ParenthesizedExpression)
    /// Only inside ranges, steps and offsets.
    case duration(DurationExpression)

    package var range: SourceRange {
        switch self {
        case .number(let node): node.range
        case .string(let node): node.range
        case .selector(let node): node.range
        case .matrix(let node): SourceRange(node.selector.range.start, node.end)
        case .subquery(let node): SourceRange(node.expression.range.start, node.end)
        case .call(let node): node.range
        case .aggregation(let node): node.range
        case .binary(let node): SourceRange(node.left.range.start, node.right.range.end)
        case .unary(let node): SourceRange(node.start, node.operand.range.end)
        case .parenthesized(let node): node.range
        case .duration(let node): node.range
        }
    }

    package var kind: ValueKind {
        switch self {
        case .number: .scalar
        case .string: .string
        case .selector, .aggregation: .vector
        case .matrix, .subquery: .matrix
        case .call(let node): node.function?.result ?? .none
        case .binary(let node):
            node.left.kind == .scalar && node.right.kind == .scalar ? .scalar : .vector
        case .unary(let node): node.operand.kind
        case .parenthesized(let node): node.expression.kind
        case .duration: .scalar
        }
    }

    /// The expression without the parentheses around it.
    package var unwrapped: Expression {
        var inner = self
        while case .parenthesized(let node) = inner { inner = node.expression }
        return inner
    }

    /// Direct subexpressions, in the order of the text.
    package var children: [Expression] {
        switch self {
        case .number, .string, .selector: []
        case .matrix(let node): [.selector(node.selector)]
        case .subquery(let node): [node.expression]
        case .call(let node): node.arguments
        case .aggregation(let node): (node.parameter.map { [$0] } ?? []) + [node.expression]
        case .binary(let node): [node.left, node.right]
        case .unary(let node): [node.operand]
        case .parenthesized(let node): [node.expression]
        case .duration(let node): [node.left, node.right].compactMap { $0 }
        }
    }
}

package struct NumberLiteral: Sendable {
    package var value: Double
    /// Written as a duration (`5m`).
    package var isDuration = false
    package var range: SourceRange
}

package struct StringLiteral: Sendable {
    package var value: String
    package var range: SourceRange
}

/// The `@` modifier: where a selector or subquery looks instead of the time of evaluation.
package enum TimeAnchor: Sendable, Equatable {
    case millis(Int64)
    case start, end
}

package struct VectorSelector: Sendable {
    /// The name in front of the braces, or an empty string.
    package var name: String
    /// All conditions; the one for `name` comes last.
    package var matchers: [LabelMatcher]
    package var offsetMillis: Int64 = 0
    package var offsetExpression: DurationExpression?
    package var anchor: TimeAnchor?
    package var anchored = false
    package var smoothed = false
    package var range: SourceRange
    /// The second argument of `info` selects labels, not series.
    var mayBeEmpty = false

    var hasOffset: Bool { offsetMillis != 0 || offsetExpression != nil }
}

package struct MatrixSelector: Sendable {
    package var selector: VectorSelector
    package var rangeMillis: Int64
    package var rangeExpression: DurationExpression?
    package var end: Int
}

package struct Subquery: Sendable {
    package var expression: Expression
    package var rangeMillis: Int64
    package var rangeExpression: DurationExpression?
    /// 0 = the default step.
    package var stepMillis: Int64 = 0
    package var stepExpression: DurationExpression?
    package var offsetMillis: Int64 = 0
    package var offsetExpression: DurationExpression?
    package var anchor: TimeAnchor?
    package var end: Int

    var hasOffset: Bool { offsetMillis != 0 || offsetExpression != nil }
}

package struct Call: Sendable {
    package var name: String
    /// Nil when no function has the name; such a call does not survive parsing.
    package var function: FunctionSignature?
    package var arguments: [Expression]
    package var range: SourceRange
}

package struct Aggregation: Sendable {
    package var operation: AggregationOperator
    package var parameter: Expression?
    package var expression: Expression
    package var grouping: [String]
    package var without: Bool
    package var range: SourceRange
}

package struct BinaryExpression: Sendable {
    package var operation: BinaryOperator
    package var left: Expression
    package var right: Expression
    package var returnBool: Bool
    /// Nil when one operand is a scalar.
    package var matching: VectorMatching?
}

package struct UnaryExpression: Sendable {
    package var isNegation: Bool
    package var operand: Expression
    package var start: Int
}

package struct ParenthesizedExpression: Sendable {
    package var expression: Expression
    package var range: SourceRange
}

/// Arithmetic inside a range, a step or an offset.
package struct DurationExpression: Sendable {
    package enum Operation: Sendable, Equatable {
        case arithmetic(BinaryOperator)
        case step, range, minOf, maxOf
    }
    package var operation: Operation
    /// Nil for a sign, `step()` and `range()`.
    package var left: Expression?
    package var right: Expression?
    /// In parentheses.
    package var wrapped = false
    var start = 0
    var end = 0

    package var range: SourceRange {
        switch (operation, left, right) {
        case (.step, _, _), (.range, _, _): SourceRange(start, end)
        case (_, nil, let right?): SourceRange(start, right.range.end)
        case (_, let left?, let right?): SourceRange(left.range.start, right.range.end)
        default: SourceRange(start, end)
        }
    }
}
