// SPDX-License-Identifier: Apache-2.0
// Splits a query into tokens, one at a time.

import Base

/// Reads tokens lazily, so that a fault in the text is met in the same order as in Prometheus.
///
/// Source: prometheus/prometheus `promql/parser/lex.go`. Messages are its messages.
struct Lexer {
    let input: [UInt8]
    /// Where the next byte is read.
    var position = 0
    /// Where the token being read began.
    var start = 0
    var parenDepth = 0
    var braceOpen = false
    var bracketOpen = false
    private var gotColon = false
    private var gotDuration = false
    private var inDuration = false
    private var failed = false

    init(_ text: String) { input = Array(text.utf8) }

    // MARK: Characters

    /// The byte at an offset from the current position, nil at the end.
    func peek(_ offset: Int = 0) -> UInt8? {
        position + offset < input.count ? input[position + offset] : nil
    }

    /// Whether the next byte is one of the given.
    func isNext(in set: String) -> Bool {
        guard let byte = peek() else { return false }
        return set.utf8.contains(byte)
    }

    mutating func accept(_ set: String) -> Bool {
        guard isNext(in: set) else { return false }
        position += 1
        return true
    }

    func written(_ from: Int, _ to: Int) -> String {
        String(decoding: input[from..<to], as: UTF8.self)
    }

    /// The scalar at a position in Go's `%q` for runes; the replacement character where the bytes
    /// are no UTF-8.
    func quotedCharacter(at index: Int) -> String {
        guard index < input.count else { return "'\\x00'" }
        let length = input.withUnsafeBytes {
            $0[index] < 0x80 ? 1 : validUTF8Length($0, at: index)
        }
        if length == 0 { return "'\u{fffd}'" }
        let text = written(index, index + length)
        if text == "'" { return "'\\''" }
        if text == "\"" { return "'\"'" }
        return "'" + quotedText(text).dropFirst().dropLast() + "'"
    }

    func characterLength(at index: Int) -> Int {
        guard index < input.count else { return 0 }
        return input.withUnsafeBytes {
            $0[index] < 0x80 ? 1 : max(1, validUTF8Length($0, at: index))
        }
    }

    // MARK: Tokens

    mutating func emit(_ kind: Token.Kind) -> Token {
        let token = Token(
            kind: kind, range: SourceRange(start, position), text: written(start, position))
        start = position
        return token
    }

    mutating func fail(_ message: String) -> Token {
        failed = true
        return Token(kind: .error, range: SourceRange(start, input.count), text: message)
    }

    /// The next token; after an error only ends of input follow.
    mutating func next() -> Token {
        while true {
            if failed {
                return Token(
                    kind: .end, range: SourceRange(input.count, input.count), text: "")
            }
            skipSpace()
            if let token = braceOpen && !inDuration
                ? insideBraces()
                : inDuration ? durationExpression() : statement()
            {
                return token
            }
        }
    }

    private mutating func skipSpace() {
        while let byte = peek() {
            if byte == UInt8(ascii: "#"), !inDuration {
                while let next = peek(), next != UInt8(ascii: "\n"), next != UInt8(ascii: "\r") {
                    position += 1
                }
            } else if isSpace(byte) {
                position += 1
            } else {
                break
            }
        }
        start = position
    }

    private mutating func statement() -> Token? {
        guard let byte = peek() else {
            if parenDepth != 0 { return fail("unclosed left parenthesis") }
            if bracketOpen { return fail("unclosed left bracket") }
            return emit(.end)
        }
        if isDigit(byte) || byte == UInt8(ascii: ".") && peek(1).map(isDigit) == true {
            return numberOrDuration()
        }
        if isAlpha(byte) || byte == UInt8(ascii: ":") {
            return bracketOpen ? insideBrackets(byte) : word()
        }
        if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") { return string(byte) }
        if byte == UInt8(ascii: "`") { return rawString() }
        position += 1
        switch byte {
        case UInt8(ascii: ","): return emit(.comma)
        case UInt8(ascii: "*"): return emit(.binary(.multiply))
        case UInt8(ascii: "/"): return emit(.binary(.divide))
        case UInt8(ascii: "%"): return emit(.binary(.modulo))
        case UInt8(ascii: "+"): return emit(.binary(.add))
        case UInt8(ascii: "-"): return emit(.binary(.subtract))
        case UInt8(ascii: "^"): return emit(.binary(.power))
        case UInt8(ascii: "@"): return emit(.at)
        case UInt8(ascii: "="):
            if accept("=") { return emit(.binary(.equal)) }
            if isNext(in: "~") {
                return fail(
                    "unexpected character after '=': \(quotedCharacter(at: position))")
            }
            return emit(.equal)
        case UInt8(ascii: "!"):
            if accept("=") { return emit(.binary(.notEqual)) }
            return fail("unexpected character after '!': \(quotedCharacter(at: position))")
        case UInt8(ascii: "<"):
            if accept("=") { return emit(.binary(.lessOrEqual)) }
            return emit(.binary(accept("/") ? .trimUpper : .less))
        case UInt8(ascii: ">"):
            if accept("=") { return emit(.binary(.greaterOrEqual)) }
            return emit(.binary(accept("/") ? .trimLower : .greater))
        case UInt8(ascii: "("):
            parenDepth += 1
            return emit(.leftParen)
        case UInt8(ascii: ")"): return rightParen()
        case UInt8(ascii: "{"):
            braceOpen = true
            return emit(.leftBrace)
        case UInt8(ascii: "["):
            if bracketOpen { return fail("unexpected left bracket '['") }
            gotColon = false
            bracketOpen = true
            inDuration = true
            return emit(.leftBracket)
        case UInt8(ascii: "]"):
            if !bracketOpen { return fail("unexpected right bracket ']'") }
            bracketOpen = false
            return emit(.rightBracket)
        default: return fail("unexpected character: \(quotedCharacter(at: position - 1))")
        }
    }

