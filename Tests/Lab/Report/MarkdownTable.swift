// SPDX-License-Identifier: Apache-2.0
// Tables that go into docs/numbers as they are.

import Base

/// Rows of a Markdown table.
struct MarkdownTable {
    private var lines: [String]

    init(_ heads: String...) { self.init(heads) }

    init(_ heads: [String]) {
        lines = ["| " + heads.joined(separator: " | ") + " |"]
        lines.append("|" + String(repeating: "---|", count: heads.count))
    }

    mutating func row(_ cells: String...) { row(cells) }

    mutating func row(_ cells: [String]) {
        lines.append("| " + cells.joined(separator: " | ") + " |")
    }

    var text: String { lines.joined(separator: "\n") + "\n" }
}

/// A number with so many decimals.
func decimals(_ value: Double, _ count: Int) -> String { fixedText(value, decimals: count) }

/// Bytes in units of a million.
func megabytes(_ bytes: Int) -> String { decimals(Double(bytes) / 1e6, 1) + " MB" }
