// SPDX-License-Identifier: Apache-2.0
// PromQL text to syntax tree.

import Base
import Telemetry

/// Which parts of the language that Prometheus hides behind flags are open.
package struct ParserOptions: Sendable {
    package var experimentalFunctions = true
    package var durationExpressions = true
    package var extendedRangeSelectors = true
    package var fillModifiers = true
    package init() {}
}

/// Parses an expression and checks its types.
///
/// - Throws: `ParseError` with the texts and positions of prometheus/prometheus `promql/parser`.
package func parseExpression(
    _ text: String, options: ParserOptions = ParserOptions()
) throws(ParseError) -> Expression {
    var parser = Parser(text, options: options)
    var expression: Expression?
    do {
        expression = try parser.wholeExpression()
        if parser.faults.isEmpty, let parsed = expression {
            expression = parser.check(parsed)
        }
    } catch let fault {
        // A fault that ends the parse comes after those that did not.
        parser.faults.append(fault)
    }
    guard parser.faults.isEmpty, let expression else {
        throw ParseError(parser.faults, query: text)
    }
    return expression
}

/// Parses a series selector such as `up{job="a"}`, as `match[]` parameters hold it.
package func parseSelector(_ text: String) throws(ParseError) -> [LabelMatcher] {
    let expression = try parseExpression(text)
    guard case .selector(let selector) = expression, selector.anchor == nil, !selector.hasOffset
    else {
        throw ParseError(
            [ParseFault(expression.range, "expected a series selector")], query: text)
    }
    return selector.matchers
}

/// Recursive descent with precedence climbing. A fault after which the parse cannot go on is
/// thrown, others are collected in `faults`.
struct Parser {
    /// Deepest nesting of expressions: bounds the stack of everything that walks a tree.
    static let maxDepth = 1500

    let options: ParserOptions
    var lexer: Lexer
    var faults: [ParseFault] = []
    var depth = 0
    private var lookahead: Token?
    /// End of the token taken last.
    var previousEnd = 0

    init(_ text: String, options: ParserOptions) {
        self.options = options
        lexer = Lexer(text)
    }

    // MARK: Tokens

    /// The next token, not taken. A fault of the lexer is thrown here.
    mutating func peek() throws(ParseFault) -> Token {
        if let lookahead { return lookahead }
        let token = lexer.next()
        if token.kind == .error { throw ParseFault(token.range, token.text) }
        lookahead = token
        return token
    }

    @discardableResult
    mutating func take() throws(ParseFault) -> Token {
        let token = try peek()
        lookahead = nil
        previousEnd = token.range.end
        return token
    }

    mutating func takeIf(_ kind: Token.Kind) throws(ParseFault) -> Token? {
        try peek().kind == kind ? try take() : nil
    }

    mutating func expect(
        _ kind: Token.Kind, in context: String = "", expected: String = ""
    ) throws(ParseFault) -> Token {
        guard let token = try takeIf(kind) else {
            throw try unexpected(in: context, expected: expected)
        }
        return token
    }

    mutating func unexpected(
        in context: String = "", expected: String = ""
    ) throws(ParseFault) -> ParseFault {
        let token = try peek()
        var message = "unexpected " + token.description
        if !context.isEmpty { message += " in " + context }
        if !expected.isEmpty { message += ", expected " + expected }
        return ParseFault(token.range, message)
    }

    mutating func note(_ range: SourceRange, _ message: String) {
        faults.append(ParseFault(range, message))
    }

    // MARK: Expressions

    mutating func wholeExpression() throws(ParseFault) -> Expression? {
        if try peek().kind == .end {
            // Nothing but blanks and comments.
            note(SourceRange(0, 0), "no expression found in input")
            return nil
        }
        let result = try expression(above: 0)
        if try peek().kind != .end { throw try unexpected() }
        return result
    }

    /// An expression whose operators all bind tighter than `precedence`.
    mutating func expression(above precedence: Int) throws(ParseFault) -> Expression {
        depth += 1
        defer { depth -= 1 }
        if depth > Parser.maxDepth {
            throw ParseFault(
                try peek().range, "expression is nested deeper than \(Parser.maxDepth) levels")
        }
        var left = try operand()
        var chained = 0
        while case .binary(let operation) = try peek().kind, operation.precedence > precedence {
            chained += 1
            if depth + chained > Parser.maxDepth {
                throw ParseFault(
                    try peek().range,
                    "expression is nested deeper than \(Parser.maxDepth) levels")
            }
            try take()
            var node = try modifiers(of: operation)
            // Only `^` groups to the right.
            let right = try expression(
                above: operation == .power ? operation.precedence - 1 : operation.precedence)
            node.left = left
            node.right = right
            left = .binary(node)
            if let matching = node.matching, !options.fillModifiers,
                matching.fillLeft != nil || matching.fillRight != nil
            {
                note(left.range, "binop fill modifiers are experimental and not enabled")
            }
        }
        return left
    }

    /// A sign and its operand, or a primary with what follows it.
    private mutating func operand() throws(ParseFault) -> Expression {
        let token = try peek()
        guard token.kind == .binary(.add) || token.kind == .binary(.subtract) else {
            return try postfixed(try primary())
        }
        try take()
        // A sign binds like multiplication: `-a ^ b` is `-(a ^ b)`, `-a * b` is `(-a) * b`.
        let inner = try expression(above: BinaryOperator.multiply.precedence)
        let isNegation = token.kind == .binary(.subtract)
        if case .number(var number) = inner {
            if isNegation { number.value = -number.value }
            number.range.start = token.range.start
            return .number(number)
        }
        return .unary(
            UnaryExpression(
                isNegation: isNegation, operand: inner, start: token.range.start))
    }

