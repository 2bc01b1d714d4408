// SPDX-License-Identifier: Apache-2.0
// Random queries over random lines: the engine over a real store against a naive evaluator.

import Base
import FoundationEssentials
import LogStore
import PromQL
import Telemetry
import TestKit
import Testing

@testable import LogQL

/// `TERN_FUZZ_SECONDS`, or a moment with a fixed seed; `TERN_FUZZ_SEED`.
private enum FuzzTime {
    static let seconds = Double(ProcessInfo.processInfo.environment["TERN_FUZZ_SECONDS"] ?? "") ?? 0
    static let seed = UInt64(ProcessInfo.processInfo.environment["TERN_FUZZ_SEED"] ?? "") ?? 1
}

/// A line of an answer, comparable.
private struct Answer: Hashable, Comparable, CustomStringConvertible {
    var nanos: Int64
    var labels: String
    var line: [UInt8]
    static func < (a: Answer, b: Answer) -> Bool {
        if a.nanos != b.nanos { return a.nanos < b.nanos }
        if a.labels != b.labels { return a.labels < b.labels }
        return a.line.lexicographicallyPrecedes(b.line)
    }
    var description: String {
        "\(nanos) \(labels) \(quotedText(String(decoding: line, as: UTF8.self)))"
    }
}

private func text(_ labels: [String: String]) -> String {
    labels.filter { $0.key != "__error_details__" }.sorted { $0.key < $1.key }
        .map { "\($0.key)=\(quotedText($0.value))" }.joined(separator: ",")
}

@Suite struct QueryFuzzTests {
    @Test func randomQueriesAgreeWithANaiveEvaluator() throws {
        let end = SystemClock().monotonicNanos + Int64(FuzzTime.seconds * 1e9)
        var number: UInt64 = 0
        var queries = 0, kept = 0
        while FuzzTime.seconds > 0 ? SystemClock().monotonicNanos < end : number < 30 {
            number += 1
            let seed = FuzzTime.seed &* 1_000_003 &+ number
            let logs = try FuzzLogs(seed, rowCount: 150)
            for round in 0..<20 {
                let found = try check(logs, seed: seed, round: UInt64(round))
                queries += 1
                guard let found else { return }
                kept += found
            }
        }
        // Queries that keep nothing prove nothing.
        #expect(kept > queries)
        if FuzzTime.seconds > 0 { print("  \(queries) queries, \(kept) lines kept") }
    }

