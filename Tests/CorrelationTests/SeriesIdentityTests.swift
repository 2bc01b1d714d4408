// SPDX-License-Identifier: Apache-2.0
// Series that are known by some of their labels teach the same as series looked at whole.

import Base
import Telemetry
import Testing

@testable import Correlation

private let second: Int64 = 1_000_000_000

private func index(
    _ series: [(pairs: [(String, String)], nanos: Int64)],
    _ limits: CorrelationConfiguration = CorrelationConfiguration()
) -> HeadIndex {
    var index = HeadIndex()
    for (pairs, nanos) in series {
        var batch = MetricBatch()
        batch.addSample(
            series: batch.addSeries(Labels(pairs)), millis: nanos / 1_000_000, value: 1)
        index.record(batch, targets: TargetTable(), limits)
    }
    return index
}

@Test func seriesOfOneTargetFallTogether() throws {
    var series: [(pairs: [(String, String)], nanos: Int64)] = []
    for number in 0..<50 {
        let shared = [("job", "shop/front"), ("instance", "front-\(number % 3):80")]
        series.append((shared + [("__name__", "m\(number)"), ("le", "\(number)")], noon))
    }
    series.append(([("__name__", "m"), ("mode", "idle")], noon))
    series.append(([("__name__", "n"), ("mode", "idle")], noon))
    let found = index(series)
    let day = try #require(found.days.values.first)
    #expect(day.services.keys.sorted() == ["front"])
    let service = try #require(day.services["front"])
    #expect(service.series == Set(series.prefix(50).map { Labels($0.pairs) }))
    #expect(service.instances == ["front-0:80", "front-1:80", "front-2:80"])
    #expect(service.namespaces == ["shop"])
}

@Test func theEarliestSeriesOfAVersionCounts() throws {
    let labels = { (name: String, version: String) in
        [("__name__", name), ("job", "front"), ("version", version)]
    }
    let found = index([
        (labels("a", "1"), noon), (labels("b", "1"), noon - 40 * second),
        (labels("c", "1"), noon + 40 * second), (labels("d", "2"), noon + second),
    ])
    let service = try #require(found.days.values.first?.services["front"])
    #expect(service.versions == ["1": noon - 40 * second, "2": noon + second])
    #expect(service.series.count == 4)
}

@Test func aFullServiceTakesNoMoreSeries() throws {
    var limits = CorrelationConfiguration()
    limits.maxSetEntries = 5
    let found = index((0..<20).map { ([("__name__", "m\($0)"), ("job", "front")], noon) }, limits)
    let service = try #require(found.days.values.first?.services["front"])
    #expect(service.series.count == 5)
    let later = index(
        (0..<20).map { ([("__name__", "m"), ("job", "front-\($0)")], noon) }, limits)
    #expect(later.days.values.first?.services.count == 20)
}
