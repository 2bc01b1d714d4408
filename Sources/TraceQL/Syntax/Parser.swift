// SPDX-License-Identifier: Apache-2.0
// Recursive descent over the words of a query.

import Base
import Telemetry

/// Bounds of a query's shape.
enum SyntaxLimits {
    static let queryBytes = 131_072
    static let depth = 100
    /// Operators in one query; each may cost a stack frame when evaluated.
    static let operators = 500
}

struct Parser {
    let tokens: [Token]
    var position = 0
    private var depth = 0
    private var operators = 0
    /// Places of the parentheses that directly hold `| rate()` or another metrics function. Known
    /// beforehand, since reading to and fro would cost twice as much with each level.
    let metricsParentheses: Set<Int>

    init(_ text: String) throws(TraceQLSyntaxError) {
        guard text.utf8.count <= SyntaxLimits.queryBytes else {
            throw TraceQLSyntaxError(
                "query of \(text.utf8.count) bytes exceeds \(SyntaxLimits.queryBytes)")
        }
        self.init(tokens: Lexer.tokens(of: text))
    }

    /// - Parameter tokens: the last one is `.end` or `.failure`.
    init(tokens: [Token]) {
        self.tokens = tokens
        var open: [Int] = []
        var found: Set<Int> = []
        for (i, token) in tokens.enumerated() where token.kind == .symbol {
            switch token.text {
            case "(": open.append(i)
            case ")": _ = open.popLast()
            case "|":
                if i + 1 < tokens.count, tokens[i + 1].kind == .identifier,
                    Parser.metricsFunctions.contains(tokens[i + 1].text), let last = open.last
                {
                    found.insert(last)
                }
            default: continue
            }
        }
        metricsParentheses = found
    }

    var token: Token { tokens[position] }

    func lookAhead(_ count: Int) -> Token { tokens[min(position + count, tokens.count - 1)] }

    @discardableResult
    mutating func next() -> Token {
        let current = tokens[position]
        if position + 1 < tokens.count { position += 1 }
        return current
    }

    func unexpected(_ expected: String...) -> TraceQLSyntaxError {
        let token = token
        if token.kind == .failure {
            return TraceQLSyntaxError(line: token.line, column: token.column, token.text)
        }
        var message = "syntax error: unexpected \(token.shownName)"
        if !expected.isEmpty { message += ", expecting " + expected.joined(separator: " or ") }
        return TraceQLSyntaxError(line: token.line, column: token.column, message)
    }

    func isSymbol(_ text: String) -> Bool { token.kind == .symbol && token.text == text }
    func isWord(_ text: String) -> Bool { token.kind == .identifier && token.text == text }

    mutating func takeSymbol(_ text: String) -> Bool {
        guard isSymbol(text) else { return false }
        next()
        return true
    }

    mutating func expectSymbol(_ text: String) throws(TraceQLSyntaxError) {
        guard takeSymbol(text) else { throw unexpected(text) }
    }

    mutating func enter() throws(TraceQLSyntaxError) {
        depth += 1
        if depth > SyntaxLimits.depth {
            throw TraceQLSyntaxError(
                line: token.line, column: token.column,
                "query is nested deeper than \(SyntaxLimits.depth) levels")
        }
    }

    mutating func leave() { depth -= 1 }

    mutating func countOperator() throws(TraceQLSyntaxError) {
        operators += 1
        if operators > SyntaxLimits.operators {
            throw TraceQLSyntaxError(
                line: token.line, column: token.column,
                "query has more than \(SyntaxLimits.operators) operators")
        }
    }

    mutating func resetCounts() {
        depth = 0
        operators = 0
    }

    // MARK: root

    /// A search, or a metrics query. Both may begin with parentheses: where reading as a search
    /// fails, metrics are tried, and the error of whoever came further is told.
    mutating func root() throws(TraceQLSyntaxError) -> TraceQLQuery {
        let searchError: TraceQLSyntaxError
        let reached: Int
        do throws(TraceQLSyntaxError) {
            return try searchOrMetricsPipeline()
        } catch {
            searchError = error
            reached = position
        }
        position = 0
        resetCounts()
        do throws(TraceQLSyntaxError) {
            var query = TraceQLQuery(kind: .metrics(try metricsRoot()))
            query.hints = try hints()
            guard token.kind == .end else { throw unexpected() }
            return query
        } catch {
            throw position > reached ? error : searchError
        }
    }

