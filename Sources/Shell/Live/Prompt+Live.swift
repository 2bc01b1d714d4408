// SPDX-License-Identifier: Apache-2.0
// Commands that go on until they are ended.

import Base
import Synchronization

extension Prompt {
    mutating func live(_ verb: ShellVerb, _ argument: String) async throws -> ShellExit {
        let commands = ShellCommands(state.options, clock: clock)
        switch verb {
        case .tail:
            guard !argument.isEmpty else {
                throw ShellError("\\tail takes a log query such as {app=\"shop\"}", .usage)
            }
            return try await commands.tail(argument, isInteractive: isInteractive)
        case .watch: return try await watch(argument)
        default:
            let view = TopSource(commands: commands)
            try await repeated(every: 2) { try await view.text() }
            return .ok
        }
    }

    private mutating func watch(_ argument: String) async throws -> ShellExit {
        let words = argument.split(separator: " ", maxSplits: 1).map(String.init)
        var seconds = 5.0
        var query = argument
        if let first = words.first, let value = Double(first) ?? shellDuration(first),
            words.count == 2
        {
            seconds = value
            query = words[1]
        }
        guard !query.isEmpty, seconds >= 0.1, seconds <= 86_400 else {
            throw ShellError("\\watch takes seconds (0.1 to 86400) and a query", .usage)
        }
        let text = runnable(query)
        let language = state.language ?? detectLanguage(text)
        var options = state.options
        options.showsTrends = false
        options.showsVolume = false
        // Marks of change take the place of colours.
        options.terminal.colour = false
        let commands = ShellCommands(options, clock: clock)
        try await repeated(every: seconds) { try await commands.query(language, text).text }
        return .ok
    }

    /// Runs and redraws until q or Ctrl-C; on terminals without cursor movement each answer follows
    /// the last.
    private func repeated(
        every seconds: Double, _ work: @escaping @Sendable () async throws -> String
    ) async throws {
        let terminal = state.options.terminal
        let clock = self.clock
        guard isInteractive else {
            throw ShellError("this needs a terminal to be ended from", .usage)
        }
        guard !terminal.isDumb, terminal.isTerminal, var raw = RawMode() else {
            let running = RunningQuery(terminal, clock: clock)
            while true {
                Terminal.write(try await running.run(nil, work) + "\n")
                try await running.run(nil) { try await clock.sleep(seconds: seconds) }
            }
        }
        Terminal.write("\u{1b}[?1049h\u{1b}[?25l")
        defer {
            Terminal.write("\u{1b}[?25h\u{1b}[?1049l")
            raw.restore()
        }
        var before: [String] = []
        while true {
            let waker = Waker()
            let task = Task {
                defer { waker.wake() }
                return try await work()
            }
            while case let input = RawMode.read(waitMillis: -1, waker: waker), input != .woken {
                if isEnd(input) {
                    task.cancel()
                    return
                }
            }
            let text = try await task.value
            var size = terminal
            (size.rows, size.columns) = Terminal.size()
            let now = text.split(separator: "\n").prefix(size.rows - 2).map(String.init)
            var lines = marked(now, over: before, size)
            before = now
            lines.append(StyledText("every \(axisText(seconds)) s, q ends", .dim, size))
            let drawn = lines.map {
                $0.clipped(size.columns, unicode: size.unicode).rendered(
                    colour: size.colour || $0.runs.contains { $0.style == .reversed }) + "\u{1b}[K"
            }
            Terminal.write("\u{1b}[H" + drawn.joined(separator: "\r\n") + "\u{1b}[J")
            let deadline = clock.monotonicNanos + Int64(clamping: seconds * 1e9)
            while clock.monotonicNanos < deadline {
                let left = max(1, Int32(clamping: (deadline - clock.monotonicNanos) / 1_000_000))
                if isEnd(RawMode.read(waitMillis: min(left, 500))) { return }
            }
        }
    }

    private func isEnd(_ input: RawMode.Input) -> Bool {
        input == .byte(UInt8(ascii: "q")) || input == .byte(3) || input == .ended
    }
}

/// Collects what `\top` shows.
private struct TopSource: Sendable {
    let commands: ShellCommands
    private let last = LastLook()

    init(commands: ShellCommands) { self.commands = commands }

