// SPDX-License-Identifier: Apache-2.0
// Deleting samples: what readers, listings, exemplars and merges make of it.

import Base
import Storage
import Telemetry
import TestKit
import Testing

@testable import MetricStore

private func batch(
    _ series: [(name: String, job: String)], _ millis: [Int64], value: Double = 1,
    exemplars: Bool = false
) -> MetricBatch {
    var batch = MetricBatch()
    for one in series {
        let number = batch.addSeries(Labels([("__name__", one.name), ("job", one.job)]))
        for time in millis {
            batch.addSample(series: number, millis: time, value: value)
            guard exemplars else { continue }
            Labels([("trace_id", "\(time)")]).bytes.withUnsafeBytes {
                batch.addExemplar(series: number, millis: time, value: value, labels: $0)
            }
        }
    }
    return batch
}

private let everything = SeriesRequest(tenant: .anonymous, matchers: [], range: .all)

private func times(
    _ store: MetricStore, _ request: SeriesRequest = everything
) throws -> [String: [Int64]] {
    let set = try store.select(request, ReadContext())
    var result: [String: [Int64]] = [:]
    for index in 0..<set.count {
        var columns = SampleColumns()
        try set.read(index, into: &columns, ReadContext())
        result[set.labels(index)["__name__"] ?? "", default: []] += columns.millis
    }
    return result
}

private func range(_ first: Int64, _ last: Int64) -> MillisRange {
    MillisRange(first: Millis(first), last: Millis(last))
}

struct DeletionTests {
    @Test func aRangeOfOneSeriesIsGoneAndTheOthersStay() throws {
        let harness = StoreHarness()
        harness.append(batch([("a", "x"), ("b", "x")], Array(stride(from: 0, to: 100, by: 10))))
        try harness.delete([[matcher("__name__", .equal, "a")]], range(20, 50))
        let left: [Int64] = [0, 10, 60, 70, 80, 90]
        #expect(try times(harness.store)["a"] == left)
        #expect(try times(harness.store)["b"]?.count == 10)
        // A second one beside it, and one that covers nothing.
        try harness.delete([[matcher("__name__", .equal, "a")]], range(60, 60))
        let before = harness.handles.map(\.descriptor)
        try harness.delete([[matcher("__name__", .equal, "none")]])
        try harness.delete([[matcher("__name__", .equal, "a")]], range(1000, 2000))
        #expect(harness.handles.map(\.descriptor) == before)
        #expect(try times(harness.reopened())["a"] == [0, 10, 70, 80, 90])
        #expect(harness.handles.flatMap { harness.store.verify($0) } == [])
    }

