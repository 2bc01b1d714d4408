// SPDX-License-Identifier: Apache-2.0
// Commands that ask a server.

import ArgumentParser
import Shell
import UnixSignals

/// Flags all client commands share.
struct ClientFlags: ParsableArguments {
    @Option(help: "Server to ask.")
    var url: String = Terminal.environment("TERN_URL") ?? "http://127.0.0.1:4100"
    @Option(help: "Tenant, sent as X-Scope-OrgID.")
    var tenant: String?
    @Option(
        name: .shortAndLong,
        help: "table, wide, json, jsonl, csv, tsv, markdown or raw.")
    var output: String?
    @Option(help: "How far back to look, for example 15m or 2h.")
    var since: String = "1h"

    func options() throws -> ShellOptions {
        var options = ShellOptions(
            client: ShellClient(url: url, tenant: tenant), terminal: Terminal.traits())
        if let output {
            guard let mode = OutputMode(rawValue: output) else {
                let all = OutputMode.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("-o takes one of \(all), not \(output)")
            }
            options.mode = mode
        }
        guard let seconds = shellDuration(since), seconds > 0 else {
            throw ValidationError("--since takes a duration such as 15m, not \(since)")
        }
        options.sinceSeconds = seconds
        return options
    }
}

/// Runs the work, prints what it returns, and ends with the matching exit code. SIGINT cancels it
/// here and on the server.
func printResult(
    _ work: @escaping @Sendable () async throws -> ShellCommands.Output
) async throws {
    let signals = await UnixSignalsSequence(trapping: .sigint)
    do {
        let output = try await withThrowingTaskGroup(of: ShellCommands.Output?.self) { group in
            group.addTask { try await work() }
            group.addTask {
                for await _ in signals { return nil }
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let output = first else {
                throw ShellError("cancelled", .cancelled)
            }
            return output
        }
        Terminal.write(output.text)
        for warning in output.warnings { Terminal.complain("warning: \(warning)") }
        if output.partial { throw ExitCode(ShellExit.partial.rawValue) }
    } catch let error as ShellError {
        Terminal.complain("error: \(error)")
        throw ExitCode(error.exit.rawValue)
    }
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
        let commands = ShellCommands(options)
        let command = self
        try await printResult { try await command.ask(commands) }
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
    @Argument(help: "The query.")
    var expression: String

    func adjust(_ options: inout ShellOptions) throws {
        options.time = time
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
        if let range { options.sinceSeconds = try seconds(range, of: "--range") }
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
        commandName: "logs", abstract: "Run a LogQL query.")
    @OptionGroup var client: ClientFlags
    @Option(help: "Most lines.")
    var limit: Int = 100
    @Argument(help: "The query.")
    var expression: String

    func adjust(_ options: inout ShellOptions) { options.limit = limit }

    func ask(_ commands: ShellCommands) async throws -> ShellCommands.Output {
        try await commands.query(.logs, expression)
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

struct ShellCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shell", abstract: "A prompt for PromQL, LogQL and TraceQL.")
    @OptionGroup var client: ClientFlags

    func run() async throws {
        var prompt = Prompt(
            try client.options(), history: History(path: History.defaultPath()))
        let exit = await prompt.run()
        if exit != .ok { throw ExitCode(exit.rawValue) }
    }
}
