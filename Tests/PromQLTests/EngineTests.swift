// SPDX-License-Identifier: Apache-2.0
// The engine on small data of our own.

import Base
import Telemetry
import TestKit
import Testing

@testable import PromQL

/// Ten minutes of a small shop, one sample a minute.
private func shop() throws -> InMemorySeries {
    var store = InMemorySeries()
    let lines = [
        #"orders_total{shop="north", kind="web"} 0+60x10"#,
        #"orders_total{shop="north", kind="phone"} 0+6x4 0+6x5"#,
        #"orders_total{shop="south", kind="web"} 0+30x10"#,
        #"staff{shop="north"} 4x10"#,
        #"staff{shop="south"} 2x3 stale _x6"#,
        #"wait_bucket{shop="north", le="1"} 0+5x10"#,
        #"wait_bucket{shop="north", le="2"} 0+9x10"#,
        #"wait_bucket{shop="north", le="+Inf"} 0+10x10"#,
        #"wait{shop="north"} {{schema:0 sum:5 count:4 buckets:[1 2 1]}}x10"#,
    ]
    for line in lines {
        let (labels, items) = try parseSeriesNotation(line)
        var columns = SampleColumns()
        for (index, item) in items.enumerated() {
            let millis = Int64(index) * 60_000
            switch item {
            case .missing: break
            case .float(let value): columns.append(millis: millis, value: value)
            case .histogram(let histogram, _):
                columns.append(millis: millis, histogram: histogram)
            }
        }
        store.append(labels, columns)
    }
    return store
}

@Suite struct EngineTests {
    private func engine() throws -> PromQLEngine { PromQLEngine(reader: try shop()) }

    /// The answer at minute ten as `labels value` lines.
    private func answer(_ query: String, atMinute minute: Int64 = 10) throws -> [String] {
        let result = try engine().query(
            query, at: Millis(minute * 60_000), context: ReadContext())
        return text(result.value)
    }

    private func text(_ value: QueryValue) -> [String] {
        func show(_ value: SampleValue) -> String {
            switch value {
            case .float(let float): floatGeneralText(float)
            case .histogram(let histogram): histogram.text
            }
        }
        switch value {
        case .scalar(_, let number): return [floatGeneralText(number)]
        case .string(_, let string): return [string]
        case .vector(let samples): return samples.map { "\($0.labels) \(show($0.value))" }
        case .matrix(let matrix):
            return matrix.map { series in
                let floats = series.floats.map { floatGeneralText($0) }
                let histograms = series.histograms.map(\.text)
                return "\(series.labels) \((floats + histograms).joined(separator: " "))"
            }
        }
    }

