// SPDX-License-Identifier: Apache-2.0
// Commands that ask a server.

import ArgumentParser
import Base
import Shell

/// Flags all client commands share.
struct ClientFlags: ParsableArguments {
    @Option(help: "Server to ask (TERN_URL, else http://127.0.0.1:4100).")
    var url: String = Terminal.environment("TERN_URL") ?? "http://127.0.0.1:4100"
    @Option(help: "Tenant, sent as X-Scope-OrgID.")
    var tenant: String?
    @Option(
        name: .shortAndLong, help: "\(OutputMode.names).",
        completion: .list(OutputMode.allCases.map(\.rawValue)))
    var output: String?
    @Option(
        help: "What time to look at: 15m, since 15:00, yesterday, 2026-11-24T10:00..+15m.")
    var since: String = "1h"
    @Option(help: "Begin at this moment: RFC 3339, Unix seconds, now-2h, 10:00.")
    var from: String?
    @Option(help: "End at this moment (now).")
    var to: String?
    @Option(help: "Time zone in which times are read and shown: UTC, local, +02:00, a name.")
    var tz: String = "UTC"
    @Flag(name: .customShort("x"), help: "Show rows of tables as blocks of lines.")
    var vertical = false

    func options() throws -> ShellOptions {
        var options = ShellOptions(
            client: ShellClient(url: url, tenant: tenant), terminal: Terminal.traits())
        if let output {
            guard let mode = OutputMode(rawValue: output) else {
                throw ValidationError("-o takes one of \(OutputMode.names), not \(output)")
            }
            options.mode = mode
        }
        if vertical { options.vertical = true }
        do {
            options.zone = try ShownZone(tz)
            let grammar = TimeGrammar(nowNanos: SystemClock().wallNanos, zone: options.zone)
            if from != nil || to != nil {
                let end = try to.map { try grammar.moment($0) } ?? grammar.nowNanos
                let start = try from.map { try grammar.moment($0) } ?? (end - 3_600_000_000_000)
                guard end > start else { throw ValidationError("--to is not after --from") }
                options.window = .fixed(startNanos: start, endNanos: end)
            } else {
                options.window = try grammar.window(since)
            }
        } catch let error as ShellError {
            throw ValidationError(error.description)
        }
        return options
    }
}

/// Runs the work, prints what it returns piece by piece, and ends with the matching exit code.
/// SIGINT cancels it here and on the server.
func printResult(
    _ terminal: TerminalTraits, _ client: ShellClient,
    _ work: @escaping @Sendable () async throws -> ShellCommands.Output
) async throws {
    do {
        let running = RunningQuery(terminal, client)
        let first = try await running.run(client.received, work)
        let output = try await ShellCommands.printed(first, running) { Terminal.write($0) }
        for warning in output.warnings { Terminal.complain("warning: \(harmless(warning))") }
        if output.partial { throw ExitCode(ShellExit.partial.rawValue) }
    } catch let error as ShellError {
        try fail(error)
    }
}

/// Says what went wrong and ends with the error's code.
func fail(_ error: ShellError) throws -> Never {
    Terminal.complain("error: \(harmless(error.description))")
    throw ExitCode(error.exit.rawValue)
}

/// A command that asks a server once and prints the answer.
protocol ClientCommand: AsyncParsableCommand, Sendable {
    var client: ClientFlags { get }
    /// Applies flags of the command's own.
    func adjust(_ options: inout ShellOptions) throws
    func ask(_ commands: ShellCommands) async throws -> ShellCommands.Output
}

extension ClientCommand {
    func adjust(_ options: inout ShellOptions) throws {}

    func run() async throws {
        var options = try client.options()
        try adjust(&options)
        options.client.received = ReceivedBytes()
        options.client.tags = ShellClient.freshTags()
        let commands = ShellCommands(options)
        let command = self
        try await printResult(options.terminal, options.client) {
            try await command.ask(commands)
        }
    }
}

struct QueryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "query", abstract: "Run one query.",
        subcommands: [QueryMetrics.self, QueryLogs.self, QueryTraces.self])
}

