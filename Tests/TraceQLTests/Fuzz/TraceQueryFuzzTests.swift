// SPDX-License-Identifier: Apache-2.0
// Random queries over random traces: the engine over memory and over a real store against a naive
// evaluator.

import Base
import Telemetry
import TestKit
import Testing
import TraceStore

@testable import TraceQL

@Suite struct TraceQueryFuzzTests {
    private struct Tally {
        var queries = 0, refused = 0, answered = 0
    }

    @Test func randomSearchesAgreeWithANaiveEvaluator() throws {
        var tally = Tally()
        let rounds = try FuzzTime.forEach(count: 10) { seed in
            let made = FuzzTraces(Chance(seed: seed, 1), traces: 12)
            let traces = made.traces
            let sources: [any SpanReading] = [
                made.inMemory, try made.stored(Chance(seed: seed, 2)),
            ]
            for round in 0..<20 {
                var maker = QueryMaker(chance: Chance(seed: seed, 3, UInt64(round)))
                guard try checkSearch(maker.stages(), traces, sources, seed, &tally) else {
                    return false
                }
            }
            return true
        }
        print("  \(rounds) rounds, \(tally)")
        #expect(tally.refused * 5 < tally.queries)
        #expect(tally.answered * 3 > tally.queries)
    }

    @Test func randomMetricsAgreeWithANaiveEvaluator() throws {
        var tally = Tally()
        let rounds = try FuzzTime.forEach(count: 10) { seed in
            let made = FuzzTraces(Chance(seed: seed, 1), traces: 12)
            let traces = made.traces
            let sources: [any SpanReading] = [
                made.inMemory, try made.stored(Chance(seed: seed, 2)),
            ]
            for round in 0..<20 {
                var maker = QueryMaker(chance: Chance(seed: seed, 4, UInt64(round)))
                guard try checkMetrics(maker.metric(), traces, sources, seed, &tally) else {
                    return false
                }
            }
            return true
        }
        print("  \(rounds) rounds, \(tally)")
        #expect(tally.refused * 5 < tally.queries)
        #expect(tally.answered * 3 > tally.queries)
    }

    @Test func randomComparisonsAgreeWithANaiveEvaluator() throws {
        var tally = Tally()
        let rounds = try FuzzTime.forEach(count: 10) { seed in
            let made = FuzzTraces(Chance(seed: seed, 1), traces: 8)
            let traces = made.traces
            let sources: [any SpanReading] = [
                made.inMemory, try made.stored(Chance(seed: seed, 2)),
            ]
            for round in 0..<5 {
                var maker = QueryMaker(chance: Chance(seed: seed, 5, UInt64(round)))
                guard
                    try checkComparison(
                        maker.stages(), maker.condition(1), traces, sources, seed, &tally)
                else { return false }
            }
            return true
        }
        print("  \(rounds) rounds, \(tally)")
        #expect(tally.answered * 3 > tally.queries)
    }

    private func checkComparison(
        _ stages: [NaiveStage], _ selection: NaiveExpression, _ traces: [NaiveTrace],
        _ sources: [any SpanReading], _ seed: UInt64, _ tally: inout Tally
    ) throws -> Bool {
        let text = naiveText(stages) + " | compare({ " + selection.text + " }, 1000)"
        tally.queries += 1
        guard let query = try parsed(text, seed, &tally) else { return true }
        let start = FuzzTraces.start + 10_000_000_000
        let grid = try MetricsGrid.range(
            startNanos: start, endNanos: start + 40_000_000_000, stepNanos: 7_000_000_000)
        let wanted = NaiveMetrics(
            traces: traces,
            ends: (0..<Int64(grid.count)).map { (start / 7_000_000_000 + $0) * 7_000_000_000 },
            step: 7_000_000_000
        ).compare(stages, selection)
        if !wanted.isEmpty { tally.answered += 1 }
        for (number, source) in sources.enumerated() {
            let answer = try TraceQLEngine(reader: source).metrics(
                MetricsQuery(query, tenant: .anonymous, grid: grid, maxSeries: 0), ReadContext())
            var found: [String: Double] = [:]
            for series in answer.series {
                guard series.labels.count == 2, case .string(let type) = series.labels[0].value
                else { continue }
                let key = "\(type),\(series.labels[1].name)=\(series.labels[1].value)"
                found[key, default: 0] += series.values.reduce(0, +)
            }
            let keys = Set(found.keys).union(wanted.keys)
            let different = keys.filter { found[$0] != wanted[$0] }.sorted()
            guard different.isEmpty else {
                Issue.record(
                    """
                    seed \(seed), source \(number): \(text)
                    \(different.map { "\($0): \(found[$0] ?? 0) naive \(wanted[$0] ?? 0)" })
                    """)
                return false
            }
        }
        return true
    }

