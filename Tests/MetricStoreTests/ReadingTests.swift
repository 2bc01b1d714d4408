// SPDX-License-Identifier: Apache-2.0
// Matchers, label look-ups, exemplars, metadata, snapshots and budgets.

import Base
import Storage
import Telemetry
import Testing

@testable import MetricStore

/// A harness whose data lies in parts of two days, in a head that is being sealed and in a head.
private func mixedHarness(seed: UInt64) throws -> (StoreHarness, NaiveModel, BatchGenerator) {
    var generator = BatchGenerator(seed: seed)
    var model = NaiveModel()
    let harness = StoreHarness()
    for step in 0..<60 {
        let batch = generator.next()
        harness.append(batch)
        model.append(batch)
        if step == 20 || step == 40 { try harness.seal() }
    }
    _ = harness.rotate()
    let batch = generator.next()
    harness.append(batch)
    model.append(batch)
    return (harness, model, generator)
}

@Test func matchersSelectWhatTheModelSelects() throws {
    var (harness, model, generator) = try mixedHarness(seed: 21)
    var faults: [String] = []
    for _ in 0..<150 {
        let matchers = try generator.matchers()
        if let fault = try difference(harness.store, model, matchers, generator.range()) {
            faults.append(fault)
        }
    }
    #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
}

@Test func labelNamesAndValuesComeFromTheSelectedSeries() throws {
    var (harness, model, generator) = try mixedHarness(seed: 22)
    var faults: [String] = []
    for round in 0..<100 {
        let matchers = round == 0 ? [] : try generator.matchers()
        let request = SeriesRequest(tenant: .anonymous, matchers: matchers, range: .all)
        var names = Set<String>()
        var values: [String: Set<String>] = [:]
        for (labels, _) in model.select(matchers, .all) {
            for pair in labels.pairs {
                names.insert(pair.name)
                values[pair.name, default: []].insert(pair.value)
            }
        }
        let context = ReadContext()
        let byBytes = { (a: String, b: String) in a.utf8.lexicographicallyPrecedes(b.utf8) }
        if try harness.store.labelNames(request, context) != names.sorted(by: byBytes) {
            faults.append("names of \(matchers)")
        }
        for name in ["path", "instance", "job", "zone", "__name__", "absent"] {
            let found = try harness.store.labelValues(name, request, context)
            if found != (values[name] ?? []).sorted(by: byBytes) {
                faults.append("values of \(name) under \(matchers)")
            }
        }
        // Index look-ups read no samples.
        if context.samplesRead != 0 { faults.append("\(matchers) read samples") }
    }
    #expect(faults.isEmpty, "\(faults)")
}

@Test func setsDoNotSeeWhatHappensLater() throws {
    var (harness, model, generator) = try mixedHarness(seed: 23)
    let context = ReadContext()
    let set = try harness.store.select(
        SeriesRequest(tenant: .anonymous, matchers: [], range: .all), context)
    let expected = model.select([], .all)
    for _ in 0..<30 {
        let batch = generator.next()
        harness.append(batch)
    }
    try harness.finishSeal(harness.generation - 1)
    try harness.seal()
    for day in Set(harness.handles.map(\.descriptor.day)) {
        try harness.merge(harness.handles.filter { $0.descriptor.day == day })
    }
    try #require(set.count == expected.count)
    var columns = SampleColumns()
    for index in 0..<set.count {
        columns.removeAll()
        try set.read(index, into: &columns, context)
        #expect(set.labels(index) == expected[index].labels)
        let got = storedSamples(columns)
        #expect(got.elementsEqual(expected[index].samples, by: ==), "\(set.labels(index))")
    }
}

@Test func readingAppendsToWhatTheColumnsHold() throws {
    let (harness, model, _) = try mixedHarness(seed: 24)
    let context = ReadContext()
    let set = try harness.store.select(
        SeriesRequest(tenant: .anonymous, matchers: [], range: .all), context)
    var columns = SampleColumns()
    for index in 0..<set.count { try set.read(index, into: &columns, context) }
    let expected = model.select([], .all).flatMap(\.samples)
    #expect(storedSamples(columns).elementsEqual(expected, by: ==))
    #expect(context.samplesRead == model.sampleCount)
}

@Test func budgetsEndAQuery() throws {
    let (harness, _, _) = try mixedHarness(seed: 25)
    let request = SeriesRequest(tenant: .anonymous, matchers: [], range: .all)
    #expect(throws: QueryInterruption.memoryLimit(bytes: 500)) {
        try harness.store.select(request, ReadContext(memoryLimitBytes: 500))
    }
    let limited = ReadContext(sampleLimit: 10)
    let set = try harness.store.select(request, limited)
    var columns = SampleColumns()
    #expect(throws: QueryInterruption.rowLimit(name: "samples", limit: 10)) {
        for index in 0..<set.count { try set.read(index, into: &columns, limited) }
    }
    let cancelled = ReadContext()
    cancelled.cancel()
    #expect(throws: QueryInterruption.cancelled) {
        try harness.store.select(request, cancelled)
    }
}

