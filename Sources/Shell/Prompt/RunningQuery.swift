// SPDX-License-Identifier: Apache-2.0
// A query while it runs: progress, and Ctrl-C.

import Base
import Synchronization
import UnixSignals

/// Runs work that SIGINT cancels, here and, as the connection is closed, on the server. On a
/// terminal a line tells how long it has been running, what the server has read for it and how much
/// has arrived, from 300 ms on.
package struct RunningQuery: Sendable {
    private let terminal: TerminalTraits
    private let client: ShellClient?
    private let clock: any Clock
    /// Milliseconds without a word.
    private static let quietMillis: Int64 = 300

    /// Seconds between two questions to the server.
    private static let pollSeconds = 0.5

    /// - Parameter client: who asks, to be told how its queries get on; nil for other work.
    package init(
        _ terminal: TerminalTraits, _ client: ShellClient? = nil, clock: any Clock = SystemClock()
    ) {
        self.terminal = terminal
        self.client = client
        self.clock = clock
    }

    /// - Throws: what the work throws; `ShellError` with the exit of a cancelled command.
    package func run<Result: Sendable>(
        _ received: ReceivedBytes?, _ work: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let signals = await UnixSignalsSequence(trapping: .sigint)
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await work() }
            group.addTask {
                for await _ in signals { return nil }
                throw CancellationError()
            }
            let progress = Task { await showProgress(received) }
            defer {
                progress.cancel()
                group.cancelAll()
            }
            guard let first = try await group.next(), let result = first else {
                progress.cancel()
                await progress.value
                throw ShellError("cancelled", .cancelled)
            }
            progress.cancel()
            await progress.value
            return result
        }
    }

    private func showProgress(_ received: ReceivedBytes?) async {
        guard terminal.isTerminal, !terminal.isDumb else { return }
        let began = clock.monotonicNanos
        let before = received?.value ?? 0
        let last = LastProgress()
        let polling = Task { await poll(last) }
        defer { polling.cancel() }
        var isShown = false
        var wait = Double(Self.quietMillis) / 1000
        while !Task.isCancelled {
            do { try await clock.sleep(seconds: wait) } catch { break }
            if Task.isCancelled { break }
            let seconds = Double(clock.monotonicNanos - began) / 1e9
            let bytes = (received?.value ?? 0) - before
            let text =
                "\(tenths(seconds)) s" + (last.value?.text ?? "")
                + (bytes > 0 ? ", \(axisText(Double(bytes)))B received" : "")
                + "  (Ctrl-C cancels)"
            Terminal.write(
                "\r" + StyledText(text, .dim, terminal).rendered(colour: terminal.colour)
                    + "\u{1b}[K")
            isShown = true
            wait = 0.2
        }
        if isShown { Terminal.write("\r\u{1b}[K") }
    }

    /// Asks the server again and again, in a task of its own: an answer that is late holds up nothing.
    private func poll(_ last: LastProgress) async {
        guard let client else { return }
        do {
            try await clock.sleep(seconds: Double(Self.quietMillis) / 1000)
            while !Task.isCancelled {
                if let progress = await client.progress() { last.value = progress }
                try await clock.sleep(seconds: Self.pollSeconds)
            }
        } catch {
            // Only the end of the query ends the sleep.
        }
    }

    private func tenths(_ seconds: Double) -> String {
        String((seconds * 10).rounded() / 10)
    }
}

/// What the server said last.
private final class LastProgress: Sendable {
    private let progress = Mutex<QueryProgress?>(nil)
    var value: QueryProgress? {
        get { progress.withLock { $0 } }
        set { progress.withLock { $0 = newValue } }
    }
}
