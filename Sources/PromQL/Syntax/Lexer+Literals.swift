// SPDX-License-Identifier: Apache-2.0
// Numbers, durations and strings.

import Base

extension Lexer {
    mutating func numberOrDuration() -> Token {
        if scanNumber() { return emit(.number) }
        if scanRemainingDuration() { return emit(.duration) }
        return fail("bad number or duration syntax: \(quotedText(written(start, position)))")
    }

    /// Digits have been read; the rest of a duration follows, and then nothing that could be part
    /// of a word. When it does not, the position tells how far it went.
    private mutating func scanRemainingDuration() -> Bool {
        guard accept("smhdwy") else { return false }
        _ = accept("s")
        while accept("0123456789") {
            while accept("0123456789") {}
            guard accept("smhdw") else { return false }
            _ = accept("s")
        }
        if let byte = peek(), isAlphaNumeric(byte) {
            position += 1
            return false
        }
        return true
    }

    /// Reads what may be a number; whether it is one the parser finds out.
    mutating func scanNumber() -> Bool {
        let begin = position
        var digits = "0123456789"
        var isHex = false
        if accept("0"), accept("xX") {
            _ = accept("_")
            digits = "0123456789abcdefABCDEF"
            isHex = true
        }
        _ = accept(".")
        _ = accept(digits)
        var sawDot = false, sawExponent = false
        while isNext(in: digits + "._eE") {
            if isNext(in: "."), sawDot {
                position += 1
                return false
            }
            if isNext(in: "eE"), sawExponent, !isHex {
                position += 1
                return false
            }
            if accept(".") {
                sawDot = true
                if accept("_.") || isHex { return false }
                continue
            }
            if !isHex, accept("eE") {
                sawExponent = true
                _ = accept("+-")
                if accept("._eE") || peek() == nil { return false }
                continue
            }
            if accept("_") {
                if accept("._eE") || peek() == nil { return false }
                continue
            }
            while accept(digits) {}
        }
        if position == begin { return false }
        guard let byte = peek() else { return true }
        return !isAlphaNumeric(byte)
    }

    /// A string in `quote`s; the opening quote is next.
    mutating func string(_ quote: UInt8) -> Token {
        position += 1
        while true {
            guard let byte = peek(), byte != UInt8(ascii: "\n") else {
                if peek() != nil { position += 1 }
                return fail("unterminated quoted string")
            }
            if byte == quote {
                position += 1
                return emit(.string)
            }
            if byte == UInt8(ascii: "\\") {
                position += 1
                if let message = escape(quote) { return fail(message) }
                continue
            }
            guard let length = validLength() else { return badCharacter() }
            position += length
        }
    }

    mutating func rawString() -> Token {
        position += 1
        while true {
            guard let byte = peek() else { return fail("unterminated raw string") }
            if byte == UInt8(ascii: "`") {
                position += 1
                return emit(.string)
            }
            guard let length = validLength() else { return badCharacter() }
            position += length
        }
    }

    private mutating func badCharacter() -> Token { fail("invalid UTF-8 rune") }

    /// Bytes of the character at the position; nil when it is no UTF-8 or is U+FFFD itself.
    private func validLength() -> Int? {
        input.withUnsafeBytes { bytes -> Int? in
            if bytes[position] < 0x80 { return 1 }
            let length = validUTF8Length(bytes, at: position)
            if length == 0 { return nil }
            if length == 3, bytes[position] == 0xef, bytes[position + 1] == 0xbf,
                bytes[position + 2] == 0xbd
            {
                return nil
            }
            return length
        }
    }

    /// The rest of an escape; the message when it is none.
    private mutating func escape(_ quote: UInt8) -> String? {
        guard let kind = peek() else { return "escape sequence not terminated" }
        let digits: Int
        let base: UInt32
        let limit: UInt32
        switch kind {
        case quote, UInt8(ascii: "\\"), UInt8(ascii: "a"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"), UInt8(ascii: "v"):
            position += 1
            return nil
        case UInt8(ascii: "0")...UInt8(ascii: "7"): (digits, base, limit) = (3, 8, 255)
        case UInt8(ascii: "x"):
            position += 1
            (digits, base, limit) = (2, 16, 255)
        case UInt8(ascii: "u"):
            position += 1
            (digits, base, limit) = (4, 16, 0x10_ffff)
        case UInt8(ascii: "U"):
            position += 1
            (digits, base, limit) = (8, 16, 0x10_ffff)
        default: return "unknown escape sequence \(codePoint(at: position))"
        }
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard let byte = peek() else { return "escape sequence not terminated" }
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, digit < base else {
                return "illegal character \(codePoint(at: position)) in escape sequence"
            }
            value = value &* base &+ UInt32(digit)
            position += 1
        }
        return value > limit || (0xd800..<0xe000).contains(value)
            ? "escape sequence is an invalid Unicode code point" : nil
    }

    /// Go's `%#U`: the code and the character.
    private func codePoint(at index: Int) -> String {
        let length = characterLength(at: index)
        let text = written(index, index + length)
        guard let scalar = text.unicodeScalars.first else { return "U+FFFD" }
        let hex = String(scalar.value, radix: 16, uppercase: true)
        let padded = String(repeating: "0", count: max(0, 4 - hex.count)) + hex
        return "U+\(padded) '\(text)'"
    }
}