    func text() async throws -> String {
        let client = commands.options.client
        let page = metricsPage(
            String(decoding: try await client.bytes("/metrics"), as: UTF8.self))
        let now = commands.clock.monotonicNanos
        async let queries = client.get("/api/v1/status/active_queries")
        async let targets = client.get("/api/v1/targets", [("state", "active")])
        let head = try await client.get("/api/v1/status/tsdb", [("limit", "1")])
        let before = last.replace(page, now)
        let view = TopView(
            before: before?.page ?? page, now: page,
            seconds: before.map { Double(now - $0.nanos) / 1e9 } ?? 0,
            queries: try await queries["data"].items,
            down: try await targets["data"]["activeTargets"].items
                .filter { $0["health"].text == "down" }
                .map { ($0["scrapeUrl"].text, $0["lastError"].text) },
            series: head["data"]["headStats"]["numSeries"].text, address: client.url)
        var terminal = commands.options.terminal
        terminal.colour = false
        return view.lines(terminal).rendered(terminal)
    }
}

private final class LastLook: Sendable {
    private let look = Mutex<(page: [String: Double], nanos: Int64)?>(nil)

    func replace(
        _ page: [String: Double], _ nanos: Int64
    ) -> (page: [String: Double], nanos: Int64)? {
        look.withLock { look in
            defer { look = (page, nanos) }
            return look
        }
    }
}

extension ShellCommands {
    /// `\tail` and `tern tail`: lines as they come. At a prompt space pauses and q ends it; else
    /// Ctrl-C does.
    ///
    /// - Throws: `ShellError` when the server ends it, or can't be reached.
    package func tail(_ query: String, isInteractive: Bool) async throws -> ShellExit {
        let tail = TailConnection(
            client: options.client, query: query, startNanos: bounds.startNanos,
            limit: min(5000, max(1, options.limit)))
        let state = TailScreen(options)
        guard isInteractive, !options.terminal.isDumb, options.terminal.isTerminal,
            var raw = RawMode()
        else {
            let running = RunningQuery(.plain, clock: clock)
            do {
                try await running.run(nil) { try await tail.run { try state.show($0) } }
            } catch let error as ShellError where error.exit == .cancelled {
                state.tellDrops()
            } catch is TailScreen.Closed {
                return .ok
            }
            return .ok
        }
        defer { raw.restore() }
        let waker = Waker()
        let task = Task {
            defer { waker.wake() }
            try await tail.run { try state.show($0) }
        }
        state.drawStatus()
        var decoder = KeyDecoder()
        while true {
            let key: Key?
            switch RawMode.read(waitMillis: decoder.isWaiting ? 25 : 500, waker: waker) {
            case .woken:
                state.clearStatus()
                try await task.value
                return .ok
            case .byte(let byte): key = decoder.feed(byte)
            case .ended: key = .endOfInput
            case .nothing: key = decoder.isWaiting ? decoder.timeout() : nil
            }
            guard state.apply(key) else {
                task.cancel()
                state.clearStatus()
                state.tellDrops()
                return .ok
            }
        }
    }
}

/// A tail on the terminal: lines, and at the bottom how it goes. Its lock orders what the two
/// tasks write.
private final class TailScreen: Sendable {
    /// Nobody reads the output any more.
    struct Closed: Error {}
    private let view: Mutex<TailView>
    private let terminal: TerminalTraits
    private let hasStatus: Bool

    init(_ options: ShellOptions) {
        view = Mutex(TailView(options))
        terminal = options.terminal
        hasStatus =
            options.terminal.isTerminal && !options.terminal.isDumb && Terminal.inputIsTerminal
    }

    func show(_ frame: TailFrame) throws {
        try view.withLock { view in
            let text = view.add(frame)
            guard write(text, view) else { throw Closed() }
        }
    }

    /// Applies a key, if there is one, and draws the state; false when the key ends the tail.
    func apply(_ key: Key?) -> Bool {
        view.withLock { view in
            switch key.map({ view.apply($0) }) ?? .write("") {
            case .write(let text):
                _ = write(text, view)
                return true
            case .end: return false
            }
        }
    }

    func drawStatus() { view.withLock { _ = write("", $0) } }

    func clearStatus() {
        if hasStatus { Terminal.write("\r\u{1b}[K") }
    }

    func tellDrops() {
        view.withLock { view in
            if view.dropped > 0 { Terminal.complain("\(view.dropped) lines were dropped") }
        }
    }

    private func write(_ text: String, _ view: TailView) -> Bool {
        guard hasStatus else { return text.isEmpty || Terminal.write(text) }
        let columns = Terminal.size().columns
        let status = StyledText(view.status, .reversed, terminal)
            .clipped(columns - 1, unicode: terminal.unicode).rendered(colour: terminal.colour)
        return Terminal.write("\r\u{1b}[K" + text + status)
    }
}
