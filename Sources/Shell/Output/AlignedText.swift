// SPDX-License-Identifier: Apache-2.0
// Tables as people read them.

/// Rows in columns of fixed widths. One value can print the pages of an answer one after the other
/// in the same columns.
struct AlignedText: Sendable {
    private let columns: [ResultTable.Column]
    private let widths: [Int]
    private let terminal: TerminalTraits

    /// Columns for the rows of a table, narrowed to the terminal.
    init(_ table: ResultTable, _ terminal: TerminalTraits) {
        columns = table.columns
        self.terminal = terminal
        var widths = table.naturalWidths(table.rows, ascii: !terminal.unicode)
        if terminal.isTerminal, terminal.columns < Int.max {
            AlignedText.shrink(&widths, table.columns, terminal.columns)
        }
        self.widths = widths
    }

    /// - Parameter styles: of the first cell of each row, none when empty.
    func text(_ rows: [[String]], styles: [Style] = [], header: Bool) -> String {
        var out =
            header
            ? line(
                columns.map { $0.name.uppercased() },
                [Style](repeating: .bold, count: columns.count)) : ""
        for (index, row) in rows.enumerated() {
            out += line(row, styles.indices.contains(index) ? [styles[index]] : [])
        }
        return out
    }

    /// Takes from the widest columns until the row fits; from those that are to be whole last.
    private static func shrink(
        _ widths: inout [Int], _ columns: [ResultTable.Column], _ width: Int
    ) {
        let room = max(width - 2 * (widths.count - 1), widths.count * 4)
        for takesWhole in [false, true] {
            let candidates = widths.indices.filter { takesWhole || !columns[$0].isWhole }
            while widths.reduce(0, +) > room,
                let index = candidates.max(by: { widths[$0] < widths[$1] }), widths[index] > 8
            {
                widths[index] -= 1
            }
        }
    }

    private func line(_ cells: [String], _ styles: [Style]) -> String {
        var line = StyledText(terminal)
        var end = 0
        for (i, width) in widths.enumerated() {
            let cell = harmless(i < cells.count ? cells[i] : "", ascii: !terminal.unicode)
            let shown =
                terminal.isTerminal ? clipped(cell, width, unicode: terminal.unicode) : cell
            if columns[i].alignment == .right {
                line.pad(to: max(line.width, end + width - displayWidth(shown)))
            } else {
                line.pad(to: end)
            }
            line.add(shown, i < styles.count ? styles[i] : .plain)
            end += width + 2
        }
        return line.rendered(colour: terminal.colour) + "\n"
    }
}

extension ResultTable {
    /// A row as a block: a cell a line, names at the left; a rule with the row's number between.
    func verticalText(_ terminal: TerminalTraits) -> String {
        let ascii = !terminal.unicode
        let names = columns.map { harmless($0.name, ascii: ascii) }
        let width = names.map(displayWidth).max() ?? 0
        var lines: [StyledText] = []
        for (number, row) in rows.enumerated() {
            let rule = terminal.unicode ? "─" : "-"
            lines.append(
                StyledText(
                    String(repeating: rule, count: 3) + " \(number + 1) "
                        + String(repeating: rule, count: max(3, width - 3)), .dim, terminal))
            for (name, cell) in zip(names, row) where !cell.isEmpty {
                var line = StyledText(padded(name, width), .bold, terminal)
                line.add("  ")
                line.add(cell)
                lines.append(contentsOf: wrapped(line, indent: width + 2, terminal))
            }
        }
        return lines.rendered(terminal)
    }

    /// Cells that are wider than the terminal go on below themselves: nothing is cut.
    private func wrapped(
        _ line: StyledText, indent: Int, _ terminal: TerminalTraits
    ) -> [StyledText] {
        guard terminal.isTerminal, line.width > terminal.columns, indent + 8 < terminal.columns
        else { return [line] }
        var lines: [StyledText] = []
        var rest = line.plain[...]
        var first = true
        while !rest.isEmpty {
            let room = terminal.columns - (first ? 0 : indent)
            let part = prefix(of: String(rest), columns: room)
            guard !part.isEmpty else { break }
            rest = rest.dropFirst(part.count)
            var piece = StyledText(terminal)
            if first {
                piece.add(prefix(of: part, columns: indent), .bold)
                piece.add(String(part.dropFirst(prefix(of: part, columns: indent).count)))
            } else {
                piece.pad(to: indent)
                piece.add(part)
            }
            lines.append(piece)
            first = false
        }
        return lines
    }
}
