// SPDX-License-Identifier: Apache-2.0
// Charts as cells.

import Base
import Testing

@testable import Shell

private func terminal(_ columns: Int, _ rows: Int = 24, unicode: Bool = true) -> TerminalTraits {
    var traits = TerminalTraits(
        isTerminal: true, columns: columns, colour: false, unicode: unicode)
    traits.rows = rows
    return traits
}

private func plain(_ lines: [StyledText]) -> String { lines.map(\.plain).joined(separator: "\n") }

@Test func aRampIsALineFromCornerToCorner() {
    let chart = LineChart(
        series: [ChartSeries(name: "ramp", values: (0..<40).map(Double.init))],
        startNanos: 0, endNanos: 3_600_000_000_000)
    let lines = chart.lines(terminal(40, 14)).map(\.plain)
    #expect(lines.allSatisfy { displayWidth($0) <= 40 })
    #expect(lines[0].last != " ")
    #expect(lines[5].contains("│ ") == false)
    #expect(lines.contains { $0.contains("00:30") })
    #expect(lines.last?.contains("0    39    39") == true, "\(lines)")
}

@Test func chartsInASCIIHaveNothingElse() {
    let chart = LineChart(
        series: [
            ChartSeries(name: "a", values: [1, 2, .nan, 4, 3]),
            ChartSeries(name: "b", values: [5, 5, 5, 5, 5]),
        ], startNanos: 0, endNanos: 4_000_000_000)
    let text = plain(chart.lines(terminal(60, unicode: false)))
    #expect(text.utf8.allSatisfy { $0 < 0x80 })
    #expect(text.contains("'") || text.contains(".") || text.contains(":"))
}

@Test func hostileNumbersDrawSomething() {
    let numbers: [Double] = [
        .nan, .infinity, -.infinity, 0, -0.0, .greatestFiniteMagnitude, -.greatestFiniteMagnitude,
        .leastNonzeroMagnitude, 1e-300, 1e300, 1, -1,
    ]
    for a in numbers {
        for b in numbers {
            for values in [[a], [a, b], [b, a, b]] {
                let chart = LineChart(
                    series: [ChartSeries(name: "x", values: values)], startNanos: 0,
                    endNanos: .max)
                #expect(!chart.lines(terminal(20, 4)).isEmpty)
                #expect(!sparkline(values, width: 5, unicode: true).contains("?"))
                let map = HeatMap(
                    buckets: [.init(lower: a, upper: b, counts: values)], startNanos: 0,
                    endNanos: 1)
                #expect(!map.lines(terminal(20, 4)).isEmpty)
            }
        }
        #expect(axisText(a).count <= 8, "\(a): \(axisText(a))")
    }
    #expect(LineChart(series: [], startNanos: 0, endNanos: 0).lines(terminal(80)).count == 1)
}

@Test func axisNumbersAreShort() {
    let cases: [(Double, String)] = [
        (0, "0"), (1, "1"), (1234, "1.23k"), (999_600, "1M"), (0.5, "0.5"), (-2_500_000, "-2.5M"),
        (0.000012, "1.2e-5"), (42, "42"), (0.1 + 0.2, "0.3"), (1e15, "1P"), (100, "100"),
    ]
    for (value, text) in cases { #expect(axisText(value) == text, "\(value)") }
    #expect(roundStep(0.37) == 0.25)
    #expect(roundStep(70) == 50)
}

@Test func classicBucketsAreDifferences() throws {
    let json = """
        [{"metric":{"le":"+Inf"},"values":[[0,"10"],[1,"20"]]},
        {"metric":{"le":"0.1"},"values":[[0,"4"],[1,"5"]]},
        {"metric":{"le":"1"},"values":[[0,"9"],[1,"5"]]}]
        """
    let items = try JSONValue(parsing: Array(json.utf8)).items
    let times = ChartTimes(startNanos: 0, endNanos: 1_000_000_000, stepSeconds: 1)
    let buckets = try #require(classicBuckets(items, times))
    #expect(buckets.map(\.upper) == [0.1, 1, .infinity])
    #expect(buckets.map(\.counts) == [[4, 5], [5, 0], [1, 15]])
    // Series that differ in more than le are lines.
    #expect(classicBuckets([items[0]], times) == nil)
}

@Test func heatMapsPutBucketsTogether() {
    let buckets = (0..<100).map {
        HeatMap.Bucket(lower: Double($0), upper: Double($0 + 1), counts: [Double($0)])
    }
    let rows = HeatMap.merged(buckets, into: 10)
    #expect(rows.count == 10)
    #expect(rows.last?.upper == 100)
    #expect(rows.reduce(0) { $0 + $1.counts[0] } == 4950)
}

@Test func volumeBarsStackLevels() {
    let bars = VolumeBars(
        levels: [
            .init(name: "info", counts: [8, 4, 0, 8]), .init(name: "error", counts: [0, 4, 0, 8]),
        ], startNanos: 0, endNanos: 240_000_000_000)
    let lines = bars.lines(terminal(80)).map(\.plain)
    #expect(lines[0] == "     16 │   █")
    #expect(lines[3] == "      0 │██ █")
    #expect(lines[5].contains("error 12  info 20"))
}

@Test func treesShowRatesAndEndInRings() {
    let tree = ServiceTree(
        edges: [
            .init(
                parent: "front", child: "cart", callCount: 100, errorCount: 10, p95Nanos: 5_000_000),
            .init(parent: "front", child: "pay", callCount: 50),
            .init(parent: "cart", child: "db", callCount: 100),
            .init(parent: "pay", child: "db", callCount: 10),
        ], seconds: 10)
    #expect(
        plain(tree.lines(terminal(80, unicode: false))) == """
            front
            |- cart  10/s  10 % errors  p95 5ms
            |  `- db  10/s
            `- pay  5/s
               `- db  1/s
            """)
    let ring = ServiceTree(
        edges: [
            .init(parent: "a", child: "b", callCount: 1),
            .init(parent: "b", child: "a", callCount: 1),
        ],
        seconds: 1)
    #expect(plain(ring.lines(terminal(80, unicode: false))).contains("a  1/s  (above)"))
}

@Test func everyDrawingFitsNarrowTerminals() {
    for columns in [20, 31, 40, 80, 200] {
        for unicode in [true, false] {
            let traits = terminal(columns, 10, unicode: unicode)
            let chart = LineChart(
                series: (0..<20).map {
                    ChartSeries(
                        name: "日本_\($0){a=\"long long long\"}", values: [1, 3, 2, Double($0)])
                }, startNanos: 0, endNanos: 86_400_000_000_000)
            let text = chart.lines(traits).rendered(traits)
            for line in text.split(separator: "\n") {
                #expect(displayWidth(String(line)) <= columns, "\(columns): \(line)")
            }
        }
    }
}