    // MARK: searches

    /// One line per trace and set, in the order of answers.
    private func expected(_ stages: [NaiveStage], _ traces: [NaiveTrace]) -> [String] {
        traces.sorted { $0.start == $1.start ? $0.id < $1.id : $0.start > $1.start }
            .flatMap { trace in
                trace.run(stages).map { set in
                    let ids = set.spans.map { trace.spans[$0].id }.sorted()
                    let groups = set.groups.map { "\($0.answer)" }.joined(separator: ";")
                    return "\(trace.id) \(ids) \(groups)"
                }.sorted()
            }
    }

    private func found(_ results: [TraceSearchResult]) -> [String] {
        results.flatMap { result in
            result.spansets.map { set in
                let ids = set.spans.map(\.spanID.rawValue).sorted()
                let groups = set.attributes.filter { $0.name.hasPrefix("by(") }
                    .map { "\($0.value)" }.joined(separator: ";")
                return "\(result.traceID) \(ids) \(groups)"
            }.sorted()
        }
    }

    private func checkSearch(
        _ stages: [NaiveStage], _ traces: [NaiveTrace], _ sources: [any SpanReading],
        _ seed: UInt64, _ tally: inout Tally
    ) throws -> Bool {
        let text = naiveText(stages)
        tally.queries += 1
        guard let query = try parsed(text, seed, &tally) else { return true }
        let wanted = expected(stages, traces)
        if !wanted.isEmpty { tally.answered += 1 }
        var newest: [TraceID]?
        for (number, source) in sources.enumerated() {
            let search = TraceSearch(
                query, tenant: .anonymous, range: .all, limit: 0, spansPerSpanset: 0)
            let answer = found(try TraceQLEngine(reader: source).search(search, ReadContext()))
            guard answer == wanted else {
                Issue.record(
                    """
                    seed \(seed), source \(number): \(text)
                    engine \(answer.filter { !wanted.contains($0) })
                    naive  \(wanted.filter { !answer.contains($0) })
                    """)
                return false
            }
            try checkRange(search, source, wanted, text)
            // However batches are cut, the newest are the same.
            var few = search
            few.limit = 3
            let ids = try TraceQLEngine(reader: source).search(few, ReadContext()).map(\.traceID)
            let all = try TraceQLEngine(reader: source).search(search, ReadContext())
                .map(\.traceID)
            #expect(ids.count == min(3, all.count) && ids.allSatisfy(all.contains), "\(text)")
            #expect(newest == nil || newest == ids, "\(text)")
            newest = ids
        }
        return true
    }

    /// Of a stretch of time all traces answer that have an answering span in it, and no others than
    /// of all of time.
    private func checkRange(
        _ search: TraceSearch, _ source: any SpanReading, _ wanted: [String], _ text: String
    ) throws {
        var ranged = search
        ranged.range = NanosRange(
            first: Nanos(FuzzTraces.start + 20_000_000_000),
            last: Nanos(FuzzTraces.start + 30_000_000_000))
        let engine = TraceQLEngine(reader: source)
        let inside = try engine.search(ranged, ReadContext())
        #expect(found(inside).allSatisfy(wanted.contains), "\(text)")
        let all = try engine.search(search, ReadContext())
        let needed = all.filter { result in
            result.spansets.contains { set in
                set.spans.contains { ranged.range.contains($0.startNanos) }
            }
        }
        let ids = Set(inside.map(\.traceID))
        #expect(needed.allSatisfy { ids.contains($0.traceID) }, "\(text)")
    }

