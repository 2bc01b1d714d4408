// SPDX-License-Identifier: Apache-2.0
// What stands between an operator and its right operand, and label lists.

import Base

extension Parser {
    /// `bool`, `on`/`ignoring`, `group_left`/`group_right` and `fill…` after an operator. The
    /// operands of the result are placeholders.
    mutating func modifiers(
        of operation: BinaryOperator
    ) throws(ParseFault) -> BinaryExpression {
        let placeholder = Expression.number(
            NumberLiteral(value: 0, range: SourceRange(0, 0)))
        var matching = VectorMatching()
        let returnBool = try takeIf(.keyword(.bool)) != nil
        let first = try peek().kind
        let isOn = first == .keyword(.on)
        if isOn || first == .keyword(.ignoring) {
            try take()
            matching.isOn = isOn
            matching.labels = try groupingLabels()
            let group = try peek().kind
            let isLeft = group == .keyword(.groupLeft)
            if isLeft || group == .keyword(.groupRight) {
                try take()
                matching.cardinality = isLeft ? .manyToOne : .oneToMany
                if try peek().kind == .leftParen { matching.include = try groupingLabels() }
            }
        }
        switch try peek().kind {
        case .keyword(.fill):
            try take()
            let value = try fillValue()
            matching.fillLeft = value
            matching.fillRight = value
        case .keyword(.fillLeft):
            try take()
            matching.fillLeft = try fillValue()
            if try takeIf(.keyword(.fillRight)) != nil { matching.fillRight = try fillValue() }
        case .keyword(.fillRight):
            try take()
            matching.fillRight = try fillValue()
            if try takeIf(.keyword(.fillLeft)) != nil { matching.fillLeft = try fillValue() }
        default: break
        }
        return BinaryExpression(
            operation: operation, left: placeholder, right: placeholder, returnBool: returnBool,
            matching: matching)
    }

    private mutating func fillValue() throws(ParseFault) -> Double {
        _ = try expect(.leftParen)
        var sign = 1.0
        if try takeIf(.binary(.subtract)) != nil {
            sign = -1
        } else {
            _ = try takeIf(.binary(.add))
        }
        let kind = try peek().kind
        guard kind == .number || kind == .duration else { throw try unexpected() }
        let value = try numberOrDuration().value
        _ = try expect(.rightParen)
        return sign * value
    }

    /// `(a, "b c", …)`, a trailing comma allowed.
    mutating func groupingLabels() throws(ParseFault) -> [String] {
        _ = try expect(.leftParen, in: "grouping opts", expected: "\"(\"")
        var labels: [String] = []
        if try takeIf(.rightParen) != nil { return labels }
        while true {
            labels.append(try groupingLabel())
            if try takeIf(.rightParen) != nil { return labels }
            _ = try expect(.comma, in: "grouping opts", expected: "\",\" or \")\"")
            if try takeIf(.rightParen) != nil { return labels }
        }
    }

    private mutating func groupingLabel() throws(ParseFault) -> String {
        let token = try peek()
        let name: String
        switch token.kind {
        case .string:
            try take()
            name = unquote(token)
        case .identifier, .metricIdentifier, .aggregation, .binary(.and), .binary(.or),
            .binary(.unless), .binary(.atan2):
            try take()
            name = token.text
        case .keyword(let keyword) where keyword != .without:
            try take()
            name = token.text
        default: throw try unexpected(in: "grouping opts", expected: "label")
        }
        if name.isEmpty {
            note(token.range, "invalid label name for grouping: \(quotedText(name))")
        }
        return name
    }
}
