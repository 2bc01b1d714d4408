// SPDX-License-Identifier: Apache-2.0
// Recursive descent over the words of a query.

import Base
import Telemetry

/// Bounds of a query's shape.
enum SyntaxLimits {
    /// Bytes of a query. Source: Loki's limit, with its error text.
    static let queryBytes = 131_072
    /// Parentheses inside parentheses.
    static let depth = 100
    /// Binary operations in one query; each costs a stack frame when evaluated.
    static let binaryOperations = 400
}

/// The parser. Its methods are spread over files by what they read.
struct Parser {
    private let tokens: [Token]
    private var position = 0
    private var depth = 0
    var binaryOperations = 0

    init(_ text: String) throws(LogQLSyntaxError) {
        guard text.utf8.count <= SyntaxLimits.queryBytes else {
            throw LogQLSyntaxError(
                "input size too long (\(text.utf8.count) > \(SyntaxLimits.queryBytes))")
        }
        tokens = Lexer.tokens(of: text)
    }

    var token: Token { tokens[position] }

    func lookAhead(_ count: Int) -> Token { tokens[min(position + count, tokens.count - 1)] }

    @discardableResult
    mutating func next() -> Token {
        let current = tokens[position]
        if position + 1 < tokens.count { position += 1 }
        return current
    }

    /// An error about the current word; at most four expectations are named, in the given order.
    func unexpected(_ expected: String...) -> LogQLSyntaxError {
        let token = token
        if token.kind == .failure {
            return LogQLSyntaxError(line: token.line, column: token.column, token.text)
        }
        var message = "syntax error: unexpected \(token.shownName)"
        if !expected.isEmpty, expected.count <= 4 {
            message += ", expecting " + expected.joined(separator: " or ")
        }
        return LogQLSyntaxError(line: token.line, column: token.column, message)
    }

    mutating func takeSymbol(_ symbol: String) -> Bool {
        guard token.isSymbol(symbol) else { return false }
        next()
        return true
    }

    mutating func takeKeyword(_ word: String) -> Bool {
        guard token.isKeyword(word) else { return false }
        next()
        return true
    }

    mutating func expectSymbol(_ symbol: String) throws(LogQLSyntaxError) {
        guard takeSymbol(symbol) else { throw unexpected(symbol) }
    }

    mutating func expectString() throws(LogQLSyntaxError) -> String {
        guard token.kind == .string else { throw unexpected("STRING") }
        return next().text
    }

    mutating func expectIdentifier() throws(LogQLSyntaxError) -> String {
        guard token.kind == .identifier else { throw unexpected("IDENTIFIER") }
        return next().text
    }

    /// Counts a level of nesting; `leave()` takes it back.
    mutating func enter() throws(LogQLSyntaxError) {
        depth += 1
        if depth > SyntaxLimits.depth {
            throw LogQLSyntaxError(
                line: token.line, column: token.column,
                "query is nested deeper than \(SyntaxLimits.depth) levels")
        }
    }

    mutating func leave() { depth -= 1 }

    mutating func root() throws(LogQLSyntaxError) -> LogQLExpression {
        let expression = try self.expression()
        guard token.kind == .end else { throw unexpected() }
        return expression
    }
}

/// The parser's front door.
package enum LogQLParser {
    /// Parses a query of either kind and checks that its selectors cannot match everything.
    ///
    /// - Throws: `LogQLSyntaxError`, with Loki's text where Loki has one.
    package static func parse(_ text: String) throws(LogQLSyntaxError) -> LogQLExpression {
        var parser = try Parser(text)
        let expression = try parser.root()
        for selector in expression.selectors { try validate(selector.matchers) }
        return expression
    }

    /// Parses a query that must answer with log lines.
    package static func parseLogQuery(_ text: String) throws(LogQLSyntaxError) -> LogSelector {
        switch try parse(text) {
        case .log(let selector): return selector
        case .metric:
            throw LogQLSyntaxError("only log queries are supported here, not metric queries")
        case .analysis:
            throw LogQLSyntaxError("only log queries are supported here, not analyses of them")
        }
    }

    /// Parses a query that must answer with numbers.
    package static func parseMetricQuery(
        _ text: String
    ) throws(LogQLSyntaxError) -> MetricExpression {
        switch try parse(text) {
        case .metric(let expression): return expression
        case .log, .analysis:
            throw LogQLSyntaxError("only metric queries are supported here, not log queries")
        }
    }

    /// Refuses selectors that match streams without any of the labels they name.
    static func validate(_ matchers: [LabelMatcher]) throws(LogQLSyntaxError) {
        for matcher in matchers {
            switch matcher.operation {
            case .equal, .matches: if !matcher.matchesEmpty { return }
            case .notEqual, .notMatches: continue
            }
        }
        throw LogQLSyntaxError(
            "queries require at least one regexp or equality matcher that does not have an "
                + "empty-compatible value. For instance, app=~\".*\" does not meet this "
                + "requirement, but app=~\".+\" will")
    }
}

/// Selectors as the endpoints for series and labels take them.
package enum LogQLMatchers {
    /// Parses `{…}` alone. `{}` and selectors that match everything are accepted when
    /// `allowsEverything`; an empty text then stands for `{}`.
    package static func parse(
        _ text: String, allowsEverything: Bool = true
    ) throws(LogQLSyntaxError) -> [LabelMatcher] {
        if allowsEverything, text.utf8.allSatisfy({ $0 == 32 }) { return [] }
        var parser = try Parser(text)
        let matchers = try parser.selector()
        guard parser.token.kind == .end else { throw parser.unexpected() }
        if !allowsEverything { try LogQLParser.validate(matchers) }
        return matchers
    }
}
