// SPDX-License-Identifier: Apache-2.0
// Syntax tree to text.

import Base
import Telemetry

extension Expression: CustomStringConvertible {
    /// The canonical text on one line. Source: prometheus/prometheus `promql/parser/printer.go`.
    package var description: String {
        switch self {
        case .number(let node): node.text
        case .string(let node): node.text
        case .selector(let node): node.text
        case .matrix(let node): node.text
        case .subquery(let node): node.expression.description + node.suffix
        case .call(let node):
            node.name + "(" + node.arguments.map(\.description).joined(separator: ", ") + ")"
        case .aggregation(let node):
            node.head + "(" + (node.parameter.map { $0.description + ", " } ?? "")
                + node.expression.description + ")"
        case .binary(let node):
            "\(node.left.description) \(node.operatorText) \(node.right.description)"
        case .unary(let node): (node.isNegation ? "-" : "+") + node.operand.description
        case .parenthesized(let node): "(\(node.expression.description))"
        case .duration(let node): node.text
        }
    }

    /// The text broken into indented lines where a node is wider than the limit. Source:
    /// prometheus/prometheus `promql/parser/prettier.go`.
    package func prettyPrinted(maxLineLength: Int = 100) -> String {
        pretty(level: 0, maxLineLength)
    }

    private func pretty(level: Int, _ limit: Int) -> String {
        let indent = String(repeating: "  ", count: level)
        let whole = description
        if case .unary(let node) = self {
            let operand = node.operand.pretty(level: level, limit)
            return indent + (node.isNegation ? "-" : "+") + operand.drop { $0 == " " }
        }
        if whole.utf8.count <= limit {
            // A subquery that fits is left where it stands.
            if case .subquery = self { return whole }
            return indent + whole
        }
        switch self {
        case .aggregation(let node):
            let parameter = node.parameter.map {
                $0.pretty(level: level + 1, limit) + ",\n"
            }
            return indent + node.head + "(\n" + (parameter ?? "")
                + node.expression.pretty(level: level + 1, limit) + "\n" + indent + ")"
        case .binary(let node):
            return node.left.pretty(level: level + 1, limit) + "\n" + indent + node.operatorText
                + "\n" + node.right.pretty(level: level + 1, limit)
        case .call(let node):
            let arguments = node.arguments.map { $0.pretty(level: level + 1, limit) }
            return indent + node.name + "(\n" + arguments.joined(separator: ",\n") + "\n"
                + indent + ")"
        case .parenthesized(let node):
            return indent + "(\n" + node.expression.pretty(level: level + 1, limit) + "\n"
                + indent + ")"
        case .subquery(let node):
            return node.expression.pretty(level: level, limit) + node.suffix
        default: return indent + whole
        }
    }
}

/// Label names separated by commas, quoted where they must be.
private func labelList(_ names: [String]) -> String {
    names.map { isLegacyLabelName($0) ? $0 : queryText($0) }.joined(separator: ", ")
}

private func offsetText(_ millis: Int64, _ expression: DurationExpression?) -> String {
    if let expression { return " offset " + expression.text }
    return millis == 0 ? "" : " offset " + durationText(millis: millis)
}

private func anchorText(_ anchor: TimeAnchor?) -> String {
    switch anchor {
    case .millis(let millis): " @ " + fixedText(Double(millis) / 1000, decimals: 3)
    case .start: " @ start()"
    case .end: " @ end()"
    case nil: ""
    }
}

extension NumberLiteral {
    var text: String {
        guard isDuration, let millis = Int64(exactly: (value * 1000).rounded()) else {
            return floatPlainText(value)
        }
        return durationText(millis: millis)
    }
}

extension StringLiteral {
    var text: String {
        guard let invalidBytes else { return queryText(value) }
        var quoted: [UInt8] = []
        invalidBytes.withUnsafeBytes { appendQuoted($0, into: &quoted) }
        return String(decoding: quoted, as: UTF8.self)
    }
}

