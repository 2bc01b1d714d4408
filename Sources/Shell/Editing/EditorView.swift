// SPDX-License-Identifier: Apache-2.0
// What the editor shows, as lines of cells.

/// A drawing of the editor: lines as wide as the terminal at most, and where the cursor is.
struct EditorView: Sendable, Equatable {
    var lines: [StyledText]
    var cursorRow: Int
    var cursorColumn: Int

    /// Lays out prompt and text over as many lines as they take.
    ///
    /// - Parameters:
    ///   - below: lines under the text: a fault, a usage, completions.
    ///   - mark: a character to underline in red, where a fault is.
    init(
        prompt: StyledText, _ characters: [Character], styles: [Style], cursor: Int,
        mark: Int? = nil, below: [StyledText], _ terminal: TerminalTraits
    ) {
        let width = max(10, terminal.columns)
        // In narrow terminals a prompt that leaves too little room is cut.
        let prompt = prompt.clipped(max(4, width / 2), unicode: terminal.unicode)
        let indent = min(prompt.width, 12)
        var lines: [StyledText] = []
        var line = prompt
        var cursorRow = 0
        var cursorColumn = prompt.width
        func breakLine(_ isWrap: Bool) {
            lines.append(line)
            line = StyledText(terminal)
            if isWrap { return }
            line.add(String(repeating: ".", count: max(0, indent - 1)) + " ", .dim)
        }
        for (index, character) in characters.enumerated() {
            if index == cursor { (cursorRow, cursorColumn) = (lines.count, line.width) }
            if character.isNewline {
                breakLine(false)
                continue
            }
            let text = harmless(String(character), ascii: !terminal.unicode)
            if line.width + displayWidth(text) >= width {
                breakLine(true)
                if index == cursor { (cursorRow, cursorColumn) = (lines.count, 0) }
            }
            let style = index < styles.count ? styles[index] : .plain
            line.add(text, index == mark ? .boldRed : style)
        }
        if cursor >= characters.count {
            (cursorRow, cursorColumn) = (lines.count, line.width)
        }
        lines.append(line)
        lines += below.map { $0.clipped(width - 1, unicode: terminal.unicode) }
        // A text that is higher than the terminal is shown around the cursor.
        let room = max(2, terminal.rows - 1)
        if lines.count > room {
            let first = max(0, min(cursorRow - room / 2, lines.count - room))
            lines = Array(lines[first..<(first + room)])
            cursorRow -= first
        }
        self.lines = lines
        self.cursorRow = cursorRow
        self.cursorColumn = cursorColumn
    }

    /// Control sequences that replace the drawing before.
    ///
    /// - Parameter previousCursorRow: where the cursor is among the lines drawn before.
    func drawing(over previousCursorRow: Int, colour: Bool) -> String {
        var out = "\r"
        if previousCursorRow > 0 { out += "\u{1b}[\(previousCursorRow)A" }
        out += "\u{1b}[J"
        out += lines.map { $0.rendered(colour: colour) }.joined(separator: "\r\n")
        let up = lines.count - 1 - cursorRow
        if up > 0 { out += "\u{1b}[\(up)A" }
        out += "\r"
        if cursorColumn > 0 { out += "\u{1b}[\(cursorColumn)C" }
        return out
    }
}
