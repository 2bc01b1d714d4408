// SPDX-License-Identifier: Apache-2.0
// The words of a query as it is typed.

/// A piece of a text, finished or not.
struct QueryToken: Sendable, Equatable {
    enum Kind: Sendable, Equatable {
        case word, number, string, openString, symbol, open, close, comment, blank
    }
    var kind: Kind
    /// Positions in the characters of the text.
    var range: Range<Int>
    var text: String
}

/// Cuts any text into pieces; unlike the parsers' own lexers it never fails, so it serves texts
/// that are still being typed. Pieces follow one another without gaps.
///
/// - Parameter dotted: whether words have dots, dashes and slashes in them, as TraceQL's have.
/// - Complexity: linear.
func queryTokens(_ characters: [Character], dotted: Bool) -> [QueryToken] {
    var tokens: [QueryToken] = []
    var position = 0
    func end(from start: Int, while holds: (Character) -> Bool) -> Int {
        var end = start
        while end < characters.count, holds(characters[end]) { end += 1 }
        return end
    }
    func isWord(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || character == "_" || character == ":"
            || (dotted && (character == "." || character == "-" || character == "/"))
    }
    while position < characters.count {
        let first = characters[position]
        let kind: QueryToken.Kind
        let stop: Int
        if first.isWhitespace {
            kind = .blank
            stop = end(from: position) { $0.isWhitespace }
        } else if first == "#" {
            kind = .comment
            stop = end(from: position) { $0 != "\n" }
        } else if first == "\"" || first == "'" || first == "`" {
            var isClosed = false
            var escaped = false
            var next = position + 1
            while next < characters.count, !isClosed {
                if !escaped, characters[next] == first { isClosed = true }
                escaped = !escaped && characters[next] == "\\" && first != "`"
                next += 1
            }
            kind = isClosed ? .string : .openString
            stop = next
        } else if first.isNumber {
            kind = .number
            stop = end(from: position) { $0.isLetter || $0.isNumber || $0 == "." || $0 == "_" }
        } else if first.isLetter || first == "_" || first == ":" || (dotted && first == ".") {
            kind = .word
            stop = max(position + 1, end(from: position, while: isWord))
        } else if "([{".contains(first) {
            kind = .open
            stop = position + 1
        } else if ")]}".contains(first) {
            kind = .close
            stop = position + 1
        } else {
            kind = .symbol
            stop = max(position + 1, end(from: position) { "=!~<>|&+-*/%^@,;".contains($0) })
        }
        tokens.append(
            QueryToken(
                kind: kind, range: position..<stop, text: String(characters[position..<stop])))
        position = stop
    }
    return tokens
}

/// Whether a text can be run as it stands: no bracket and no string is open, and it does not end
/// in a backslash. A text that ends in `;` always can.
func isComplete(_ text: String) -> Bool {
    let trimmed = trimmedLine(text)
    if trimmed.hasPrefix("\\") || trimmed.hasSuffix(";") { return true }
    if trimmed.hasSuffix("\\") { return false }
    var depth = 0
    for token in queryTokens(Array(text), dotted: false) {
        switch token.kind {
        case .open: depth += 1
        case .close: depth -= 1
        case .openString: return false
        default: continue
        }
    }
    return depth <= 0
}

/// A text that was run with `;`, or over several lines with `\` at their ends, as the parsers read
/// it.
func runnable(_ text: String) -> String {
    var text = trimmedLine(text)
    while text.hasSuffix(";") { text = trimmedLine(String(text.dropLast())) }
    return text.replacing("\\\n", with: "\n")
}
