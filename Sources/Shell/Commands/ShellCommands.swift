// SPDX-License-Identifier: Apache-2.0
// The one-shot commands.

import Base

/// Runs commands: each returns what is to be printed.
package struct ShellCommands: Sendable {
    package var options: ShellOptions
    let clock: any Clock

    package init(_ options: ShellOptions, clock: any Clock = SystemClock()) {
        self.options = options
        self.clock = clock
    }

    /// What is to be printed, and whether it is all there is.
    package struct Output: Sendable {
        package var text: String
        package var warnings: [String] = []
        package var partial = false
        /// The server's own account of what the query cost.
        package var statistics = JSONValue.null
        package var context: ResultContext?
        /// Asks for the next piece of a long answer; nil when there is none. Nothing is asked of
        /// the server before this is called.
        package var more: (@Sendable () async throws -> Output?)?

        package init(
            text: String, warnings: [String] = [], partial: Bool = false,
            context: ResultContext? = nil
        ) {
            self.text = text
            self.warnings = warnings
            self.partial = partial
            self.context = context
        }
    }

    package func query(_ language: QueryLanguage, _ text: String) async throws -> Output {
        switch language {
        case .metrics: try await metrics(text)
        case .logs: try await logs(text)
        case .traces: try await traces(text)
        }
    }

    /// Both ends of the window now.
    var bounds: (startNanos: Int64, endNanos: Int64) {
        options.window.bounds(nowNanos: clock.wallNanos)
    }

    /// `start` and `end` in Unix seconds.
    var boundParameters: [(String, String)] {
        let (start, end) = bounds
        return [("start", decimal(seconds(start))), ("end", decimal(seconds(end)))]
    }

    /// The answer of a table command in the form asked for.
    ///
    /// - Parameter chart: what `chart` draws; without it a chart is refused.
    func output(
        _ answer: JSONValue, chart: (() -> [StyledText])? = nil,
        _ table: (OutputMode) -> ResultTable
    ) throws -> Output {
        let mode = options.effectiveMode
        var text: String
        switch mode {
        case .json: text = jsonText(answer)
        case .chart:
            guard let chart else {
                throw ShellError("there is no chart of this: -o \(OutputMode.names)", .usage)
            }
            text = chart().rendered(options.terminal)
        default:
            let rows = table(mode)
            text = rows.rendered(mode, options.terminal, vertical: options.vertical)
            if mode == .table || mode == .wide, rows.rows.isEmpty { text = "(no result)\n" }
        }
        return finished(text, answer)
    }

    /// The text with the warnings of its answer.
    func finished(_ text: String, _ answer: JSONValue) -> Output {
        let warnings = warnings(answer)
        // Families without a field for it say so in a warning.
        var output = Output(
            text: text, warnings: warnings,
            partial: answer["partial"] == .bool(true) || answer["data"]["partial"] == .bool(true)
                || warnings.contains { $0.hasPrefix(Self.incomplete) })
        output.statistics = answer["data"]["stats"]
        if output.statistics.isNull { output.statistics = answer["metrics"] }
        return output
    }

    func jsonText(_ answer: JSONValue) -> String {
        var writer = JSONWriter()
        answer.write(into: &writer)
        let text = String(decoding: writer.bytes, as: UTF8.self) + "\n"
        let terminal = options.terminal
        return terminal.isTerminal ? harmlessJSON(text, ascii: !terminal.unicode) : text
    }

    /// How the server's warning about unreadable data begins.
    package static let incomplete = "the answer is incomplete"

    func warnings(_ answer: JSONValue) -> [String] {
        (answer["warnings"].items + answer["infos"].items).map { harmless($0.text) }
    }

    func seconds(_ nanos: Int64) -> Double { Double(nanos / 1_000_000) / 1000 }
    func decimal(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }

    /// Whether the text is for people.
    var isForPeople: Bool {
        options.terminal.isTerminal
            && (options.effectiveMode == .table || options.effectiveMode == .wide)
    }
}
