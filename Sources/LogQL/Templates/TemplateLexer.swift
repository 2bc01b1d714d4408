// SPDX-License-Identifier: Apache-2.0
// Cuts a template into text and words.

import Base

struct TemplateToken: Equatable {
    enum Kind: Equatable {
        case text, leftDelimiter, rightDelimiter
        /// `.name`; a dot alone has an empty text.
        case field
        case variable, identifier, string, character, number
        /// `(`, `)`, `|`, `,`, `:=`, `=`
        case symbol
        case end
    }
    var kind: Kind
    var text: String
    var line: Int
    var column: Int
    /// Whether blanks stood in front: `a .b` is two operands, `(a).b` one.
    var afterBlank = false
}

struct TemplateLexer {
    private let bytes: [UInt8]
    private let name: String
    private var offset = 0
    private var line = 1
    private var lineStart = 0
    private var tokens: [TemplateToken] = []

    static func tokens(
        _ text: String, name: String
    ) throws(TemplateError) -> [TemplateToken] {
        var lexer = TemplateLexer(bytes: Array(text.utf8), name: name)
        try lexer.run()
        return lexer.tokens
    }

    private init(bytes: [UInt8], name: String) {
        self.bytes = bytes
        self.name = name
    }

    private func fail(_ message: String) -> TemplateError {
        TemplateError(description: "template: \(name):\(line): \(message)")
    }

    private func starts(_ text: String, at place: Int? = nil) -> Bool {
        bytes[(place ?? offset)...].starts(with: text.utf8)
    }

    private mutating func add(_ kind: TemplateToken.Kind, _ range: Range<Int>, blank: Bool = false)
    {
        tokens.append(
            TemplateToken(
                kind: kind, text: String(decoding: bytes[range], as: UTF8.self), line: line,
                column: range.lowerBound - lineStart, afterBlank: blank))
        for i in range where bytes[i] == UInt8(ascii: "\n") {
            line += 1
            lineStart = i + 1
        }
    }

    private func isBlank(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }

    private mutating func run() throws(TemplateError) {
        var trimsNext = false
        while offset < bytes.count {
            let start = offset
            while offset < bytes.count, !starts("{{") { offset += 1 }
            var text = start..<offset
            if trimsNext {
                let kept = bytes[text].firstIndex { !isBlank($0) } ?? text.upperBound
                text = kept..<text.upperBound
            }
            trimsNext = false
            guard offset < bytes.count else {
                add(.text, text)
                break
            }
            let trimsBefore =
                starts("{{-") && offset + 3 < bytes.count && isBlank(bytes[offset + 3])
            if trimsBefore {
                let kept = bytes[text].lastIndex { !isBlank($0) }.map { $0 + 1 } ?? text.lowerBound
                text = text.lowerBound..<kept
            }
            if !text.isEmpty { add(.text, text) }
            let open = offset
            offset += trimsBefore ? 3 : 2
            if try skipComment(&trimsNext) { continue }
            add(.leftDelimiter, open..<open + 2)
            trimsNext = try action()
        }
        add(.end, bytes.count..<bytes.count)
    }

    private mutating func skipComment(_ trimsNext: inout Bool) throws(TemplateError) -> Bool {
        var place = offset
        while place < bytes.count, isBlank(bytes[place]) { place += 1 }
        guard starts("/*", at: place) else { return false }
        while place < bytes.count, !starts("*/", at: place) { place += 1 }
        guard place < bytes.count else { throw fail("unclosed comment") }
        place += 2
        if starts(" -}}", at: place) {
            trimsNext = true
            place += 2
        }
        guard starts("}}", at: place) else { throw fail("comment ends before closing delimiter") }
        offset = place + 2
        return true
    }

    /// Words up to the right delimiter; says whether it trims the text behind it.
    private mutating func action() throws(TemplateError) -> Bool {
        while true {
            let before = offset
            while offset < bytes.count, isBlank(bytes[offset]) {
                if bytes[offset] == UInt8(ascii: "\n") {
                    line += 1
                    lineStart = offset + 1
                }
                offset += 1
            }
            let blank = offset > before
            guard offset < bytes.count else { throw fail("unclosed action") }
            if blank, starts("-}}") {
                add(.rightDelimiter, offset..<offset + 3)
                offset += 3
                return true
            }
            if starts("}}") {
                add(.rightDelimiter, offset..<offset + 2)
                offset += 2
                return false
            }
            try word(blank)
        }
    }

    private func isNameByte(_ byte: UInt8) -> Bool {
        isASCIILetter(byte) || isASCIIDigit(byte) || byte == UInt8(ascii: "_") || byte >= 0x80
    }

    private mutating func word(_ blank: Bool) throws(TemplateError) {
        let start = offset
        let byte = bytes[offset]
        func name() -> Int {
            var end = start + 1
            while end < bytes.count, isNameByte(bytes[end]) { end += 1 }
            return end
        }
        var kind = TemplateToken.Kind.symbol
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "`"):
            kind = byte == UInt8(ascii: "'") ? .character : .string
            offset += 1
            while offset < bytes.count, bytes[offset] != byte {
                if bytes[offset] == UInt8(ascii: "\n"), byte != UInt8(ascii: "`") { break }
                offset += byte != UInt8(ascii: "`") && bytes[offset] == UInt8(ascii: "\\") ? 2 : 1
            }
            guard offset < bytes.count, bytes[offset] == byte else {
                throw fail("unterminated quoted string")
            }
            offset += 1
        case UInt8(ascii: "."):
            if start + 1 < bytes.count, isASCIIDigit(bytes[start + 1]) { return try number(blank) }
            kind = .field
            offset = name()
        case UInt8(ascii: "$"):
            kind = .variable
            offset = name()
        case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "|"), UInt8(ascii: ","),
            UInt8(ascii: "="):
            offset += 1
        case UInt8(ascii: ":") where starts(":="): offset += 2
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"):
            return try number(blank)
        default:
            guard isNameByte(byte) else {
                throw fail("unexpected \(quotedText(String(Unicode.Scalar(byte)))) in command")
            }
            kind = .identifier
            offset = name()
        }
        add(kind, start..<offset, blank: blank)
    }

    private mutating func number(_ blank: Bool) throws(TemplateError) {
        let start = offset
        offset += 1
        while offset < bytes.count {
            let byte = bytes[offset]
            let isSign = byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-")
            guard
                isNameByte(byte) || byte == UInt8(ascii: ".")
                    || (isSign && bytes[offset - 1] | 0x20 == UInt8(ascii: "e"))
            else { break }
            offset += 1
        }
        add(.number, start..<offset, blank: blank)
    }
}
