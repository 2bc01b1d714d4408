// SPDX-License-Identifier: Apache-2.0
// What sealing and merging keep, and what they count.

import Base
import Storage
import Telemetry
import Testing

@testable import MetricStore

private func described(_ families: [String]) -> MetricBatch {
    var batch = MetricBatch()
    for family in families {
        batch.metadata.append(
            MetricBatch.Metadata(
                family: batch.arena.keep(family), type: .counter,
                help: batch.arena.keep("help of \(family)"), unit: batch.arena.keep("bytes")))
    }
    return batch
}

private func sampled(_ samples: [(millis: Int64, value: Double)]) -> MetricBatch {
    var batch = MetricBatch()
    let series = batch.addSeries(Labels([("__name__", "a")]))
    for sample in samples {
        batch.addSample(series: series, millis: sample.millis, value: sample.value)
    }
    return batch
}

private func families(_ store: MetricStore) throws -> [String] {
    try store.metadata(.anonymous, family: nil).map(\.0)
}

@Test func metadataWithoutSamplesIsSealed() throws {
    let harness = StoreHarness()
    harness.append(described(["a", "b"]))
    let drafts = try harness.store.seal(generation: harness.generation)
    #expect(drafts.map(\.isTimeless) == [true])
    try harness.seal()
    #expect(try families(harness.store) == ["a", "b"])
    let again = try harness.reopened()
    #expect(try families(again) == ["a", "b"])
    #expect(
        try again.metadata(.anonymous, family: "b").map(\.1) == [
            [MetricMetadata(type: .counter, help: "help of b", unit: "bytes")]
        ])
    #expect(harness.handles.flatMap { again.verify($0) } == [])
    // The part answers like any other, with nothing.
    let everything = SeriesRequest(tenant: .anonymous, matchers: [], range: .all)
    #expect(try again.select(everything, ReadContext()).count == 0)
    #expect(try again.labelNames(everything, ReadContext()) == [])
    #expect(try again.exemplars(everything, ReadContext()) == [])
}

@Test func metadataWithoutSamplesSurvivesMerges() throws {
    for withSamples in [false, true] {
        let harness = StoreHarness()
        for family in ["a", "b", "c"] {
            harness.append(described([family]))
            if withSamples, family == "b" { harness.append(sampled([(5, 1)])) }
            try harness.seal()
        }
        // As the kernel dates them.
        let dated = harness.handles.enumerated().map { index, handle in
            var descriptor = handle.descriptor
            descriptor.day = 0
            if descriptor.rowCount == 0 {
                descriptor.minNanos = 1000 + Int64(index)
                descriptor.maxNanos = 1000 + Int64(index)
            }
            return PartHandle(descriptor: descriptor, reader: handle.reader)
        }
        let draft = try #require(try harness.store.merge(dated) { false }.first)
        #expect(!draft.isTimeless)
        #expect(draft.day == 0)
        #expect(draft.maxNanos == (withSamples ? 5_000_000 : 1002))
        #expect(draft.minNanos == 1000)
        try harness.merge(harness.handles)
        #expect(try families(try harness.reopened()) == ["a", "b", "c"])
    }
}

@Test func mergesCountDuplicatesAndConflicts() throws {
    let harness = StoreHarness()
    harness.append(sampled([(1, 10), (2, 20), (3, .nan), (4, 40)]))
    try harness.seal()
    harness.append(sampled([(1, 10), (2, 21), (3, .nan), (5, 50)]))
    try harness.seal()
    harness.append(sampled([(2, 22), (4, 41), (6, 60)]))
    try harness.seal()
    let draft = try #require(try harness.store.merge(harness.handles) { false }.first)
    #expect(draft.duplicates == 2)
    #expect(draft.conflicts == 3)
    #expect(draft.rowCount == 6)
    try harness.merge(harness.handles)
    let set = try harness.store.select(
        SeriesRequest(tenant: .anonymous, matchers: [], range: .all), ReadContext())
    var columns = SampleColumns()
    try set.read(0, into: &columns, ReadContext())
    #expect(columns.values.map { $0.isNaN ? -1 : $0 } == [10, 20, -1, 40, 50, 60])
}

@Test func mergesCountConflictsOfHistograms() throws {
    var histogram = NativeHistogram()
    histogram.count = 3
    histogram.sum = StaleMarker.value
    func batch(_ change: (inout NativeHistogram) -> Void, at times: [Int64]) -> MetricBatch {
        var changed = histogram
        change(&changed)
        var batch = MetricBatch()
        let series = batch.addSeries(Labels([("__name__", "h")]))
        var writer = ByteWriter()
        changed.encode(into: &writer)
        for time in times {
            batch.histogramSeries.append(series)
            batch.histogramMillis.append(time)
            batch.histograms.append(writer.bytes.withUnsafeBytes { batch.arena.keep($0) })
        }
        return batch
    }
    let harness = StoreHarness()
    harness.append(batch({ _ in }, at: [1, 2]))
    try harness.seal()
    harness.append(batch({ _ in }, at: [1]))
    harness.append(batch({ $0.count = 4 }, at: [2]))
    try harness.seal()
    let draft = try #require(try harness.store.merge(harness.handles) { false }.first)
    #expect(draft.duplicates == 1)
    #expect(draft.conflicts == 1)
}
