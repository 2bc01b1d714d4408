// SPDX-License-Identifier: Apache-2.0
// The parser judged by a public table of queries, where it is present.

import Base
import Telemetry
import Testing
import TestKit

@testable import TraceQL

@Suite struct CorpusTests {
    /// Section → queries of the table, whose lines are `- "…"` with YAML's double-quote escapes.
    private func table() throws -> [String: [String]] {
        let bytes = try #require(Corpora.file("traceql/queries.yaml"))
        var result: [String: [String]] = [:]
        var section = ""
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            if line.hasSuffix(":"), !line.hasPrefix("-") {
                section = String(line.dropLast())
            } else if line.hasPrefix("- ") {
                let query = try #require(unquotedBytes(line.dropFirst(2).utf8), "\(line)")
                result[section, default: []].append(String(decoding: query, as: UTF8.self))
            }
        }
        return result
    }

    private enum Outcome: String { case valid, parse_fails, validate_fails, unsupported }

    private func outcome(_ query: String) -> (Outcome, String) {
        let parsed: TraceQLQuery
        do {
            parsed = try TraceQLParser.parseUnchecked(query)
        } catch {
            return (.parse_fails, error.description)
        }
        do {
            try parsed.validate()
            return (.valid, "")
        } catch {
            return (error.isUnsupported ? .unsupported : .validate_fails, error.description)
        }
    }

    /// A trace of three spans, to have something to evaluate.
    private func spans() -> InMemorySpans {
        var spans = InMemorySpans()
        for id in 1...3 as ClosedRange<UInt64> {
            var span = InMemorySpans.Span(trace: 1, id: id)
            span.parent = id - 1
            span.name = "s\(id)"
            span.start = Int64(id) * 1000
            span.attributes = [("a", .int(Int64(id))), ("field", .double(0.5))]
            span.events = ["e"]
            spans.add(span)
        }
        return spans
    }

    private func evaluate(_ query: TraceQLQuery) throws {
        let engine = TraceQLEngine(reader: spans())
        if query.isMetrics {
            let grid = try MetricsGrid.range(startNanos: 1, endNanos: 10_000, stepNanos: 1000)
            _ = try engine.metrics(
                MetricsQuery(query, tenant: .anonymous, grid: grid), ReadContext())
        } else {
            _ = try engine.search(
                TraceSearch(query, tenant: .anonymous, range: .all), ReadContext())
        }
    }

    /// Of the queries that upstream parses and refuses those with `parent` are refused here too; the
    /// others, arithmetic on aggregates, are answered.
    @Test(.enabled(if: Corpora.folder != nil)) func everyQueryIsJudgedAsKnown() throws {
        var problems: [String] = []
        var counts: [String: Int] = [:]
        for (section, queries) in try table() {
            for query in queries {
                counts[section, default: 0] += 1
                let (found, message) = outcome(query)
                let isAnswered = section == "unsupported" && !query.contains("parent")
                if found.rawValue != (isAnswered ? "valid" : section) {
                    problems.append("\(section), not \(found.rawValue): \(query)  \(message)")
                }
                guard found == .valid else { continue }
                do {
                    try evaluate(try TraceQLParser.parse(query))
                } catch { problems.append("\(query): \(error)") }
            }
        }
        let count = counts.values.reduce(0, +)
        print("traceql/queries.yaml: \(count - problems.count) of \(count)")
        for problem in problems { print("  " + problem) }
        #expect(counts["valid"] ?? 0 >= 200)
        #expect(counts["parse_fails"] ?? 0 >= 57)
        #expect(counts["validate_fails"] ?? 0 >= 55)
        #expect(counts["unsupported"] ?? 0 >= 18)
        #expect(problems.isEmpty)
    }
}