    private mutating func primary() throws(ParseFault) -> Expression {
        let token = try peek()
        switch token.kind {
        case .number, .duration: return .number(try numberOrDuration())
        case .string:
            try take()
            return .string(StringLiteral(value: unquote(token), range: token.range))
        case .leftParen:
            try take()
            let inner = try expression(above: 0)
            let close = try expect(.rightParen)
            return .parenthesized(
                ParenthesizedExpression(
                    expression: inner,
                    range: SourceRange(token.range.start, close.range.end)))
        case .leftBrace: return .selector(try vectorSelector(nil))
        case .aggregation(let operation):
            try take()
            switch try peek().kind {
            case .leftParen, .keyword(.by), .keyword(.without):
                return try aggregation(operation, at: token)
            default: return .selector(try vectorSelector(token))
            }
        case .identifier:
            try take()
            if try peek().kind == .leftParen { return try call(token) }
            return .selector(try vectorSelector(token))
        case .metricIdentifier:
            try take()
            return .selector(try vectorSelector(token))
        case .keyword(let keyword) where keyword.isMetricName:
            try take()
            if keyword.isFunctionName, try peek().kind == .leftParen { return try call(token) }
            return .selector(try vectorSelector(token))
        case .binary(.and), .binary(.or), .binary(.unless):
            // Words, so they may name metrics.
            try take()
            return .selector(try vectorSelector(token))
        default: throw try unexpected()
        }
    }

    mutating func numberOrDuration() throws(ParseFault) -> NumberLiteral {
        let token = try take()
        if token.kind == .duration {
            var value = 0.0
            do throws(DurationTextError) {
                value = Double(try parseDurationMillis(token.text)) / 1000
            } catch {
                note(token.range, error.description)
            }
            return NumberLiteral(value: value, isDuration: true, range: token.range)
        }
        guard token.kind == .number else {
            throw ParseFault(token.range, "unexpected " + token.description)
        }
        var value = 0.0
        do throws(NumberSyntaxError) {
            value = try parseNumberLiteral(token.text)
        } catch {
            note(token.range, "error parsing number: \(error.message)")
        }
        return NumberLiteral(value: value, range: token.range)
    }

    mutating func unquote(_ token: Token) -> String {
        guard let bytes = unquotedBytes(token.text.utf8) else {
            note(
                token.range, "error unquoting string \(quotedText(token.text)): invalid syntax")
            return ""
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private mutating func call(_ name: Token) throws(ParseFault) -> Expression {
        let function = FunctionSignature.all[name.text]
        let arguments = try argumentList()
        if function == nil {
            note(name.range, "unknown function with name \(quotedText(name.text))")
        } else if function?.isExperimental == true, !options.experimentalFunctions {
            note(name.range, "function \(quotedText(name.text)) is not enabled")
        }
        return .call(
            Call(
                name: name.text, function: function, arguments: arguments,
                range: SourceRange(name.range.start, previousEnd)))
    }

    private mutating func argumentList() throws(ParseFault) -> [Expression] {
        _ = try expect(.leftParen)
        if try takeIf(.rightParen) != nil { return [] }
        var arguments = [try expression(above: 0)]
        while let comma = try takeIf(.comma) {
            let next = try peek().kind
            if next == .rightParen || next == .comma {
                note(comma.range, "trailing commas not allowed in function call args")
            } else {
                arguments.append(try expression(above: 0))
            }
        }
        _ = try expect(.rightParen)
        return arguments
    }

    private mutating func aggregation(
        _ operation: AggregationOperator, at token: Token
    ) throws(ParseFault) -> Expression {
        var grouping: [String] = []
        var without = false
        var hasGrouping = false
        func isGrouping(_ kind: Token.Kind) -> Bool {
            kind == .keyword(.by) || kind == .keyword(.without)
        }
        if isGrouping(try peek().kind) {
            without = try take().kind == .keyword(.without)
            grouping = try groupingLabels()
            hasGrouping = true
        }
        var arguments = try argumentList()
        if !hasGrouping, isGrouping(try peek().kind) {
            // The end is read off before the lookahead that follows.
            without = try take().kind == .keyword(.without)
            grouping = try groupingLabels()
        }
        let range = SourceRange(token.range.start, previousEnd)
        let wanted = operation.takesParameter ? 2 : 1
        if arguments.isEmpty {
            note(range, "no arguments for aggregate expression provided")
        } else if operation.isExperimental, !options.experimentalFunctions {
            note(
                range,
                "\(operation.rawValue)() is experimental and must be enabled with "
                    + "--enable-feature=promql-experimental-functions")
        } else if arguments.count != wanted {
            note(
                range,
                "wrong number of arguments for aggregate expression provided, expected "
                    + "\(wanted), got \(arguments.count)")
        }
        let parameter =
            operation.takesParameter && arguments.count > 1
            ? arguments.removeFirst() : nil
        let expression =
            arguments.first ?? .number(NumberLiteral(value: 0, range: range))
        return .aggregation(
            Aggregation(
                operation: operation, parameter: parameter, expression: expression,
                grouping: grouping, without: without, range: range))
    }
}
