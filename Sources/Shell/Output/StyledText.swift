// SPDX-License-Identifier: Apache-2.0
// Text with colours, for terminals.

/// How a stretch of text looks. On a terminal without colour all look alike, so a style never is
/// the only sign of anything.
package enum Style: String, Sendable, CaseIterable {
    case plain = ""
    case bold = "1"
    case dim = "2"
    case reversed = "7"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case blue = "34"
    case magenta = "35"
    case cyan = "36"
    case boldRed = "1;31"

    /// Colours of series, services and levels in turn.
    static let palette: [Style] = [.cyan, .yellow, .green, .magenta, .blue, .red]
}

/// A line made of styled stretches. Whatever is added goes through `harmless`, so a line that is
/// written can hold no other escape sequences than those of its own styles.
package struct StyledText: Sendable, Equatable {
    struct Run: Sendable, Equatable {
        var text: String
        var style: Style
    }
    private(set) var runs: [Run] = []
    private let ascii: Bool
    /// Columns of the text.
    package private(set) var width = 0

    package init(_ terminal: TerminalTraits) { ascii = !terminal.unicode }

    /// A line of one stretch.
    package init(_ text: String, _ style: Style = .plain, _ terminal: TerminalTraits) {
        self.init(terminal)
        add(text, style)
    }

    /// Adds text, wherever it comes from.
    package mutating func add(_ text: String, _ style: Style = .plain) {
        let text = harmless(text, ascii: ascii)
        guard !text.isEmpty else { return }
        width += displayWidth(text)
        if let last = runs.indices.last, runs[last].style == style {
            runs[last].text += text
        } else {
            runs.append(Run(text: text, style: style))
        }
    }

    package mutating func add(_ other: StyledText) {
        for run in other.runs { add(run.text, run.style) }
    }

    /// Adds blanks up to a column.
    package mutating func pad(to column: Int) {
        if column > width { add(String(repeating: " ", count: column - width)) }
    }

    /// The text without its styles.
    package var plain: String { runs.map(\.text).joined() }

    /// As much as fits into so many columns.
    package func clipped(_ columns: Int, unicode: Bool) -> StyledText {
        guard width > columns else { return self }
        var out = self
        out.runs = []
        out.width = 0
        var room = max(0, columns - 1)
        for run in runs {
            let part = prefix(of: run.text, columns: room)
            out.add(part, run.style)
            room -= displayWidth(part)
            if part != run.text { break }
        }
        if columns > 0 { out.add(unicode ? "…" : "~", .dim) }
        return out
    }

    /// The bytes for a terminal, without a newline.
    package func rendered(colour: Bool) -> String {
        guard colour else { return plain }
        return runs.map { run in
            run.style == .plain
                ? run.text : "\u{1b}[" + run.style.rawValue + "m" + run.text + "\u{1b}[0m"
        }.joined()
    }
}

extension [StyledText] {
    /// All lines, cut to the terminal's width where it is one, each with a newline.
    package func rendered(_ terminal: TerminalTraits) -> String {
        map { line in
            let line =
                terminal.isTerminal
                ? line.clipped(terminal.columns, unicode: terminal.unicode) : line
            return line.rendered(colour: terminal.colour) + "\n"
        }.joined()
    }
}
