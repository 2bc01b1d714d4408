// SPDX-License-Identifier: Apache-2.0
// Rows and columns, and the ways to print them.

import Base

/// A result as rows of text.
package struct ResultTable: Sendable, Equatable {
    package enum Alignment: Sendable { case left, right }
    package struct Column: Sendable, Equatable {
        package var name: String
        package var alignment: Alignment
        /// Shown whole where there is anything else to cut: times, ids.
        package var isWhole: Bool
        package init(_ name: String, _ alignment: Alignment = .left, isWhole: Bool = false) {
            self.name = name
            self.alignment = alignment
            self.isWhole = isWhole
        }
    }
    package var columns: [Column]
    package var rows: [[String]]
    /// Column printed by `raw`.
    package var rawColumn: Int

    package init(columns: [Column], rows: [[String]] = [], rawColumn: Int = 0) {
        self.columns = columns
        self.rows = rows
        self.rawColumn = rawColumn
    }

    /// The table in a form other than `json`.
    package func rendered(_ mode: OutputMode, _ terminal: TerminalTraits) -> String {
        switch mode {
        case .table, .wide, .json: aligned(terminal)
        case .jsonl: jsonLines()
        case .csv: separated(",", csvField)
        case .tsv: separated("\t") { harmless($0) }
        case .markdown: markdown()
        case .raw:
            rows.map { row in
                let text = row.indices.contains(rawColumn) ? row[rawColumn] : ""
                return (terminal.isTerminal ? harmless(text) : text) + "\n"
            }.joined()
        }
    }

    private func aligned(_ terminal: TerminalTraits) -> String {
        let cells = rows.map { $0.map(harmless) }
        var widths = columns.map { displayWidth($0.name) }
        for row in cells {
            for (i, cell) in row.enumerated() where i < widths.count {
                widths[i] = max(widths[i], displayWidth(cell))
            }
        }
        if terminal.isTerminal, terminal.columns < Int.max { shrink(&widths, terminal.columns) }
        var out = line(columns.map { $0.name.uppercased() }, widths, terminal, header: true)
        for row in cells { out += line(row, widths, terminal, header: false) }
        return out
    }

    /// Takes from the widest columns until the row fits; from those that are to be whole last.
    private func shrink(_ widths: inout [Int], _ width: Int) {
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

    private func line(
        _ cells: [String], _ widths: [Int], _ terminal: TerminalTraits, header: Bool
    ) -> String {
        var parts: [String] = []
        for (i, width) in widths.enumerated() {
            let cell = clipped(i < cells.count ? cells[i] : "", width, terminal)
            let gap = String(repeating: " ", count: max(0, width - displayWidth(cell)))
            let last = i == widths.count - 1
            if columns[i].alignment == .right {
                parts.append(gap + cell)
            } else {
                parts.append(last ? cell : cell + gap)
            }
        }
        let text = parts.joined(separator: "  ")
        return (header && terminal.colour ? "\u{1b}[1m" + text + "\u{1b}[0m" : text) + "\n"
    }

    private func clipped(_ cell: String, _ width: Int, _ terminal: TerminalTraits) -> String {
        guard terminal.isTerminal, displayWidth(cell) > width else { return cell }
        let mark = terminal.unicode ? "…" : "~"
        var out = ""
        var used = 0
        for character in cell {
            let next = displayWidth(String(character))
            if used + next > width - 1 { break }
            out.append(character)
            used += next
        }
        return out + mark
    }

    private func separated(_ separator: String, _ field: (String) -> String) -> String {
        var out = columns.map { field($0.name) }.joined(separator: separator) + "\n"
        for row in rows { out += row.map(field).joined(separator: separator) + "\n" }
        return out
    }

    private func csvField(_ text: String) -> String {
        let special = text.contains { $0 == "," || $0 == "\"" || $0.isNewline }
        return special
            ? "\""
                + text.split(separator: "\"", omittingEmptySubsequences: false)
                .joined(separator: "\"\"") + "\"" : text
    }

    private func markdown() -> String {
        func cell(_ text: String) -> String {
            harmless(text).split(separator: "|", omittingEmptySubsequences: false)
                .joined(separator: "\\|")
        }
        var out = "| " + columns.map { cell($0.name) }.joined(separator: " | ") + " |\n|"
        for column in columns { out += column.alignment == .right ? " ---: |" : " --- |" }
        out += "\n"
        for row in rows { out += "| " + row.map(cell).joined(separator: " | ") + " |\n" }
        return out
    }

    private func jsonLines() -> String {
        var out: [UInt8] = []
        for row in rows {
            var writer = JSONWriter()
            writer.beginObject()
            for (column, cell) in zip(columns, row) { writer.member(column.name, cell) }
            writer.endObject()
            out.append(contentsOf: writer.bytes)
            out.append(UInt8(ascii: "\n"))
        }
        return String(decoding: out, as: UTF8.self)
    }
}
