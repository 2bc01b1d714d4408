// SPDX-License-Identifier: Apache-2.0
// Long answers, a screen at a time.

/// A pager's text and what of it is on the screen. Pure: keys go in, lines come out.
struct PagerState: Sendable {
    /// What a key asks for.
    enum Step: Equatable { case draw, quit, nothing }

    private(set) var lines: [String] = []
    private(set) var top = 0
    /// Whether more can be asked for.
    var hasMore: Bool
    private(set) var searching: String?
    private(set) var pattern = ""
    private var rows: Int
    private var columns: Int
    /// Lines kept; the oldest go.
    static let most = 500_000

    init(rows: Int, columns: Int, hasMore: Bool) {
        self.rows = max(2, rows)
        self.columns = max(10, columns)
        self.hasMore = hasMore
    }

    /// Lines on a screen, without the one for the state.
    var page: Int { rows - 1 }
    private var lastTop: Int { max(0, lines.count - page) }

    /// Whether more lines are needed for what is shown and the screen after it.
    var isHungry: Bool { hasMore && top + page > lines.count - 1 }

    mutating func add(_ text: String) {
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            lines += rowsOf(String(line), columns: columns)
        }
        // The text ends with a newline.
        if lines.last == "" { lines.removeLast() }
        if lines.count > Self.most {
            let gone = lines.count - Self.most
            lines.removeFirst(gone)
            top = max(0, top - gone)
        }
    }

    mutating func apply(_ key: Key) -> Step {
        if searching != nil { return applySearch(key) }
        switch key {
        case .text("q"), .text("Q"), .control("c"), .endOfInput, .escape: return .quit
        case .text(" "), .text("f"), .pageDown: return move(to: top + page)
        case .text("b"), .pageUp: return move(to: top - page)
        case .enter, .down, .text("j"): return move(to: top + 1)
        case .up, .text("k"): return move(to: top - 1)
        case .text("d"): return move(to: top + page / 2)
        case .text("u"): return move(to: top - page / 2)
        case .text("g"), .home: return move(to: 0)
        case .text("G"), .end: return move(to: lastTop)
        case .text("/"): searching = ""
        case .text("n"): find(from: top + 1)
        default: return .nothing
        }
        return .draw
    }

    private mutating func applySearch(_ key: Key) -> Step {
        switch key {
        case .enter:
            pattern = searching ?? ""
            searching = nil
            find(from: top)
        case .escape, .control("c"): searching = nil
        case .backspace: searching = String((searching ?? "").dropLast())
        case .text(let text): searching = (searching ?? "") + text
        case .endOfInput: return .quit
        default: break
        }
        return .draw
    }

    private mutating func move(to line: Int) -> Step {
        // At the end of what there is, going on leaves the pager as less does not: it stays.
        top = min(max(0, line), lastTop)
        return .draw
    }

    private mutating func find(from line: Int) {
        guard !pattern.isEmpty, line < lines.count else { return }
        if let hit = lines[line...].firstIndex(where: { $0.contains(pattern) }) {
            top = min(hit, lastTop)
        }
    }

    /// The screen, the state of the pager in its last line.
    func screen(isLoading: Bool, _ terminal: TerminalTraits) -> [String] {
        var out = Array(lines.dropFirst(top).prefix(page))
        while out.count < page { out.append("~") }
        let shown = min(lines.count, top + page)
        let status =
            searching.map { "/" + $0 }
            ?? "lines \(min(top + 1, lines.count))-\(shown) of \(lines.count)"
            + (hasMore ? "+" : "") + (isLoading ? "  loading" : "")
            + "  space b j k g G / n q"
        let line = StyledText(status, .reversed, terminal)
            .clipped(columns - 1, unicode: terminal.unicode)
        out.append(line.rendered(colour: terminal.colour))
        return out
    }
}

