// SPDX-License-Identifier: Apache-2.0
// Reading one line with editing and history.

/// How reading a line ended.
package enum LineResult: Sendable, Equatable {
    case line(String)
    /// Ctrl-C: the line is thrown away, the prompt comes again.
    case interrupted
    /// Ctrl-D on an empty line, or the end of the input.
    case ended
}

/// The editor: applies keys to a `LineBuffer` and draws it on one terminal line.
package struct LineEditor: Sendable {
    /// What a key led to.
    enum Step: Equatable { case more, done(LineResult) }

    private var buffer = LineBuffer()
    private var historyIndex: Int
    private var draft = ""
    private var search: String?
    private var found: Int?
    private let history: History
    package let prompt: String

    package init(prompt: String, history: History) {
        self.prompt = prompt
        self.history = history
        historyIndex = history.lines.count
    }

    /// Reads a line from the terminal.
    package mutating func readLine() -> LineResult {
        guard var raw = RawMode() else { return readPlainLine() }
        defer { raw.restore() }
        var decoder = KeyDecoder()
        draw()
        while true {
            let (byte, ended) = RawMode.readByte(waitMillis: decoder.isWaiting ? 25 : -1)
            let key: Key? =
                if ended { .endOfInput } else if let byte { decoder.feed(byte) } else {
                    decoder.timeout()
                }
            guard let key else { continue }
            if case .done(let result) = apply(key) {
                Terminal.write("\n")
                return result
            }
            draw()
        }
    }

    /// Input that is no terminal: lines as they come, no prompt.
    private func readPlainLine() -> LineResult {
        guard let line = Swift.readLine(strippingNewline: true) else { return .ended }
        return .line(line)
    }

    mutating func apply(_ key: Key) -> Step {
        if search != nil { return applySearch(key) }
        switch key {
        case .enter: return .done(.line(buffer.text))
        case .control("c"): return .done(.interrupted)
        case .endOfInput: return .done(buffer.isEmpty ? .ended : .line(buffer.text))
        case .control("d"):
            if buffer.isEmpty { return .done(.ended) }
            buffer.delete()
        case .text(let text): buffer.insert(text)
        case .tab: buffer.insert("    ")
        case .backspace: buffer.backspace()
        case .delete: buffer.delete()
        case .left, .control("b"): buffer.moveLeft()
        case .right, .control("f"): buffer.moveRight()
        case .home, .control("a"): buffer.moveToStart()
        case .end, .control("e"): buffer.moveToEnd()
        case .wordLeft, .alt("b"): buffer.moveWordLeft()
        case .wordRight, .alt("f"): buffer.moveWordRight()
        case .control("k"): buffer.killToEnd()
        case .control("u"): buffer.killToStart()
        case .control("w"): buffer.killWord()
        case .control("y"): buffer.yank()
        case .control("t"): buffer.transpose()
        case .up, .control("p"): showHistory(historyIndex - 1)
        case .down, .control("n"): showHistory(historyIndex + 1)
        case .control("r"):
            search = ""
            found = nil
        case .control("l"): Terminal.write("\u{1b}[2J\u{1b}[H")
        case .escape, .control, .alt: break
        }
        return .more
    }

    private mutating func showHistory(_ index: Int) {
        guard index >= 0, index <= history.lines.count else { return }
        if historyIndex == history.lines.count { draft = buffer.text }
        historyIndex = index
        buffer.replace(with: index == history.lines.count ? draft : history.lines[index])
    }

    /// Reverse search: typing narrows, Ctrl-R goes on, Enter takes, Ctrl-C and Escape leave.
    private mutating func applySearch(_ key: Key) -> Step {
        var text = search ?? ""
        switch key {
        case .text(let added): text += added
        case .backspace: _ = text.popLast()
        case .control("r"):
            found = history.search(text, before: found ?? history.lines.count) ?? found
            return .more
        case .enter:
            take()
            return .done(.line(buffer.text))
        case .control("c"), .control("g"), .escape:
            search = nil
            return .more
        case .endOfInput: return .done(.ended)
        default:
            take()
            return .more
        }
        search = text
        found = history.search(text, before: history.lines.count)
        return .more
    }

    private mutating func take() {
        if let found { buffer.replace(with: history.lines[found]) }
        search = nil
    }

    /// Draws prompt and text on one line, scrolled so that the cursor is visible.
    private func draw() {
        if let search {
            let line = found.map { history.lines[$0] } ?? ""
            Terminal.write("\r\u{1b}[K(search) \(harmless(search)): \(harmless(line))")
            return
        }
        let room = max(10, Terminal.columns() - displayWidth(prompt) - 1)
        var start = 0
        var before = String(buffer.characters[..<buffer.cursor])
        while displayWidth(before) > room, start < buffer.cursor {
            start += 1
            before = String(buffer.characters[start..<buffer.cursor])
        }
        var shown = ""
        for character in buffer.characters[start...] {
            if displayWidth(shown) + displayWidth(String(character)) > room { break }
            shown.append(character)
        }
        let back = displayWidth(shown) - displayWidth(before)
        Terminal.write(
            "\r\u{1b}[K" + prompt + shown + (back > 0 ? "\u{1b}[\(back)D" : ""))
    }
}