private func exemplarBatch(_ millis: [Int64]) -> MetricBatch {
    var batch = MetricBatch()
    let series = batch.addSeries(Labels([("__name__", "latency"), ("job", "api")]))
    for time in millis {
        batch.addSample(series: series, millis: time, value: 1)
        let labels = Labels([("trace_id", "\(time)")])
        batch.exemplarSeries.append(series)
        batch.exemplarMillis.append(time)
        batch.exemplarValues.append(Double(time) / 10)
        batch.exemplarLabels.append(labels.bytes.withUnsafeBytes { batch.arena.keep($0) })
    }
    return batch
}

@Test func exemplarsSurviveSealingAndMerging() throws {
    let harness = StoreHarness()
    func times(_ range: MillisRange = .all) throws -> [Int64] {
        let request = SeriesRequest(
            tenant: .anonymous, matchers: [LabelMatcher(equal: "job", "api")], range: range)
        let found = try harness.store.exemplars(request, ReadContext())
        #expect(found.allSatisfy { $0.series["__name__"] == "latency" })
        #expect(found.allSatisfy { $0.labels["trace_id"] == "\($0.millis)" })
        return found.map(\.millis)
    }
    harness.append(exemplarBatch([1000, 3000]))
    harness.append(exemplarBatch([2000, 3000]))
    try #expect(times() == [1000, 2000, 3000])
    try harness.seal()
    harness.append(exemplarBatch([3000, 4000, 86_400_001]))
    try #expect(times() == [1000, 2000, 3000, 4000, 86_400_001])
    try harness.seal()
    let firstDay = harness.handles.filter { $0.descriptor.day == 0 }
    #expect(firstDay.count == 2)
    try harness.merge(firstDay)
    try #expect(times() == [1000, 2000, 3000, 4000, 86_400_001])
    let narrow = MillisRange(first: Millis(2000), last: Millis(3000))
    try #expect(times(narrow) == [2000, 3000])
    let other = SeriesRequest(
        tenant: .anonymous, matchers: [LabelMatcher(equal: "job", "x")], range: .all)
    try #expect(harness.store.exemplars(other, ReadContext()).isEmpty)
}

@Test func exemplarsOfASeriesAreBounded() throws {
    let harness = StoreHarness()
    harness.append(exemplarBatch((1...200).map { Int64($0) }))
    let request = SeriesRequest(tenant: .anonymous, matchers: [], range: .all)
    let kept = try harness.store.exemplars(request, ReadContext()).map(\.millis)
    #expect(kept == (137...200).map { Int64($0) })
}

@Test func metadataSurvivesSealing() throws {
    let harness = StoreHarness()
    func batch(_ help: String, sample: Bool) -> MetricBatch {
        var batch = MetricBatch()
        batch.metadata.append(
            MetricBatch.Metadata(
                family: batch.arena.keep("up"), type: .gauge, help: batch.arena.keep(help),
                unit: .empty))
        if sample {
            let series = batch.addSeries(Labels([("__name__", "up")]))
            batch.addSample(series: series, millis: 5, value: 1)
        }
        return batch
    }
    func helps(_ store: MetricStore) throws -> [String] {
        try store.metadata(.anonymous, family: "up").flatMap { $0.1.map(\.help) }
    }
    harness.append(batch("a", sample: false))
    harness.append(batch("a", sample: false))
    try #expect(helps(harness.store) == ["a"])
    try harness.seal()
    try #expect(helps(harness.store) == ["a"])
    try #expect(helps(harness.reopened()) == ["a"])
    harness.append(batch("b", sample: true))
    try harness.seal()
    try #expect(helps(harness.store) == ["a", "b"])
    try #expect(helps(harness.reopened()) == ["a", "b"])
    try harness.merge(harness.handles)
    try #expect(helps(harness.reopened()) == ["a", "b"])
    try #expect(harness.store.metadata(.anonymous, family: "down").isEmpty)
}

@Test func indexesOfPartsStayWithinTheirBudget() throws {
    var configuration = MetricStoreConfiguration()
    configuration.indexCacheBytes = 1
    let harness = StoreHarness(configuration)
    var generator = BatchGenerator(seed: 26)
    var model = NaiveModel()
    for _ in 0..<5 {
        let batch = generator.next()
        harness.append(batch)
        model.append(batch)
        try harness.seal()
    }
    let unbounded = try harness.reopened()
    try #expect(difference(unbounded, model) == nil)
    for _ in 0..<3 { try #expect(difference(harness.store, model) == nil) }
    // Only the part asked last keeps its index.
    #expect(harness.store.statistics.indexBytes < unbounded.statistics.indexBytes / 2)
}
