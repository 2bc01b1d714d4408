// SPDX-License-Identifier: Apache-2.0
// Expressions over a span: their text, and what they are.

import Base
import FoundationEssentials
import Glibc
import Telemetry

indirect enum NaiveExpression {
    case constant(NaiveValue, text: String)
    case attribute(NaiveAttribute)
    case not(NaiveExpression)
    case minus(NaiveExpression)
    case binary(String, NaiveExpression, NaiveExpression)
    /// Parentheses that change nothing.
    case parentheses(NaiveExpression)

    private static let strengths = [
        "&&": 1, "||": 1, "=": 2, "!=": 2, "<": 2, "<=": 2, ">": 2, ">=": 2, "=~": 2, "!~": 2,
        "+": 3, "-": 3, "*": 5, "/": 5, "%": 5, "^": 6,
    ]

    private var strength: Int {
        switch self {
        case .constant(_, let text): text.hasPrefix("-") ? 7 : 9
        case .attribute, .parentheses: 9
        case .not: 4
        case .minus: 7
        case .binary(let operation, _, _): NaiveExpression.strengths[operation] ?? 0
        }
    }

    private func text(atLeast strength: Int) -> String {
        self.strength < strength ? "(" + text + ")" : text
    }

    var text: String {
        switch self {
        case .constant(_, let text): return text
        case .attribute(let attribute): return attribute.text
        case .parentheses(let inner): return "( " + inner.text + " )"
        case .not(let inner): return "!" + inner.text(atLeast: 5)
        case .minus(let inner): return "-" + inner.text(atLeast: 7)
        case .binary(let operation, let left, let right):
            let isRight = operation == "^"
            return left.text(atLeast: strength + (isRight ? 1 : 0)) + " " + operation + " "
                + right.text(atLeast: strength + (isRight ? 0 : 1))
        }
    }

    var attributes: [NaiveAttribute] {
        switch self {
        case .constant: []
        case .attribute(let attribute): [attribute]
        case .not(let inner), .minus(let inner), .parentheses(let inner): inner.attributes
        case .binary(_, let left, let right): left.attributes + right.attributes
        }
    }

    // MARK: values

    func value(_ trace: NaiveTrace, _ i: Int) -> NaiveValue {
        switch self {
        case .constant(let value, _): return value
        case .attribute(let attribute): return trace.value(attribute, i)
        case .parentheses(let inner): return inner.value(trace, i)
        case .not(let inner):
            if case .bool(let flag) = inner.value(trace, i) { return .bool(!flag) }
            return .bool(false)
        case .minus(let inner):
            switch inner.value(trace, i) {
            case .int(let number): return .int(-number)
            case .float(let number): return .float(-number)
            case .duration(let nanos): return .duration(-nanos)
            default: return .null
            }
        case .binary(let operation, let left, let right):
            var a = left.value(trace, i), b = right.value(trace, i)
            if operation != "=~", operation != "!~" {
                a = left.identifier(like: right) ?? a
                b = right.identifier(like: left) ?? b
            }
            switch operation {
            case "&&": return .bool(a.isTrue && b.isTrue)
            case "||": return .bool(a.isTrue || b.isTrue)
            case "=" where left.isNil || right.isNil:
                return .bool((left.isNil ? b : a) == .null)
            case "!=" where left.isNil || right.isNil:
                return .bool((left.isNil ? b : a) != .null)
            case "+", "-", "*", "/", "%", "^": return naiveArithmetic(operation, a, b)
            default: return .bool(naiveHolds(operation, a, b))
            }
        }
    }

    /// Identifiers in a query may lack zeros.
    private func identifier(like other: NaiveExpression) -> NaiveValue? {
        guard case .constant(.text(let text), _) = self,
            case .attribute(.intrinsic(let name)) = other
        else { return nil }
        switch name {
        case "trace:id", "link:traceID": return TraceID(hex: text).map { .text($0.description) }
        case "span:id", "span:parentID", "link:spanID":
            return SpanID(hex: text).map { .text($0.description) }
        default: return nil
        }
    }

    private var isNil: Bool {
        if case .constant(.null, _) = self { true } else { false }
    }
}

/// Whole numbers stay whole and have no value where they do not fit; all else is a fraction.
func naiveArithmetic(_ operation: String, _ a: NaiveValue, _ b: NaiveValue) -> NaiveValue {
    if case .int(let x) = a, case .int(let y) = b {
        let result: (partialValue: Int64, overflow: Bool)
        switch operation {
        case "+": result = x.addingReportingOverflow(y)
        case "-": result = x.subtractingReportingOverflow(y)
        case "*": result = x.multipliedReportingOverflow(by: y)
        case "/": result = x.dividedReportingOverflow(by: y)
        case "%": result = x.remainderReportingOverflow(dividingBy: y)
        default:
            return Int64(exactly: pow(Double(x), Double(y)).rounded(.towardZero))
                .map { .int($0) } ?? .null
        }
        return result.overflow ? .null : .int(result.partialValue)
    }
    guard let x = a.number, let y = b.number else { return .null }
    switch operation {
    case "+": return .float(x + y)
    case "-": return .float(x - y)
    case "*": return .float(x * y)
    case "/": return .float(x / y)
    case "%": return .float(fmod(x, y))
    default: return .float(pow(x, y))
    }
}

/// Of several values one must satisfy the comparison; for `!=` and `!~` none may be equal or match.
func naiveHolds(_ operation: String, _ a: NaiveValue, _ b: NaiveValue) -> Bool {
    let opposites = ["!=": "=", "!~": "=~"]
    for (side, isLeft) in [(a, true), (b, false)] {
        guard case .list(let items) = side else { continue }
        func holds(_ operation: String, _ item: NaiveValue) -> Bool {
            isLeft ? naiveHolds(operation, item, b) : naiveHolds(operation, a, item)
        }
        if let opposite = opposites[operation], items.contains(where: { holds(opposite, $0) }) {
            return false
        }
        return items.contains { holds(operation, $0) }
    }
    switch (a, b) {
    case (.text(let x), .text(let y)) where operation == "=~" || operation == "!~":
        let matches = (try? RegularExpression("^(?:\(y))$", [.dotMatchesNewline])).map {
            expression in Array(x.utf8).withUnsafeBytes { expression.matchesAnywhere($0) }
        }
        return matches == (operation == "=~")
    case (.text(let x), .text(let y)):
        return order(operation, Array(x.utf8).lexicographicallyPrecedes(Array(y.utf8)), x == y)
    case (.bool(let x), .bool(let y)):
        return operation == "=" ? x == y : operation == "!=" && x != y
    case (.status(let x), .status(let y)), (.kind(let x), .kind(let y)):
        return operation == "=" ? x == y : operation == "!=" && x != y
    case (.int(let x), .int(let y)), (.duration(let x), .duration(let y)),
        (.int(let x), .duration(let y)), (.duration(let x), .int(let y)):
        return order(operation, x < y, x == y)
    default:
        guard let x = a.number, let y = b.number else { return false }
        if x.isNaN || y.isNaN { return operation == "!=" }
        return order(operation, x < y, x == y)
    }
}

private func order(_ operation: String, _ isLess: Bool, _ isEqual: Bool) -> Bool {
    switch operation {
    case "=": isEqual
    case "!=": !isEqual
    case "<": isLess
    case "<=": isLess || isEqual
    case ">": !isLess && !isEqual
    case ">=": !isLess
    default: false
    }
}
