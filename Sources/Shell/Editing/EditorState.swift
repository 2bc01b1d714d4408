// SPDX-License-Identifier: Apache-2.0
// The editor without a terminal.

/// Applies keys to a text: editing, history, search, completion. Pure but for `complete`, which
/// answers from memory.
package struct EditorState: Sendable {
    /// What a key led to.
    enum Step: Equatable { case more, done(LineResult), clear, edit }

    /// Completions being walked through.
    struct Menu: Sendable, Equatable {
        var items: [CompletionItem]
        /// Nil while none is chosen.
        var chosen: Int?
        var isLoading: Bool
        var context: CompletionContext
        /// What was typed before the first choice.
        var original: String
    }

    private(set) var buffer = LineBuffer()
    private var historyIndex: Int
    private var draft = ""
    private(set) var search: String?
    private(set) var found: Int?
    private(set) var menu: Menu?
    private let history: History
    private let fixed: QueryLanguage?
    private var isPasting = false
    private let complete: @Sendable (CompletionContext) -> CompletionAnswer
    /// Lines of a menu.
    static let menuLines = 8
    /// Characters of a text; more are not taken.
    static let mostCharacters = 100_000

    /// - Parameter language: what lines are in; nil tells it from the text.
    init(
        history: History, language: QueryLanguage? = nil, text: String = "",
        complete: @escaping @Sendable (CompletionContext) -> CompletionAnswer = { _ in
            CompletionAnswer(items: [], isLoading: false)
        }
    ) {
        self.history = history
        fixed = language
        self.complete = complete
        historyIndex = history.lines.count
        buffer.replace(with: text)
    }

    var language: QueryLanguage {
        fixed ?? detectLanguage(runnable(buffer.text))
    }

    // MARK: Keys

    mutating func apply(_ key: Key) -> Step {
        if key == .pasteStart || key == .pasteEnd {
            isPasting = key == .pasteStart
            return .more
        }
        if isPasting { return paste(key) }
        if search != nil { return applySearch(key) }
        if menu != nil, let step = applyMenu(key) { return step }
        switch key {
        case .enter:
            if isComplete(buffer.text) { return .done(.line(buffer.text)) }
            buffer.insert("\n")
        case .alt("\r"), .alt("\n"): buffer.insert("\n")
        case .control("c"): return .done(.interrupted)
        case .endOfInput: return .done(buffer.isEmpty ? .ended : .line(buffer.text))
        case .control("d"):
            if buffer.isEmpty { return .done(.ended) }
            buffer.delete()
        case .text(let text):
            if buffer.characters.count + text.count <= Self.mostCharacters { buffer.insert(text) }
        case .tab: openMenu()
        case .control("r"):
            search = ""
            found = nil
        case .control("l"): return .clear
        case .control("x"): return .edit
        default: move(key)
        }
        return .more
    }

    /// Pasted text is text: it runs nothing and moves nothing.
    private mutating func paste(_ key: Key) -> Step {
        switch key {
        case .enter: buffer.insert("\n")
        case .tab: buffer.insert(" ")
        case .text(let text):
            if buffer.characters.count + text.count <= Self.mostCharacters { buffer.insert(text) }
        case .endOfInput: return .done(.ended)
        default: break
        }
        return .more
    }

    private mutating func move(_ key: Key) {
        switch key {
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
        case .up: if !buffer.moveUp() { showHistory(historyIndex - 1) }
        case .down: if !buffer.moveDown() { showHistory(historyIndex + 1) }
        case .control("p"): showHistory(historyIndex - 1)
        case .control("n"): showHistory(historyIndex + 1)
        default: break
        }
    }

    /// Text of the editor that `\e` or Ctrl-X started.
    mutating func replace(with text: String) { buffer.replace(with: text) }

    // MARK: Completion

    private mutating func openMenu() {
        let context = CompletionContext(
            buffer.characters, cursor: buffer.cursor, language)
        guard !context.sources.isEmpty else { return }
        let answer = complete(context)
        if answer.items.isEmpty, !answer.isLoading { return }
        if !answer.isLoading, answer.items.count == 1 {
            insert(answer.items[0].text + context.suffix, over: context.replaced)
            return
        }
        // As far as all that begin with the text go on alike; then the list.
        let begins = answer.items.map(\.text).filter { $0.hasPrefix(context.typed) }
        if begins.count == answer.items.count, let common = commonPrefix(begins),
            common.count > context.typed.count
        {
            insert(common, over: context.replaced)
        }
        refreshMenu(force: true)
    }

    /// The list again, for what is typed by now or for names that have arrived.
    mutating func refreshMenu(force: Bool = false) {
        guard force || menu != nil else { return }
        if menu?.chosen != nil { return }
        let context = CompletionContext(buffer.characters, cursor: buffer.cursor, language)
        guard !context.sources.isEmpty else {
            menu = nil
            return
        }
        let answer = complete(context)
        menu =
            answer.items.isEmpty && !answer.isLoading
            ? nil
            : Menu(
                items: answer.items, chosen: nil, isLoading: answer.isLoading, context: context,
                original: context.typed)
    }

    /// Keys while the list is open; nil when they mean what they always do.
    private mutating func applyMenu(_ key: Key) -> Step? {
        guard var menu else { return nil }
        switch key {
        case .tab, .down: choose((menu.chosen ?? -1) + 1)
        case .backTab, .up: choose((menu.chosen ?? 0) - 1)
        case .escape, .control("g"):
            if menu.chosen != nil { insert(menu.original, over: menu.context.replaced) }
            self.menu = nil
        case .enter:
            guard let chosen = menu.chosen else {
                self.menu = nil
                return nil
            }
            insert(menu.items[chosen].text + menu.context.suffix, over: menu.context.replaced)
            self.menu = nil
        case .text, .backspace:
            menu.chosen = nil
            self.menu = menu
            if case .text(let text) = key { buffer.insert(text) } else { buffer.backspace() }
            refreshMenu()
        default:
            self.menu = nil
            return nil
        }
        return .more
    }

    private mutating func choose(_ index: Int) {
        guard var menu, !menu.items.isEmpty else { return }
        let chosen = (index + menu.items.count) % menu.items.count
        let text = menu.items[chosen].text
        insert(text, over: menu.context.replaced)
        let start = menu.context.replaced.lowerBound
        menu.context.replaced = start..<(start + text.count)
        menu.chosen = chosen
        self.menu = menu
    }

    private mutating func insert(_ text: String, over range: Range<Int>) {
        buffer.replace(range, with: text)
    }

    private func commonPrefix(_ texts: [String]) -> String? {
        guard var common = texts.first else { return nil }
        for text in texts.dropFirst() {
            common = String(zip(common, text).prefix { $0 == $1 }.map(\.0))
        }
        return common
    }

    // MARK: History

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

    // MARK: Drawing

    /// What is shown at this moment.
    func view(prompt: StyledText, _ terminal: TerminalTraits) -> EditorView {
        if let search {
            let line = found.map { history.lines[$0] } ?? ""
            let head = StyledText("(search) \(search): ", .dim, terminal)
            return EditorView(
                prompt: head, Array(line), styles: highlight(Array(line), fixed ?? .metrics),
                cursor: 0, below: [], terminal)
        }
        let language = self.language
        let styles = highlight(buffer.characters, language)
        var below: [StyledText] = []
        let fault = shownFault(language)
        if let menu {
            below = menuLines(menu, terminal)
        } else if let fault {
            below = [StyledText(fault.message, .red, terminal)]
        } else if let usage = usageHint(language) {
            below = [StyledText(usage, .dim, terminal)]
        }
        return EditorView(
            prompt: prompt, buffer.characters, styles: styles, cursor: buffer.cursor,
            mark: fault?.position, below: below, terminal)
    }

    /// A fault that more typing at the end would not mend.
    private func shownFault(_ language: QueryLanguage) -> SyntaxFault? {
        let text = buffer.text
        guard !text.isEmpty, text.first != "\\", text.last != ";",
            let fault = syntaxFault(runnable(text), language),
            fault.position < trimmedLine(text).count - 1
        else { return nil }
        // An open string or bracket is not a fault yet.
        return isComplete(text) ? fault : nil
    }

    /// How the function whose arguments are being typed is written.
    private func usageHint(_ language: QueryLanguage) -> String? {
        let before = Array(buffer.characters[..<buffer.cursor])
        guard before.first != "\\" else { return nil }
        let tokens = queryTokens(before, dotted: language == .traces)
            .filter { $0.kind != .blank }
        var stack: [Int] = []
        for (index, token) in tokens.enumerated() {
            if token.kind == .open { stack.append(index) }
            if token.kind == .close { _ = stack.popLast() }
        }
        guard let open = stack.last(where: { tokens[$0].text == "(" }), open > 0,
            let entry = Documentation.all.first(where: {
                $0.word == tokens[open - 1].text && $0.language == language
            })
        else { return nil }
        return entry.usage + "  " + entry.text
    }

    private func menuLines(_ menu: Menu, _ terminal: TerminalTraits) -> [StyledText] {
        let count = min(Self.menuLines, max(2, terminal.rows - 4))
        let first = max(0, min((menu.chosen ?? 0) - count / 2, menu.items.count - count))
        let shown = menu.items.dropFirst(first).prefix(count)
        let width = min(
            max(12, terminal.columns / 2),
            shown.map { displayWidth(harmless($0.text, ascii: !terminal.unicode)) }.max() ?? 0)
        var out = shown.enumerated().map { offset, item in
            let isChosen = first + offset == menu.chosen
            var line = StyledText(isChosen ? "> " : "  ", .bold, terminal)
            let text = clipped(
                harmless(item.text, ascii: !terminal.unicode), width, unicode: terminal.unicode)
            line.add(padded(text, width), isChosen ? .reversed : .plain)
            if !item.detail.isEmpty { line.add("  " + item.detail, .cyan) }
            if !item.help.isEmpty { line.add("  " + item.help, .dim) }
            return line
        }
        if menu.isLoading { out.append(StyledText("  loading names …", .dim, terminal)) }
        if menu.items.count > count {
            out.append(
                StyledText("  \(menu.items.count) fit, the best first", .dim, terminal))
        }
        return out
    }
}