struct QueryMetrics: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "metrics", abstract: "Run a PromQL query.")
    @OptionGroup var client: ClientFlags
    @Option(help: "Evaluate at this time: RFC 3339 or Unix seconds (now).")
    var time: String?
    @Option(help: "Makes it a range query over --since with this step, for example 15s.")
    var step: String?
    @Flag(help: "Show a column of trends beside the values, on a terminal.")
    var trends = false
    @Argument(help: "The query.")
    var expression: String

    func adjust(_ options: inout ShellOptions) throws {
        options.showsTrends = trends
        if let time {
            do {
                let moment = try TimeGrammar(
                    nowNanos: SystemClock().wallNanos, zone: options.zone
                ).moment(time)
                options.time = rfc3339Text(nanos: moment)
            } catch let error as ShellError {
                throw ValidationError(error.description)
            }
        }
        guard let step else { return }
        options.stepSeconds = try seconds(step, of: "--step")
        options.range = true
    }

    func ask(_ commands: ShellCommands) async throws -> ShellCommands.Output {
        try await commands.query(.metrics, expression)
    }
}

struct ExplainCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Run a PromQL query and show the series, samples and time of its operators.")
    @OptionGroup var client: ClientFlags
    @Option(help: "Evaluate at this time: RFC 3339 or Unix seconds (now).")
    var time: String?
    @Option(help: "Makes it a range query over this stretch up to now, for example 1h.")
    var range: String?
    @Option(help: "Step of the range query, for example 15s; makes it one over --since.")
    var step: String?
    @Argument(help: "The query.")
    var expression: String

    func adjust(_ options: inout ShellOptions) throws {
        options.time = time
        options.range = range != nil || step != nil
        if time != nil, options.range {
            throw ValidationError("--time is one moment, --range and --step are a stretch")
        }
        if let range { options.window = .last(seconds: try seconds(range, of: "--range")) }
        if let step { options.stepSeconds = try seconds(step, of: "--step") }
    }

    func ask(_ commands: ShellCommands) async throws -> ShellCommands.Output {
        try await commands.explain(expression)
    }
}

/// A duration above zero.
private func seconds(_ text: String, of option: String) throws -> Double {
    guard let seconds = shellDuration(text), seconds > 0 else {
        throw ValidationError("\(option) takes a duration such as 15s, not \(text)")
    }
    return seconds
}

struct QueryLogs: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Run a LogQL query.",
        discussion: "With --stdin the lines are those of standard input and no server is asked: "
            + "all have the label source=\"stdin\", times are found in them or are those of "
            + "reading, and a query may begin with its pipeline, for example '|= \"error\"'.")
    @OptionGroup var client: ClientFlags
    @Option(help: "Most lines, the newest; 0: all, oldest first, page by page.")
    var limit: Int?
    @Option(help: "Step of metric queries, for example 1m.")
    var step: String?
    @Flag(help: "Bars of the number of lines above them, on a terminal.")
    var volume = false
    @Flag(help: "Query the lines of standard input, without a server.")
    var stdin = false
    @Option(help: "With --stdin: NAME=VALUE, a label of all lines; repeatable.")
    var label: [String] = []
    @Argument(help: "The query.")
    var expression: String

    func adjust(_ options: inout ShellOptions) throws {
        if let limit, limit < 0 { throw ValidationError("--limit takes a number from 0 on") }
        options.limit = limit ?? (stdin ? 0 : 100)
        options.showsVolume = volume
        if let step {
            options.stepSeconds = try seconds(step, of: "--step")
            options.range = true
        }
    }

    func ask(_ commands: ShellCommands) async throws -> ShellCommands.Output {
        guard stdin else { return try await commands.query(.logs, expression) }
        let labels = try label.map { text -> (name: String, value: String) in
            guard let equal = text.firstIndex(of: "="), equal != text.startIndex else {
                throw ShellError("--label takes NAME=VALUE, not \(text)", .usage)
            }
            return (String(text[..<equal]), String(text[text.index(after: equal)...]))
        }
        let query = try LocalLogQuery(expression, commands.options, labels: labels)
        do {
            try query.run(read: readStandardInput) { Terminal.write($0) }
        } catch let error as ShellError {
            throw error
        } catch {
            throw ShellError("\(error)")
        }
        return ShellCommands.Output(text: "")
    }
}