extension VectorSelector {
    /// Name and conditions.
    fileprivate var bareText: String {
        var conditions: [String] = []
        for matcher in matchers {
            if matcher.name == Labels.metricName, matcher.operation == .equal,
                matcher.value == name, !name.isEmpty
            {
                continue
            }
            let label =
                isLegacyLabelName(matcher.name) ? matcher.name : queryText(matcher.name)
            conditions.append(label + matcher.operation.symbol + queryText(matcher.value))
        }
        conditions.sort { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        return name + (conditions.isEmpty ? "" : "{\(conditions.joined(separator: ","))}")
    }

    fileprivate var extensionText: String {
        anchored ? " anchored" : smoothed ? " smoothed" : ""
    }

    var text: String {
        bareText + anchorText(anchor) + extensionText
            + offsetText(offsetMillis, offsetExpression)
    }
}

extension MatrixSelector {
    var text: String {
        let range = rangeExpression?.text ?? durationText(millis: rangeMillis)
        return selector.bareText + "[\(range)]" + selector.extensionText
            + anchorText(selector.anchor)
            + offsetText(selector.offsetMillis, selector.offsetExpression)
    }
}

extension Subquery {
    /// What follows the expression.
    var suffix: String {
        let range = rangeExpression?.text ?? durationText(millis: rangeMillis)
        let step = stepMillis != 0 ? durationText(millis: stepMillis) : stepExpression?.text ?? ""
        return "[\(range):\(step)]" + anchorText(anchor)
            + offsetText(offsetMillis, offsetExpression)
    }
}

extension Aggregation {
    /// Operator and grouping.
    var head: String {
        if without { return "\(operation.rawValue) without (\(labelList(grouping))) " }
        return grouping.isEmpty
            ? operation.rawValue : "\(operation.rawValue) by (\(labelList(grouping))) "
    }
}

extension BinaryExpression {
    /// Operator with its modifiers.
    var operatorText: String {
        var text = operation.rawValue
        if returnBool { text += " bool" }
        guard let matching else { return text }
        let isGrouped = matching.cardinality == .manyToOne || matching.cardinality == .oneToMany
        if !matching.labels.isEmpty || matching.isOn || isGrouped {
            text += matching.isOn ? " on (" : " ignoring ("
            text += labelList(matching.labels) + ")"
        }
        if isGrouped {
            text += matching.cardinality == .manyToOne ? " group_left (" : " group_right ("
            text += labelList(matching.include) + ")"
        }
        if let left = matching.fillLeft, left == matching.fillRight {
            return text + " fill (\(floatGeneralText(left)))"
        }
        if let left = matching.fillLeft { text += " fill_left (\(floatGeneralText(left)))" }
        if let right = matching.fillRight { text += " fill_right (\(floatGeneralText(right)))" }
        return text
    }
}

extension DurationExpression {
    var text: String {
        let a = left?.description ?? "", b = right?.description ?? ""
        let inner =
            switch operation {
            case .step: "step()"
            case .range: "range()"
            case .minOf: "min_of(\(a), \(b))"
            case .maxOf: "max_of(\(a), \(b))"
            case .arithmetic(.add) where left == nil: b
            case .arithmetic(let sign) where left == nil: sign.rawValue + b
            case .arithmetic(let sign): "\(a) \(sign.rawValue) \(b)"
            }
        return wrapped ? "(\(inner))" : inner
    }
}

/// Text as a literal that parses: the lexer refuses U+FFFD, which may come from an escape.
private func queryText(_ text: String) -> String {
    let quoted = quotedText(text)
    guard quoted.unicodeScalars.contains("\u{fffd}") else { return quoted }
    return quoted.unicodeScalars.split(separator: "\u{fffd}", omittingEmptySubsequences: false)
        .map { String($0) }.joined(separator: #"\ufffd"#)
}