    /// Nil for what the types of random expressions do not allow.
    private func parsed(
        _ text: String, _ seed: UInt64, _ tally: inout Tally
    ) throws -> TraceQLQuery? {
        do {
            return try TraceQLParser.parse(text)
        } catch is TraceQLValidationError {
            tally.refused += 1
            return nil
        } catch let error as TraceQLSyntaxError {
            // Bare numbers on both sides are no scalar filter.
            guard error.message.contains("unexpected") || error.message.contains("no value") else {
                throw error
            }
            tally.refused += 1
            return nil
        }
    }

    // MARK: metrics

    private func checkMetrics(
        _ metric: NaiveMetric, _ traces: [NaiveTrace], _ sources: [any SpanReading],
        _ seed: UInt64, _ tally: inout Tally
    ) throws -> Bool {
        let text = metric.text
        // What comes behind a quantile would judge its last digits.
        if text.contains("quantile") { guard case .first = metric else { return true } }
        tally.queries += 1
        guard let query = try parsed(text, seed, &tally) else { return true }
        let start = FuzzTraces.start + 10_000_000_000
        let isInstant = seed % 3 == 0
        let grid =
            isInstant
            ? try MetricsGrid.instant(startNanos: start, endNanos: start + 40_000_000_000)
            : try MetricsGrid.range(
                startNanos: start, endNanos: start + 40_000_000_000, stepNanos: 7_000_000_000)
        let naive = NaiveMetrics(
            traces: traces,
            ends: isInstant
                ? [start + 40_000_000_000]
                : (0..<Int64(grid.count)).map {
                    (start / 7_000_000_000 + $0) * 7_000_000_000
                },
            step: isInstant ? 40_000_000_000 : 7_000_000_000)
        var wanted: [String: [Double?]] = [:]
        for series in naive.value(metric) where series.values.contains(where: { $0 != nil }) {
            wanted[name(series.labels.map { ($0.name, $0.value) })] = series.values
        }
        if !wanted.isEmpty { tally.answered += 1 }
        for (number, source) in sources.enumerated() {
            let answer = try TraceQLEngine(reader: source).metrics(
                MetricsQuery(query, tenant: .anonymous, grid: grid, maxSeries: 0), ReadContext())
            var found: [String: [Double]] = [:]
            for series in answer.series {
                found[name(series.labels.map { ($0.name, $0.value) })] = series.values
            }
            let tolerance = text.contains("quantile") ? 0.0101 : 1e-9
            let keys = Set(found.keys).union(wanted.keys)
            let different = keys.filter { !agree(found[$0], wanted[$0], tolerance) }.sorted()
            guard different.isEmpty, answer.series.count == wanted.count else {
                Issue.record(
                    """
                    seed \(seed), source \(number): \(text)
                    \(different.map { "\($0): \(found[$0] ?? []) naive \(wanted[$0] ?? [])" })
                    """)
                return false
            }
        }
        return true
    }

    private func name(_ labels: [(String, AttributeValue)]) -> String {
        labels.map { "\($0.0)=\($0.1)" }.joined(separator: ",")
    }

    private func agree(_ a: [Double]?, _ b: [Double?]?, _ tolerance: Double) -> Bool {
        guard let a, let b, a.count == b.count else { return false }
        return zip(a, b).allSatisfy { x, y in
            guard let y, !y.isNaN else { return x.isNaN }
            return x == y || (x - y).magnitude <= tolerance * max(x.magnitude, y.magnitude)
        }
    }
}