    private mutating func searchOrMetricsPipeline() throws(TraceQLSyntaxError) -> TraceQLQuery {
        let pipeline = try self.pipeline()
        if case .scalar? = pipeline.stages.last { throw unexpected() }
        var query = TraceQLQuery(kind: .search(pipeline))
        if isSymbol("|"), lookAhead(1).kind == .identifier,
            Parser.metricsFunctions.contains(lookAhead(1).text)
        {
            next()
            let aggregation = try metricsAggregation()
            query.kind = .metrics(.pipeline(pipeline, aggregation, try metricsStages()))
        }
        query.hints = try hints()
        guard token.kind == .end else { throw unexpected() }
        return query
    }

    private mutating func hints() throws(TraceQLSyntaxError) -> [(name: String, value: Static)] {
        guard isWord("with") else { return [] }
        next()
        try expectSymbol("(")
        var result: [(name: String, value: Static)] = []
        repeat {
            guard token.kind == .identifier else { throw unexpected("IDENTIFIER") }
            let name = next().text
            try expectSymbol("=")
            result.append((name, try constant()))
        } while takeSymbol(",")
        try expectSymbol(")")
        return result
    }

    // MARK: constants

    /// A number with an optional sign, a text or a word such as `error`.
    mutating func constant() throws(TraceQLSyntaxError) -> Static {
        if takeSymbol("-") {
            guard let value = token.value else { throw unexpected() }
            switch value {
            case .int(let number): next(); return .int(-number)
            case .float(let number): next(); return .float(-number)
            case .duration(let nanos): next(); return .duration(-nanos)
            default: throw unexpected()
            }
        }
        if let value = token.value {
            next()
            return value
        }
        if token.kind == .identifier, let value = Parser.words[token.text] {
            next()
            return value
        }
        throw unexpected()
    }

    static let words: [String: Static] = [
        "true": .bool(true), "false": .bool(false), "nil": .null, "unset": .status(0),
        "ok": .status(1), "error": .status(2), "unspecified": .kind(0), "internal": .kind(1),
        "server": .kind(2), "client": .kind(3), "producer": .kind(4), "consumer": .kind(5),
        "minInt": .int(.min), "maxInt": .int(.max),
    ]

    // MARK: field expressions

    /// An expression over one span, by precedence climbing: `!` binds between `+` and `*`, `^` to
    /// the right.
    mutating func fieldExpression(
        minimum: Int = 1
    ) throws(TraceQLSyntaxError) -> FieldExpression {
        try enter()
        var left = try fieldOperand()
        while token.kind == .symbol, let operation = FieldOperator(rawValue: token.text),
            operation.precedence >= minimum
        {
            next()
            try countOperator()
            let right = try fieldExpression(
                minimum: operation.precedence + (operation == .power ? 0 : 1))
            left = .binary(operation, left, right)
        }
        leave()
        return left
    }

    private mutating func fieldOperand() throws(TraceQLSyntaxError) -> FieldExpression {
        switch token.kind {
        case .symbol where token.text == "(":
            next()
            let inner = try fieldExpression()
            try expectSymbol(")")
            return inner
        case .symbol where token.text == "!":
            next()
            try countOperator()
            return .not(try fieldExpression(minimum: 5))
        case .symbol where token.text == "-":
            next()
            try countOperator()
            let inner = try fieldExpression(minimum: 7)
            // A negative number is a constant, which stores can look for.
            switch inner {
            case .constant(.int(let number)): return .constant(.int(0 &- number))
            case .constant(.float(let number)): return .constant(.float(-number))
            case .constant(.duration(let nanos)): return .constant(.duration(0 &- nanos))
            default: return .negate(inner)
            }
        case .attribute:
            guard let attribute = next().attribute else { throw unexpected() }
            return .attribute(attribute)
        default: return .constant(try constant())
        }
    }
}

/// The parser's front door.
package enum TraceQLParser {
    /// Parses a query and checks that its types fit.
    ///
    /// - Throws: `TraceQLSyntaxError`; `TraceQLValidationError` for queries whose shape is right but
    ///   that make no sense or are not supported.
    package static func parse(_ text: String) throws -> TraceQLQuery {
        let query = try parseUnchecked(text)
        try query.validate()
        return query
    }

    /// Parses without checking types.
    static func parseUnchecked(_ text: String) throws(TraceQLSyntaxError) -> TraceQLQuery {
        var parser = try Parser(text)
        return try parser.root()
    }
}