struct QueryTraces: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "traces", abstract: "Run a TraceQL search.")
    @OptionGroup var client: ClientFlags
    @Option(help: "Most traces.")
    var limit: Int = 20
    @Argument(help: "The query.")
    var expression: String

    func adjust(_ options: inout ShellOptions) { options.limit = limit }

    func ask(_ commands: ShellCommands) async throws -> ShellCommands.Output {
        try await commands.query(.traces, expression)
    }
}

struct TraceCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace", abstract: "Show a trace as a waterfall with its log lines.")
    @OptionGroup var client: ClientFlags
    @Argument(help: "Trace id, any case, leading zeros optional.")
    var id: String

    func ask(_ commands: ShellCommands) async throws -> ShellCommands.Output {
        try await commands.trace(id)
    }
}

struct ServicesCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "services", abstract: "List services with their rates and latencies.")
    @OptionGroup var client: ClientFlags

    func ask(_ commands: ShellCommands) async throws -> ShellCommands.Output {
        try await commands.services()
    }
}

struct LabelsCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "labels", abstract: "List label names of metrics, or the values of one.")
    @OptionGroup var client: ClientFlags
    @Argument(help: "Label whose values to list.")
    var name: String?

    func ask(_ commands: ShellCommands) async throws -> ShellCommands.Output {
        try await commands.labels(name)
    }
}

struct SeriesCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "series", abstract: "List series that match a selector.")
    @OptionGroup var client: ClientFlags
    @Argument(help: "Selector, for example {job=\"api\"}.")
    var selector: String

    func ask(_ commands: ShellCommands) async throws -> ShellCommands.Output {
        try await commands.series(selector)
    }
}

struct TailCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail", abstract: "Show log lines as they come, until Ctrl-C.",
        discussion: "On a terminal space pauses and goes on, q ends. Begins with the newest "
            + "--limit lines of --since.")
    @OptionGroup var client: ClientFlags
    @Option(help: "Lines from before.")
    var limit: Int = 10
    @Argument(help: "A LogQL log query.")
    var expression: String

    func run() async throws {
        var options = try client.options()
        options.limit = limit
        do {
            let exit = try await ShellCommands(options).tail(
                expression, isInteractive: Terminal.inputIsTerminal && Terminal.outputIsTerminal)
            if exit != .ok { throw ExitCode(exit.rawValue) }
        } catch let error as ShellError {
            try fail(error)
        }
    }
}

struct WhyCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "why", abstract: "Say what differs from before, and where in the code.",
        discussion: "Compares --since (or --from and --to) with the equally long stretch before.")
    @OptionGroup var client: ClientFlags
    @Argument(help: "A service, a trace id or a series selector (everything).")
    var subject: String?

    func ask(_ commands: ShellCommands) async throws -> ShellCommands.Output {
        try await commands.why(subject)
    }
}

struct ServiceCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "service",
        abstract: "Show a service: rates, operations, neighbours, versions, traces.")
    @OptionGroup var client: ClientFlags
    @Argument(help: "Its name.")
    var name: String

    func ask(_ commands: ShellCommands) async throws -> ShellCommands.Output {
        try await commands.service(name)
    }
}

struct ShellCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shell", abstract: "A prompt for PromQL, LogQL and TraceQL.")
    @OptionGroup var client: ClientFlags

    func run() async throws {
        var prompt = Prompt(
            try client.options(), history: History(path: History.defaultPath()),
            saved: NamedQueries(path: StatePath.file("queries")))
        let exit = await prompt.run()
        if exit != .ok { throw ExitCode(exit.rawValue) }
    }
}
