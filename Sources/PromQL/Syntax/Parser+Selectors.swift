// SPDX-License-Identifier: Apache-2.0
// Selectors and what may follow an expression: ranges, offsets, `@`.

import Base
import Telemetry

extension Parser {
    /// `name{…}`, `name` or `{…}`; the name has been taken.
    mutating func vectorSelector(_ name: Token?) throws(ParseFault) -> VectorSelector {
        var selector = VectorSelector(
            name: name?.text ?? "", matchers: [],
            range: name?.range ?? SourceRange(0, 0))
        if let open = try takeIf(.leftBrace) {
            selector.matchers = try labelMatchers()
            if name == nil { selector.range.start = open.range.start }
            selector.range.end = previousEnd
        }
        if name != nil {
            selector.matchers.append(LabelMatcher(equal: "__name__", selector.name))
        }
        return selector
    }

    private mutating func labelMatchers() throws(ParseFault) -> [LabelMatcher] {
        var matchers: [LabelMatcher] = []
        if try takeIf(.rightBrace) != nil { return matchers }
        while true {
            if let matcher = try labelMatcher() { matchers.append(matcher) }
            if try takeIf(.rightBrace) != nil { return matchers }
            _ = try expect(.comma, in: "label matching", expected: "\",\" or \"}\"")
            if try takeIf(.rightBrace) != nil { return matchers }
        }
    }

    private mutating func labelMatcher() throws(ParseFault) -> LabelMatcher? {
        let token = try peek()
        let name: String
        switch token.kind {
        case .identifier:
            try take()
            name = token.text
        case .string:
            try take()
            name = unquote(token)
        default: throw try unexpected(in: "label matching", expected: "identifier or \"}\"")
        }
        let operation: LabelMatcher.Operation
        switch try peek().kind {
        case .equal: operation = .equal
        case .binary(.notEqual): operation = .notEqual
        case .matchesRegex: operation = .matches
        case .notMatchesRegex: operation = .notMatches
        default:
            if token.kind == .string { return LabelMatcher(equal: "__name__", name) }
            throw try unexpected(in: "label matching", expected: "label matching operator")
        }
        try take()
        let value = try expect(.string, in: "label matching", expected: "string")
        do throws(RegexError) {
            return try LabelMatcher(name, operation, unquote(value))
        } catch {
            note(SourceRange(token.range.start, value.range.end), error.description)
            return nil
        }
    }

    /// Ranges, subqueries, offsets, `@`, `anchored` and `smoothed` after a primary expression.
    mutating func postfixed(_ primary: Expression) throws(ParseFault) -> Expression {
        var result = primary
        var count = 0
        while true {
            count += 1
            if depth + count > Parser.maxDepth {
                throw ParseFault(
                    try peek().range,
                    "expression is nested deeper than \(Parser.maxDepth) levels")
            }
            switch try peek().kind {
            case .leftBracket: result = try ranged(result)
            case .keyword(.offset):
                try take()
                result = try offset(result)
            case .at:
                try take()
                result = try anchor(result)
            case .keyword(.anchored):
                try take()
                result = extend(result, anchored: true)
            case .keyword(.smoothed):
                try take()
                result = extend(result, anchored: false)
            default: return result
            }
        }
    }

    private mutating func ranged(_ inner: Expression) throws(ParseFault) -> Expression {
        let open = try take()
        guard try startsDuration() else {
            throw try unexpected(
                in: "subquery or range selector",
                expected: "number, duration, step(), or range()")
        }
        let range = try positiveDuration()
        if let close = try takeIf(.rightBracket) {
            return matrix(
                inner, range, at: SourceRange(open.range.start, close.range.end))
        }
        _ = try expect(.colon, in: "subquery or range", expected: "\":\" or \"]\"")
        var subquery = Subquery(
            expression: inner, rangeMillis: range.millis, rangeExpression: range.expression,
            end: 0)
        if try peek().kind != .rightBracket {
            guard try startsDuration() else {
                throw try unexpected(
                    in: "subquery selector",
                    expected: "number, duration, step(), range(), or \"]\"")
            }
            let step = try positiveDuration()
            subquery.stepMillis = step.millis
            subquery.stepExpression = step.expression
        }
        _ = try expect(.rightBracket, in: "subquery selector", expected: "\"]\"")
        subquery.end = previousEnd
        return .subquery(subquery)
    }

