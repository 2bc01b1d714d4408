// SPDX-License-Identifier: Apache-2.0
// Which series have a value at one time, against the naive model.

import Base
import Storage
import Telemetry
import Testing

@testable import MetricStore

private let groupings = [
    LabelNameSet(keeping: []), LabelNameSet(keeping: ["job"]), LabelNameSet(keeping: ["path"]),
    LabelNameSet(keeping: ["__name__"]), LabelNameSet(keeping: ["absent"]),
    LabelNameSet(keeping: ["job", "path"]), LabelNameSet(leavingOut: ["instance"]),
    LabelNameSet(leavingOut: []),
]

extension NaiveModel {
    /// How many series have a sample in the range whose newest is no stale marker, by group.
    fileprivate func present(
        _ matchers: [LabelMatcher], _ range: MillisRange, by names: LabelNameSet
    ) throws -> [PresentGroup] {
        var counts: [Labels: Int] = [:]
        for (labels, samples) in select(matchers, range) {
            guard let newest = samples.last?.1.value, try !newest.isStale else { continue }
            counts[names.apply(labels), default: 0] += 1
        }
        return counts.map { PresentGroup(labels: $0.key, count: $0.value) }
            .sorted { $0.labels < $1.labels }
    }
}

extension StoredValue {
    fileprivate var isStale: Bool {
        get throws {
            switch self {
            case .float(let bits): bits == StaleMarker.bits
            case .histogram(let bytes):
                try bytes.withUnsafeBytes { try NativeHistogram(decoding: $0) }.isStale
            }
        }
    }
}

/// Compares presence and newest samples under random matchers and times.
private func expectEqualPresence(
    _ store: MetricStore, _ model: NaiveModel, _ generator: inout BatchGenerator, _ what: String
) throws {
    for _ in 0..<12 {
        let matchers = try generator.matchers()
        var range = generator.range()
        if generator.chance(50) { range.first = Millis(range.last.rawValue &- 299_999) }
        let request = SeriesRequest(tenant: .anonymous, matchers: matchers, range: range)
        let context = ReadContext()
        for names in groupings {
            let expected = try model.present(matchers, range, by: names)
            let counted = try store.present(request, by: names, isCounted: true, context)
            #expect(counted == expected, "\(what): \(matchers) in \(range) by \(names)")
            let any = try store.present(request, by: names, isCounted: false, context)
            #expect(any.map(\.labels) == expected.map(\.labels), "\(what): \(matchers) by \(names)")
        }
        let set = try store.select(request, context)
        for index in 0..<set.count {
            var all = SampleColumns()
            try set.read(index, into: &all, context)
            // What the columns hold already stays.
            var newest = SampleColumns()
            newest.append(millis: 1, value: 2)
            try set.readNewest(index, into: &newest, context)
            let last = storedSamples(all).suffix(1)
            let found = storedSamples(newest).dropFirst()
            #expect(
                found.elementsEqual(last, by: ==), "\(what): \(set.labels(index)) in \(range)")
            #expect(newest.millis.first == 1 && newest.values.first == 2)
        }
    }
}

@Test(arguments: 1...4)
func presenceIsThatOfTheNewestSample(seed: Int) throws {
    var generator = BatchGenerator(seed: UInt64(seed) &+ 100)
    var model = NaiveModel()
    let harness = StoreHarness()
    func append(_ steps: Int) {
        for _ in 0..<steps {
            let batch = generator.next()
            harness.append(batch)
            model.append(batch)
        }
    }
    append(30)
    try expectEqualPresence(harness.store, model, &generator, "a head")
    append(250)
    try expectEqualPresence(harness.store, model, &generator, "a head of several chunks")
    let pending = harness.rotate()
    append(8)
    try expectEqualPresence(harness.store, model, &generator, "two heads")
    try harness.finishSeal(pending)
    try expectEqualPresence(harness.store, model, &generator, "parts and a head")
    try harness.seal()
    try expectEqualPresence(harness.store, model, &generator, "parts")
    for day in Set(harness.handles.map(\.descriptor.day)) {
        try harness.merge(harness.handles.filter { $0.descriptor.day == day })
    }
    try expectEqualPresence(harness.store, model, &generator, "a part per day")
    let selection = [try matcher("job", .equal, "job-1")]
    let deleted = MillisRange(
        first: Millis(BatchGenerator.origin + 1_800_000),
        last: Millis(BatchGenerator.origin + 5_400_000))
    try harness.delete([selection], deleted)
    model.delete([selection], deleted)
    try expectEqualPresence(harness.store, model, &generator, "with deletions")
    append(8)
    try expectEqualPresence(harness.store, model, &generator, "with deletions and a head")
}

@Test func aSeriesThatWentStaleIsAbsentAtOnce() throws {
    let harness = StoreHarness()
    let labels = (0..<3).map { Labels([("__name__", "up"), ("instance", "\($0)")]) }
    func append(_ millis: Int64, _ values: [Double?]) {
        var batch = MetricBatch()
        for (labels, value) in zip(labels, values) {
            guard let value else { continue }
            batch.addSample(series: batch.addSeries(labels), millis: millis, value: value)
        }
        harness.append(batch)
    }
    func count(_ end: Int64) throws -> Int {
        let range = MillisRange(first: Millis(end - 299_999), last: Millis(end))
        return try harness.store.present(
            SeriesRequest(tenant: .anonymous, matchers: [], range: range),
            by: LabelNameSet(keeping: []), isCounted: true, ReadContext()
        ).first?.count ?? 0
    }
    append(1_000_000, [1, 2, 3])
    append(1_015_000, [1, StaleMarker.value, nil])
    append(1_030_000, [1, nil, nil])
    for _ in 0..<2 {
        try #expect(count(1_014_999) == 3)
        try #expect(count(1_015_000) == 2)
        try #expect(count(1_299_999) == 2)
        try #expect(count(1_300_000) == 1)
        try #expect(count(1_330_000) == 0)
        try harness.seal()
    }
}

@Test func setsOfManySeriesAreSorted() throws {
    let harness = StoreHarness()
    var random = SplitMix64(seed: 8)
    let names = [
        "", "a", "b", "\u{0}", "\u{0}\u{0}", "ab", "abcdefgh", "abcdefgh\u{0}", "abcdefghi",
    ]
    var batch = MetricBatch()
    var expected = Set<Labels>()
    for _ in 0..<3000 {
        let pairs = ["__name__", "x", "y", "z"].map { name in
            (name, names[Int(random.next() % 9)] + names[Int(random.next() % 9)])
        }
        let labels = Labels(pairs)
        if labels.isEmpty || !expected.insert(labels).inserted { continue }
        batch.addSample(series: batch.addSeries(labels), millis: 1000, value: 1)
    }
    harness.append(batch)
    let set = try harness.store.select(
        SeriesRequest(tenant: .anonymous, matchers: [], range: .all), ReadContext())
    #expect((0..<set.count).map { set.labels($0) } == expected.sorted())
}
