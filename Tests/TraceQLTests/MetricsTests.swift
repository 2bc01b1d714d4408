// SPDX-License-Identifier: Apache-2.0
// What metrics queries answer.

import Telemetry
import Testing
import TestKit
@testable import TraceQL

@Suite struct MetricsTests {
    private static let second: Int64 = 1_000_000_000

    /// Ten spans a second apart from 100.5 s, of services a and b in turn; durations 1 s, 2 s … 10 s.
    private func spans() -> InMemorySpans {
        var spans = InMemorySpans()
        for i in 0..<10 as Range<Int64> {
            var span = InMemorySpans.Span(trace: UInt64(i / 2 + 1), id: UInt64(i + 1))
            span.parent = i % 2 == 0 ? 0 : UInt64(i)
            span.service = i % 2 == 0 ? "a" : "b"
            span.name = i < 5 ? "early" : "late"
            span.start = 100 * MetricsTests.second + 500_000_000 + i * MetricsTests.second
            span.duration = (i + 1) * MetricsTests.second
            span.status = i == 9 ? 2 : 0
            span.attributes = [("n", .int(i))]
            if i % 3 == 0 { span.attributes.append(("x", .double(Double(i) / 2))) }
            spans.add(span)
        }
        return spans
    }

    private func answer(
        _ text: String, step: Int64 = 5, instant: Bool = false, maxSeries: Int = 1000,
        exemplars: Int = 0, from source: InMemorySpans? = nil
    ) throws -> MetricsAnswer {
        let second = MetricsTests.second
        let grid =
            instant
            ? try MetricsGrid.instant(startNanos: 100 * second, endNanos: 110 * second)
            : try MetricsGrid.range(
                startNanos: 105 * second, endNanos: 110 * second, stepNanos: step * second)
        let query = MetricsQuery(
            try TraceQLParser.parse(text), tenant: .anonymous, grid: grid, maxSeries: maxSeries,
            maxExemplars: exemplars)
        return try TraceQLEngine(reader: source ?? spans()).metrics(query, ReadContext())
    }

    /// `name=value,…: v v` per series; `-` for no sample.
    private func text(_ answer: MetricsAnswer) -> [String] {
        answer.series.map { series in
            let labels = series.labels.map { "\($0.name)=\($0.value.shown)" }
                .joined(separator: ",")
            let values = series.values.map { value in
                value.isNaN
                    ? "-" : value == value.rounded() ? String(Int(value)) : String(value)
            }
            return labels + ": " + values.joined(separator: " ")
        }
    }

