// SPDX-License-Identifier: Apache-2.0
// Limits of tenants: what is known always goes on.

import Base
import Telemetry
import TestKit
import Testing

@testable import Ingest

private let tenant = Tenant("a")

private func table(_ change: (inout TenantLimits) -> Void) -> TenantLimitTable {
    var table = TenantLimitTable()
    change(&table.common)
    return table
}

private func batch(_ series: [Int], _ labels: [(String, String)] = []) -> MetricBatch {
    var batch = MetricBatch()
    for number in series {
        let index = batch.addSeries(
            Labels([("__name__", "m"), ("i", "\(number)")] + labels.map { ($0.0, $0.1) }))
        batch.addSample(series: index, millis: 1, value: Double(number))
    }
    return batch
}

/// Numbers of the series that were refused, with the reason.
private func refused(
    _ limiter: SeriesLimiter, _ series: [Int], _ seconds: Int64, _ tenant: Tenant = tenant
) -> [Int: LimitReason] {
    let reasons = limiter.check(batch(series), tenant, nowSeconds: seconds).reasons
    return Dictionary(uniqueKeysWithValues: reasons.map { (series[Int($0.key)], $0.value) })
}

@Suite struct SeriesLimiterTests {
    private let hour: Int64 = 3_600 * 500_000

    @Test func newSeriesOverTheLimitAreRefusedAndKnownOnesGoOn() {
        let limiter = SeriesLimiter { _ in [] }
        limiter.set(table { $0.maxSeries = 5 })
        #expect(refused(limiter, [1, 2, 3], hour).isEmpty)
        #expect(refused(limiter, [3, 4, 5, 6, 7], hour) == [6: .maxSeries, 7: .maxSeries])
        #expect(refused(limiter, [1, 2, 3, 4, 5], hour + 10).isEmpty)
        // What is not heard of for a whole clock hour makes room.
        #expect(refused(limiter, [1, 2], hour + 3_600) == [:])
        #expect(refused(limiter, [6], hour + 3_601) == [6: .maxSeries])
        #expect(refused(limiter, [6, 7], hour + 7_200).isEmpty)
        #expect(limiter.activeSeries.map(\.count) == [4])
    }

    @Test func tooManyNewOnesWithinAnHourAreRefused() {
        let limiter = SeriesLimiter { _ in [] }
        limiter.set(table { $0.maxNewSeriesPerHour = 4 })
        #expect(refused(limiter, [1, 2], hour + 1800).isEmpty)
        #expect(refused(limiter, [3, 4, 5], hour + 1860) == [5: .maxNewSeriesPerHour])
        #expect(refused(limiter, [1, 2, 3, 4], hour + 3_000).isEmpty)
        // The window slides by the minute.
        #expect(refused(limiter, [5], hour + 1800 + 3_540) == [5: .maxNewSeriesPerHour])
        #expect(refused(limiter, [5, 6, 7], hour + 1800 + 3_600) == [7: .maxNewSeriesPerHour])
    }

    @Test func labelsOfNewSeriesAreMeasured() {
        let limiter = SeriesLimiter { _ in [] }
        limiter.set(
            table {
                $0.maxLabelNames = 4
                $0.maxLabelNameBytes = 8
                $0.maxLabelValueBytes = 3
            })
        func reason(_ labels: [(String, String)]) -> LimitReason? {
            limiter.check(batch([1], labels), tenant, nowSeconds: hour).reasons[0]
        }
        #expect(reason([]) == nil)
        #expect(reason([("x", "1"), ("y", "2")]) == nil)
        #expect(reason([("x", "1"), ("y", "2"), ("z", "3")]) == .maxLabelNames)
        #expect(reason([("longer_name", "1")]) == .maxLabelNameBytes)
        #expect(reason([("x", "long")]) == .maxLabelValueBytes)
    }

    @Test func eachTenantHasItsOwn() {
        let limiter = SeriesLimiter { _ in [] }
        var limits = table { $0.maxSeries = 1 }
        limits.byTenant["b"] = TenantLimits()
        limiter.set(limits)
        #expect(refused(limiter, [1, 2], hour) == [2: .maxSeries])
        #expect(refused(limiter, [1, 2, 3], hour, Tenant("b")).isEmpty)
        #expect(refused(limiter, [1], hour, Tenant("c")).isEmpty)
        // A tenant without limits is not remembered.
        #expect(limiter.activeSeries.map(\.tenant) == ["a", "c"])
    }

    @Test func whatTheStoreHasIsKnownAtARestart() {
        let held = batch([1, 2, 3]).series.map(\.hash)
        let limiter = SeriesLimiter { $0 == tenant ? held : nil }
        limiter.set(table { $0.maxSeries = 2 })
        #expect(refused(limiter, [1, 2, 3, 4], hour) == [4: .maxSeries])
        // As long as the store cannot tell, nothing is refused.
        #expect(refused(limiter, [1, 2, 3, 4], hour, Tenant("b")).isEmpty)
    }

    /// Whatever limits come and go, a series that was taken within the hour is never refused.
    @Test(arguments: 0..<30) func knownSeriesAreNeverRefused(_ seed: Int) {
        var random = SplitMix64(seed: UInt64(seed) + 1)
        let limiter = SeriesLimiter { _ in [] }
        var taken: [Int: Int64] = [:]
        var now = hour
        limiter.set(table { $0.maxSeries = 50 })
        for _ in 0..<400 {
            now += Int64(random.next() % 300)
            if random.next() % 40 == 0 {
                limiter.set(
                    table {
                        $0.maxSeries = 1 + Int(random.next() % 60)
                        $0.maxNewSeriesPerHour = Int(random.next() % 30)
                        $0.maxLabelNames = random.next() % 4 == 0 ? 1 : 0
                    })
            }
            let series = (0..<(1 + random.next() % 20)).map { _ in Int(random.next() % 120) }
            let refused = refused(limiter, Array(Set(series)), now)
            for number in Set(series) {
                if refused[number] == nil {
                    taken[number] = now
                } else if let last = taken[number] {
                    #expect(now / 3_600 > last / 3_600 + 1, "series \(number) at \(now)")
                }
            }
        }
        #expect(taken.count > 20)
    }

    @Test func aBatchKeepsWhatIsLeftWhole() throws {
        var given = batch([1, 2, 3])
        let labels = Labels([("trace_id", "x")])
        for series in 0..<3 {
            labels.bytes.withUnsafeBytes {
                given.addExemplar(series: UInt32(series), millis: 2, value: 1, labels: $0)
            }
        }
        var histogram = NativeHistogram()
        histogram.count = 1
        histogram.zeroCount = 1
        given.addHistogram(series: 2, millis: 3, histogram, startMillis: 1)
        let kept = given.keeping { $0 != 1 }
        #expect(kept.series.map { kept.arena.labels($0)["i"] } == ["1", "3"])
        #expect(kept.sampleSeries == [0, 1] && kept.sampleValues == [1, 3])
        #expect(kept.exemplarSeries == [0, 1] && kept.histogramSeries == [1])
        #expect(kept.histogramStartMillis == [1])
        #expect(!String(decoding: kept.arena, as: UTF8.self).contains("\u{1}2"))
        var writer = ByteWriter()
        kept.encode(into: &writer)
        _ = try writer.bytes.withUnsafeBytes { try MetricBatch(decoding: $0) }
    }
}
