// SPDX-License-Identifier: Apache-2.0
// The interactive prompt.

import Base
import UnixSignals

/// `tern shell`: three languages at one prompt.
package struct Prompt: Sendable {
    /// What the language of a line is taken to be.
    package enum Mode: Sendable, Equatable {
        case auto
        case fixed(QueryLanguage)

        var text: String {
            switch self {
            case .auto: "tern"
            case .fixed(let language): language.rawValue
            }
        }
    }

    private var commands: ShellCommands
    private var mode = Mode.auto
    private var history: History

    package init(_ options: ShellOptions, history: History) {
        commands = ShellCommands(options)
        self.history = history
    }

    /// Reads and runs lines until the end of input or `\q`.
    package mutating func run() async -> ShellExit {
        let interactive = Terminal.inputIsTerminal
        if interactive {
            let url = commands.options.client.url
            Terminal.write("tern shell at \(url) — \\? for help, \\q to leave\n")
        }
        var last = ShellExit.ok
        while true {
            var editor = LineEditor(prompt: promptText(), history: history)
            switch editor.readLine() {
            case .ended: return interactive ? .ok : last
            case .interrupted: continue
            case .line(let line):
                let text = trimmedLine(line)
                if text.isEmpty { continue }
                if interactive { remember(text) }
                if text == "\\q" || text == "exit" || text == "quit" { return .ok }
                last = await execute(text)
            }
        }
    }

    private mutating func remember(_ line: String) {
        do {
            try history.add(line)
        } catch {
            Terminal.complain("history not saved: \(error)")
        }
    }

    private func promptText() -> String {
        "\(mode.text)[\(durationText(millis: Int64(commands.options.sinceSeconds * 1000)))]> "
    }

    /// Runs one line; Ctrl-C meanwhile cancels it here and on the server.
    mutating func execute(_ text: String) async -> ShellExit {
        do {
            if text.hasPrefix("\\") {
                if let output = try setting(text) {
                    Terminal.write(output)
                    return .ok
                }
            }
            let commands = self.commands
            let mode = self.mode
            let output = try await cancellable { try await Prompt.run(text, commands, mode) }
            Terminal.write(output.text)
            for warning in output.warnings { Terminal.complain("warning: \(warning)") }
            return output.partial ? .partial : .ok
        } catch let error as ShellError {
            Terminal.complain("error: \(harmless(error.description))")
            return error.exit
        } catch {
            Terminal.complain("error: \(harmless("\(error)"))")
            return .failure
        }
    }

    /// Runs the work and cancels it when SIGINT arrives.
    private func cancellable(
        _ work: @escaping @Sendable () async throws -> ShellCommands.Output
    ) async throws -> ShellCommands.Output {
        let signals = await UnixSignalsSequence(trapping: .sigint)
        return try await withThrowingTaskGroup(of: ShellCommands.Output?.self) { group in
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
    }

    private static func run(
        _ text: String, _ commands: ShellCommands, _ mode: Mode
    ) async throws -> ShellCommands.Output {
        let words = text.split(separator: " ", maxSplits: 1)
        let rest = words.count > 1 ? trimmedLine(String(words[1])) : ""
        switch words.first.map(String.init) ?? "" {
        case "\\trace": return try await commands.trace(rest)
        case "\\explain": return try await commands.explain(rest)
        case "\\services": return try await commands.services()
        case "\\labels": return try await commands.labels(rest.isEmpty ? nil : rest)
        case "\\series": return try await commands.series(rest)
        case let word where word.hasPrefix("\\"):
            throw ShellError("unknown command \(word): \\? lists them", .usage)
        default:
            let language: QueryLanguage =
                switch mode {
                case .auto: detectLanguage(text)
                case .fixed(let language): language
                }
            return try await commands.query(language, text)
        }
    }

    /// Commands that change the prompt itself; nil when the line is not one of them.
    private mutating func setting(_ text: String) throws -> String? {
        let words = text.split(separator: " ").map(String.init)
        let argument = words.count > 1 ? words[1] : ""
        switch words[0] {
        case "\\?", "\\help": return Prompt.help
        case "\\metrics": mode = .fixed(.metrics)
        case "\\logs": mode = .fixed(.logs)
        case "\\traces": mode = .fixed(.traces)
        case "\\auto": mode = .auto
        case "\\since":
            guard let seconds = shellDuration(argument), seconds > 0 else {
                throw ShellError("\\since takes a duration such as 15m or 2h", .usage)
            }
            commands.options.sinceSeconds = seconds
        case "\\step":
            guard let seconds = shellDuration(argument) else {
                throw ShellError("\\step takes a duration such as 15s, or 0 to choose", .usage)
            }
            commands.options.stepSeconds = seconds
        case "\\range": commands.options.range = true
        case "\\instant": commands.options.range = false
        case "\\limit":
            guard let limit = Int(argument), limit > 0 else {
                throw ShellError("\\limit takes a number above 0", .usage)
            }
            commands.options.limit = limit
        case "\\o":
            guard let form = OutputMode(rawValue: argument) else {
                let all = OutputMode.allCases.map(\.rawValue).joined(separator: " ")
                throw ShellError("\\o takes one of \(all)", .usage)
            }
            commands.options.mode = form
        default: return nil
        }
        return ""
    }

    static let help = """
        A line is a query; its language is told from its form, or set with \\metrics \\logs \\traces
        (\\auto goes back).
          \\trace ID        spans of a trace with their log lines
          \\explain QUERY   operators of a metric query with their series, samples and time
          \\services        services seen, with rates and latencies
          \\labels [NAME]   label names, or the values of one
          \\series SELECTOR series that match
          \\since D         look back this far (15m, 2h, 1d)
          \\range \\instant  metric queries over the stretch, or at its end
          \\step D          step of range queries; 0 = chosen
          \\limit N         most rows of logs and traces
          \\o FORM          table wide json jsonl csv tsv markdown raw
          \\q               leave
        Ctrl-C cancels a running query, Ctrl-R searches the history.

        """
}

/// Text without spaces and newlines at both ends.
func trimmedLine(_ text: String) -> String {
    var rest = Substring(text)
    while let first = rest.first, first.isWhitespace { rest = rest.dropFirst() }
    while let last = rest.last, last.isWhitespace { rest = rest.dropLast() }
    return String(rest)
}

/// Seconds of a duration such as `90s`, `15m` or `1h30m`; nil when it is none.
package func shellDuration(_ text: String) -> Double? {
    do throws(DurationTextError) {
        return Double(try parseDurationMillis(text)) / 1000
    } catch {
        return nil
    }
}
