// SPDX-License-Identifier: Apache-2.0
// What the commands of the prompt do.

extension Prompt {
    /// Runs a command.
    mutating func execute(_ verb: ShellVerb, _ argument: String) async throws -> ShellExit {
        if let sentence = try state.apply(verb, argument) {
            if verb == .output, let path = state.outputPath { try OutputFile.begin(path) }
            Terminal.write(sentence)
            return .ok
        }
        let name = argument.isEmpty ? nil : argument
        switch verb {
        case .trace:
            let id = name ?? state.context.traceID ?? ""
            guard !id.isEmpty else { throw ShellError("\\trace takes a trace id", .usage) }
            return try await show { try await $0.trace(id) }
        case .service:
            guard let service = name ?? state.context.service else {
                throw ShellError("\\service takes a name: \\services lists them", .usage)
            }
            return try await show { try await $0.service(service) }
        case .why: return try await show { try await $0.why(name) }
        case .logs, .traces, .metrics: return try await related(verb, name)
        case .tree: return try await show { try await $0.serviceTree() }
        case .describe: return try await show { try await $0.describe(name) }
        case .labels: return try await show { try await $0.labels(name) }
        case .series:
            guard let name else { throw ShellError("\\series takes a selector", .usage) }
            return try await show { try await $0.series(name) }
        case .cardinality: return try await show { try await $0.cardinality() }
        case .targets: return try await show { try await $0.targets() }
        case .rules: return try await show { try await $0.rules() }
        case .alerts: return try await show { try await $0.alerts() }
        case .services: return try await show { try await $0.services() }
        case .streams: return try await show { try await $0.streams(name) }
        case .queries: return try await show { try await $0.activeQueries() }
        case .explain:
            guard let name else { throw ShellError("\\explain takes a metric query", .usage) }
            return try await show { try await $0.explain(name) }
        case .stats:
            let statistics = state.statistics
            return try await show { try $0.statistics(statistics) }
        case .format:
            try format(name ?? state.lastQuery)
            return .ok
        case .watch, .tail, .top: return try await live(verb, argument)
        case .edit:
            let text = trimmedLine(try EditorProcess.edit(name ?? state.lastQuery))
            guard !text.isEmpty else { return .ok }
            Terminal.write(harmless(text) + "\n")
            return text.hasPrefix("\\") ? await execute(text) : try await query(runnable(text))
        case .save, .run, .saved: return try await kept(verb, argument)
        case .help:
            let terminal = state.options.terminal
            let lines =
                try name.map { try ShellVerb.help($0, terminal) } ?? ShellVerb.helpLines(terminal)
            Terminal.write(lines.rendered(terminal))
            return .ok
        default:
            throw ShellError("\(verb.name) is no command here", .usage)
        }
    }

    /// Shows a query laid out and keeps it for `\\e` and `\\save`.
    private mutating func format(_ text: String) throws {
        let text = runnable(text)
        guard !text.isEmpty, !text.hasPrefix("\\") else {
            throw ShellError("\\format takes a query", .usage)
        }
        let terminal = state.options.terminal
        let language = state.language ?? detectLanguage(text)
        let laidOut = try formatted(
            text, language, width: terminal.isTerminal ? terminal.columns - 1 : 100)
        state.lastQuery = laidOut
        Terminal.write(highlighted(laidOut, language, terminal).rendered(terminal))
    }

    /// From the last answer, or a service by name, to another signal.
    private mutating func related(_ verb: ShellVerb, _ name: String?) async throws -> ShellExit {
        var context = state.context
        if let name {
            context = ResultContext()
            context.service = name
        }
        let from = context
        switch verb {
        case .logs: return try await show { try await $0.relatedLogs(from) }
        case .traces: return try await show { try await $0.relatedTraces(from) }
        default: return try await show { try await $0.relatedMetrics(from) }
        }
    }

    private mutating func kept(_ verb: ShellVerb, _ argument: String) async throws -> ShellExit {
        let words = argument.split(separator: " ").map(String.init)
        switch verb {
        case .save:
            let name = words.first ?? ""
            let rest = trimmedLine(String(argument.dropFirst(name.count)))
            try saved.save(name, rest.isEmpty ? state.lastQuery : rest)
            return .ok
        case .run:
            let text = try saved.query(words.first ?? "", arguments: Array(words.dropFirst()))
            Terminal.write(harmless(text) + "\n")
            return text.hasPrefix("\\") ? await execute(text) : try await query(runnable(text))
        default:
            let rows = saved.queries.map { [$0.name, $0.query] }
            let table = ResultTable(
                columns: [.init("name", isWhole: true), .init("query")], rows: rows)
            let mode = state.options.effectiveMode
            Terminal.write(
                rows.isEmpty
                    ? "(no query is kept)\n"
                    : table.rendered(mode == .json ? .jsonl : mode, state.options.terminal))
            return .ok
        }
    }

    /// The texts of a file: a line each, or several where brackets are open.
    func texts(ofFile path: String) throws -> [String] {
        var texts: [String] = []
        var open = ""
        for line in try readFile(path).split(separator: "\n", omittingEmptySubsequences: true) {
            open += (open.isEmpty ? "" : "\n") + line
            if isComplete(open) {
                let text = trimmedLine(open)
                if !text.isEmpty, !text.hasPrefix("#") { texts.append(text) }
                open = ""
            }
        }
        if !trimmedLine(open).isEmpty { texts.append(trimmedLine(open)) }
        return texts
    }
}
