// SPDX-License-Identifier: Apache-2.0
// What the grammar cannot say: types, and rules between parts of an expression.

import Base
import Telemetry

extension Parser {
    /// Checks a tree, notes what is wrong in the order Prometheus does, and settles how the series
    /// of binary operations match.
    mutating func check(_ expression: Expression) -> Expression {
        switch expression {
        case .number, .string, .duration: return expression
        case .selector(let node):
            check(node)
            return expression
        case .matrix(let node):
            check(node.selector)
            return expression
        case .parenthesized(var node):
            node.expression = check(node.expression)
            return .parenthesized(node)
        case .unary(var node):
            node.operand = check(node.operand)
            let kind = node.operand.kind
            if kind != .scalar, kind != .vector {
                note(
                    expression.range,
                    "unary expression only allowed on expressions of type scalar or instant "
                        + "vector, got \(quotedText(kind.documented))")
            }
            return .unary(node)
        case .subquery(var node):
            node.expression = check(node.expression)
            if node.expression.kind != .vector {
                note(
                    expression.range,
                    "subquery is only allowed on instant vector, got "
                        + "\(node.expression.kind.rawValue) instead")
            }
            return .subquery(node)
        case .aggregation(var node):
            node.expression = expect(.vector, node.expression, in: "aggregation expression")
            if let parameter = node.parameter {
                node.parameter = expect(
                    node.operation == .countValues ? .string : .scalar, parameter,
                    in: "aggregation parameter")
            }
            return .aggregation(node)
        case .call(let node): return .call(check(node, expression.range))
        case .binary(let node): return .binary(check(node, expression.range))
        }
    }

    private mutating func expect(
        _ kind: ValueKind, _ expression: Expression, in context: String
    ) -> Expression {
        let checked = check(expression)
        if checked.kind != kind {
            note(
                checked.range,
                "expected type \(kind.documented) in \(context), got \(checked.kind.documented)")
        }
        return checked
    }

    private mutating func check(_ selector: VectorSelector) {
        if !selector.name.isEmpty {
            for matcher in selector.matchers.dropLast() where matcher.name == "__name__" {
                note(
                    selector.range,
                    "metric name must not be set twice: \(quotedText(selector.name)) or "
                        + quotedText(matcher.value))
            }
            return
        }
        if !selector.mayBeEmpty, selector.matchers.allSatisfy(\.matchesEmpty) {
            note(selector.range, "vector selector must contain at least one non-empty matcher")
        }
    }

    private mutating func check(_ call: Call, _ range: SourceRange) -> Call {
        guard let function = call.function else { return call }
        var call = call
        let name = quotedText(function.name)
        let wanted = function.arguments.count, given = call.arguments.count
        if function.variadic == 0 {
            if wanted != given {
                note(range, "expected \(wanted) argument(s) in call to \(name), got \(given)")
            }
        } else if wanted - 1 > given {
            note(
                range,
                "expected at least \(wanted - 1) argument(s) in call to \(name), got \(given)")
        } else if function.variadic > 0, wanted - 1 + function.variadic < given {
            note(
                range,
                "expected at most \(wanted - 1 + function.variadic) argument(s) in call to "
                    + "\(name), got \(given)")
        }
        if function.name == "info", call.arguments.count > 1 {
            checkInfoSelector(&call.arguments[1], range)
        }
        for index in call.arguments.indices {
            if index >= wanted, function.variadic == 0 { break }
            let checked = check(call.arguments[index])
            call.arguments[index] = checked
            let kind = function.arguments[Swift.min(index, wanted - 1)]
            if checked.kind != kind {
                note(
                    checked.range,
                    "expected type \(kind.documented) in call to function \(name), got "
                        + checked.kind.documented)
            }
        }
        return call
    }

    /// The second argument of `info` names labels, in the form of a selector without a name.
    private mutating func checkInfoSelector(_ argument: inout Expression, _ range: SourceRange) {
        if argument.kind != .vector {
            note(
                range,
                "expected type instant vector in call to function \"info\", got "
                    + argument.kind.documented)
        }
        guard case .selector(var selector) = argument else {
            note(argument.range, "expected label selectors only")
            return
        }
        if !selector.name.isEmpty {
            note(
                argument.range, "expected label selectors only, got vector selector instead")
            return
        }
        selector.mayBeEmpty = true
        argument = .selector(selector)
    }

    private mutating func check(
        _ original: BinaryExpression, _ range: SourceRange
    ) -> BinaryExpression {
        var node = original
        node.left = check(node.left)
        node.right = check(node.right)
        let left = node.left.kind, right = node.right.kind
        let operation = node.operation
        if node.returnBool, !operation.isComparison {
            note(
                operatorRange(node), "bool modifier can only be used on comparison operators")
        }
        if operation.isComparison, !node.returnBool, left == .scalar, right == .scalar {
            note(
                operatorRange(node), "comparisons between scalars must use BOOL modifier")
        }
        guard var matching = node.matching else { return node }
        if operation.isSet, matching.cardinality == .oneToOne {
            matching.cardinality = .manyToMany
        }
        if matching.isOn {
            for label in matching.labels where matching.include.contains(label) {
                note(
                    operatorRange(node),
                    "label \(quotedText(label)) must not occur in ON and GROUP clause at once")
            }
        }
        for side in [node.left, node.right] where side.kind != .scalar && side.kind != .vector {
            note(
                side.range,
                "binary expression must contain only scalar and instant vector types")
        }
        let fills = matching.fillLeft != nil || matching.fillRight != nil
        node.matching = matching
        if left != .vector || right != .vector {
            if !matching.labels.isEmpty {
                note(range, "vector matching only allowed between instant vectors")
            }
            if fills {
                note(range, "filling in missing series only allowed between instant vectors")
            }
            node.matching = nil
        } else if operation.isSet {
            if matching.cardinality != .manyToMany {
                note(
                    range, "no grouping allowed for \(quotedText(operation.rawValue)) operation")
                note(range, "set operations must always be many-to-many")
            }
            if fills { note(range, "filling in missing series not allowed for set operators") }
        }
        if left == .scalar || right == .scalar, operation.isSet {
            note(
                range,
                "set operator \(quotedText(operation.rawValue)) not allowed in binary scalar "
                    + "expression")
        }
        return node
    }

    /// Where the operator and its modifiers stand.
    private func operatorRange(_ node: BinaryExpression) -> SourceRange {
        var range = SourceRange(node.left.range.end, node.right.range.start - 1)
        let bytes = lexer.input
        while range.start < bytes.count, isSpace(bytes[range.start]) { range.start += 1 }
        while range.end > 0, range.end < bytes.count, isSpace(bytes[range.end]) { range.end -= 1 }
        return range
    }
}