    static let cases: [(query: String, instant: Bool, answer: [String])] = [
        ("{} | count_over_time()", false, ["__name__=count_over_time: 5 5"]),
        ("{} | rate()", false, ["__name__=rate: 1 1"]),
        ("{} | rate()", true, ["__name__=rate: 1"]),
        ("{ .n < 5 } | count_over_time()", false, ["__name__=count_over_time: 5 0"]),
        ("{ .n > 99 } | count_over_time()", false, ["__name__=count_over_time: 0 0"]),
        ("{ .n > 99 } | count_over_time() by (name)", false, []),
        ("{ .n > 99 } | max_over_time(duration)", false, []),
        ("{} | min_over_time(duration)", false, ["__name__=min_over_time: 1 6"]),
        ("{} | max_over_time(duration)", true, ["__name__=max_over_time: 10"]),
        ("{} | sum_over_time(.n)", false, ["__name__=sum_over_time: 10 35"]),
        ("{} | avg_over_time(.x)", false, ["__name__=avg_over_time: 0.75 3.75"]),
        ("{ .n = 0 } | avg_over_time(.x)", false, ["__name__=avg_over_time: 0 -"]),
        (
            "{} | count_over_time() by (resource.service.name)", false,
            ["resource.service.name=a: 3 2", "resource.service.name=b: 2 3"]
        ),
        (
            "{} | count_over_time() by (span:name, .x)", true,
            [
                "span:name=early: 3", "span:name=late: 3", "span:name=early,.x=0.0: 1",
                "span:name=early,.x=1.5: 1", "span:name=late,.x=3.0: 1",
                "span:name=late,.x=4.5: 1",
            ]
        ),
        ("{} | count_over_time() by (.none)", true, [".none=nil: 10"]),
        (
            "{} | count_over_time() by (status, kind)", true,
            ["status=error,kind=internal: 1", "status=unset,kind=internal: 9"]
        ),
        ("{} | count_over_time() by (rootServiceName)", true, ["rootServiceName=a: 10"]),
        ("{} >> { .n > 2 } | count_over_time()", false, ["__name__=count_over_time: 1 3"]),
        ("{} | count() > 1 | { .n = 1 } | rate()", true, ["__name__=rate: 0.1"]),
        (
            "{} | histogram_over_time(duration)", true,
            ["1.073741824", "2.147483648", "4.294967296", "8.589934592", "17.179869184"]
                .enumerated().map { "__bucket=\($1): \([1, 1, 2, 4, 2][$0])" }
                .sorted { $0.split(separator: "=")[1] < $1.split(separator: "=")[1] }
        ),
        (
            "{} | count_over_time() by (resource.service.name) | topk(1)", false,
            ["resource.service.name=a: 3 -", "resource.service.name=b: - 3"]
        ),
        (
            "{} | count_over_time() by (resource.service.name) | bottomk(1)", false,
            ["resource.service.name=a: - 2", "resource.service.name=b: 2 -"]
        ),
        (
            "{} | count_over_time() by (resource.service.name) > 2", false,
            ["resource.service.name=a: 3 -", "resource.service.name=b: - 3"]
        ),
        (
            "{} | count_over_time() by (resource.service.name) >= 3 | topk(1) = 3", true, []
        ),
        ("{} | avg_over_time(duration) > 3s", false, ["__name__=avg_over_time: - 8"]),
        (
            "({} | count_over_time()) + ({ .n < 5 } | count_over_time())", false,
            ["__name__=(count_over_time + count_over_time): 10 5"]
        ),
        (
            "({ .n < 5 } | rate()) / ({ .n >= 5 } | rate())", false,
            ["__name__=(rate / rate): - 0"]
        ),
        (
            "({} | count_over_time() by (resource.service.name)) / ({} | count_over_time())", true,
            ["resource.service.name=a: 0.5", "resource.service.name=b: 0.5"]
        ),
        (
            "({} | count_over_time() by (name)) - ({} | count_over_time() by (status))", true, []
        ),
        ("({} | count_over_time()) * 100 + 1 / 2", true, ["__name__=count_over_time: 1000"]),
        ("1 / 2.0 * ({} | count_over_time())", true, ["__name__=count_over_time: 5"]),
        ("1 - ({} | count_over_time())", true, ["__name__=count_over_time: -9"]),
        ("({} | count_over_time()) / 0", true, []),
        (
            "({} | min_over_time(.x)) + ({ .n < 3 } | min_over_time(.x))", false,
            ["__name__=(min_over_time + min_over_time): 0 -"]
        ),
    ]

    @Test func queriesAnswerWhatTheySay() throws {
        for (query, instant, expected) in MetricsTests.cases {
            let found = text(try answer(query, instant: instant))
            #expect(found == expected, "\(query)")
        }
    }

    @Test func samplesStandAtTheEndOfTheirIntervals() throws {
        let answer = try answer("{} | rate()")
        #expect(answer.grid.count == 2)
        #expect((0..<2).map(answer.grid.timestampMillis) == [105_000, 110_000])
        let instant = try self.answer("{} | rate()", instant: true)
        #expect(instant.grid.timestampMillis(0) == 110_000)
        #expect(instant.grid.interval(of: 100 * MetricsTests.second) == nil)
        #expect(instant.grid.interval(of: 100 * MetricsTests.second + 1) == 0)
        #expect(instant.grid.interval(of: 110 * MetricsTests.second) == 0)
        #expect(instant.grid.interval(of: 110 * MetricsTests.second + 1) == nil)
    }

