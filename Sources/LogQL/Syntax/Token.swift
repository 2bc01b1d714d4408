// SPDX-License-Identifier: Apache-2.0
// The words of LogQL.

/// What a word is. Functions and keywords carry their lower-case name in the token's text.
enum TokenKind: Equatable {
    case end
    case identifier, string, number, duration, bytes
    /// A flag of a parser stage: `--strict`.
    case parserFlag
    /// `[5m]`; the text is what stands between the brackets.
    case range
    /// An operator or bracket; the text is the symbol.
    case symbol
    /// A word that is always reserved: `by`, `json`, `offset`, …
    case keyword
    /// A word reserved only where a parenthesis or a grouping follows: `rate`, `sum`, `ip`, …
    case function
    /// A character that begins no word.
    case unknown
    /// The lexer gave up here; the text is the message.
    case failure
}

/// A word with its place, counted in characters from line 1, column 1.
struct Token {
    var kind: TokenKind
    var text: String
    var line: Int
    var column: Int
    /// Nanoseconds of a duration or a range, number of bytes of a byte size.
    var quantity: Int64 = 0

    func isSymbol(_ symbol: String) -> Bool { kind == .symbol && text == symbol }
    func isKeyword(_ word: String) -> Bool { kind == .keyword && text == word }
    func isFunction(_ word: String) -> Bool { kind == .function && text == word }

    /// The name that error texts use for this word.
    var shownName: String {
        switch kind {
        case .end, .failure: "$end"
        case .identifier: "IDENTIFIER"
        case .string: "STRING"
        case .number: "NUMBER"
        case .duration: "DURATION"
        case .bytes: "BYTES"
        case .parserFlag: "PARSER_FLAG"
        case .range: "RANGE"
        case .symbol, .keyword: text
        case .function: text == "ip" ? text : text.uppercased()
        case .unknown: "$unk"
        }
    }
}

/// Words that are always reserved, in any case.
let keywords: Set<String> = [
    "by", "without", "bool", "offset", "on", "ignoring", "group_left", "group_right", "or", "and",
    "unless", "json", "regexp", "logfmt", "unpack", "pattern", "label_format", "line_format",
    "unwrap", "decolorize", "drop", "keep",
]

/// Words that are reserved only in front of a parenthesis, `by` or `without`.
let functionWords: Set<String> = {
    var words: Set<String> = [
        "ip", "bytes", "duration", "duration_seconds", "vector", "label_replace",
    ]
    for operation in RangeOperation.allCases { words.insert(operation.rawValue) }
    for operation in AggregationOperation.allCases { words.insert(operation.rawValue) }
    return words
}()

/// A query that is not LogQL.
package struct LogQLSyntaxError: Error, Equatable, Sendable, CustomStringConvertible {
    /// 1-based; 0 in line and column where the error has no place.
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
            ? "parse error : \(message)"
            : "parse error at line \(line), col \(column): \(message)"
    }
}
