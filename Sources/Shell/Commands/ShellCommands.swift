// SPDX-License-Identifier: Apache-2.0
// The one-shot commands.

import Base
import LogQL

/// Which language a query is in.
package enum QueryLanguage: String, Sendable, CaseIterable {
    case metrics, logs, traces
}

/// What all commands share.
package struct ShellOptions: Sendable {
    package var client: ShellClient
    package var mode: OutputMode?
    package var terminal: TerminalTraits
    /// Stretch of time asked for, in seconds before now.
    package var sinceSeconds: Double
    /// Step of range queries in seconds; 0 = chosen from the stretch.
    package var stepSeconds: Double
    /// Evaluation time as text, or nil for now.
    package var time: String?
    /// Whether metric queries are range queries.
    package var range: Bool
    package var limit: Int

    package init(client: ShellClient, terminal: TerminalTraits = .plain) {
        self.client = client
        self.terminal = terminal
        sinceSeconds = 3600
        stepSeconds = 0
        range = false
        limit = 100
    }

    /// The chosen form, else aligned on a terminal and TSV in a pipe.
    package var effectiveMode: OutputMode { mode ?? (terminal.isTerminal ? .table : .tsv) }
}

/// Runs one-shot commands: each returns what is to be printed.
package struct ShellCommands: Sendable {
    package var options: ShellOptions
    private let clock: any Clock

    package init(_ options: ShellOptions, clock: any Clock = SystemClock()) {
        self.options = options
        self.clock = clock
    }

    /// What was printed, and whether it is all there is.
    package struct Output: Sendable {
        package var text: String
        package var warnings: [String] = []
        package var partial = false
    }

    package func query(_ language: QueryLanguage, _ text: String) async throws -> Output {
        switch language {
        case .metrics: try await metrics(text)
        case .logs: try await logs(text)
        case .traces: try await traces(text)
        }
    }

    private func metrics(_ text: String) async throws -> Output {
        let answer = try await options.client.get(
            options.range ? "/api/v1/query_range" : "/api/v1/query", metricParameters(text))
        return output(answer) { mode in
            metricTable(answer["data"], mode, unicode: options.terminal.unicode)
        }
    }

    /// `tern explain`: what each operator of a metric query does.
    package func explain(_ text: String) async throws -> Output {
        let answer = try await options.client.get("/api/v1/explain", metricParameters(text))
        return output(answer) { mode in
            planTable(answer["data"], mode, unicode: options.terminal.unicode)
        }
    }

    private func metricParameters(_ text: String) -> [(String, String)] {
        var parameters = [("query", text)]
        if options.range {
            let end = seconds(clock.wallNanos)
            let step =
                options.stepSeconds > 0
                ? options.stepSeconds : max(1, (options.sinceSeconds / 250).rounded(.down))
            parameters += [
                ("start", decimal(end - options.sinceSeconds)), ("end", decimal(end)),
                ("step", decimal(step)),
            ]
        } else if let time = options.time {
            parameters.append(("time", time))
        }
        return parameters
    }

    private func logs(_ text: String) async throws -> Output {
        let end = clock.wallNanos
        let start = end - Int64(options.sinceSeconds * 1e9)
        let answer = try await options.client.get(
            "/loki/api/v1/query_range",
            [
                ("query", text), ("start", String(start)), ("end", String(end)),
                ("limit", String(options.limit)),
            ]
                + (options.stepSeconds > 0 ? [("step", decimal(options.stepSeconds))] : []))
        var isSorted = false
        if case .analysis(let analysis) = try? LogQLParser.parse(text) {
            isSorted = !analysis.sort.isEmpty
        }
        return output(answer) { mode in
            answer["data"]["resultType"].text == "streams"
                ? logTable(answer["data"], keepsOrder: isSorted)
                : metricTable(answer["data"], mode, unicode: options.terminal.unicode)
        }
    }

    private func traces(_ text: String) async throws -> Output {
        let end = seconds(clock.wallNanos)
        let answer = try await options.client.get(
            "/api/search",
            [
                ("q", text), ("start", String(Int64(end - options.sinceSeconds))),
                ("end", String(Int64(end) + 1)), ("limit", String(options.limit)),
            ])
        return output(answer) { _ in traceTable(answer, unicode: options.terminal.unicode) }
    }

    /// `tern trace ID`.
    package func trace(_ id: String) async throws -> Output {
        let answer = try await options.client.get("/api/v1/correlate/trace/" + encoded(id))
        if options.mode == .json { return output(answer) { _ in ResultTable(columns: []) } }
        if let mode = options.mode, mode != .table, mode != .wide {
            return output(answer) { _ in spanTable(answer["data"]) }
        }
        return Output(
            text: waterfall(answer["data"], options.terminal), warnings: warnings(answer),
            partial: answer["data"]["partial"] == .bool(true))
    }

    private func spanTable(_ data: JSONValue) -> ResultTable {
        ResultTable(
            columns: [
                "spanID", "parentSpanID", "service", "name", "kind", "start", "durationNanos",
                "selfTimeNanos", "criticalPathNanos", "status", "code",
            ].map { .init($0) },
            rows: data["spans"].items.map { span in
                [
                    span["spanID"].text, span["parentSpanID"].text, span["service"].text,
                    span["name"].text, span["kind"].text,
                    timeText(span["startTimeUnixNano"].int), span["durationNanos"].text,
                    span["selfTimeNanos"].text, span["criticalPathNanos"].text,
                    span["status"].text, span["code"]["raw"].text,
                ]
            })
    }

    /// `tern services`.
    package func services() async throws -> Output {
        let end = seconds(clock.wallNanos)
        let answer = try await options.client.get(
            "/api/v1/correlate/services",
            [("start", decimal(end - options.sinceSeconds)), ("end", decimal(end))])
        return output(answer) { _ in
            ResultTable(
                columns: [
                    .init("service"), .init("namespace"), .init("aliases"), .init("spans", .right),
                    .init("errors", .right), .init("p50", .right), .init("p95", .right),
                    .init("p99", .right), .init("log lines", .right),
                    .init("error lines", .right), .init("series", .right), .init("last seen"),
                ],
                rows: answer["data"].items.map { row in
                    [
                        row["name"].text, row["namespace"].text,
                        row["aliases"].items.map(\.text).joined(separator: " "),
                        row["spanCount"].text,
                        row["errorCount"].text, duration(row["p50Nanos"]),
                        duration(row["p95Nanos"]), duration(row["p99Nanos"]),
                        row["logLineCount"].text, row["errorLogLineCount"].text,
                        row["seriesCount"].text, timeText(row["lastSeenUnixNano"].int),
                    ]
                })
        }
    }

    private func duration(_ value: JSONValue) -> String {
        value.isNull || value.int == 0 ? "" : spanText(value.int, unicode: options.terminal.unicode)
    }

    /// `tern labels`: names, or the values of one.
    package func labels(_ name: String?) async throws -> Output {
        let path = name.map { "/api/v1/label/" + encoded($0) + "/values" } ?? "/api/v1/labels"
        let end = seconds(clock.wallNanos)
        let answer = try await options.client.get(
            path, [("start", decimal(end - options.sinceSeconds)), ("end", decimal(end))])
        return output(answer) { _ in
            ResultTable(
                columns: [.init(name ?? "label")], rows: answer["data"].items.map { [$0.text] })
        }
    }

    /// `tern series SELECTOR`.
    package func series(_ selector: String) async throws -> Output {
        let end = seconds(clock.wallNanos)
        let answer = try await options.client.get(
            "/api/v1/series",
            [
                ("match[]", selector), ("start", decimal(end - options.sinceSeconds)),
                ("end", decimal(end)),
            ])
        return output(answer) { _ in
            ResultTable(
                columns: [.init("series")], rows: answer["data"].items.map { [seriesText($0)] })
        }
    }

    private func output(_ answer: JSONValue, _ table: (OutputMode) -> ResultTable) -> Output {
        let mode = options.effectiveMode
        var text: String
        if mode == .json {
            var writer = JSONWriter()
            answer.write(into: &writer)
            text = String(decoding: writer.bytes, as: UTF8.self) + "\n"
        } else {
            text = table(mode).rendered(mode, options.terminal)
        }
        if mode == .table, table(mode).rows.isEmpty { text = "(no result)\n" }
        let warnings = warnings(answer)
        // Families without a field for it say so in a warning.
        return Output(
            text: text, warnings: warnings,
            partial: answer["partial"] == .bool(true) || answer["data"]["partial"] == .bool(true)
                || warnings.contains { $0.hasPrefix(Self.incomplete) })
    }

    /// How the server's warning about unreadable data begins.
    package static let incomplete = "the answer is incomplete"

    private func warnings(_ answer: JSONValue) -> [String] {
        (answer["warnings"].items + answer["infos"].items).map { harmless($0.text) }
    }

    private func seconds(_ nanos: Int64) -> Double { Double(nanos / 1_000_000) / 1000 }
    private func decimal(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }
}
