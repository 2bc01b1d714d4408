// SPDX-License-Identifier: Apache-2.0
// Cuts a query into words.

import Base

/// Reads words from a query. Linear in its length; the first thing that is no word becomes a
/// `.failure` token, so that errors of grammar in front of it are reported first.
struct Lexer {
    private let bytes: [UInt8]
    private var offset = 0
    private var line = 1
    private var column = 1
    private var tokens: [Token] = []

    init(_ text: String) { bytes = Array(text.utf8) }

    static func tokens(of text: String) -> [Token] {
        var lexer = Lexer(text)
        lexer.run()
        return lexer.tokens
    }

    private func peek(_ ahead: Int = 0) -> UInt8? {
        offset + ahead < bytes.count ? bytes[offset + ahead] : nil
    }

    private mutating func advance(_ count: Int = 1) {
        for _ in 0..<count where offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            if byte == UInt8(ascii: "\n") {
                line += 1
                column = 1
            } else if byte & 0xc0 != 0x80 {
                column += 1
            }
        }
    }

    private mutating func skipBlanks() {
        while let byte = peek() {
            switch byte {
            case 9, 10, 13, 32: advance()
            case UInt8(ascii: "#"):
                while let next = peek(), next != UInt8(ascii: "\n") { advance() }
            default: return
            }
        }
    }

    private mutating func add(
        _ kind: TokenKind, _ text: String, _ place: (Int, Int), quantity: Int64 = 0
    ) {
        tokens.append(
            Token(kind: kind, text: text, line: place.0, column: place.1, quantity: quantity))
    }

    private mutating func run() {
        while true {
            skipBlanks()
            let place = (line, column)
            guard let byte = peek() else {
                add(.end, "", place)
                return
            }
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "`"): string(byte, place)
            case UInt8(ascii: "["): range(place)
            case UInt8(ascii: "0")...UInt8(ascii: "9"): number(place, negative: false)
            case UInt8(ascii: "."):
                if let next = peek(1), isASCIIDigit(next) {
                    number(place, negative: false)
                } else {
                    symbol(".", place)
                }
            case UInt8(ascii: "-"): minus(place)
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "_"), 0x80...0xff:
                word(place)
            default: operatorOrUnknown(place)
            }
            if tokens.last?.kind == .failure { return }
        }
    }

    private mutating func symbol(_ text: String, _ place: (Int, Int)) {
        advance(text.utf8.count)
        add(.symbol, text, place)
    }

    private static let symbols = [
        "|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=", "{", "}", "(", ")", "]", ",",
        "|", "=", ">", "<", "+", "-", "*", "/", "%", "^", ".",
    ]

    private mutating func operatorOrUnknown(_ place: (Int, Int)) {
        for candidate in Lexer.symbols
        where bytes[offset...].starts(with: candidate.utf8) {
            symbol(candidate, place)
            return
        }
        advance()
        add(.unknown, "$unk", place)
    }

    // MARK: words

    private mutating func word(_ place: (Int, Int)) {
        let start = offset
        while let byte = peek(), isWordByte(byte) { advance() }
        let text = String(decoding: bytes[start..<offset], as: UTF8.self)
        let lower = text.lowercased()
        if keywords.contains(lower) {
            add(.keyword, lower, place)
        } else if functionWords.contains(lower), isFunctionCall() {
            add(.function, lower, place)
        } else {
            add(.identifier, text, place)
        }
    }

    private func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: ":"),
            0x80...0xff:
            true
        default: false
        }
    }

    /// Whether a parenthesis or a grouping follows.
    private func isFunctionCall() -> Bool {
        var i = offset
        while i < bytes.count, bytes[i] == 32 || (9...13).contains(bytes[i]) { i += 1 }
        guard i < bytes.count else { return false }
        if bytes[i] == UInt8(ascii: "(") { return true }
        for grouping in ["by", "without"] {
            let end = i + grouping.utf8.count
            guard end <= bytes.count else { continue }
            let next = String(decoding: bytes[i..<end], as: UTF8.self).lowercased()
            if next == grouping, end == bytes.count || !isWordByte(bytes[end]) { return true }
        }
        return false
    }

    // MARK: strings

    private mutating func string(_ quote: UInt8, _ place: (Int, Int)) {
        let start = offset
        advance()
        while let byte = peek() {
            if byte == quote {
                advance()
                guard let content = unquotedBytes(bytes[start..<offset]) else {
                    add(.failure, "invalid syntax", place)
                    return
                }
                let valid = content.withUnsafeBytes { isValidUTF8($0) }
                if valid {
                    add(.string, String(decoding: content, as: UTF8.self), place)
                } else {
                    add(.failure, "invalid UTF-8 encoding", place)
                }
                return
            }
            if quote == UInt8(ascii: "\"") {
                if byte == UInt8(ascii: "\n") { break }
                if byte == UInt8(ascii: "\\") { advance() }
            }
            advance()
        }
        add(.failure, "literal not terminated", place)
    }

    // MARK: quantities

    private mutating func range(_ place: (Int, Int)) {
        let start = offset + 1
        guard let close = bytes[start...].firstIndex(of: UInt8(ascii: "]")) else {
            add(.failure, "missing closing ']' in duration", (0, place.1))
            return
        }
        let text = String(decoding: bytes[start..<close], as: UTF8.self)
        advance(close + 1 - offset)
        do {
            let millis = try parseDurationMillis(text)
            add(.range, text, place, quantity: millis * 1_000_000)
        } catch {
            add(.failure, unknownUnit(in: text) ?? error.description, (0, place.1))
        }
    }

    /// The error text for a unit that does not exist, where that is what is wrong.
    private func unknownUnit(in text: String) -> String? {
        let units: Set<String> = ["y", "w", "d", "h", "m", "s", "ms"]
        var rest = Array(text.utf8)[...]
        while let first = rest.first, isASCIIDigit(first) {
            rest = rest.drop(while: isASCIIDigit)
            let unit = String(decoding: rest.prefix { !isASCIIDigit($0) }, as: UTF8.self)
            rest = rest.drop { !isASCIIDigit($0) }
            if !unit.isEmpty, !units.contains(unit) {
                return "unknown unit \(quotedText(unit)) in duration \(quotedText(text))"
            }
        }
        return nil
    }

    private mutating func minus(_ place: (Int, Int)) {
        if peek(1) == UInt8(ascii: "-"), let next = peek(2), isASCIILetter(next) {
            let start = offset
            advance(2)
            while let byte = peek(), isASCIILetter(byte) || byte == UInt8(ascii: "-") {
                advance()
            }
            add(.parserFlag, String(decoding: bytes[start..<offset], as: UTF8.self), place)
            return
        }
        if let next = peek(1), isASCIIDigit(next) || next == UInt8(ascii: ".") {
            let kept = self
            advance()
            number(place, negative: true)
            if tokens.last?.kind == .duration { return }
            self = kept
        }
        symbol("-", place)
    }

    private mutating func number(_ place: (Int, Int), negative: Bool) {
        if quantity(place, negative: negative) { return }
        let start = offset
        var isFloat = false
        if peek() == UInt8(ascii: "0"), let next = peek(1),
            [UInt8(ascii: "x"), UInt8(ascii: "o"), UInt8(ascii: "b")].contains(next | 0x20)
        {
            advance(2)
            while let byte = peek(), isASCIIDigit(byte) || isASCIILetter(byte) { advance() }
        } else {
            while let byte = peek() {
                if isASCIIDigit(byte) {
                    advance()
                } else if byte == UInt8(ascii: "."), !isFloat {
                    isFloat = true
                    advance()
                } else if byte | 0x20 == UInt8(ascii: "e"), isExponent() {
                    advance(peek(1).map(isASCIIDigit) == true ? 1 : 2)
                    isFloat = true
                } else {
                    break
                }
            }
        }
        add(.number, String(decoding: bytes[start..<offset], as: UTF8.self), place)
    }

    private func isExponent() -> Bool {
        guard let next = peek(1) else { return false }
        if isASCIIDigit(next) { return true }
        guard next == UInt8(ascii: "+") || next == UInt8(ascii: "-") else { return false }
        return peek(2).map(isASCIIDigit) ?? false
    }

    /// A duration or a byte size at this place.
    private mutating func quantity(_ place: (Int, Int), negative: Bool) -> Bool {
        var end = offset
        while end < bytes.count, isDurationByte(bytes[end]) { end += 1 }
        var text = String(decoding: bytes[offset..<end], as: UTF8.self)
        if text.utf8.contains(where: { !isASCIIDigit($0) && $0 != UInt8(ascii: ".") }),
            let nanos = parseQueryDuration(text)
        {
            advance(end - offset)
            add(.duration, negative ? "-" + text : text, place, quantity: negative ? -nanos : nanos)
            return true
        }
        if negative { return false }
        end = offset
        while end < bytes.count, isASCIIDigit(bytes[end]) || bytes[end] == UInt8(ascii: ".") {
            end += 1
        }
        while end < bytes.count, isASCIILetter(bytes[end]) { end += 1 }
        text = String(decoding: bytes[offset..<end], as: UTF8.self)
        guard let size = ByteSize.literal(text) else { return false }
        advance(end - offset)
        add(.bytes, text, place, quantity: size)
        return true
    }

    private func isDurationByte(_ byte: UInt8) -> Bool {
        isASCIIDigit(byte) || "nusmhdwy.".utf8.contains(byte) || byte == 0xc2 || byte == 0xb5
            || byte == 0xce || byte == 0xbc
    }
}

@inline(__always) func isASCIIDigit(_ byte: UInt8) -> Bool {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
}

@inline(__always) func isASCIILetter(_ byte: UInt8) -> Bool {
    let lower = byte | 0x20
    return lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "z")
}