    private static let selectors: [(text: String, holds: @Sendable ([String: String]) -> Bool)] = [
        (#"{app=~".+"}"#, { _ in true }), (#"{app="a"}"#, { $0["app"] == "a" }),
        (#"{app=~"a|b", zone!="n"}"#, { $0["app"] != "c" && $0["zone"] != "n" }),
        (#"{zone="s", level=""}"#, { $0["zone"] == "s" && $0["level"] == nil }),
    ]

    /// Lines that the query keeps, or nil after a difference.
    private func check(_ logs: FuzzLogs, seed: UInt64, round: UInt64) throws -> Int? {
        var chance = Chance(seed: seed, 3, round)
        var maker = StageMaker(
            chance: Chance(seed: seed, 4, round), hasWholeJSON: logs.hasWholeJSON)
        let selector = QueryFuzzTests.selectors[chance.below(QueryFuzzTests.selectors.count)]
        let stages = maker.stages()
        let query = ([selector.text] + stages.map(\.text)).joined(separator: " ")
        do {
            _ = try LogQLParser.parse(query)
        } catch {
            Issue.record("\(query): \(error)")
            return nil
        }
        let times = logs.rows.map(\.nanos)
        let low = times[chance.below(times.count)], high = times[chance.below(times.count)]
        let start = min(low, high), end = max(low, high) + 1
        var expected: [NaiveLine] = []
        for row in logs.rows where selector.holds(row.stream) {
            var line = NaiveLine(row)
            if stages.allSatisfy({ $0.apply(&line) }) { expected.append(line) }
        }
        let note = "seed \(seed), round \(round): \(query)"
        guard try compareLines(logs, expected, query, start, end, note),
            try compareCounts(logs, expected, query, start, end, &chance, note)
        else { return nil }
        return expected.count
    }

    private func compareLines(
        _ logs: FuzzLogs, _ lines: [NaiveLine], _ query: String, _ start: Int64, _ end: Int64,
        _ note: String
    ) throws -> Bool {
        let expected = lines.filter { $0.row.nanos >= start && $0.row.nanos < end }
            .map {
                Answer(nanos: $0.row.nanos, labels: text($0.answerLabels), line: $0.line)
            }.sorted()
        for limit in [0, 5] {
            for direction in [LogQuery.Direction.forward, .backward] {
                let result = try LogQLEngine(reader: logs.store).queryLogs(
                    LogQuery(
                        try LogQLParser.parseLogQuery(query), tenant: .anonymous,
                        startNanos: start, endNanos: end, limit: limit, direction: direction),
                    ReadContext())
                let found = result.streams.flatMap { stream in
                    let labels = text(
                        Dictionary(
                            stream.labels.pairs.map { ($0.name, $0.value) },
                            uniquingKeysWith: { a, _ in a }))
                    return stream.entries.map {
                        Answer(nanos: $0.nanos, labels: labels, line: $0.line)
                    }
                }.sorted()
                let isRight: Bool
                if limit == 0 {
                    isRight = found == expected
                } else {
                    // Which of several lines of one moment come last is the store's choice.
                    let part =
                        direction == .forward ? expected.prefix(limit) : expected.suffix(limit)
                    isRight =
                        found.map(\.nanos) == part.map(\.nanos)
                        && Set(found).isSubset(of: Set(expected))
                }
                if !isRight {
                    let missing = Set(expected).subtracting(found).sorted().prefix(3)
                    let extra = Set(found).subtracting(expected).sorted().prefix(3)
                    Issue.record(
                        "\(note) limit \(limit) \(direction)\nmissing: \(missing)\nextra: \(extra)")
                    return false
                }
            }
        }
        return true
    }

    /// `sum by (…) (count_over_time(… | __error__="" […]))` at some steps.
    private func compareCounts(
        _ logs: FuzzLogs, _ lines: [NaiveLine], _ query: String, _ start: Int64, _ end: Int64,
        _ chance: inout Chance, _ note: String
    ) throws -> Bool {
        let range = Int64(1 + chance.below(20)) * 1_000_000_000
        let step = max(1, (end - start) / 7)
        let steps = try EvaluationSteps(startNanos: start, endNanos: end, stepNanos: step)
        let by = [["app"], ["level"], ["n", "zone"], []][chance.below(4)]
        let inner = "count_over_time(\(query) | __error__=\"\" [\(range / 1_000_000_000)s])"
        let outer = "sum by (\(by.joined(separator: ","))) (\(inner))"
        let result = try LogQLEngine(reader: logs.store).queryRange(
            try LogQLParser.parseMetricQuery(outer), tenant: .anonymous, steps, ReadContext())
        guard case .series(let series) = result.value else { return false }
        var expected: [String: Double] = [:]
        for line in lines where line.error.isEmpty {
            let labels = text(
                line.answerLabels.filter { by.contains($0.key) && !$0.value.isEmpty })
            for step in 0..<steps.count {
                let time = steps.nanos(at: step)
                if line.row.nanos <= time, line.row.nanos > time - range {
                    expected["\(labels) @\(step)", default: 0] += 1
                }
            }
        }
        var found: [String: Double] = [:]
        for one in series {
            let labels = text(
                Dictionary(
                    one.labels.pairs.map { ($0.name, $0.value) }, uniquingKeysWith: { a, _ in a }))
            for step in 0..<steps.count where one.column.kinds[step] == .float {
                found["\(labels) @\(step)"] = one.column.values[step]
            }
        }
        if found != expected {
            let wrong = Set(found.keys).union(expected.keys).filter { found[$0] != expected[$0] }
            let list = wrong.sorted().prefix(3).map {
                "\($0): \(found[$0] ?? -1), not \(expected[$0] ?? -1)"
            }
            Issue.record("\(note)\n\(outer) step \(step)\n\(list)")
        }
        return found == expected
    }
}
