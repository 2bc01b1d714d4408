// SPDX-License-Identifier: Apache-2.0
// How a plan names its operators.

import Base
import Telemetry

extension Expression {
    /// Bytes of a sub-expression beyond which its node shows the beginning only: the nodes of a
    /// long query would otherwise repeat it once per level.
    private static let maxPlanText = 1000

    /// Whether it is a value as it stands.
    var isLiteral: Bool {
        switch self {
        case .number, .string, .duration: true
        case .unary(let node): node.operand.isLiteral
        case .parenthesized(let node): node.expression.isLiteral
        default: false
        }
    }

    /// The canonical text.
    func planText(in query: String) -> String {
        let range = range
        if range.end - range.start <= Expression.maxPlanText { return description }
        let start = max(0, range.start)
        let head = query.utf8.dropFirst(start).prefix(Expression.maxPlanText)
        return String(decoding: head, as: UTF8.self) + "…"
    }

    /// What the operator of the expression does.
    var planOperation: String {
        if isLiteral { return "literal" }
        return switch self {
        case .number, .string, .duration: "literal"
        case .selector: "select"
        case .matrix(let node): "select range " + durationText(millis: node.rangeMillis)
        case .subquery(let node):
            "subquery " + durationText(millis: node.rangeMillis) + ":"
                + (node.stepMillis > 0 ? durationText(millis: node.stepMillis) : "")
        case .call(let node): node.name
        case .aggregation(let node):
            "aggregate " + String(node.head.reversed().drop { $0 == " " }.reversed())
        case .unary: "negate"
        case .parenthesized(let node): node.expression.planOperation
        case .binary(let node): node.planOperation
        }
    }
}

extension BinaryExpression {
    fileprivate var planOperation: String {
        if isScalar { return "scalar " + operatorText }
        if left.kind == .scalar || right.kind == .scalar {
            return (operation.isComparison ? "compare " : "calculate ") + operatorText
        }
        return (operation.isSet ? "set " : "join ") + operatorText
    }
}

extension [LabelMatcher] {
    /// In braces, as a selector has them.
    var planText: String {
        let conditions = map { $0.name + $0.operation.symbol + quotedText($0.value) }
        return "{" + conditions.joined(separator: ", ") + "}"
    }
}
