// SPDX-License-Identifier: Apache-2.0
// Cuts a query into words.

import Base
import Telemetry

struct Token {
    enum Kind: Equatable {
        case end, string, int, float, duration, attribute, identifier, symbol, unknown
        /// The lexer gave up here; the text is the message.
        case failure
    }
    var kind: Kind
    var text: String
    var line: Int
    var column: Int
    var attribute: Attribute?
    var value: Static?

    var shownName: String {
        switch kind {
        case .end, .failure: "$end"
        case .string: "STRING"
        case .int: "INTEGER"
        case .float: "FLOAT"
        case .duration: "DURATION"
        case .attribute: "ATTRIBUTE"
        case .identifier: "IDENTIFIER"
        case .symbol: text
        case .unknown: "$unk"
        }
    }
}

/// A query that is not TraceQL.
package struct TraceQLSyntaxError: Error, Equatable, Sendable, CustomStringConvertible {
    /// 1-based; 0 where the error has no place.
    package var line: Int
    package var column: Int
    package var message: String

    package init(line: Int = 0, column: Int = 0, _ message: String) {
        self.line = line
        self.column = column
        self.message = message
    }

    package var description: String {
        line == 0 && column == 0
            ? "parse error: \(message)"
            : "parse error at line \(line), col \(column): \(message)"
    }
}

struct Lexer {
    private let bytes: [UInt8]
    private var offset = 0
    private var line = 1
    private var column = 1
    private var tokens: [Token] = []