    @Test func defaultStepsAreRound() {
        let second = MetricsTests.second
        for (range, step) in [
            (10, 50_000_000), (59, 200_000_000), (60, second), (3600, 15 * second),
            (6 * 3600, 60 * second), (24 * 3600, 300 * second), (7 * 86400, 2400 * second),
            (30 * 86400, 10800 * second),
        ] as [(Int64, Int64)] {
            #expect(
                MetricsGrid.defaultStepNanos(startNanos: 0, endNanos: range * second) == step,
                "\(range)")
        }
        #expect(throws: TraceQLValidationError.self) {
            try MetricsGrid.range(startNanos: 0, endNanos: .max, stepNanos: 1)
        }
        #expect(throws: TraceQLValidationError.self) {
            try MetricsGrid.range(startNanos: 0, endNanos: .max, stepNanos: .max / 2)
        }
        #expect(throws: TraceQLValidationError.self) {
            try MetricsGrid.instant(startNanos: 5, endNanos: 5)
        }
    }

    @Test func quantilesAreAtMostOnePercentOff() throws {
        var random = SplitMix(state: 3)
        var spans = InMemorySpans()
        spans.batchRows = 500
        var durations: [Int64] = []
        for id in 1...2000 as ClosedRange<UInt64> {
            var span = InMemorySpans.Span(trace: id, id: 1)
            span.start = 105 * MetricsTests.second
            let magnitude = Int64.random(in: 1...9, using: &random)
            span.duration = Int64.random(in: 1...10, using: &random)
            for _ in 0..<magnitude { span.duration *= 10 }
            span.duration += Int64.random(in: 0...7, using: &random)
            span.attributes = [("signed", .int(span.duration % 2 == 0 ? span.duration : -1))]
            durations.append(span.duration)
            spans.add(span)
        }
        durations.sort()
        let quantiles = [0, 0.1, 0.5, 0.9, 0.99, 0.999, 1]
        let found = try answer(
            "{} | quantile_over_time(duration, 0, .1, .5, .9, .99, .999, 1)", instant: true,
            from: spans)
        #expect(found.series.count == 7)
        for (quantile, series) in zip(quantiles, found.series) {
            #expect(series.labels == [MetricsLabel("p", .double(quantile))])
            let rank = max(1, Int((quantile * 2000).rounded(.up)))
            let exact = Double(durations[rank - 1]) / 1e9
            let error = ((series.values.first ?? .nan) - exact).magnitude / exact
            #expect(error <= 0.01, "p\(quantile): \(error)")
        }
        let empty = try answer("{} | quantile_over_time(.none, .5)", from: spans)
        #expect(empty.series.isEmpty)
    }

    @Test func sketchesHoldAnySign() {
        var sketch = QuantileSketch()
        for value in [-100.0, -1, 0, 0, 3, 1e300, 1e-300] { _ = sketch.add(value) }
        #expect(sketch.quantile(0) == -100)
        #expect((sketch.quantile(2.0 / 7) + 1).magnitude < 0.01)
        #expect(sketch.quantile(0.5) == 0)
        #expect(sketch.quantile(1) == 1e300)
        #expect((sketch.quantile(6.0 / 7) - 3).magnitude < 0.02)
        #expect(QuantileSketch().quantile(0.5).isNaN)
    }

    @Test func compareCountsValuesOfBothSides() throws {
        let found = text(try answer("{ .n > 5 } | compare({ status = error })", instant: true))
        for line in [
            "__meta_type=baseline,status=unset: 3", "__meta_type=selection,status=error: 1",
            "__meta_type=baseline,resource.service.name=a: 2",
            "__meta_type=baseline,resource.service.name=b: 1",
            "__meta_type=selection,resource.service.name=b: 1",
            "__meta_type=baseline_total,resource.service.name=nil: 3",
            "__meta_type=selection_total,resource.service.name=nil: 1",
            "__meta_type=selection,span.n=9: 1", "__meta_type=baseline,rootServiceName=a: 3",
        ] { #expect(found.contains(line), "\(line)") }
        #expect(!found.contains { $0.contains("duration") || $0.contains("trace:id") })
        let cut = text(try answer("{} | compare({ status = error }, 2)", instant: true))
        #expect(cut.contains("__meta_error=__too_many_values__,span.n=nil: -"))
        #expect(cut.filter { $0.contains("=baseline,span.n=") }.count == 2)
        let window = text(
            try answer(
                "{} | compare({ }, 10, 100500000000, 101500000000)", instant: true))
        #expect(window.contains("__meta_type=selection,span.n=1: 1"))
        #expect(window.contains("__meta_type=selection_total,span.n=nil: 1"))
    }

    @Test func exemplarsAreSpansThatWereCounted() throws {
        let found = try answer("{ .n != 3 } | rate() by (resource.service.name)", exemplars: 6)
        let exemplars = found.series.flatMap(\.exemplars)
        #expect((3...6).contains(exemplars.count))
        #expect(exemplars.allSatisfy { $0.spanID.rawValue != 4 })
        for exemplar in exemplars {
            #expect(exemplar.timestampMillis == 99_500 + Int64(exemplar.spanID.rawValue) * 1000)
            #expect(exemplar.value > 0 && exemplar.value < 1)
            #expect(exemplar.labels.first?.name == "trace:id")
        }
        let again = try answer("{ .n != 3 } | rate() by (resource.service.name)", exemplars: 6)
        #expect(again.series.flatMap(\.exemplars) == exemplars)
        let measured = try answer("{} | max_over_time(duration)", exemplars: 100)
        for exemplar in measured.series.flatMap(\.exemplars) {
            #expect(exemplar.value == Double(exemplar.spanID.rawValue))
        }
        let hinted = try answer("{} | max_over_time(duration) with(exemplars=1)", exemplars: 100)
        #expect(hinted.series.flatMap(\.exemplars).count == 1)
        #expect(
            try answer("{} | rate()", instant: true, exemplars: 9).series.allSatisfy(
                \.exemplars.isEmpty))
        let cut = try answer("{} | max_over_time(duration) > 7s", exemplars: 100)
        #expect(cut.series.flatMap(\.exemplars).allSatisfy { $0.value > 7 })
    }

    @Test func seriesBeyondTheLimitAreLeftOut() throws {
        let found = try answer("{} | rate() by (.n)", instant: true, maxSeries: 3)
        #expect(found.series.count == 3)
        #expect(found.partialMessage?.contains("limit of 3") == true)
        let top = try answer("{} | rate() by (.n) | topk(3)", instant: true, maxSeries: 3)
        #expect(top.partialMessage == nil)
    }

    @Test func memoryIsBounded() throws {
        let query = MetricsQuery(
            try TraceQLParser.parse("{} | quantile_over_time(duration, .5) by (.n)"),
            tenant: .anonymous,
            grid: try .range(startNanos: 0, endNanos: 110_000_000_000, stepNanos: 100_000_000))
        #expect(throws: QueryInterruption.self) {
            try TraceQLEngine(reader: spans()).metrics(
                query, ReadContext(memoryLimitBytes: 100_000))
        }
    }

    @Test func searchesAreRefusedHere() throws {
        #expect(throws: TraceQLValidationError.self) { try answer("{}") }
        for text in [
            "({} | rate()) * (1 / 0)", "({} | rate()) + 9223372036854775807 * 2",
            "({} | rate()) > 1 / 0",
        ] {
            #expect(throws: TraceQLSyntaxError.self, "\(text)") { try TraceQLParser.parse(text) }
        }
        for text in [
            "{} | compare({}, 0)", "{} | compare({}, 1001)", "{} | compare({}, 1, 5, 5)",
            "{} | compare({}, 1, -5, 5)", "{} | compare({ 1 })",
        ] {
            #expect(throws: TraceQLValidationError.self, "\(text)") {
                try TraceQLParser.parse(text)
            }
        }
    }

    @Test func samplingThresholdsScaleCounts() throws {
        for (state, weight) in [
            ("ot=th:8", 2.0), ("a=b, ot=rv:123;th:c", 4), ("ot=th:0", 1), ("ot=th:zz", 1),
            ("ot=th:ffffffffffffff", 0x1p56),
            ("", 1), ("ot=th:123456789012345", 1), ("xot=th:8", 1),
        ] as [(String, Double)] {
            let found = Array(state.utf8).withUnsafeBytes { SamplingWeight.weight(traceState: $0) }
            #expect(found == weight, "\(state)")
        }
    }
}

extension AttributeValue {
    var shown: String {
        switch self {
        case .string(let text): text
        case .int(let number): String(number)
        case .double(let number): String(number)
        case .bool(let flag): String(flag)
        default: "\(self)"
        }
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
