// SPDX-License-Identifier: Apache-2.0
// Retention classes of series: sealing, merging, admission.

import Base
import Storage
import Telemetry
import Testing

@testable import MetricStore

struct RetentionTests {
    private func rules() throws -> [MetricRetention] {
        [
            MetricRetention(
                selectors: [[try matcher("job", .equal, "debug")]], seconds: 2 * 86_400),
            MetricRetention(
                selectors: [
                    [try matcher("__name__", .matches, "slo:.*")],
                    [try matcher("tier", .equal, "gold"), try matcher("job", .notEqual, "batch")],
                ], seconds: 365 * 86_400),
        ]
    }

    private func harness(
        _ rules: [MetricRetention], numbers: [UInt8]
    ) -> StoreHarness {
        var configuration = MetricStoreConfiguration()
        configuration.retention = rules
        let harness = StoreHarness(configuration)
        harness.store.useRetentionClasses(numbers)
        return harness
    }

    private func batch(_ series: [[(String, String)]], millis: [Int64]) -> MetricBatch {
        var batch = MetricBatch()
        for labels in series {
            let number = batch.addSeries(Labels(labels))
            for time in millis { batch.addSample(series: number, millis: time, value: 1) }
        }
        return batch
    }

    private let fleet: [[(String, String)]] = [
        [("__name__", "up"), ("job", "debug")],
        [("__name__", "slo:errors"), ("job", "debug")],
        [("__name__", "slo:errors"), ("job", "web")],
        [("__name__", "up"), ("job", "web"), ("tier", "gold")],
        [("__name__", "up"), ("job", "batch"), ("tier", "gold")],
        [("__name__", "up"), ("job", "web")],
    ]

    /// Parts by class with the jobs and names of their series.
    private func content(_ handles: [PartHandle]) throws -> [UInt8: [String]] {
        var result: [UInt8: [String]] = [:]
        for handle in handles {
            let index = try MetricPart(handle).index()
            for series in 0..<index.seriesCount {
                let labels = index.labels(series)
                result[handle.descriptor.retentionClass, default: []].append(
                    (labels["__name__"] ?? "") + "/" + (labels["job"] ?? ""))
            }
        }
        return result.mapValues { $0.sorted() }
    }

    @Test func theFirstRuleThatCoversASeriesDecides() throws {
        let harness = harness(try rules(), numbers: [7, 3])
        let batch = batch(fleet, millis: [1000, 2000])
        harness.append(batch)
        try harness.seal()
        let parts = try content(harness.handles)
        #expect(
            parts == [
                7: ["slo:errors/debug", "up/debug"], 3: ["slo:errors/web", "up/web"],
                0: ["up/batch", "up/web"],
            ])
        // Readers see one store.
        var model = NaiveModel()
        model.append(batch)
        try #expect(difference(harness.store, model) == nil)
        #expect(harness.handles.flatMap { harness.store.verify($0) } == [])
    }

    @Test func mergesGiveSeriesTheClassOfToday() throws {
        let old = harness([], numbers: [])
        var model = NaiveModel()
        for time in [1000, 2000, 3000] as [Int64] {
            let batch = batch(fleet, millis: [time])
            model.append(batch)
            old.append(batch)
            try old.seal()
        }
        #expect(Set(old.handles.map(\.descriptor.retentionClass)) == [0])
        var configuration = MetricStoreConfiguration()
        configuration.retention = try rules()
        let store = MetricStore(configuration)
        store.useRetentionClasses([1, 2])
        for handle in old.handles { try store.open(handle) }
        let drafts = try store.merge(old.handles) { false }
        #expect(drafts.map(\.retentionClass) == [0, 1, 2])
        #expect(drafts.map(\.rowCount) == [6, 6, 6])
        let merged = try drafts.map { try old.handle($0, level: 1, lastSequence: 3) }
        store.replace(removed: old.handles.map(\.descriptor.id), added: merged)
        try #expect(difference(store, model) == nil)
        try #expect(
            content(merged) == [
                1: ["slo:errors/debug", "up/debug"], 2: ["slo:errors/web", "up/web"],
                0: ["up/batch", "up/web"],
            ])
    }

    @Test func whatIsTooOldDependsOnTheSeries() throws {
        let harness = harness(try rules(), numbers: [1, 2])
        let day: Int64 = 86_400_000
        let now: Int64 = 1000 * day
        // Ages of 1, 3, 20 and 400 days.
        let millis = [1, 3, 20, 400].map { now - Int64($0) * day }
        let batch = batch([fleet[0], fleet[2], fleet[5]], millis: millis)
        let admission = harness.store.admit(
            batch, tenant: .anonymous, now: Millis(now), oldest: Millis(now - 15 * day))
        #expect(admission.samples.map(\.index) == [1, 2, 3, 7, 10, 11])
        #expect(admission.samples.allSatisfy { $0.reason == .tooOld })
        #expect(
            batch.removing(admission).sampleMillis.map { (now - $0) / day } == [1, 1, 3, 20, 1, 3])
    }

    @Test func aRuleHasOneNameHoweverItIsWritten() throws {
        let one = MetricRetention(
            selectors: [
                [try matcher("a", .equal, "1"), try matcher("b", .matches, "x|y")],
                [try matcher("c", .notEqual, "")],
            ], seconds: 10)
        let other = MetricRetention(
            selectors: [
                [try matcher("c", .notEqual, "")],
                [try matcher("b", .matches, "x|y"), try matcher("a", .equal, "1")],
            ], seconds: 99)
        #expect(one.rule.name == other.rule.name)
        #expect(one.rule.name == #"metrics {a="1",b=~"x|y"} {c!=""}"#)
        let another = MetricRetention(selectors: [[try matcher("a", .equal, "1")]], seconds: 10)
        #expect(one.rule.name != another.rule.name)
    }
}
