// SPDX-License-Identifier: Apache-2.0
// Puts the times of a query into its expression.

import Base
import Glibc

/// Start, end and step of a whole query, in milliseconds. The step of an instant query is 0.
package struct QueryTimes: Sendable, Equatable {
    package var start: Int64
    package var end: Int64
    package var step: Int64
    package init(start: Int64, end: Int64, step: Int64) {
        self.start = start
        self.end = end
        self.step = step
    }
}

/// Replaces what depends on the query's times by its value: `@ start()`, duration arithmetic and
/// the functions `start()`, `end()`, `range()` and `step()`. What is left only depends on the time
/// of evaluation.
struct Resolution {
    let times: QueryTimes

    func resolve(_ expression: Expression) throws(QueryError) -> Expression {
        switch expression {
        case .number, .string, .duration: return expression
        case .selector(let node): return .selector(try resolve(node))
        case .matrix(var node):
            node.selector = try resolve(node.selector)
            if let range = node.rangeExpression {
                node.rangeMillis = try duration(range, mayBeNegative: false)
                node.rangeExpression = nil
            }
            return .matrix(node)
        case .subquery(let node): return .subquery(try resolve(node))
        case .call(var node):
            if let value = constant(node.name), node.arguments.isEmpty {
                return .number(NumberLiteral(value: value, range: node.range))
            }
            for i in node.arguments.indices { node.arguments[i] = try resolve(node.arguments[i]) }
            return .call(node)
        case .aggregation(var node):
            node.expression = try resolve(node.expression)
            if let parameter = node.parameter { node.parameter = try resolve(parameter) }
            return .aggregation(node)
        case .binary(var node):
            node.left = try resolve(node.left)
            node.right = try resolve(node.right)
            return .binary(node)
        case .unary(var node):
            node.operand = try resolve(node.operand)
            return .unary(node)
        case .parenthesized(var node):
            node.expression = try resolve(node.expression)
            return .parenthesized(node)
        }
    }

    private func constant(_ function: String) -> Double? {
        switch function {
        case "start": Double(times.start) / 1000
        case "end": Double(times.end) / 1000
        case "range": Double(times.end &- times.start) / 1000
        case "step": times.start == times.end ? 0 : Double(times.step) / 1000
        default: nil
        }
    }

    private func resolve(_ node: VectorSelector) throws(QueryError) -> VectorSelector {
        var node = node
        node.anchor = resolve(node.anchor)
        if let offset = node.offsetExpression {
            node.offsetMillis = try duration(offset, mayBeNegative: true)
            node.offsetExpression = nil
        }
        return node
    }

    private func resolve(_ node: Subquery) throws(QueryError) -> Subquery {
        var node = node
        node.expression = try resolve(node.expression)
        node.anchor = resolve(node.anchor)
        if let offset = node.offsetExpression {
            node.offsetMillis = try duration(offset, mayBeNegative: true)
            node.offsetExpression = nil
        }
        if let step = node.stepExpression {
            node.stepMillis = try duration(step, mayBeNegative: false)
            node.stepExpression = nil
        }
        if let range = node.rangeExpression {
            node.rangeMillis = try duration(range, mayBeNegative: false)
            node.rangeExpression = nil
        }
        return node
    }

    private func resolve(_ anchor: TimeAnchor?) -> TimeAnchor? {
        switch anchor {
        case .start: .millis(times.start)
        case .end: .millis(times.end)
        default: anchor
        }
    }

    private func duration(
        _ expression: DurationExpression, mayBeNegative: Bool
    ) throws(QueryError) -> Int64 {
        let seconds = try value(.duration(expression))
        let place = "\(expression.range.start):\(expression.range.end): "
        if !seconds.isFinite { throw QueryError(place + "duration is NaN or infinite") }
        if seconds <= 0, !mayBeNegative {
            throw QueryError(place + "duration must be greater than 0")
        }
        guard seconds.magnitude <= 9_223_372_036.854775808,
            let millis = Int64(exactly: (seconds * 1000).rounded(.towardZero))
        else { throw QueryError(place + "duration is out of range") }
        return millis
    }

    private func value(_ expression: Expression) throws(QueryError) -> Double {
        guard case .duration(let node) = expression else {
            if case .number(let number) = expression { return number.value }
            return .nan
        }
        var left = 0.0, right = 0.0
        if let operand = node.left { left = try value(operand) }
        if let operand = node.right { right = try value(operand) }
        let place = "\(node.range.start):\(node.range.end): "
        switch node.operation {
        case .step: return Double(times.step) / 1000
        case .range: return Double(times.end &- times.start) / 1000
        case .minOf: return fmin(left, right)
        case .maxOf: return fmax(left, right)
        case .arithmetic(.subtract) where node.left == nil: return -right
        case .arithmetic(.add) where node.left == nil: return right
        case .arithmetic(.divide) where right == 0:
            throw QueryError(place + "division by zero")
        case .arithmetic(.modulo) where right == 0:
            throw QueryError(place + "modulo by zero")
        case .arithmetic(let operation): return arithmetic(operation, left, right)
        }
    }
}