    private mutating func rightParen() -> Token {
        let token = emit(.rightParen)
        parenDepth -= 1
        return parenDepth < 0 ? fail("unexpected right parenthesis ')'") : token
    }

    /// A letter or colon between brackets, after the first duration.
    private mutating func insideBrackets(_ byte: UInt8) -> Token {
        let first = quotedCharacter(at: position)
        if byte == UInt8(ascii: ":") {
            position += 1
            if gotColon { return fail("unexpected colon ':'") }
            gotColon = true
            return emit(.colon)
        }
        return durationKeyword() ?? fail("unexpected character: \(first), expected ':'")
    }

    /// `step`, `range`, `max_of` or `min_of`.
    private mutating func durationKeyword() -> Token? {
        guard let byte = peek(), "srmSRM".utf8.contains(byte) else { return nil }
        while let next = peek(), isAlpha(next) { position += 1 }
        switch written(start, position).lowercased() {
        case "step": return emit(.keyword(.step))
        case "range": return emit(.keyword(.range))
        case "max_of": return emit(.keyword(.maxOf))
        case "min_of": return emit(.keyword(.minOf))
        default: return nil
        }
    }

    /// Between a left bracket and the first number.
    private mutating func durationExpression() -> Token {
        guard let byte = peek() else {
            return fail("unexpected end of input in duration expression")
        }
        if isDigit(byte) || byte == UInt8(ascii: ".") && peek(1).map(isDigit) == true {
            gotDuration = true
            inDuration = false
            return numberOrDuration()
        }
        let first = quotedCharacter(at: position)
        if let keyword = durationKeyword() { return keyword }
        position = start + 1
        switch byte {
        case UInt8(ascii: "]"):
            bracketOpen = false
            gotColon = false
            inDuration = false
            return emit(.rightBracket)
        case UInt8(ascii: ":"):
            let token = emit(.colon)
            if !gotDuration {
                return fail("unexpected colon before duration in duration expression")
            }
            if gotColon { return fail("unexpected repeated colon in duration expression") }
            gotColon = true
            return token
        case UInt8(ascii: "("):
            parenDepth += 1
            return emit(.leftParen)
        case UInt8(ascii: ")"): return rightParen()
        case UInt8(ascii: "+"): return emit(.binary(.add))
        case UInt8(ascii: "-"): return emit(.binary(.subtract))
        case UInt8(ascii: "*"): return emit(.binary(.multiply))
        case UInt8(ascii: "/"): return emit(.binary(.divide))
        case UInt8(ascii: "%"): return emit(.binary(.modulo))
        case UInt8(ascii: "^"): return emit(.binary(.power))
        case UInt8(ascii: ","): return emit(.comma)
        default: return fail("unexpected character in duration expression: \(first)")
        }
    }

    private mutating func insideBraces() -> Token {
        guard let byte = peek() else { return fail("unexpected end of input inside braces") }
        if isAlpha(byte) {
            while let next = peek(), isAlphaNumeric(next) { position += 1 }
            return emit(.identifier)
        }
        if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") { return string(byte) }
        if byte == UInt8(ascii: "`") { return rawString() }
        position += 1
        switch byte {
        case UInt8(ascii: ","): return emit(.comma)
        case UInt8(ascii: "="): return accept("~") ? emit(.matchesRegex) : emit(.equal)
        case UInt8(ascii: "!"):
            if accept("~") { return emit(.notMatchesRegex) }
            if accept("=") { return emit(.binary(.notEqual)) }
            return fail(
                "unexpected character after '!' inside braces: "
                    + quotedCharacter(at: position))
        case UInt8(ascii: "{"): return fail("unexpected left brace '{'")
        case UInt8(ascii: "}"):
            braceOpen = false
            return emit(.rightBrace)
        default:
            return fail(
                "unexpected character inside braces: \(quotedCharacter(at: position - 1))")
        }
    }

    private mutating func word() -> Token {
        while let byte = peek(), isAlphaNumeric(byte) || byte == UInt8(ascii: ":") {
            position += 1
        }
        let text = written(start, position)
        if let kind = Token.word(text) {
            switch kind {
            case .keyword(.fill), .keyword(.fillLeft), .keyword(.fillRight):
                // Metrics of these names existed before the modifiers did.
                return emit(isFollowedByParen() ? kind : .identifier)
            default: return emit(kind)
            }
        }
        return emit(text.utf8.contains(UInt8(ascii: ":")) ? .metricIdentifier : .identifier)
    }

    private func isFollowedByParen() -> Bool {
        var offset = 0
        while let byte = peek(offset), isSpace(byte) { offset += 1 }
        return peek(offset) == UInt8(ascii: "(")
    }
}

func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d
}
func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
func isAlpha(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "_") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
}
func isAlphaNumeric(_ byte: UInt8) -> Bool { isAlpha(byte) || isDigit(byte) }
