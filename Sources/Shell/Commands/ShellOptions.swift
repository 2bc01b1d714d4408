// SPDX-License-Identifier: Apache-2.0
// What all commands share.

/// Which language a query is in.
package enum QueryLanguage: String, Sendable, CaseIterable {
    case metrics, logs, traces
}

/// What all commands share.
package struct ShellOptions: Sendable {
    package var client: ShellClient
    package var mode: OutputMode?
    package var terminal: TerminalTraits
    /// Stretch of time asked for.
    package var window = TimeWindow.last(seconds: 3600)
    /// Step of range queries in seconds; 0 = chosen from the stretch.
    package var stepSeconds = 0.0
    /// Evaluation time as text, or nil for the end of the window.
    package var time: String?
    /// Whether metric queries are range queries.
    package var range = false
    /// Most rows of logs and traces; 0 = all, log lines page by page from the oldest on.
    package var limit = 100
    /// Zone in which times are typed and shown.
    package var zone = ShownZone.utc
    /// Whether aligned tables show a row as a block of lines; nil = when they are too wide.
    package var vertical: Bool?
    /// Whether instant queries on a terminal have a column of sparklines.
    package var showsTrends = false
    /// Whether metric queries ask what they cost.
    package var wantsStatistics = false
    /// Whether log queries on a terminal have bars of their volume above.
    package var showsVolume = false

    package init(client: ShellClient, terminal: TerminalTraits = .plain) {
        self.client = client
        self.terminal = terminal
    }

    /// The chosen form, else aligned on a terminal and TSV in a pipe.
    package var effectiveMode: OutputMode { mode ?? (terminal.isTerminal ? .table : .tsv) }
}

/// What the last answer was about: where the correlation verbs go on from.
package struct ResultContext: Sendable, Equatable {
    package var service: String?
    package var traceID: String?
    /// A metric selector that the answer's first series came from.
    package var series: String?
    package init() {}
}
