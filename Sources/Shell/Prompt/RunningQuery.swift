// SPDX-License-Identifier: Apache-2.0
// A query while it runs: progress, and Ctrl-C.

import Base
import UnixSignals

/// Runs work that SIGINT cancels, here and, as the connection is closed, on the server. On a
/// terminal a line tells how long it has been running and how much has arrived, from 300 ms on.
package struct RunningQuery: Sendable {
    private let terminal: TerminalTraits
    private let clock: any Clock
    /// Milliseconds without a word.
    private static let quietMillis: Int64 = 300

    package init(_ terminal: TerminalTraits, clock: any Clock = SystemClock()) {
        self.terminal = terminal
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
        var isShown = false
        var wait = Double(Self.quietMillis) / 1000
        while !Task.isCancelled {
            do { try await clock.sleep(seconds: wait) } catch { break }
            if Task.isCancelled { break }
            let seconds = Double(clock.monotonicNanos - began) / 1e9
            let bytes = (received?.value ?? 0) - before
            let text =
                "\(tenths(seconds)) s" + (bytes > 0 ? ", \(axisText(Double(bytes)))B received" : "")
                + "  (Ctrl-C cancels)"
            Terminal.write(
                "\r" + StyledText(text, .dim, terminal).rendered(colour: terminal.colour)
                    + "\u{1b}[K")
            isShown = true
            wait = 0.2
        }
        if isShown { Terminal.write("\r\u{1b}[K") }
    }

    private func tenths(_ seconds: Double) -> String {
        String((seconds * 10).rounded() / 10)
    }
}
