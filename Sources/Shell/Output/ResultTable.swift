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
    /// Style of the first cell of each row, none when empty.
    package var rowStyles: [Style] = []

    package init(columns: [Column], rows: [[String]] = [], rawColumn: Int = 0) {
        self.columns = columns
        self.rows = rows
        self.rawColumn = rawColumn
    }

    /// The table in a form other than `json` and `chart`.
    ///
    /// - Parameter vertical: whether aligned forms show a row as a block of lines, a cell a line;
    ///   nil decides by the width of the terminal.
    package func rendered(
        _ mode: OutputMode, _ terminal: TerminalTraits, vertical: Bool? = nil
    ) -> String {
        switch mode {
        case .table, .wide, .json, .chart:
            vertical ?? isTooWide(for: terminal)
                ? verticalText(terminal)
                : AlignedText(self, terminal).text(rows, styles: rowStyles, header: true)
        case .jsonl: jsonLines(terminal)
        case .csv: separated(",", terminal, csvField)
        case .tsv: separated("\t", terminal) { harmless($0) }
        case .markdown: markdown(terminal)
        case .logfmt: logfmt(terminal)
        case .raw: rawText(terminal)
        }
    }

    /// Whether columns would have to be cut below what a reader can use.
    func isTooWide(for terminal: TerminalTraits) -> Bool {
        guard terminal.isTerminal, columns.count > 2, !rows.isEmpty, rows.count <= 50 else {
            return false
        }
        let readable = naturalWidths(rows, ascii: !terminal.unicode).map { min($0, 16) }
        return readable.reduce(2 * (columns.count - 1), +) > terminal.columns
    }

    /// Columns that headers and cells take.
    func naturalWidths(_ rows: [[String]], ascii: Bool) -> [Int] {
        var widths = columns.map { displayWidth(harmless($0.name, ascii: ascii)) }
        for row in rows {
            for (i, cell) in row.enumerated() where i < widths.count {
                widths[i] = max(widths[i], displayWidth(harmless(cell, ascii: ascii)))
            }
        }
        return widths
    }

    private func rawText(_ terminal: TerminalTraits) -> String {
        rows.map { row in
            let text = row.indices.contains(rawColumn) ? row[rawColumn] : ""
            return (terminal.isTerminal ? harmless(text, ascii: !terminal.unicode) : text) + "\n"
        }.joined()
    }

    /// Fields are made harmless on a terminal; in a pipe they are what the server sent.
    private func separated(
        _ separator: String, _ terminal: TerminalTraits,
        _ field: @escaping (String) -> String
    ) -> String {
        let field: (String) -> String =
            terminal.isTerminal
            ? { field(harmless($0, ascii: !terminal.unicode)) } : field
        var out = columns.map { field($0.name) }.joined(separator: separator) + "\n"
        for row in rows { out += row.map(field).joined(separator: separator) + "\n" }
        return out
    }

    private func csvField(_ text: String) -> String {
        let special = text.contains { $0 == "," || $0 == "\"" || $0.isNewline }
        return special ? "\"" + text.replacing("\"", with: "\"\"") + "\"" : text
    }

    private func markdown(_ terminal: TerminalTraits) -> String {
        let ascii = terminal.isTerminal && !terminal.unicode
        func cell(_ text: String) -> String {
            harmless(text, ascii: ascii).replacing("|", with: "\\|")
        }
        var out = "| " + columns.map { cell($0.name) }.joined(separator: " | ") + " |\n|"
        for column in columns { out += column.alignment == .right ? " ---: |" : " --- |" }
        out += "\n"
        for row in rows { out += "| " + row.map(cell).joined(separator: " | ") + " |\n" }
        return out
    }

    private func jsonLines(_ terminal: TerminalTraits) -> String {
        var out: [UInt8] = []
        for row in rows {
            var writer = JSONWriter()
            writer.beginObject()
            for (column, cell) in zip(columns, row) { writer.member(column.name, cell) }
            writer.endObject()
            out.append(contentsOf: writer.bytes)
            out.append(UInt8(ascii: "\n"))
        }
        let text = String(decoding: out, as: UTF8.self)
        return terminal.isTerminal ? harmlessJSON(text, ascii: !terminal.unicode) : text
    }

    /// Pairs of a row on a line; names get `_` where logfmt has no other way, values quotes where
    /// they need them. Empty cells are left out.
    private func logfmt(_ terminal: TerminalTraits) -> String {
        let ascii = terminal.isTerminal && !terminal.unicode
        let names = columns.map { column in
            String(
                column.name.map { $0.isWhitespace || $0 == "=" || $0 == "\"" ? "_" : $0 })
        }
        return rows.map { row in
            zip(names, row).filter { !$0.1.isEmpty }.map { name, cell in
                let text = harmless(cell, ascii: ascii)
                let isBare = text.allSatisfy { !$0.isWhitespace && $0 != "=" && $0 != "\"" }
                let quoted = text.replacing("\"", with: "\\\"")
                return harmless(name, ascii: ascii) + "=" + (isBare ? text : "\"\(quoted)\"")
            }.joined(separator: " ") + "\n"
        }.joined()
    }
}
