// SPDX-License-Identifier: Apache-2.0
// The interactive prompt.

import Base

/// `tern shell`: three languages at one prompt.
package struct Prompt {
    var state: PromptState
    private var history: History
    var saved: NamedQueries
    let clock: any Clock
    private let waker = Waker()
    private let catalogue: CompletionCatalogue
    private let current: CurrentOptions
    let isInteractive = Terminal.inputIsTerminal
    /// Files that include one another at most.
    private static let deepestInclude = 8

    package init(
        _ options: ShellOptions, history: History, saved: NamedQueries,
        clock: any Clock = SystemClock()
    ) {
        var options = options
        options.client.received = ReceivedBytes()
        options.client.tags = ShellClient.freshTags()
        options.showsTrends = options.terminal.isTerminal
        options.showsVolume = options.terminal.isTerminal
        options.wantsStatistics = true
        state = PromptState(options)
        self.history = history
        self.saved = saved
        self.clock = clock
        let current = CurrentOptions(options)
        self.current = current
        catalogue = CompletionCatalogue(clock: clock) { source in
            try await ServerNames(commands: ShellCommands(current.value, clock: clock))
                .names(source)
        }
    }

    /// Reads and runs lines until the end of input or `\q`.
    package mutating func run() async -> ShellExit {
        let terminal = state.options.terminal
        if isInteractive {
            let url = harmless(state.options.client.url)
            let dash = terminal.unicode ? "—" : "-"
            Terminal.write("tern shell at \(url) \(dash) \\? for help, \\q to leave\n")
        }
        var last = ShellExit.ok
        let waker = self.waker
        catalogue.onArrival { waker.wake() }
        defer { catalogue.onArrival(nil) }
        while true {
            refreshTerminal()
            switch readLine() {
            case .ended: return isInteractive ? .ok : last
            case .interrupted: continue
            case .line(let line):
                let text = trimmedLine(line)
                if text.isEmpty { continue }
                if isInteractive { remember(text) }
                if text == "\\q" || ["exit", "quit", "q", ":q"].contains(text) { return .ok }
                last = await execute(text)
            }
        }
    }

    private mutating func refreshTerminal() {
        guard state.options.terminal.isTerminal else { return }
        (state.options.terminal.rows, state.options.terminal.columns) = Terminal.size()
    }

    private func readLine() -> LineResult {
        let catalogue = self.catalogue
        if current.value.window != state.options.window { catalogue.forget() }
        current.set(state.options)
        let editing = EditorState(history: history, language: state.language) {
            catalogue.answer($0)
        }
        var terminal = state.options.terminal
        // Output may go elsewhere while keys come from a terminal: then there is nothing to draw.
        if !terminal.isTerminal { terminal.isDumb = true }
        var editor = LineEditor(
            editing, prompt: state.promptText(terminal), terminal, waker: waker
        ) { try EditorProcess.edit($0) }
        return editor.readLine()
    }

    private mutating func remember(_ line: String) {
        do {
            try history.add(line)
        } catch {
            Terminal.complain("history not saved: \(harmless("\(error)"))")
        }
    }

    /// Runs one text; Ctrl-C meanwhile cancels it here and on the server.
    mutating func execute(_ text: String, depth: Int = 0) async -> ShellExit {
        let began = clock.monotonicNanos
        state.nowNanos = clock.wallNanos
        var exit = ShellExit.ok
        do {
            let verbText = text.split(separator: " ", maxSplits: 1).first.map(String.init) ?? ""
            if text.hasPrefix("\\") {
                guard let verb = ShellVerb(name: verbText) else {
                    throw ShellError("unknown command \(verbText): \\? lists them", .usage)
                }
                let argument = trimmedLine(String(text.dropFirst(verbText.count)))
                if verb == .include {
                    return try await include(argument, depth: depth)
                }
                exit = try await execute(verb, argument)
            } else {
                exit = try await query(runnable(text))
            }
        } catch let error as ShellError {
            complain(error.description, about: text)
            exit = error.exit
        } catch {
            complain("\(error)", about: text)
            exit = .failure
        }
        if state.showsTiming {
            let seconds = Double(clock.monotonicNanos - began) / 1e9
            Terminal.write("(\(axisText(seconds)) s)\n")
        }
        return exit
    }

    /// The message, and where in the query our own parser finds the fault.
    private func complain(_ message: String, about text: String) {
        let terminal = state.options.terminal
        if isInteractive, !text.hasPrefix("\\") {
            let query = runnable(text)
            if let fault = syntaxFault(query, state.language ?? detectLanguage(query)) {
                for line in caretLines(query, fault, terminal) {
                    Terminal.complain(line.rendered(colour: terminal.colour))
                }
                return
            }
        }
        Terminal.complain(
            StyledText("error: " + message, .red, terminal).rendered(colour: terminal.colour))
    }

    private mutating func include(_ path: String, depth: Int) async throws -> ShellExit {
        guard !path.isEmpty else { throw ShellError("\\i takes a file", .usage) }
        guard depth < Self.deepestInclude else {
            throw ShellError("files include one another more than \(Self.deepestInclude) deep")
        }
        var exit = ShellExit.ok
        for text in try texts(ofFile: path) { exit = await execute(text, depth: depth + 1) }
        return exit
    }

    mutating func query(_ text: String) async throws -> ShellExit {
        state.lastQuery = text
        // Thirty-two digits are a trace.
        if state.language == nil, isTraceID(text), text.count == 32 {
            return try await show { try await $0.trace(text) }
        }
        let language = state.language ?? detectLanguage(text)
        return try await show { try await $0.query(language, text) }
    }

    /// Runs a command and prints what it returns.
    mutating func show(
        _ work: @escaping @Sendable (ShellCommands) async throws -> ShellCommands.Output
    ) async throws -> ShellExit {
        var options = state.options
        if state.outputPath != nil { options.terminal = .plain }
        if options.mode == nil, options.terminal.isTerminal == false { options.mode = .tsv }
        let commands = ShellCommands(options, clock: clock)
        let running = RunningQuery(state.options.terminal, options.client, clock: clock)
        var output = try await running.run(options.client.received) { try await work(commands) }
        if let path = state.outputPath {
            output = try await write(output, to: path, running)
        } else if state.usesPager, isInteractive, Pager(options.terminal).isNeeded(for: output) {
            output = try await Pager(options.terminal).show(output)
        } else {
            output = try await printAll(output, running)
        }
        if let context = output.context { state.context = context }
        if !output.statistics.isNull { state.statistics = output.statistics }
        for warning in output.warnings { Terminal.complain("warning: \(harmless(warning))") }
        return output.partial ? .partial : .ok
    }

    private func printAll(
        _ first: ShellCommands.Output, _ running: RunningQuery
    ) async throws -> ShellCommands.Output {
        try await ShellCommands.printed(first, running) { Terminal.write($0) }
    }

    private func write(
        _ first: ShellCommands.Output, to path: String, _ running: RunningQuery
    ) async throws -> ShellCommands.Output {
        let file = try OutputFile(path)
        return try await ShellCommands.printed(first, running) { text in
            try file.write(text)
            return true
        }
    }
}

extension ShellCommands {
    /// Prints an answer piece by piece; the next is asked for when the one before is taken.
    ///
    /// - Parameter write: returns false when nobody reads any more.
    /// - Returns: the last piece with the warnings of all.
    package static func printed(
        _ first: Output, _ running: RunningQuery, _ write: (String) throws -> Bool
    ) async throws -> Output {
        var last = first
        guard try write(first.text) else { return last }
        while let more = last.more {
            guard let next = try await running.run(nil, more) else { break }
            var merged = next
            merged.warnings = last.warnings + next.warnings
            merged.partial = last.partial || next.partial
            last = merged
            guard try write(next.text) else { break }
        }
        return last
    }
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
