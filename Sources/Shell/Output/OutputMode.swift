// SPDX-License-Identifier: Apache-2.0
// Forms in which results are printed.

/// `-o`: how rows look.
package enum OutputMode: String, Sendable, CaseIterable {
    /// Aligned columns.
    case table
    /// Aligned columns, one per label.
    case wide
    /// The server's answer as it came.
    case json
    /// One object a row.
    case jsonl
    case csv, tsv, markdown
    /// Values only: lines of logs, numbers of metrics.
    case raw
    /// `name=value` pairs, a row a line.
    case logfmt
    /// Lines over time, heat maps of histograms, bars of log volume.
    case chart

    /// The names, for usage errors.
    package static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

/// Where output goes and what it can show.
package struct TerminalTraits: Sendable {
    package var isTerminal: Bool
    package var columns: Int
    package var rows = 24
    /// Nothing but lines of text: no cursor movement, no colour.
    package var isDumb = false
    package var colour: Bool
    package var unicode: Bool

    package init(isTerminal: Bool, columns: Int, colour: Bool, unicode: Bool) {
        self.isTerminal = isTerminal
        self.columns = columns
        self.colour = colour
        self.unicode = unicode
    }

    /// A pipe or file: no colour, no truncation.
    package static let plain = TerminalTraits(
        isTerminal: false, columns: .max, colour: false, unicode: true)
}
