// SPDX-License-Identifier: Apache-2.0
// What is refused, what is dropped, what is counted.

import Base
import Telemetry
import Testing

@testable import MetricStore

private let now = Millis(1_768_514_400_000)

private func batch(_ samples: [(name: String, offset: Int64, value: Double)]) -> MetricBatch {
    var batch = MetricBatch()
    for sample in samples {
        let series = batch.addSeries(Labels([("__name__", sample.name)]))
        batch.addSample(
            series: series, millis: now.rawValue + sample.offset, value: sample.value)
    }
    return batch
}

private func admit(_ harness: StoreHarness, _ batch: MetricBatch) -> MetricAdmission {
    harness.store.admit(
        batch, tenant: .anonymous, now: now, oldest: Millis(now.rawValue - 1_000_000))
}

@Test func samplesOutsideTheTimesAreRefused() {
    let harness = StoreHarness()
    let mixed = batch([
        ("a", 0, 1), ("a", 600_000, 1), ("a", 600_001, 1), ("a", -1_000_000, 1),
        ("a", -1_000_001, 1),
    ])
    let admission = admit(harness, mixed)
    #expect(
        admission.samples == [
            MetricAdmission.Refusal(reason: .tooFarInFuture, index: 2),
            MetricAdmission.Refusal(reason: .tooOld, index: 4),
        ])
    let kept = mixed.removing(admission)
    #expect(kept.sampleMillis.map { $0 - now.rawValue } == [0, 600_000, -1_000_000])
    #expect(harness.store.statistics.headSeries == 0)
}

@Test func anotherValueForATakenTimeIsRefused() throws {
    let harness = StoreHarness()
    harness.append(batch([("a", 0, 1), ("a", 1000, 2), ("a", -5000, 3)]))
    #expect(admit(harness, batch([("a", 2000, 9), ("b", 0, 9)])).isEmpty)
    // Same value: silently taken, and dropped when appended.
    #expect(admit(harness, batch([("a", 0, 1), ("a", 1000, 2), ("a", -5000, 3)])).isEmpty)
    let conflicting = batch([("a", 0, 7), ("a", 1000, 7), ("a", 500, 7), ("a", -5000, 7)])
    let expected = [
        MetricAdmission.Refusal(reason: .duplicate(existing: 1), index: 0),
        MetricAdmission.Refusal(reason: .duplicate(existing: 2), index: 1),
        MetricAdmission.Refusal(reason: .duplicate(existing: 3), index: 3),
    ]
    #expect(admit(harness, conflicting).samples == expected)
    // Also while the head that has them is being sealed.
    let generation = harness.rotate()
    #expect(admit(harness, conflicting).samples == expected)
    try harness.finishSeal(generation)
    #expect(admit(harness, conflicting).isEmpty)
}

@Test func histogramsAndFloatsDoNotShareATime() {
    let harness = StoreHarness()
    var first = batch([("a", 0, 1)])
    var histogram = NativeHistogram()
    histogram.count = 1
    first.addHistogram(series: 0, millis: now.rawValue + 1000, histogram)
    harness.append(first)
    var second = batch([("a", 1000, 1)])
    second.addHistogram(series: 0, millis: now.rawValue, histogram)
    second.addHistogram(series: 0, millis: now.rawValue + 1000, histogram)
    histogram.count = 2
    second.addHistogram(series: 0, millis: now.rawValue + 1000, histogram)
    let admission = admit(harness, second)
    #expect(
        admission.samples == [MetricAdmission.Refusal(reason: .duplicateHistogram, index: 0)])
    #expect(admission.histograms.map(\.index) == [0, 2])
    #expect(second.removing(admission).histograms.count == 1)
    let counts = harness.append(second)
    #expect(counts.appended == 0 && counts.duplicates == 1 && counts.conflicts == 3)
}

@Test func newSeriesAreRefusedAtTheLimitAndOldOnesAreNot() {
    var configuration = MetricStoreConfiguration()
    configuration.maxSeriesPerTenant = 3
    let harness = StoreHarness(configuration)
    harness.append(batch([("a", 0, 1), ("b", 0, 1)]))
    let next = batch([("a", 1, 1), ("c", 1, 1), ("d", 1, 1), ("c", 2, 1), ("b", 1, 1)])
    let admission = admit(harness, next)
    #expect(
        admission.samples == [MetricAdmission.Refusal(reason: .seriesLimit(3), index: 2)])
    let counts = harness.append(next.removing(admission))
    #expect(counts.newSeries == [1])
    #expect(harness.store.statistics.headSeries == 3)
}

@Test func appendCountsWhatItDid() {
    let harness = StoreHarness()
    let first = harness.append(batch([("a", 0, 1), ("b", 0, 1), ("a", 0, 1), ("a", 0, 2)]))
    #expect(first.appended == 2 && first.duplicates == 1 && first.conflicts == 1)
    #expect(first.newSeries == [0, 1])
    let second = harness.append(batch([("a", -1, 5), ("c", 0, 1), ("a", 1, 1)]))
    #expect(second.appended == 3 && second.outOfOrder == 1 && second.newSeries == [1])
    #expect(harness.store.headBytes > 0)
}

@Test func descendingBackfillOfOneSeriesIsKept() throws {
    let harness = StoreHarness()
    var model = NaiveModel()
    var random = SplitMix64(seed: 4)
    var offsets = (0..<3000).map { Int64($0) * -15_000 }
    for round in 0..<2 {
        let samples = offsets.map { (name: "a", offset: $0, value: Double($0 / 1000 % 97)) }
        let backfill = batch(samples)
        harness.append(backfill)
        model.append(backfill)
        try #expect(difference(harness.store, model) == nil, "round \(round)")
        offsets = offsets.map { $0 - Int64(random.next() % 100) }
        offsets.shuffle(using: &random)
    }
    try harness.seal()
    try #expect(difference(harness.store, model) == nil)
}
