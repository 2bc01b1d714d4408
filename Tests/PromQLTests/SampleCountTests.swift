// SPDX-License-Identifier: Apache-2.0
// Samples by step, as `stats=all` shows them.

import Base
import Telemetry
import TestKit
import Testing

@testable import PromQL

/// A float every ten seconds and a histogram every thirty, for ten minutes.
private func metrics() throws -> InMemorySeries {
    var store = InMemorySeries()
    for number in 0..<3 {
        var columns = SampleColumns()
        for index in 0...60 {
            columns.append(millis: Int64(index) * 10_000, value: Double(index * number))
        }
        store.append(Labels([("__name__", "f_total"), ("n", "\(number)")]), columns)
    }
    var histogram = NativeHistogram()
    histogram.count = 4
    histogram.sum = 5
    histogram.positiveSpans = [.init(offset: 0, length: 3)]
    histogram.positiveBuckets = [1, 2, 1]
    var columns = SampleColumns()
    for index in 0...20 { columns.append(millis: Int64(index) * 30_000, histogram: histogram) }
    store.append(Labels([("__name__", "h"), ("n", "0")]), columns)
    return store
}

private func counts(
    _ query: String, from start: Int64, to end: Int64, step: Int64, slicing: Slicing = Slicing()
) throws -> QuerySamples {
    var options = PromQLOptions()
    options.slicing = slicing
    options.parser.experimentalFunctions = true
    let result = try PromQLEngine(reader: metrics(), options: options).queryRange(
        query, start: Millis(start * 1000), end: Millis(end * 1000), stepMillis: step * 1000,
        context: ReadContext(), countsSamples: true)
    return try #require(result.samples)
}

private let queries = [
    "f_total", "h", "f_total @ 100", "sum by (n) (f_total) + on (n) group_left () f_total",
    "rate(f_total[1m])", "rate(h[1m])", "histogram_sum(rate(h[1m]))", "timestamp(f_total)",
    "rate(f_total[1m] offset 30s)", "rate(f_total[1m] @ 200)",
    "predict_linear(f_total[1m] @ 200, 60)", "max_over_time(sum(f_total)[1m:20s])",
    "max_over_time(rate(f_total[30s])[1m:20s] offset 20s)", "topk(0, f_total)",
    "topk(1, f_total)", "absent(f_total)", "absent_over_time(f_total[1m])",
    "scalar(sum(f_total)) * time()", "f_total and f_total{n=\"1\"}", "f_total unless f_total",
    "quantile(0.5, f_total)", "count_values(\"v\", f_total)", "histogram_quantile(0.5, h)",
    "max_over_time(f_total[1m:20s]) + scalar(f_total{n=\"0\"} @ 50)",
    "max_over_time(max_over_time(f_total[30s:10s])[1m:20s])", "limitk(1, f_total)", "1 + 2",
]

@Suite struct SampleCountTests {
    @Test func countsAreThoseOfPrometheus() throws {
        // From 200 s to 260 s by 20 s: four steps. Source of the rules: prometheus/prometheus
        // `docs/querying/api.md`, query statistics.
        let cases: [(String, loaded: [Int], read: [Int])] = [
            ("f_total", [3, 3, 3, 3], [3, 3, 3, 3]),
            // (168 + 8 · (1 span + 3 buckets) + 8) / 16 floats each.
            ("h", [13, 13, 13, 13], [13, 13, 13, 13]),
            ("histogram_count(h)", [11, 11, 11, 11], [11, 11, 11, 11]),
            ("rate(f_total[1m])", [18, 18, 18, 18], [18, 6, 6, 6]),
            ("rate(f_total[10s])", [3, 3, 3, 3], [3, 3, 3, 3]),
            ("f_total{n=\"1\"} @ 100", [1, 1, 1, 1], [1, 0, 0, 0]),
            ("rate(f_total{n=\"1\"}[1m] @ 100)", [6, 6, 6, 6], [6, 0, 0, 0]),
            ("predict_linear(f_total{n=\"1\"}[1m] @ 100, 60)", [6, 6, 6, 6], [6, 0, 0, 0]),
            // Inner steps 160, 180, 200 belong to the first step, the others to one each.
            ("max_over_time(f_total[1m:20s])", [9, 9, 9, 9], [9, 3, 3, 3]),
            ("max_over_time(f_total[1m:20s] offset 20s)", [9, 9, 9, 9], [9, 3, 3, 3]),
            // Windows of five seconds: 5, 10 and 15 after a step are in none.
            ("max_over_time(f_total[5s:5s])", [3, 3, 3, 3], [3, 3, 3, 3]),
            ("time()", [0, 0, 0, 0], [0, 0, 0, 0]),
        ]
        for (query, loaded, read) in cases {
            let samples = try counts(query, from: 200, to: 260, step: 20)
            #expect(samples.loadedPerStep == loaded, "\(query)")
            #expect(samples.readPerStep == read, "\(query)")
        }
    }

    @Test func instantQueriesCountOneStep() throws {
        let engine = PromQLEngine(reader: try metrics())
        let cases: [(String, loaded: Int, read: Int)] = [
            ("f_total", 3, 3), ("f_total[1m]", 18, 18), ("h[1m]", 26, 26),
            ("f_total[1m:20s]", 9, 9), ("sum(rate(f_total[1m]))", 18, 18), ("2", 0, 0),
            ("max_over_time(rate(f_total[1m])[1m:20s])", 9, 30),
        ]
        for (query, loaded, read) in cases {
            let samples = try engine.query(
                query, at: Millis(300_000), context: ReadContext(), countsSamples: true
            ).samples
            #expect(samples?.loadedPerStep == [loaded], "\(query)")
            #expect(samples?.readPerStep == [read], "\(query)")
        }
        let silent = try engine.query("f_total", at: Millis(300_000), context: ReadContext())
        #expect(silent.samples == nil)
    }

    /// A step counts what it would load alone.
    @Test func everyStepCountsAsIfItWereAskedForAlone() throws {
        for query in queries {
            let range = try counts(query, from: 190, to: 490, step: 60)
            for (step, loaded) in range.loadedPerStep.enumerated() {
                let time = 190 + Int64(step) * 60
                let alone = try counts(query, from: time, to: time, step: 1)
                #expect(alone.loaded == loaded, "\(query) at step \(step)")
            }
        }
    }

    @Test func slicesCountAsOnePiece() throws {
        for query in queries {
            let whole = try counts(query, from: 190, to: 490, step: 60)
            let sliced = try counts(query, from: 190, to: 490, step: 60, slicing: .finest)
            #expect(whole == sliced, "\(query)")
        }
    }

    @Test func countingLeavesNothingBehind() throws {
        let engine = PromQLEngine(reader: try metrics())
        for query in queries where !query.hasPrefix("limitk") {
            let held = try [false, true].map { counts in
                let context = ReadContext()
                _ = try engine.queryRange(
                    query, start: Millis(0), end: Millis(600_000), stepMillis: 1000,
                    context: context, countsSamples: counts)
                return context.heldBytes
            }
            #expect(held[0] == held[1], "\(query)")
        }
    }
}