    static func tokens(of text: String) -> [Token] {
        var lexer = Lexer(bytes: Array(text.utf8))
        lexer.run()
        return lexer.tokens
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

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

    private func isBlank(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
    private func isDigit(_ byte: UInt8) -> Bool {
        byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
    }
    private func isLetter(_ byte: UInt8) -> Bool {
        byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")
    }

    private mutating func add(
        _ kind: Token.Kind, _ text: String, _ place: (Int, Int), value: Static? = nil
    ) {
        tokens.append(
            Token(kind: kind, text: text, line: place.0, column: place.1, value: value))
    }

    private static let scopes: [String: AttributeScope] = [
        "span": .span, "resource": .resource, "event": .event, "link": .link,
        "instrumentation": .instrumentation,
    ]
    /// By their first byte, the longest first.
    private static let symbols: [UInt8: [String]] = Dictionary(
        grouping: [
            "!>>", "!<<", "&>>", "&<<", "&&", "||", "!=", "=~", "!~", ">=", "<=", ">>", "<<", "!>",
            "!<", "&>", "&<", "&~", "{", "}", "(", ")", ",", "|", "=", ">", "<", "~", "!", "+", "-",
            "*", "/", "%", "^",
        ], by: { $0.utf8.first ?? 0 })

    private mutating func run() {
        while true {
            while let byte = peek(), isBlank(byte) { advance() }
            let place = (line, column)
            guard let byte = peek() else {
                add(.end, "", place)
                return
            }
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "`") {
                string(byte, place)
            } else if isDigit(byte) || (byte == UInt8(ascii: ".") && peek(1).map(isDigit) == true) {
                number(place)
            } else if byte == UInt8(ascii: ".") {
                advance()
                attribute(.any, isParent: false, place)
            } else if isLetter(byte) || byte == UInt8(ascii: "_") {
                word(place)
            } else if let symbol = Lexer.symbols[byte]?.first(where: {
                bytes[offset...].starts(with: $0.utf8)
            }) {
                advance(symbol.utf8.count)
                add(.symbol, symbol, place)
            } else {
                advance()
                add(.unknown, "", place)
            }
            if tokens.last?.kind == .failure { return }
        }
    }

    private mutating func string(_ quote: UInt8, _ place: (Int, Int)) {
        let start = offset
        advance()
        while let byte = peek() {
            if byte == quote {
                advance()
                guard let content = unquotedBytes(bytes[start..<offset]),
                    content.withUnsafeBytes({ isValidUTF8($0) })
                else {
                    add(.failure, "invalid syntax", place)
                    return
                }
                let text = String(decoding: content, as: UTF8.self)
                add(.string, text, place, value: .string(text))
                return
            }
            if byte == UInt8(ascii: "\n"), quote != UInt8(ascii: "`") { break }
            if byte == UInt8(ascii: "\\"), quote != UInt8(ascii: "`") { advance() }
            advance()
        }
        add(.failure, "literal not terminated", place)
    }

    private mutating func number(_ place: (Int, Int)) {
        var end = offset
        while end < bytes.count,
            isDigit(bytes[end]) || isLetter(bytes[end]) || bytes[end] == UInt8(ascii: ".")
                || bytes[end] >= 0x80
        {
            end += 1
        }
        let text = String(decoding: bytes[offset..<end], as: UTF8.self)
        if text.utf8.contains(where: { !isDigit($0) && $0 != UInt8(ascii: ".") }),
            let nanos = parseQueryDuration(text)
        {
            advance(end - offset)
            add(.duration, text, place, value: .duration(nanos))
            return
        }
        end = offset
        var isFloat = false
        while end < bytes.count {
            let byte = bytes[end]
            if isDigit(byte) {
                end += 1
            } else if byte == UInt8(ascii: "."), !isFloat {
                isFloat = true
                end += 1
            } else if byte | 0x20 == UInt8(ascii: "e"), end + 1 < bytes.count {
                let isSigned =
                    bytes[end + 1] == UInt8(ascii: "-") || bytes[end + 1] == UInt8(ascii: "+")
                let first = end + (isSigned ? 2 : 1)
                guard first < bytes.count, isDigit(bytes[first]) else { break }
                isFloat = true
                end = first
            } else {
                break
            }
        }
        let digits = String(decoding: bytes[offset..<end], as: UTF8.self)
        advance(end - offset)
        if isFloat {
            guard let value = parseFloat(digits) else {
                return add(.failure, "invalid number \(digits)", place)
            }
            add(.float, digits, place, value: .float(value))
        } else {
            guard let value = Int64(digits) else {
                return add(.failure, "integer \(digits) is out of range", place)
            }
            add(.int, digits, place, value: .int(value))
        }
    }

    private mutating func word(_ place: (Int, Int)) {
        let start = offset
        while let byte = peek(), isLetter(byte) || isDigit(byte) || byte == UInt8(ascii: "_") {
            advance()
        }
        let text = String(decoding: bytes[start..<offset], as: UTF8.self)
        if peek() == UInt8(ascii: ".") {
            if let scope = Lexer.scopes[text] {
                advance()
                return attribute(scope, isParent: false, place)
            }
            if text == "parent" {
                advance()
                for (name, scope) in [("span.", AttributeScope.span), ("resource.", .resource)]
                where bytes[offset...].starts(with: name.utf8) {
                    advance(name.utf8.count)
                    return attribute(scope, isParent: true, place)
                }
                return attribute(.any, isParent: true, place)
            }
        }
        if peek() == UInt8(ascii: ":"), text == "trace" || Lexer.scopes[text] != nil {
            advance()
            let nameStart = offset
            while let byte = peek(), isLetter(byte) { advance() }
            let name = text + ":" + String(decoding: bytes[nameStart..<offset], as: UTF8.self)
            guard let intrinsic = Intrinsic.named[name] else {
                return add(
                    .failure, "syntax error: unexpected IDENTIFIER: no intrinsic \(name)", place)
            }
            return addAttribute(Attribute(intrinsic, spelling: name), place)
        }
        if let intrinsic = Intrinsic.named[text] {
            return addAttribute(Attribute(intrinsic, spelling: text), place)
        }
        add(.identifier, text, place)
    }

    private mutating func addAttribute(_ attribute: Attribute, _ place: (Int, Int)) {
        tokens.append(
            Token(
                kind: .attribute, text: attribute.text, line: place.0, column: place.1,
                attribute: attribute))
    }

    /// The name behind a scope's point: anything up to a blank or an operator; parts in double
    /// quotes may hold everything, with `\"` and `\\` escaped.
    private mutating func attribute(
        _ scope: AttributeScope, isParent: Bool, _ place: (Int, Int)
    ) {
        var name: [UInt8] = []
        while let byte = peek() {
            if byte == UInt8(ascii: "\"") {
                advance()
                while let inner = peek(), inner != UInt8(ascii: "\"") {
                    advance()
                    guard inner == UInt8(ascii: "\\") else {
                        name.append(inner)
                        continue
                    }
                    guard let escaped = peek(),
                        escaped == UInt8(ascii: "\"") || escaped == UInt8(ascii: "\\")
                    else { return add(.failure, "invalid escape sequence", place) }
                    name.append(escaped)
                    advance()
                }
                guard peek() == UInt8(ascii: "\"") else {
                    return add(.failure, "unexpected EOF, expecting \"", place)
                }
                advance()
                continue
            }
            if isBlank(byte) || "{}()=~!<>&|^,".utf8.contains(byte) { break }
            name.append(byte)
            advance()
        }
        guard !name.isEmpty, name.withUnsafeBytes({ isValidUTF8($0) }) else {
            return add(
                .failure, "syntax error: unexpected END_ATTRIBUTE, expecting IDENTIFIER", place)
        }
        var attribute = Attribute(scope: scope, name: String(decoding: name, as: UTF8.self))
        attribute.isParent = isParent
        addAttribute(attribute, place)
    }
}
