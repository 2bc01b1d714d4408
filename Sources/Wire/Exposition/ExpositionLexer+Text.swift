// SPDX-License-Identifier: Apache-2.0
// Tokens of the text format 0.0.4 and 1.0.0.

import Base

extension ExpositionLexer {
    /// The next token; blanks between tokens are skipped.
    mutating func nextText() -> Token {
        if state == .metaText { return textOfMetadata() }
        while offset < total {
            let byte = self.byte(offset)
            guard byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") else { break }
            offset &+= 1
        }
        guard offset < total else { return .eof }
        start = offset
        let byte = self.byte(offset)
        switch state {
        case .labels:
            switch byte {
            case UInt8(ascii: "="): return single(.equal, .labelValue)
            case UInt8(ascii: ","): return single(.comma, .labels)
            case UInt8(ascii: "}"): return single(.braceClose, .value)
            case UInt8(ascii: "\""):
                return takeQuoted(nul: false, newline: true) ? .quotedString : .invalid
            default:
                guard startsName(byte, colons: false) else { return .invalid }
                takeName(colons: false)
                return .labelName
            }
        case .labelValue:
            guard byte == UInt8(ascii: "\""), takeQuoted(nul: true, newline: true) else {
                return .invalid
            }
            state = .labels
            return .labelValue
        case .value:
            if byte == UInt8(ascii: "{") { return single(.braceOpen, .labels) }
            if byte == UInt8(ascii: "\n") || byte == 0 { return .invalid }
            takeWord(tabsEnd: true, braceEnds: true)
            state = .timestamp
            return .value
        case .timestamp:
            if byte == UInt8(ascii: "\n") { return single(.linebreak, .initial) }
            var i = offset &+ (byte == UInt8(ascii: "-") ? 1 : 0)
            let first = i
            while i < count, self.byte(i) &- UInt8(ascii: "0") < 10 { i &+= 1 }
            guard i > first else { return .invalid }
            offset = i
            return .timestamp
        case .metaName:
            if byte == UInt8(ascii: "\"") {
                guard takeQuoted(nul: false, newline: true) else { return .invalid }
            } else {
                guard startsName(byte, colons: true) else { return .invalid }
                takeName(colons: true)
            }
            state = .metaText
            return .metricName
        case .initial:
            switch byte {
            case UInt8(ascii: "\n"): return single(.linebreak, .initial)
            case UInt8(ascii: "{"): return single(.braceOpen, .labels)
            case UInt8(ascii: "#"): return hash()
            default:
                guard startsName(byte, colons: true) else { return .invalid }
                takeName(colons: true)
                state = .value
                return .metricName
            }
        case .comment, .metaText, .exemplarLabels, .exemplarValue, .exemplarTimestamp:
            return .invalid
        }
    }

    @inline(__always) private mutating func single(_ token: Token, _ next: State) -> Token {
        offset &+= 1
        state = next
        return token
    }

    private func isBlank(_ i: Int) -> Bool {
        i < total && (byte(i) == UInt8(ascii: " ") || byte(i) == UInt8(ascii: "\t"))
    }

    /// A line that starts with `#`.
    private mutating func hash() -> Token {
        offset &+= 1
        if isBlank(offset) {
            while isBlank(offset) { offset &+= 1 }
            let isHelp = matches("HELP", at: offset)
            if isHelp || matches("TYPE", at: offset), isBlank(offset &+ 4) {
                offset &+= 4
                while isBlank(offset) { offset &+= 1 }
                state = .metaName
                return isHelp ? .help : .type
            }
        }
        while offset < total, byte(offset) != UInt8(ascii: "\n") { offset &+= 1 }
        return .comment
    }

    /// The rest of the line, its first blank included.
    private mutating func textOfMetadata() -> Token {
        guard offset < total else { return .eof }
        start = offset
        while offset < total, byte(offset) != UInt8(ascii: "\n") { offset &+= 1 }
        state = .initial
        return .text
    }
}