    @Test func whatIsWrittenAfterADeletionIsKept() throws {
        let harness = StoreHarness()
        harness.append(batch([("a", "x")], [10, 20, 30], value: 1))
        try harness.delete([[matcher("job", .equal, "x")]], range(0, 20))
        // The same times with other values: no duplicates of anything that is still there.
        let again = batch([("a", "x")], [10, 20], value: 2)
        #expect(
            harness.store.admit(again, tenant: .anonymous, now: Millis(1000), oldest: Millis(0))
                .isEmpty)
        harness.append(again)
        #expect(try times(harness.store) == ["a": [10, 20, 30]])
        try harness.seal()
        #expect(try times(harness.store) == ["a": [10, 20, 30]])
        try harness.merge(harness.handles)
        #expect(harness.handles.count == 1)
        #expect(harness.handles[0].descriptor.deletions == [])
        let set = try harness.store.select(everything, ReadContext())
        var columns = SampleColumns()
        try set.read(0, into: &columns, ReadContext())
        #expect(columns.values == [2, 2, 1])
    }

    @Test func seriesWithNothingLeftLeaveTheListings() throws {
        let harness = StoreHarness()
        harness.append(batch([("a", "x"), ("b", "y")], [10, 20]))
        try harness.delete([[matcher("job", .equal, "x")]], range(10, 10))
        let context = ReadContext()
        #expect(try harness.store.labelValues("job", everything, context) == ["x", "y"])
        let early = SeriesRequest(tenant: .anonymous, matchers: [], range: range(0, 10))
        #expect(try harness.store.labelValues("job", early, context) == ["y"])
        try harness.delete([[matcher("job", .equal, "x")]], range(11, 20))
        #expect(try harness.store.labelValues("job", everything, context) == ["y"])
        #expect(try harness.store.select(everything, context).count == 1)
        let matched = SeriesRequest(
            tenant: .anonymous, matchers: [try matcher("__name__", .matches, ".+")], range: .all)
        #expect(try harness.store.labelValues("__name__", matched, context) == ["b"])
        try harness.delete([[matcher("job", .equal, "y")]])
        #expect(try harness.store.labelNames(everything, context) == [])
    }

    @Test func exemplarsGoWithTheirSamples() throws {
        let harness = StoreHarness()
        harness.append(batch([("a", "x")], [10, 20, 30], exemplars: true))
        try harness.delete([[matcher("__name__", .equal, "a")]], range(20, 30))
        let context = ReadContext()
        let request = SeriesRequest(
            tenant: .anonymous, matchers: [try matcher("__name__", .equal, "a")], range: .all)
        #expect(try harness.store.exemplars(request, context).map(\.millis) == [10])
        try harness.merge(harness.handles)
        #expect(harness.handles.map(\.descriptor.deletions) == [[]])
        #expect(try harness.store.exemplars(request, context).map(\.millis) == [10])
        #expect(try times(harness.store) == ["a": [10]])
    }

    @Test func rewritingAPartWithNothingLeftGivesNone() throws {
        let harness = StoreHarness()
        harness.append(batch([("a", "x")], [10, 20], exemplars: true))
        try harness.delete([[matcher("__name__", .equal, "a")]])
        try harness.merge(harness.handles)
        #expect(harness.handles.isEmpty)
        #expect(harness.store.statistics.parts == 0)
    }

    @Test func deletionsOfEverythingReplaceThoseOfLess() throws {
        let harness = StoreHarness()
        harness.append(batch([("a", "x"), ("b", "x"), ("c", "y")], [10, 20, 30, 40]))
        for first in [10, 20, 30] as [Int64] {
            try harness.delete([[matcher("job", .equal, "x")]], range(first, first + 5))
        }
        try harness.delete([[matcher("__name__", .equal, "a")]])
        let part = try MetricPart(harness.handles[0])
        #expect(part.deletions.entries.count == 4)
        try harness.delete([[matcher("__name__", .equal, "b")]])
        #expect(try MetricPart(harness.handles[0]).deletions.entries.count == 1)
        #expect(try times(harness.store) == ["c": [10, 20, 30, 40]])
    }

    @Test func tenantsKeepTheirOwn() throws {
        let harness = StoreHarness()
        harness.append(batch([("a", "x")], [10]))
        harness.append(batch([("a", "x")], [10]), tenant: Tenant("other"))
        try harness.delete([[matcher("job", .equal, "x")]], tenant: Tenant("other"))
        #expect(try times(harness.store) == ["a": [10]])
        let other = SeriesRequest(tenant: Tenant("other"), matchers: [], range: .all)
        #expect(try times(harness.store, other) == [:])
    }

    @Test func damagedDeletionsAreRefusedAndNeverCrash() throws {
        var deletions = Deletions()
        deletions.add(Postings(ascending: [1, 2, 5]), range(-5, 900), whole: .all)
        deletions.add(Postings(ascending: [0, 9]), .all, whole: .all)
        let bytes = deletions.encoded()
        #expect(try Deletions(bytes, seriesCount: 10) == deletions)
        #expect(throws: MalformedBytes.self) { try Deletions(bytes, seriesCount: 9) }
        for cut in 1..<bytes.count {
            #expect(throws: MalformedBytes.self) {
                try Deletions(Array(bytes[..<cut]), seriesCount: 10)
            }
        }
        var read = 0, refused = 0
        for offset in bytes.indices {
            for bit in 0..<8 {
                var flipped = bytes
                flipped[offset] ^= 1 << bit
                // Refused, or something in bounds.
                do throws(MalformedBytes) {
                    let some = try Deletions(flipped, seriesCount: 10)
                    read += 1
                    #expect(
                        some.entries.allSatisfy { $0.series.allSatisfy { $0.upperBound <= 10 } })
                } catch { refused += 1 }
            }
        }
        #expect(read > 0 && refused > 0, "\(read) read, \(refused) refused")
        let harness = StoreHarness()
        harness.append(batch([("a", "x")], [10]))
        try harness.seal()
        let bad = harness.handles[0].deleting([1, 1, 0, 0, 1, 7, 7])
        #expect(throws: PartCorruption.self) {
            try MetricStore(MetricStoreConfiguration()).open(bad)
        }
        #expect(!harness.store.verify(bad).isEmpty)
    }

    /// Random histories with deletions against the naive model.
    @Test(arguments: 1...6)
    func anyHistoryWithDeletionsReadsBackWhatIsLeft(seed: Int) throws {
        var generator = BatchGenerator(seed: UInt64(1000 + seed))
        var model = NaiveModel()
        let harness = StoreHarness()
        for step in 0..<80 {
            let next = generator.next()
            harness.append(next)
            model.append(next)
            if generator.chance(10) { try harness.seal() }
            if generator.chance(15) {
                let selections = try (0...generator.below(2)).map { _ in try generator.matchers() }
                let range = generator.range()
                try harness.delete(selections, range)
                model.delete(selections, range)
            }
            if generator.chance(10), let day = harness.handles.first?.descriptor.day {
                let ofDay = harness.handles.filter { $0.descriptor.day == day }
                let start = generator.below(ofDay.count)
                let count = 1 + generator.below(ofDay.count - start)
                try harness.merge(Array(ofDay[start..<(start + count)]))
            }
            if step % 4 == 3 {
                let matchers = try generator.matchers()
                let fault = try difference(harness.store, model, matchers, generator.range())
                try #require(fault == nil, "seed \(seed), step \(step): \(fault ?? "")")
            }
        }
        try harness.seal()
        try #expect(difference(harness.store, model) == nil)
        try #expect(difference(harness.reopened(), model) == nil)
        for handle in harness.handles { #expect(harness.store.verify(handle).isEmpty) }
        for handle in harness.handles { try harness.merge([handle]) }
        try #expect(difference(harness.reopened(), model) == nil)
        #expect(harness.handles.allSatisfy { $0.descriptor.deletions.isEmpty })
        #expect(
            harness.handles.reduce(0) { $0 + Int($1.descriptor.rowCount) }
                >= model.series.values.reduce(0) { $0 + $1.count })
    }
}