    private mutating func matrix(
        _ inner: Expression, _ range: ParsedDuration, at place: SourceRange
    ) -> Expression {
        guard case .selector(let selector) = inner else {
            note(place, "ranges only allowed for vector selectors")
            // Something of the right type to go on with; the fault refuses the query.
            let nothing = VectorSelector(name: "", matchers: [], range: inner.range)
            return .matrix(
                MatrixSelector(
                    selector: nothing, rangeMillis: range.millis, rangeExpression: nil,
                    end: previousEnd))
        }
        if selector.hasOffset {
            note(place, "no offset modifiers allowed before range")
        } else if selector.anchor != nil {
            note(place, "no @ modifiers allowed before range")
        }
        return .matrix(
            MatrixSelector(
                selector: selector, rangeMillis: range.millis, rangeExpression: range.expression,
                end: previousEnd))
    }

    private mutating func offset(_ inner: Expression) throws(ParseFault) -> Expression {
        guard try startsDuration() else {
            throw try unexpected(
                in: "offset", expected: "number, duration, step(), or range()")
        }
        let duration = try offsetDuration()
        let repeated = "offset may not be set multiple times"
        switch inner {
        case .selector(var selector):
            if selector.hasOffset { note(inner.range, repeated) }
            selector.offsetMillis = duration.millis
            selector.offsetExpression = duration.expression
            selector.range.end = previousEnd
            return .selector(selector)
        case .matrix(var matrix):
            if matrix.selector.hasOffset { note(inner.range, repeated) }
            matrix.selector.offsetMillis = duration.millis
            matrix.selector.offsetExpression = duration.expression
            matrix.end = previousEnd
            return .matrix(matrix)
        case .subquery(var subquery):
            if subquery.hasOffset { note(inner.range, repeated) }
            subquery.offsetMillis = duration.millis
            subquery.offsetExpression = duration.expression
            subquery.end = previousEnd
            return .subquery(subquery)
        default:
            note(
                inner.range,
                "offset modifier must be preceded by an instant vector selector or range "
                    + "vector selector or a subquery")
            return inner
        }
    }

    private mutating func anchor(_ inner: Expression) throws(ParseFault) -> Expression {
        let anchor: TimeAnchor
        switch try peek().kind {
        case .keyword(.start), .keyword(.end):
            let isStart = try take().kind == .keyword(.start)
            _ = try expect(.leftParen)
            _ = try expect(.rightParen)
            anchor = isStart ? .start : .end
        case .number, .duration, .binary(.add), .binary(.subtract):
            var sign = 1.0
            if try takeIf(.binary(.subtract)) != nil {
                sign = -1
            } else {
                _ = try takeIf(.binary(.add))
            }
            let kind = try peek().kind
            guard kind == .number || kind == .duration else {
                throw try unexpected(in: "@", expected: "timestamp")
            }
            let seconds = sign * (try numberOrDuration().value)
            // 2^63, the limit Prometheus checks against.
            guard seconds.magnitude < 9_223_372_036_854_775_808 else {
                note(
                    inner.range,
                    "timestamp out of bounds for @ modifier: \(fixedText(seconds, decimals: 6))")
                return inner
            }
            let millis = (seconds * 1000).rounded()
            anchor = .millis(Int64(exactly: millis) ?? (millis < 0 ? .min : .max))
        default: throw try unexpected(in: "@", expected: "timestamp")
        }
        let repeated = "@ <timestamp> may not be set multiple times"
        switch inner {
        case .selector(var selector):
            if selector.anchor != nil { note(inner.range, repeated) }
            selector.anchor = anchor
            selector.range.end = previousEnd
            return .selector(selector)
        case .matrix(var matrix):
            if matrix.selector.anchor != nil { note(inner.range, repeated) }
            matrix.selector.anchor = anchor
            matrix.end = previousEnd
            return .matrix(matrix)
        case .subquery(var subquery):
            if subquery.anchor != nil { note(inner.range, repeated) }
            subquery.anchor = anchor
            subquery.end = previousEnd
            return .subquery(subquery)
        default:
            note(
                inner.range,
                "@ modifier must be preceded by an instant vector selector or range vector "
                    + "selector or a subquery")
            return inner
        }
    }

    private mutating func extend(_ inner: Expression, anchored: Bool) -> Expression {
        let name = anchored ? "anchored" : "smoothed"
        if !options.extendedRangeSelectors {
            note(inner.range, "\(name) modifier is experimental and not enabled")
            return inner
        }
        let both = "anchored and smoothed modifiers cannot be used together"
        switch inner {
        case .selector(var selector):
            if anchored { selector.anchored = true } else { selector.smoothed = true }
            if selector.anchored, selector.smoothed { note(inner.range, both) }
            return .selector(selector)
        case .matrix(var matrix):
            if anchored { matrix.selector.anchored = true } else { matrix.selector.smoothed = true }
            if matrix.selector.anchored, matrix.selector.smoothed { note(inner.range, both) }
            return .matrix(matrix)
        case .subquery:
            note(inner.range, "\(name) modifier is not supported for subqueries")
            return inner
        default:
            note(inner.range, "\(name) modifier not implemented")
            return inner
        }
    }
}
