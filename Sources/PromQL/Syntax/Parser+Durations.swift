// SPDX-License-Identifier: Apache-2.0
// Ranges, steps and offsets, which may be arithmetic.

import Base

/// A duration that is known, or an expression for it.
struct ParsedDuration {
    var millis: Int64 = 0
    var expression: DurationExpression?
}

extension Parser {
    /// Whether the next token can begin a duration.
    mutating func startsDuration() throws(ParseFault) -> Bool {
        switch try peek().kind {
        case .number, .duration, .leftParen, .binary(.add), .binary(.subtract),
            .keyword(.step), .keyword(.range), .keyword(.maxOf), .keyword(.minOf):
            true
        default: false
        }
    }

    /// The duration of a range or a step, which must not be a number below zero.
    mutating func positiveDuration() throws(ParseFault) -> ParsedDuration {
        let parsed = try durationExpression(above: 0)
        if case .number(let number) = parsed, number.value <= 0 {
            note(number.range, "duration must be greater than 0")
        }
        return settled(parsed)
    }

    /// The duration of an offset: without parentheses just one term, so that
    /// `foo offset 5m - 1` subtracts from `foo`.
    mutating func offsetDuration() throws(ParseFault) -> ParsedDuration {
        let first = try peek()
        guard first.kind == .binary(.add) || first.kind == .binary(.subtract) else {
            return settled(try durationTerm())
        }
        try take()
        let isNegation = first.kind == .binary(.subtract)
        let next = try peek().kind
        if next == .number || next == .duration {
            var number = try numberOrDuration()
            if isNegation { number.value = -number.value }
            if outOfRange(number.value) {
                note(first.range, "duration out of range")
                number.value = 0
            }
            number.range.start = first.range.start
            return settled(.number(number))
        }
        guard try startsDuration() else {
            throw try unexpected(
                in: "offset", expected: "number, duration, step(), or range()")
        }
        return settled(signed(first, isNegation, try durationTerm()))
    }

    private func settled(_ expression: Expression) -> ParsedDuration {
        switch expression {
        case .number(let number):
            let millis = (number.value * 1000).rounded()
            return ParsedDuration(millis: Int64(exactly: millis) ?? 0)
        case .duration(let duration): return ParsedDuration(expression: duration)
        default: return ParsedDuration()
        }
    }

    private func outOfRange(_ seconds: Double) -> Bool {
        // What does not fit Go's 64-bit nanoseconds.
        !(seconds.magnitude <= 9_223_372_036.854775808)
    }

    private mutating func durationExpression(
        above precedence: Int
    ) throws(ParseFault) -> Expression {
        depth += 1
        defer { depth -= 1 }
        if depth > Parser.maxDepth {
            throw ParseFault(
                try peek().range, "expression is nested deeper than \(Parser.maxDepth) levels")
        }
        var left: Expression
        let first = try peek()
        if first.kind == .binary(.add) || first.kind == .binary(.subtract) {
            try take()
            guard try startsDuration() else { throw try unexpected() }
            left = signed(
                first, first.kind == .binary(.subtract),
                try durationExpression(above: BinaryOperator.multiply.precedence))
        } else {
            left = try durationTerm()
        }
        var chained = 0
        while case .binary(let operation) = try peek().kind, isArithmetic(operation),
            operation.precedence > precedence
        {
            chained += 1
            if depth + chained > Parser.maxDepth {
                throw ParseFault(
                    try peek().range,
                    "expression is nested deeper than \(Parser.maxDepth) levels")
            }
            let sign = try take()
            guard try startsDuration() else { throw try unexpected() }
            let right = try durationExpression(
                above: operation == .power ? operation.precedence - 1 : operation.precedence)
            requireDurationExpressions(left.range)
            if case .number(let number) = right, number.value == 0,
                operation == .divide || operation == .modulo
            {
                note(
                    sign.range, operation == .divide ? "division by zero" : "modulo by zero")
                left = .number(NumberLiteral(value: 0, range: SourceRange(0, 0)))
                continue
            }
            left = .duration(
                DurationExpression(
                    operation: .arithmetic(operation), left: left, right: right))
        }
        return left
    }

    private func isArithmetic(_ operation: BinaryOperator) -> Bool {
        switch operation {
        case .add, .subtract, .multiply, .divide, .modulo, .power: true
        default: false
        }
    }

    private mutating func durationTerm() throws(ParseFault) -> Expression {
        let token = try peek()
        switch token.kind {
        case .number, .duration:
            var number = try numberOrDuration()
            if outOfRange(number.value) {
                note(number.range, "duration out of range")
                number = NumberLiteral(value: 0, range: SourceRange(0, 0))
            }
            return .number(number)
        case .keyword(.step), .keyword(.range):
            try take()
            _ = try expect(.leftParen)
            let close = try expect(.rightParen)
            requireDurationExpressions(SourceRange(token.range.start, close.range.end))
            return .duration(
                DurationExpression(
                    operation: token.kind == .keyword(.step) ? .step : .range,
                    start: token.range.start, end: close.range.end))
        case .keyword(.maxOf), .keyword(.minOf):
            try take()
            _ = try expect(.leftParen)
            guard try startsDuration() else { throw try unexpected() }
            let left = try durationExpression(above: 0)
            _ = try expect(.comma)
            guard try startsDuration() else { throw try unexpected() }
            let right = try durationExpression(above: 0)
            let close = try expect(.rightParen)
            requireDurationExpressions(SourceRange(token.range.start, close.range.end))
            return .duration(
                DurationExpression(
                    operation: token.kind == .keyword(.maxOf) ? .maxOf : .minOf, left: left,
                    right: right, start: token.range.start, end: close.range.end))
        case .leftParen:
            try take()
            guard try startsDuration() else { throw try unexpected() }
            let inner = try durationExpression(above: 0)
            let close = try expect(.rightParen)
            requireDurationExpressions(inner.range)
            return wrap(inner, SourceRange(token.range.start, close.range.end))
        default: throw try unexpected()
        }
    }

    /// Marks a duration as parenthesised; a bare number becomes an expression for that.
    private func wrap(_ inner: Expression, _ range: SourceRange) -> Expression {
        if case .duration(var duration) = inner {
            duration.wrapped = true
            return .duration(duration)
        }
        return .duration(
            DurationExpression(
                operation: .arithmetic(.add), left: nil, right: inner, wrapped: true,
                start: range.start, end: range.end))
    }

    private func signed(
        _ sign: Token, _ isNegation: Bool, _ inner: Expression
    ) -> Expression {
        switch inner {
        case .number(var number):
            if isNegation { number.value = -number.value }
            number.range.start = sign.range.start
            return .number(number)
        default:
            // A plus changes nothing.
            if !isNegation { return inner }
            return .duration(
                DurationExpression(
                    operation: .arithmetic(.subtract), left: nil, right: inner,
                    start: sign.range.start, end: inner.range.end))
        }
    }

    private mutating func requireDurationExpressions(_ range: SourceRange) {
        if !options.durationExpressions {
            note(range, "experimental duration expression is not enabled")
        }
    }
}
