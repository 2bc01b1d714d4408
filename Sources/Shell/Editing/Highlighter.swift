// SPDX-License-Identifier: Apache-2.0
// Colours of what is typed.

/// Words of each language that have a colour, by language.
private let functionWords: [QueryLanguage: Set<String>] = {
    var out: [QueryLanguage: Set<String>] = [:]
    for entry in Documentation.all where entry.kind != .modifier && entry.kind != .scope {
        out[entry.language, default: []].insert(entry.word)
    }
    return out
}()
private let keywords: Set<String> = [
    "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool", "and", "or",
    "unless", "atan2", "true", "false", "nil", "error", "ok", "unset", "inf", "nan",
]

/// Style of each character of a text in a language; a line that begins with a backslash is a
/// command.
func highlight(_ characters: [Character], _ language: QueryLanguage) -> [Style] {
    var styles = [Style](repeating: .plain, count: characters.count)
    if characters.first == "\\" {
        for index in characters.indices {
            if characters[index].isWhitespace { break }
            styles[index] = .magenta
        }
        return styles
    }
    let words = functionWords[language] ?? []
    for token in queryTokens(characters, dotted: language == .traces) {
        let style: Style =
            switch token.kind {
            case .string: .green
            case .openString: .yellow
            case .number: .yellow
            case .comment: .dim
            case .symbol: .plain
            case .open, .close: .bold
            case .blank: .plain
            case .word:
                if keywords.contains(token.text.lowercased()) {
                    .magenta
                } else if words.contains(token.text) {
                    .blue
                } else {
                    .cyan
                }
            }
        for index in token.range { styles[index] = style }
    }
    return styles
}

/// A query in its colours, line by line.
func highlighted(
    _ text: String, _ language: QueryLanguage, _ terminal: TerminalTraits
) -> [StyledText] {
    let characters = Array(text)
    let styles = highlight(characters, language)
    var lines = [StyledText(terminal)]
    for (character, style) in zip(characters, styles) {
        if character.isNewline {
            lines.append(StyledText(terminal))
        } else {
            lines[lines.count - 1].add(String(character), style)
        }
    }
    return lines
}
