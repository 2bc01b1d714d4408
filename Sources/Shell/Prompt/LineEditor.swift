// SPDX-License-Identifier: Apache-2.0
// Reading a text from the terminal with editing and history.

/// How reading a text ended.
package enum LineResult: Sendable, Equatable {
    case line(String)
    /// Ctrl-C: the text is thrown away, the prompt comes again.
    case interrupted
    /// Ctrl-D on an empty line, or the end of the input.
    case ended
}

/// The editor on a terminal: feeds keys to an `EditorState` and draws what it shows.
package struct LineEditor {
    private var state: EditorState
    private let prompt: StyledText
    private let terminal: TerminalTraits
    private let waker: Waker
    /// Runs the user's editor on a text.
    private let edit: (String) throws -> String

    init(
        _ state: EditorState, prompt: StyledText, _ terminal: TerminalTraits, waker: Waker,
        edit: @escaping (String) throws -> String
    ) {
        self.state = state
        self.prompt = prompt
        self.terminal = terminal
        self.waker = waker
        self.edit = edit
    }

    /// Reads a text from the terminal.
    package mutating func readLine() -> LineResult {
        guard !terminal.isDumb, var raw = RawMode() else { return readPlainText() }
        defer { raw.restore() }
        // Bracketed paste, so that pasted newlines run nothing.
        Terminal.write("\u{1b}[?2004h")
        defer { Terminal.write("\u{1b}[?2004l") }
        var decoder = KeyDecoder()
        var cursorRow = draw(over: 0)
        while true {
            let key: Key?
            switch RawMode.read(waitMillis: decoder.isWaiting ? 25 : -1, waker: waker) {
            case .byte(let byte): key = decoder.feed(byte)
            case .ended: key = .endOfInput
            case .nothing: key = decoder.timeout()
            case .woken:
                state.refreshMenu()
                key = nil
            }
            if let key {
                switch state.apply(key) {
                case .done(let result):
                    finish(over: cursorRow)
                    return result
                case .clear:
                    Terminal.write("\u{1b}[2J\u{1b}[H")
                    cursorRow = 0
                case .edit:
                    raw.restore()
                    do {
                        state.replace(with: try edit(state.buffer.text))
                    } catch {
                        Terminal.complain("\n\(harmless("\(error)"))")
                    }
                    guard let again = RawMode() else { return .ended }
                    raw = again
                    cursorRow = 0
                case .more: break
                }
            } else if decoder.isWaiting {
                continue
            }
            cursorRow = draw(over: cursorRow)
        }
    }

    /// Input that is no terminal, or a terminal that only takes lines: lines as they come, as many
    /// as it takes to close what is open.
    private func readPlainText() -> LineResult {
        let shows = terminal.isDumb && Terminal.inputIsTerminal
        if shows { Terminal.write(prompt.plain) }
        guard var text = Swift.readLine(strippingNewline: true) else { return .ended }
        while !isComplete(text), text.count < EditorState.mostCharacters {
            if shows { Terminal.write("... ") }
            guard let next = Swift.readLine(strippingNewline: true) else { break }
            text += "\n" + next
        }
        return .line(text)
    }

    /// Draws the state and returns the row of the cursor in the drawing.
    private func draw(over row: Int) -> Int {
        var terminal = terminal
        (terminal.rows, terminal.columns) = Terminal.size()
        let view = state.view(prompt: prompt, terminal)
        Terminal.write(view.drawing(over: row, colour: terminal.colour))
        return view.cursorRow
    }

    /// Leaves the text alone on the screen, with the cursor below it.
    private mutating func finish(over row: Int) {
        var terminal = terminal
        (terminal.rows, terminal.columns) = Terminal.size()
        let characters = state.buffer.characters
        let view = EditorView(
            prompt: prompt, characters, styles: highlight(characters, state.language),
            cursor: characters.count, below: [], terminal)
        Terminal.write(view.drawing(over: row, colour: terminal.colour) + "\r\n")
    }
}
