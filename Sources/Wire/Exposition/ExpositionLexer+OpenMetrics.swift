// SPDX-License-Identifier: Apache-2.0
// Tokens of OpenMetrics 1.0 and 0.0.1.

import Base

extension ExpositionLexer {
    /// The next token. Blanks belong to tokens here: only those that the format names may occur.
    mutating func nextOpenMetrics() -> Token {
        guard offset < total else { return .eof }
        start = offset
        let byte = self.byte(offset)
        switch state {
        case .labels, .exemplarLabels:
            switch byte {
            case UInt8(ascii: "="):
                return single(.equal, state == .labels ? .labelValue : .exemplarValue)
            case UInt8(ascii: ","): return single(.comma, state)
            case UInt8(ascii: "}"):
                return single(.braceClose, state == .labels ? .value : .exemplarValue)
            case UInt8(ascii: "\""):
                return takeQuoted(nul: false, newline: false) ? .quotedString : .invalid
            default:
                guard startsName(byte, colons: false) else { return .invalid }
                takeName(colons: false)
                return .labelName
            }
        case .labelValue:
            guard byte == UInt8(ascii: "\""), takeQuoted(nul: true, newline: false) else {
                return .invalid
            }
            state = .labels
            return .labelValue
        case .exemplarValue:
            if byte == UInt8(ascii: "\"") {
                guard takeQuoted(nul: false, newline: false) else { return .invalid }
                state = .exemplarLabels
                return .labelValue
            }
            return word(.value, .exemplarTimestamp)
        case .value:
            if byte == UInt8(ascii: "{") { return single(.braceOpen, .labels) }
            return word(.value, .timestamp)
        case .timestamp:
            if byte == UInt8(ascii: "\n") { return single(.linebreak, .initial) }
            if byte == UInt8(ascii: " "), matches(" # ", at: offset) {
                offset &+= 3
                guard offset < total, self.byte(offset) == UInt8(ascii: "{") else {
                    return .invalid
                }
                return single(.comment, .exemplarLabels)
            }
            return word(.timestamp, .timestamp)
        case .exemplarTimestamp:
            if byte == UInt8(ascii: "\n") { return single(.linebreak, .initial) }
            return word(.timestamp, .exemplarTimestamp)
        case .metaName:
            if byte == UInt8(ascii: "\"") {
                guard takeQuoted(nul: false, newline: false) else { return .invalid }
            } else {
                guard startsName(byte, colons: true) else { return .invalid }
                takeName(colons: true)
            }
            state = .metaText
            return .metricName
        case .metaText: return textOfMetadata()
        case .initial:
            switch byte {
            case UInt8(ascii: "{"): return single(.braceOpen, .labels)
            case UInt8(ascii: "#"): return hash()
            default:
                guard startsName(byte, colons: true) else { return .invalid }
                takeName(colons: true)
                state = .value
                return .metricName
            }
        case .comment: return .invalid
        }
    }

    @inline(__always) private mutating func single(_ token: Token, _ next: State) -> Token {
        offset &+= 1
        state = next
        return token
    }

    /// One space and at least one byte that is neither space nor newline.
    @inline(__always) private mutating func word(_ token: Token, _ next: State) -> Token {
        guard byte(offset) == UInt8(ascii: " ") else { return .invalid }
        offset &+= 1
        let first = offset
        takeWord(tabsEnd: false, braceEnds: false)
        guard offset > first else { return .invalid }
        state = next
        return token
    }

    /// A line that starts with `#`: metadata or the end.
    private mutating func hash() -> Token {
        offset &+= 1
        guard offset < total, byte(offset) == UInt8(ascii: " ") else { return .invalid }
        offset &+= 1
        if matches("EOF", at: offset) {
            offset &+= 3
            if offset < total, byte(offset) == UInt8(ascii: "\n") { offset &+= 1 }
            return .eofWord
        }
        if let token = metadataWord() {
            offset &+= 5
            state = .metaName
            return token
        }
        // The offset stays where no word can go on, for the error's text.
        offset &+= max(
            common("HELP ", at: offset), common("TYPE ", at: offset), common("UNIT ", at: offset),
            common("EOF", at: offset))
        return .invalid
    }

    private func metadataWord() -> Token? {
        if matches("HELP ", at: offset) { return .help }
        if matches("TYPE ", at: offset) { return .type }
        return matches("UNIT ", at: offset) ? .unit : nil
    }

    /// The rest of the line with the space before it and the newline after it.
    private mutating func textOfMetadata() -> Token {
        guard byte(offset) == UInt8(ascii: " ") else { return .invalid }
        var i = offset
        while i < total, byte(i) != UInt8(ascii: "\n") { i &+= 1 }
        offset = i
        guard i < total else { return .invalid }
        offset &+= 1
        state = .initial
        return .text
    }
}
