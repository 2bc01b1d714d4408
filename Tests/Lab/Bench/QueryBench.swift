// SPDX-License-Identifier: Apache-2.0
// What typical queries cost.

import Base
import Shell
import TestKit

/// A query with its parameters.
private struct TypicalQuery {
    var what: String
    var path: String
    var parameters: [(String, String)]
}

struct QueryBench: Sendable {
    let plan: BenchPlan
    let server: TernProcess
    private static let repeats = 5

    /// Runs every query several times and returns a table of its mean cost.
    func run() async throws -> String {
        var table = MarkdownTable("query", "answer bytes", "wall ms", "server CPU ms")
        for query in queries {
            // The first run pays for what the system has to read.
            let first = try await ask(query)
            let clock = SystemClock()
            let start = clock.monotonicNanos
            let cpu = server.process.usage?.cpuSeconds ?? 0
            for _ in 0..<Self.repeats { _ = try await ask(query) }
            let wall = Double(clock.monotonicNanos - start) / 1e6 / Double(Self.repeats)
            let used = (server.process.usage?.cpuSeconds ?? 0) - cpu
            table.row(
                query.what, String(first.body.count), decimals(wall, 1),
                decimals(used * 1000 / Double(Self.repeats), 0))
        }
        return table.text
    }

    private func ask(_ query: TypicalQuery) async throws -> LabAnswer {
        let answer = try await server.client.get(query.path, query.parameters)
        guard answer.isSuccess else {
            throw LabError("\(query.what) was answered \(answer.status): \(answer.text)")
        }
        return answer
    }

    private var queries: [TypicalQuery] {
        var result: [TypicalQuery] = []
        let start = plan.metrics.shape.timeline.startNanos
        if plan.samples > 0 {
            let steps = Int64(plan.samples / plan.metrics.shape.seriesCount)
            let end = start + steps * plan.metrics.shape.stepMillis * 1_000_000
            for text in [
                "sum by (instance) (rate(node_cpu_seconds_total{mode!=\"idle\"}[5m]))",
                "histogram_quantile(0.99, sum by (le, handler) "
                    + "(rate(http_request_duration_seconds_bucket[5m])))",
                "topk(5, node_load1)",
            ] {
                result.append(
                    range("/api/v1/query_range", text, start, end, step: "15"))
            }
        }
        if plan.logBytes > 0 {
            let end = start + Int64(plan.logs.lines) * plan.logs.shape.lineEveryNanos
            for text in [
                "sum by (service_name) (count_over_time({namespace=\"shop\"} [1m]))",
                "sum by (level) (count_over_time({service_name=\"frontend\"} | json "
                    + "| level=\"error\" [5m]))",
                "sum(count_over_time({namespace=\"shop\"} |~ \"pool exhausted|Read timed out\" [5m]))",
            ] {
                result.append(range("/loki/api/v1/query_range", text, start, end, step: "60"))
            }
            // An id that is in some lines in the middle of the run.
            let id = plan.traces.shape.traceID(10_000)
            for text in [
                "{service_name=\"cart\"} |= \"deadline exceeded\"",
                "{namespace=\"shop\"} |= \"\(id)\"",
            ] {
                result.append(range("/loki/api/v1/query_range", text, start, end, step: "60"))
            }
        }
        if plan.spans > 0 {
            for text in [
                "{ status = error }",
                "{ resource.service.name = \"frontend\" && duration > 500ms }",
                "{ resource.service.name = \"checkout\" } >> { span.db.namespace = \"shop\" }",
            ] {
                result.append(
                    TypicalQuery(
                        what: "TraceQL `\(text)`, 20 traces", path: "/api/search",
                        parameters: [("q", text), ("limit", "20")]))
            }
            let id = plan.traces.shape.traceID(plan.traces.traces / 2)
            result.append(
                TypicalQuery(what: "a trace by id", path: "/api/v2/traces/\(id)", parameters: []))
            result.append(
                TypicalQuery(
                    what: "a trace with its log lines, by the correlation index",
                    path: "/api/v1/correlate/trace/\(id)", parameters: []))
        }
        return result
    }

    private func range(
        _ path: String, _ text: String, _ start: Int64, _ end: Int64, step: String
    ) -> TypicalQuery {
        let minutes = (end - start) / 60_000_000_000
        // A pipe would end the table's cell.
        let shown = text.split(separator: "|", omittingEmptySubsequences: false)
            .joined(separator: "\\|")
        return TypicalQuery(
            what: "`\(shown)` over \(minutes) min", path: path,
            parameters: [
                ("query", text), ("start", String(start / 1_000_000_000)),
                ("end", String(end / 1_000_000_000)), ("step", step),
            ])
    }
}