    @Test func answersCaseTable() throws {
        let cases: [(String, [String])] = [
            ("1 + 2 * 3 ^ 2", ["19"]),
            (#"staff{shop="north"}"#, [#"{__name__="staff", shop="north"} 4"#]),
            ("staff", [#"{__name__="staff", shop="north"} 4"#]),
            (#"staff{shop="south"} offset 7m"#, [#"{__name__="staff", shop="south"} 2"#]),
            (
                "sum by (shop) (rate(orders_total[5m])) * 60",
                [#"{shop="north"} 66"#, #"{shop="south"} 30"#]
            ),
            (#"resets(orders_total{kind="phone"}[10m])"#, [#"{kind="phone", shop="north"} 1"#]),
            (
                "topk(1, sum by (shop) (orders_total))", [#"{shop="north"} 630"#]
            ),
            (
                "orders_total / on (shop) group_left staff",
                [
                    #"{kind="phone", shop="north"} 7.5"#, #"{kind="web", shop="north"} 150"#,
                ]
            ),
            (
                "orders_total > bool 300",
                [
                    #"{kind="phone", shop="north"} 0"#, #"{kind="web", shop="north"} 1"#,
                    #"{kind="web", shop="south"} 0"#,
                ]
            ),
            (
                #"orders_total{kind="web"} unless on (shop) staff"#,
                [#"{__name__="orders_total", kind="web", shop="south"} 300"#]
            ),
            ("absent(nothing{a=\"b\"})", [#"{a="b"} 1"#]),
            ("histogram_quantile(0.7, wait_bucket)", [#"{shop="north"} 1.5"#]),
            ("histogram_quantile(0.25, wait)", [#"{shop="north"} 1"#]),
            ("histogram_count(wait) + histogram_sum(wait)", [#"{shop="north"} 9"#]),
            (
                "wait + wait",
                [
                    #"{shop="north"} {count:8, sum:10, (0.5,1]:2, (1,2]:4, (2,4]:2}"#
                ]
            ),
            (
                #"label_replace(staff, "place", "$1-side", "shop", "(.*)")"#,
                [#"{__name__="staff", place="north-side", shop="north"} 4"#]
            ),
            ("max_over_time(sum(staff)[8m:1m])", ["{} 6"]),
            (
                "count_values(\"n\", orders_total)",
                [
                    #"{n="30"} 1"#, #"{n="600"} 1"#, #"{n="300"} 1"#,
                ]
            ),
            ("scalar(staff) * time()", ["2400"]),
            (
                "sort_desc(orders_total{kind=\"web\"})",
                [
                    #"{__name__="orders_total", kind="web", shop="north"} 600"#,
                    #"{__name__="orders_total", kind="web", shop="south"} 300"#,
                ]
            ),
            ("staff @ 60 + on (shop) group_right staff", [#"{shop="north"} 8"#]),
            ("\"text\"", ["text"]),
        ]
        for (query, expected) in cases {
            #expect(try answer(query) == expected, "\(query)")
        }
    }

    @Test func rangeQueriesStepThroughTime() throws {
        let result = try engine().queryRange(
            "sum(staff) or vector(0)", start: Millis(0), end: Millis(360_000),
            stepMillis: 120_000, context: ReadContext())
        #expect(text(result.value) == ["{} 6 6 4 4"])
    }

    @Test func failuresNameWhatIsWrong() throws {
        let cases: [(String, String)] = [
            (
                "staff + on (shop) orders_total",
                "found duplicate series for the match group {shop=\"north\"} on the right "
                    + "hand-side of the operation: [{__name__=\"orders_total\", kind=\"phone\", "
                    + "shop=\"north\"}, {__name__=\"orders_total\", kind=\"web\", "
                    + "shop=\"north\"}];many-to-many matching not allowed: matching labels must "
                    + "be unique on one side"
            ),
            // Also where nothing on the left can match what is twice on the right.
            (
                "orders_total{shop=\"south\"} * on (shop) group_left () "
                    + "orders_total{shop=\"north\"}",
                "found duplicate series for the match group {shop=\"north\"} on the right "
                    + "hand-side of the operation: [{__name__=\"orders_total\", kind=\"phone\", "
                    + "shop=\"north\"}, {__name__=\"orders_total\", kind=\"web\", "
                    + "shop=\"north\"}];many-to-many matching not allowed: matching labels must "
                    + "be unique on one side"
            ),
            (
                "orders_total + on (shop) staff",
                "multiple matches for labels: many-to-one matching must be explicit "
                    + "(group_left/group_right)"
            ),
            (
                "rate({__name__=~\"staff|orders_total\", kind!=\"phone\"}[5m])",
                "vector cannot contain metrics with the same labelset"
            ),
            ("topk(0 / 0, staff)", "Parameter value is NaN"),
            (
                "rate(staff)",
                "1:6: parse error: expected type range vector in call to function "
                    + "\"rate\", got instant vector"
            ),
        ]
        for (query, message) in cases {
            var store = try shop()
            var columns = SampleColumns()
            columns.append(millis: 540_000, value: 1)
            columns.append(millis: 600_000, value: 1)
            store.append(
                Labels([("__name__", "staff"), ("shop", "south"), ("kind", "web")]), columns)
            do {
                let result = try PromQLEngine(reader: store).query(
                    query, at: Millis(600_000), context: ReadContext())
                Issue.record("\(query) answers \(result.value)")
            } catch {
                #expect("\(error)" == message, "\(query)")
            }
        }
    }

    @Test func limitsEndQueries() throws {
        let engine = try engine()
        #expect(throws: QueryInterruption.self) {
            try engine.query(
                "orders_total", at: Millis(600_000), context: ReadContext(sampleLimit: 2))
        }
        #expect(throws: QueryInterruption.self) {
            try engine.queryRange(
                "sum(orders_total)", start: Millis(0), end: Millis(600_000), stepMillis: 1000,
                context: ReadContext(memoryLimitBytes: 1000))
        }
        let context = ReadContext()
        context.cancel()
        #expect(throws: QueryInterruption.cancelled) {
            try engine.query("staff", at: Millis(0), context: context)
        }
        #expect(throws: QueryError.self) {
            try engine.query("staff[10y:1ms]", at: Millis(0), context: ReadContext())
        }
    }

    @Test func annotationsSayWhatIsDoubtful() throws {
        let result = try engine().query(
            "rate(staff[5m]) + quantile(2, staff)", at: Millis(600_000), context: ReadContext())
        #expect(
            result.infos == [
                "PromQL info: metric might not be a counter, name does not end in "
                    + "_total/_sum/_count/_bucket: \"staff\" (1:6)"
            ])
        #expect(
            result.warnings == [
                "PromQL warning: quantile value should be between 0 and 1, got 2 (1:28)"
            ])
    }

    /// Reading without buckets must not lose a reset that only the buckets show.
    @Test func resetsAreSeenAcrossStaleMarkersWithoutBuckets() throws {
        func histogram(_ buckets: [Double]) -> NativeHistogram {
            var histogram = NativeHistogram()
            histogram.positiveSpans = [.init(offset: 0, length: UInt32(buckets.count))]
            histogram.positiveBuckets = buckets
            histogram.count = buckets.reduce(0, +)
            histogram.sum = 1
            return histogram
        }
        var stale = NativeHistogram()
        stale.sum = StaleMarker.value
        var columns = SampleColumns()
        for (i, one) in [histogram([5, 5]), stale, histogram([1, 10]), histogram([2, 12])]
            .enumerated()
        {
            columns.append(millis: Int64(i + 1) * 60_000, histogram: one)
        }
        var store = InMemorySeries()
        store.append(Labels([("__name__", "h")]), columns)
        let engine = PromQLEngine(reader: store)
        func value(_ text: String) throws -> SampleValue? {
            let result = try engine.query(text, at: Millis(270_000), context: ReadContext())
            guard case .vector(let samples) = result.value else { return nil }
            return samples.first?.value
        }
        guard case .histogram(let whole)? = try value("increase(h[5m])"),
            case .float(let count)? = try value("histogram_count(increase(h[5m]))")
        else {
            Issue.record("no increase")
            return
        }
        #expect(abs(whole.count - count) < 1e-9, "\(whole.count) with buckets, \(count) without")
    }
}