/// Cuts a line with styles of its own into rows of the terminal; a style goes on in the next row.
func rowsOf(_ line: String, columns: Int) -> [String] {
    if line.utf8.count <= columns { return [line] }
    var out: [String] = []
    var row = ""
    var width = 0
    var style = ""
    var sequence: String?
    for character in line {
        if var open = sequence {
            open.append(character)
            row.append(character)
            if character.isLetter {
                style = open == "\u{1b}[0m" ? "" : open
                sequence = nil
            } else {
                sequence = open
            }
            continue
        }
        if character == "\u{1b}" {
            sequence = "\u{1b}"
            row.append(character)
            continue
        }
        let next = displayWidth(String(character))
        if width + next > columns {
            out.append(style.isEmpty ? row : row + "\u{1b}[0m")
            row = style
            width = 0
        }
        row.append(character)
        width += next
    }
    out.append(row)
    return out
}

/// Shows an answer page by page. The next piece of it is asked for when its lines are about to be
/// seen, so the server does nothing while nobody scrolls, and nothing more once the pager is left.
struct Pager {
    private let terminal: TerminalTraits

    init(_ terminal: TerminalTraits) { self.terminal = terminal }

    /// Whether an answer is longer than the screen.
    func isNeeded(for output: ShellCommands.Output) -> Bool {
        guard terminal.isTerminal, !terminal.isDumb else { return false }
        if output.more != nil { return true }
        var rows = 0
        for line in output.text.split(separator: "\n", omittingEmptySubsequences: false) {
            rows += max(1, rowsOf(String(line), columns: terminal.columns).count)
            if rows > terminal.rows { return true }
        }
        return false
    }

    /// Shows it until the reader leaves.
    ///
    /// - Returns: the last piece, for its context.
    /// - Throws: what asking for a piece throws.
    func show(_ first: ShellCommands.Output) async throws -> ShellCommands.Output {
        guard var raw = RawMode() else { return first }
        // The alternate screen: what was there before comes back.
        Terminal.write("\u{1b}[?1049h")
        defer {
            Terminal.write("\u{1b}[?1049l")
            raw.restore()
        }
        var state = PagerState(
            rows: terminal.rows, columns: terminal.columns, hasMore: first.more != nil)
        state.add(first.text)
        var last = first
        var decoder = KeyDecoder()
        draw(state, isLoading: false)
        while true {
            if state.isHungry, let more = last.more {
                draw(state, isLoading: true)
                guard let next = try await piece(more) else { return last }
                if let output = next.output {
                    state.add(output.text)
                    state.hasMore = output.more != nil
                    var merged = output
                    merged.warnings = last.warnings + output.warnings
                    merged.partial = last.partial || output.partial
                    last = merged
                } else {
                    state.hasMore = false
                }
                draw(state, isLoading: false)
                continue
            }
            guard let key = key(&decoder) else { continue }
            switch state.apply(key) {
            case .quit: return last
            case .draw: draw(state, isLoading: false)
            case .nothing: break
            }
        }
    }

    private func key(_ decoder: inout KeyDecoder) -> Key? {
        switch RawMode.read(waitMillis: decoder.isWaiting ? 25 : 500) {
        case .byte(let byte): decoder.feed(byte)
        case .ended: .endOfInput
        case .nothing, .woken: decoder.isWaiting ? decoder.timeout() : nil
        }
    }

    private struct Piece: Sendable { var output: ShellCommands.Output? }

    /// The next piece, or nil when the reader has left meanwhile; the request is cancelled then.
    private func piece(
        _ more: @escaping @Sendable () async throws -> ShellCommands.Output?
    ) async throws -> Piece? {
        let waker = Waker()
        let task = Task {
            defer { waker.wake() }
            return Piece(output: try await more())
        }
        while true {
            switch RawMode.read(waitMillis: 1000, waker: waker) {
            case .woken: return try await task.value
            case .byte(UInt8(ascii: "q")), .byte(3), .ended:
                task.cancel()
                return nil
            case .byte, .nothing: continue
            }
        }
    }

    private func draw(_ state: PagerState, isLoading: Bool) {
        let rows = state.screen(isLoading: isLoading, terminal)
        Terminal.write("\u{1b}[H" + rows.map { $0 + "\u{1b}[K" }.joined(separator: "\r\n"))
    }
}
