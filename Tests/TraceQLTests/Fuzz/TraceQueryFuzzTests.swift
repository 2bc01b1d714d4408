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

    /// Random traces, in memory and in a real store.
    private struct Sample {
        var seed: UInt64
        var traces: [NaiveTrace]
        var sources: [any SpanReading]

        init(_ seed: UInt64, traces count: Int) throws {
            let made = FuzzTraces(Chance(seed: seed, 1), traces: count)
            self.seed = seed
            traces = made.traces
            sources = [made.inMemory, try made.stored(Chance(seed: seed, 2))]
        }
    }

    /// Checks queries over random traces until time is up or one of them fails.
    ///
    /// - Parameter series: tells the random queries of the tests apart.
    private func run(
        traces: Int, queries: Int, series: UInt64,
        _ check: (inout QueryMaker, Sample, inout Tally) throws -> Bool
    ) throws -> Tally {
        var tally = Tally()
        let rounds = try FuzzTime.forEach(count: 10) { seed in
            let sample = try Sample(seed, traces: traces)
            for round in 0..<queries {
                var maker = QueryMaker(chance: Chance(seed: seed, series, UInt64(round)))
                guard try check(&maker, sample, &tally) else { return false }
            }
            return true
        }
        print("  \(rounds) rounds, \(tally)")
        return tally
    }

    @Test func randomSearchesAgreeWithANaiveEvaluator() throws {
        let tally = try run(traces: 12, queries: 20, series: 3) {
            try checkSearch($0.stages(), $1, &$2)
        }
        #expect(tally.refused * 5 < tally.queries)
        #expect(tally.answered * 3 > tally.queries)
    }

    @Test func randomMetricsAgreeWithANaiveEvaluator() throws {
        let tally = try run(traces: 12, queries: 20, series: 4) {
            try checkMetrics($0.metric(), $1, &$2)
        }
        #expect(tally.refused * 5 < tally.queries)
        #expect(tally.answered * 3 > tally.queries)
    }

    @Test func randomComparisonsAgreeWithANaiveEvaluator() throws {
        let tally = try run(traces: 8, queries: 5, series: 5) {
            try checkComparison($0.stages(), $0.condition(1), $1, &$2)
        }
        #expect(tally.answered * 3 > tally.queries)
    }

    // MARK: metrics

    /// Steps of a range query over the middle of the traces, and the ends that the naive evaluator sees.
    private struct Steps {
        let grid: MetricsGrid
        let ends: [Int64]
        let step: Int64

        init(isInstant: Bool) throws {
            let start = FuzzTraces.start + 10_000_000_000
            let end = start + 40_000_000_000
            if isInstant {
                step = 40_000_000_000
                grid = try MetricsGrid.instant(startNanos: start, endNanos: end)
                ends = [end]
            } else {
                let step: Int64 = 7_000_000_000
                self.step = step
                grid = try MetricsGrid.range(startNanos: start, endNanos: end, stepNanos: step)
                ends = (0..<Int64(grid.count)).map { (start / step + $0) * step }
            }
        }

        func naive(_ traces: [NaiveTrace]) -> NaiveMetrics {
            NaiveMetrics(traces: traces, ends: ends, step: step)
        }
    }

    /// Compares the answer of each source, series by series.
    private func checkSeries<Found, Wanted>(
        _ text: String, _ query: TraceQLQuery, _ steps: Steps, _ sample: Sample,
        _ wanted: [String: Wanted],
        _ found: (MetricsAnswer) -> [String: Found],
        _ agree: (Found?, Wanted?) -> Bool
    ) throws -> Bool {
        for (number, source) in sample.sources.enumerated() {
            let answer = try TraceQLEngine(reader: source).metrics(
                MetricsQuery(query, tenant: .anonymous, grid: steps.grid, maxSeries: 0),
                ReadContext())
            let found = found(answer)
            let keys = Set(found.keys).union(wanted.keys)
            let different = keys.filter { !agree(found[$0], wanted[$0]) }.sorted()
            guard different.isEmpty else {
                Issue.record(
                    """
                    seed \(sample.seed), source \(number): \(text)
                    \(different.map {
                        "\($0): \(found[$0].map { "\($0)" } ?? "-") "
                            + "naive \(wanted[$0].map { "\($0)" } ?? "-")"
                    })
                    """)
                return false
            }
        }
        return true
    }

    private func checkComparison(
        _ stages: [NaiveStage], _ selection: NaiveExpression, _ sample: Sample,
        _ tally: inout Tally
    ) throws -> Bool {
        let text = naiveText(stages) + " | compare({ " + selection.text + " }, 1000)"
        tally.queries += 1
        guard let query = try parsed(text, &tally) else { return true }
        let steps = try Steps(isInstant: false)
        let wanted = steps.naive(sample.traces).compare(stages, selection)
        if !wanted.isEmpty { tally.answered += 1 }
        return try checkSeries(text, query, steps, sample, wanted) { answer in
            var found: [String: Double] = [:]
            for series in answer.series {
                guard series.labels.count == 2, case .string(let type) = series.labels[0].value
                else { continue }
                let key = "\(type),\(series.labels[1].name)=\(series.labels[1].value)"
                found[key, default: 0] += series.values.reduce(0, +)
            }
            return found
        } _: {
            $0 == $1
        }
    }

    private func checkMetrics(
        _ metric: NaiveMetric, _ sample: Sample, _ tally: inout Tally
    ) throws -> Bool {
        let text = metric.text
        // What comes behind a quantile would judge its last digits.
        if text.contains("quantile") { guard case .first = metric else { return true } }
        tally.queries += 1
        guard let query = try parsed(text, &tally) else { return true }
        let steps = try Steps(isInstant: sample.seed % 3 == 0)
        var wanted: [String: [Double?]] = [:]
        for series in steps.naive(sample.traces).value(metric)
        where series.values.contains(where: { $0 != nil }) {
            wanted[name(series.labels.map { ($0.name, $0.value) })] = series.values
        }
        if !wanted.isEmpty { tally.answered += 1 }
        let tolerance = text.contains("quantile") ? 0.0101 : 1e-9
        return try checkSeries(text, query, steps, sample, wanted) { answer in
            var found: [String: [Double]] = [:]
            for series in answer.series {
                let name = name(series.labels.map { ($0.name, $0.value) })
                // Two series of one name are a fault of their own.
                #expect(found[name] == nil, "\(text)")
                found[name] = series.values
            }
            return found
        } _: {
            agree($0, $1, tolerance)
        }
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
        _ stages: [NaiveStage], _ sample: Sample, _ tally: inout Tally
    ) throws -> Bool {
        let text = naiveText(stages)
        tally.queries += 1
        guard let query = try parsed(text, &tally) else { return true }
        let wanted = expected(stages, sample.traces)
        if !wanted.isEmpty { tally.answered += 1 }
        var newest: [TraceID]?
        for (number, source) in sample.sources.enumerated() {
            let search = TraceSearch(
                query, tenant: .anonymous, range: .all, limit: 0, spansPerSpanset: 0)
            let answer = found(try TraceQLEngine(reader: source).search(search, ReadContext()))
            guard answer == wanted else {
                Issue.record(
                    """
                    seed \(sample.seed), source \(number): \(text)
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
    private func parsed(_ text: String, _ tally: inout Tally) throws -> TraceQLQuery? {
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
}
