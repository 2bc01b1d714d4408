// SPDX-License-Identifier: Apache-2.0
// The commands of the prompt.

/// A command that begins with a backslash.
package enum ShellVerb: String, Sendable, CaseIterable {
    // Queries and what belongs to their answers.
    case metricsMode = "m"
    case logsMode = "l"
    case tracesMode = "t"
    case auto
    case logs, traces, metrics, trace, service, why
    case tree, watch, tail, top
    // What there is.
    case describe = "d"
    case labels, series, cardinality, targets, rules, alerts, services, streams, queries
    case explain, stats, format
    // Times and forms.
    case range, since, instant, step, zone = "tz", limit, output = "o", vertical = "x"
    case timing, pager, spark, volume
    // Texts.
    case edit = "e"
    case include = "i"
    case save, run, saved, help, quit = "q"

    /// As it is typed.
    package var name: String { "\\" + rawValue }

    /// The verb of a word with its backslash.
    package init?(name: String) {
        guard name.first == "\\" else { return nil }
        switch name {
        case "\\?": self = .help
        case "\\form": self = .output
        default:
            guard let verb = ShellVerb(rawValue: String(name.dropFirst())) else { return nil }
            self = verb
        }
    }

    /// What follows the name.
    var arguments: String {
        switch self {
        case .logs, .traces, .metrics: "[SERVICE]"
        case .trace: "ID"
        case .service: "NAME"
        case .why: "[SERVICE | TRACE | SELECTOR]"
        case .watch: "[SECONDS] QUERY"
        case .tail: "SELECTOR"
        case .describe: "[METRIC]"
        case .labels: "[LABEL]"
        case .series: "SELECTOR"
        case .streams: "[SELECTOR]"
        case .explain: "QUERY"
        case .range: "[TIME]"
        case .since: "TIME"
        case .step: "STEP"
        case .zone: "ZONE"
        case .limit: "N"
        case .output: "FORM | FILE"
        case .vertical: "[on|off|auto]"
        case .timing, .pager, .spark, .volume: "[on|off]"
        case .include: "FILE"
        case .edit, .format: "[QUERY]"
        case .save: "NAME [QUERY]"
        case .run: "NAME [ARGUMENT=VALUE …]"
        case .help: "[WORD]"
        default: ""
        }
    }

    var text: String {
        switch self {
        case .metricsMode: "lines are PromQL from here on"
        case .logsMode: "lines are LogQL from here on"
        case .tracesMode: "lines are TraceQL from here on"
        case .auto: "tell the language of each line from its form"
        case .logs: "log lines of the service or trace of the last answer, or of SERVICE"
        case .traces: "traces of the service or series of the last answer, or of SERVICE"
        case .metrics: "metrics of the service of the last answer, or of SERVICE"
        case .trace: "a trace with its log lines"
        case .service: "rates, operations, neighbours, versions, traces of a service"
        case .why: "what differs from the stretch before, worst first"
        case .tree: "which services call which, with rates"
        case .watch: "run a query again and again (every 5 s); changes are marked; q ends it"
        case .tail: "log lines as they come; space pauses, / filters, q ends it"
        case .top: "ingest, series, queries and targets of the server, live; q ends it"
        case .describe: "metrics with type and help; with a name, its labels"
        case .labels: "label names, or the values of one"
        case .series: "series that match"
        case .cardinality: "metrics, labels and pairs with the most series"
        case .targets: "what is scraped, and how it goes"
        case .rules: "rules with their state"
        case .alerts: "pending and firing alerts"
        case .services: "services seen, with rates and latencies"
        case .streams: "log streams"
        case .queries: "what runs on the server now"
        case .explain: "operators of a metric query with their series, samples and time"
        case .stats: "what the last query cost"
        case .format: "a query laid out, the last one if none is given; \\e edits it"
        case .range: "metric queries over the window; with a time also sets it"
        case .since: "the window: 1h, since 15:00, yesterday, today 10:00..11:30, 2026-11-24"
        case .instant: "metric queries at the end of the window"
        case .step: "step of range queries, or auto"
        case .zone: "time zone: UTC, local, +02:00, Europe/Berlin"
        case .limit: "most lines and traces (100); 0: all lines, page by page"
        case .output:
            "table wide json jsonl csv tsv markdown raw logfmt chart; a path writes there, \\o alone ends it"
        case .vertical: "rows as blocks of lines"
        case .timing: "how long each query took"
        case .pager: "long answers page by page"
        case .spark: "a column of trends beside instant values"
        case .volume: "bars of the number of lines above log lines"
        case .edit: "the last query in $EDITOR"
        case .include: "run the lines of a file"
        case .save: "keep a query, the last one if none is given, under a name"
        case .run: "run a kept query; $ARGUMENT in it becomes VALUE"
        case .saved: "queries that are kept"
        case .help: "this list, or what a word of the languages means"
        case .quit: "leave"
        }
    }

    /// The list of `\?`.
    static func helpLines(_ terminal: TerminalTraits) -> [StyledText] {
        var out = [
            StyledText(
                "A line is a query; its language is told from its form. Brackets may stay open over",
                .plain, terminal),
            StyledText(
                "lines; Alt-Enter breaks a line, ; ends one. Tab completes, Ctrl-R searches the history,",
                .plain, terminal),
            StyledText(
                "Ctrl-C cancels a running query.", .plain, terminal),
        ]
        let width = allCases.map { displayWidth($0.name + " " + $0.arguments) }.max() ?? 0
        for verb in allCases {
            var line = StyledText("  ", .plain, terminal)
            line.add(verb.name, .magenta)
            line.add(" " + verb.arguments)
            line.pad(to: min(width, 32) + 3)
            line.add(" " + verb.text)
            out.append(line)
        }
        return out
    }

    /// What `\help WORD` says: of a command, or of a word of the languages.
    static func help(_ word: String, _ terminal: TerminalTraits) throws -> [StyledText] {
        if let verb = ShellVerb(name: word.hasPrefix("\\") ? word : "\\" + word),
            word.hasPrefix("\\") || Documentation.entries(word).isEmpty
        {
            var line = StyledText(verb.name, .magenta, terminal)
            line.add(" " + verb.arguments)
            return [line, StyledText("  " + verb.text, .plain, terminal)]
        }
        let entries = Documentation.entries(word)
        guard !entries.isEmpty else {
            throw ShellError("no help on \(word): \\? lists the commands", .usage)
        }
        return entries.flatMap { entry in
            var head = StyledText(entry.usage, .bold, terminal)
            head.add("  \(entry.language.rawValue) \(entry.kind.rawValue)", .dim)
            return [head, StyledText("  " + entry.text, .plain, terminal)]
        }
    }
}
