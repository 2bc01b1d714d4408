// SPDX-License-Identifier: Apache-2.0
// Down-sampled parts against what the naive model makes of its samples.

import Base
import Storage
import Telemetry
import Testing

@testable import MetricStore

/// Figures of a series and bucket, the simple way.
private struct NaiveBucket {
    var millis: Int64 = 0
    var values: [Double] = []

    var last: Double { values[values.count - 1] }
    var least: Double { values.reduce(values[0]) { $1 < $0 || $0.isNaN ? $1 : $0 } }
    var greatest: Double { values.reduce(values[0]) { $1 > $0 || $0.isNaN ? $1 : $0 } }
}

extension NaiveModel {
    /// Buckets of float samples by series, ascending.
    fileprivate func buckets(_ resolution: Int64) -> [Labels: [NaiveBucket]] {
        series.compactMapValues { samples in
            var buckets: [Int64: NaiveBucket] = [:]
            for (millis, sample) in samples.sorted(by: { $0.key < $1.key }) {
                guard case .float(let bits) = sample.value,
                    !StaleMarker.isStale(Double(bitPattern: bits))
                else { continue }
                let number = Int64((Double(millis) / Double(resolution)).rounded(.down))
                buckets[number, default: NaiveBucket()].millis = millis
                buckets[number]?.values.append(Double(bitPattern: bits))
            }
            return buckets.isEmpty ? nil : buckets.sorted { $0.key < $1.key }.map(\.value)
        }
    }

    fileprivate var histogramCount: Int {
        series.values.reduce(0) { sum, samples in
            sum
                + samples.values.reduce(0) {
                    if case .histogram = $1.value { $0 + 1 } else { $0 }
                }
        }
    }
}

private func close(_ a: Double, _ b: Double) -> Bool {
    a.bitPattern == b.bitPattern || a == b || (a.isNaN && b.isNaN)
        || (a - b).magnitude <= 1e-12 * max(a.magnitude, b.magnitude)
}

/// Floats of each series that are no stale markers, as a request for some figure reads them.
private func read(
    _ store: MetricStore, _ aggregate: SampleAggregate
) throws -> [Labels: SampleColumns] {
    let context = ReadContext()
    let set = try store.select(
        SeriesRequest(tenant: .anonymous, matchers: [], range: .all, aggregate: aggregate),
        context)
    var result: [Labels: SampleColumns] = [:]
    for index in 0..<set.count {
        var columns = SampleColumns()
        try set.read(index, into: &columns, context)
        var floats = SampleColumns()
        for i in 0..<columns.count
        where (columns.histograms.isEmpty || columns.histograms[i] == nil)
            && !StaleMarker.isStale(columns.values[i])
        {
            floats.append(millis: columns.millis[i], value: columns.values[i])
            if aggregate == .sum, !columns.counts.isEmpty {
                if floats.counts.count < floats.count { floats.counts.append(columns.counts[i]) }
                floats.counts[floats.count - 1] = columns.counts[i]
            }
        }
        if floats.count > 0 { result[set.labels(index)] = floats }
    }
    #expect(context.warnings == [])
    return result
}

/// First difference between the buckets that a store and the model have, or nil.
private func bucketDifference(
    _ store: MetricStore, _ model: NaiveModel, _ resolution: Int64
) throws -> String? {
    let expected = model.buckets(resolution)
    for aggregate in [SampleAggregate.last, .min, .max, .sum] {
        let found = try read(store, aggregate)
        if Set(found.keys) != Set(expected.keys) { return "\(aggregate): other series" }
        for (labels, buckets) in expected {
            guard let columns = found[labels] else { return "no \(labels)" }
            if columns.millis != buckets.map(\.millis) {
                return "\(aggregate) \(labels): \(columns.millis), not \(buckets.map(\.millis))"
            }
            for (index, bucket) in buckets.enumerated() {
                let value = columns.values[index]
                let isRight =
                    switch aggregate {
                    case .last: value.bitPattern == bucket.last.bitPattern
                    case .min: value == bucket.least || (value.isNaN && bucket.least.isNaN)
                    case .max: value == bucket.greatest || (value.isNaN && bucket.greatest.isNaN)
                    default:
                        close(value, kahan(bucket.values))
                            && columns.counts[index] == Double(bucket.values.count)
                    }
                if !isRight { return "\(aggregate) \(labels) at \(bucket.millis): \(value)" }
            }
        }
    }
    return nil
}

private func kahan(_ values: [Double]) -> Double {
    var sum = 0.0
    var rest = 0.0
    for value in values {
        let next = sum + value
        if next.isFinite {
            rest +=
                sum.magnitude >= value.magnitude ? (sum - next) + value : (value - next) + sum
        }
        sum = next
    }
    return sum.isFinite ? sum + rest : sum
}

/// What `increase` and `resets` make of neighbouring values, without extrapolation.
private func followed(_ values: [Double]) -> (increase: Double, resets: Int) {
    var increase = 0.0
    var resets = 0
    for (a, b) in zip(values, values.dropFirst()) {
        increase += b < a ? b : b - a
        if b < a { resets += 1 }
    }
    return (increase, resets)
}

struct DownsamplingTests {
    private let minutes: Int64 = 60_000

    /// A harness with a random history that is sealed, days apart, in several parts.
    private func history(
        _ seed: Int, steps: Int = 200
    ) throws -> (harness: StoreHarness, model: NaiveModel) {
        var generator = BatchGenerator(seed: UInt64(seed))
        var model = NaiveModel()
        let harness = StoreHarness()
        for step in 0..<steps {
            let batch = generator.next()
            harness.append(batch)
            model.append(batch)
            if step % 60 == 59 { try harness.seal() }
        }
        try harness.seal()
        return (harness, model)
    }

    private func downsample(_ harness: StoreHarness, _ resolution: Int64) throws {
        for day in Set(harness.handles.map(\.descriptor.day)) {
            try harness.downsample(
                harness.handles.filter { $0.descriptor.day == day }, resolution)
        }
    }

    @Test(arguments: 1...6)
    func everyFigureIsWhatTheSamplesSay(seed: Int) throws {
        let (harness, model) = try history(seed)
        let rawHistograms = model.histogramCount
        try downsample(harness, 5 * minutes)
        try #expect(bucketDifference(harness.store, model, 5 * minutes) == nil)
        #expect(harness.handles.flatMap { harness.store.verify($0) } == [])
        #expect(harness.handles.allSatisfy { $0.descriptor.rowCount > 0 })
        let reopened = try harness.reopened()
        try #expect(bucketDifference(reopened, model, 5 * minutes) == nil)
        // Coarser once more, out of the buckets.
        try downsample(harness, 60 * minutes)
        try #expect(bucketDifference(harness.store, model, 60 * minutes) == nil)
        #expect(harness.handles.flatMap { harness.store.verify($0) } == [])
        // The last histogram of each bucket.
        let context = ReadContext()
        let set = try harness.store.select(
            SeriesRequest(tenant: .anonymous, matchers: [], range: .all), context)
        var histograms = 0
        for index in 0..<set.count {
            var columns = SampleColumns()
            try set.read(index, into: &columns, context)
            for (label, samples) in model.series where label == set.labels(index) {
                for (millis, sample) in storedSamples(columns) {
                    if case .histogram = sample.value {
                        histograms += 1
                        #expect(samples[millis]?.value == sample.value)
                    }
                }
            }
        }
        #expect(histograms > 0 && histograms < rawHistograms)
        let ranges = harness.store.coarseRanges(.anonymous, .all)
        #expect(ranges.map(\.resolutionMillis) == [60 * minutes])
    }

    /// Days that are not old enough stay as they are, and one answer is made of both.
    @Test func rawAndDownsampledDaysAnswerTogether() throws {
        let (harness, model) = try history(11, steps: 500)
        let first = try #require(harness.handles.map(\.descriptor.day).min())
        try harness.downsample(
            harness.handles.filter { $0.descriptor.day == first }, 5 * minutes)
        let midnight = (Int64(first) + 1) * 86_400_000
        let sums = try read(harness.store, .sum)
        var raw = 0
        for (labels, columns) in sums {
            let samples = try #require(model.series[labels]).filter {
                if case .float(let bits) = $0.value.value {
                    bits != StaleMarker.bits
                } else {
                    false
                }
            }
            let total = columns.counts.isEmpty ? Double(columns.count) : columns.counts.reduce(0, +)
            #expect(total == Double(samples.count))
            let after = columns.millis.filter { $0 >= midnight }
            #expect(after == samples.keys.filter { $0 >= midnight }.sorted())
            raw += after.count
        }
        #expect(raw > 100)
        #expect(
            harness.store.coarseRanges(.anonymous, .all) == [
                CoarseRange(
                    range: MillisRange(
                        first: Millis(midnight - 86_400_000), last: Millis(midnight - 1)),
                    resolutionMillis: 5 * minutes)
            ])
    }

    /// Resets inside buckets, also those after which the counter rises above its peak.
    @Test(arguments: 1...8)
    func increaseAndResetsOfACounterAreExact(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let harness = StoreHarness()
        var values: [Double] = []
        var batch = MetricBatch()
        let series = batch.addSeries(Labels([("__name__", "requests_total")]))
        var value = 1000.0
        for step in 0..<5000 {
            value += Double(random.next() % 100)
            if random.next() % 90 == 0 { value = Double(random.next() % 1_000_000) / 7 }
            let millis = Int64(step) * 15_000
            batch.addSample(
                series: series, millis: millis,
                value: random.next() % 500 == 0 ? StaleMarker.value : value)
        }
        harness.append(batch)
        values = batch.sampleValues.filter { !StaleMarker.isStale($0) }
        let expected = followed(values)
        try harness.seal()
        for resolution in [5 * minutes, 60 * minutes] {
            try harness.downsample(harness.handles, resolution)
            let columns = try #require(try read(harness.store, .counter).values.first)
            // Far fewer than there were.
            #expect(columns.count < 5000 / 10)
            let found = followed(columns.values)
            #expect(found.resets == expected.resets)
            #expect(close(found.increase, expected.increase))
            let lasts = try #require(try read(harness.store, .last).values.first)
            #expect(followed(lasts.values).resets < expected.resets)
        }
    }

    /// A gauge falls all the time: nothing is kept for it but the buckets.
    @Test func fallsOfAGaugeAreNotKept() throws {
        var random = SplitMix64(seed: 3)
        let harness = StoreHarness()
        var batch = MetricBatch()
        let series = batch.addSeries(Labels([("__name__", "temperature")]))
        for step in 0..<5760 {
            batch.addSample(
                series: series, millis: Int64(step) * 15_000,
                value: Double(random.next() % 1000) / 8)
        }
        harness.append(batch)
        try harness.seal()
        let before = harness.handles.reduce(0) { $0 + $1.descriptor.byteCount }
        try harness.downsample(harness.handles, 5 * minutes)
        #expect(try read(harness.store, .counter).values.map(\.count) == [288])
        let after = harness.handles.reduce(0) { $0 + $1.descriptor.byteCount }
        #expect(after * 3 < before)
    }

    @Test func staleMarkersThatEndASeriesStay() throws {
        let harness = StoreHarness()
        var batch = MetricBatch()
        let series = batch.addSeries(Labels([("__name__", "up")]))
        // The marker at 100 s hides in its bucket, the one at 310 s ends its own.
        for (seconds, value) in [
            (10, 1.0), (100, StaleMarker.value), (200, 2), (305, 3), (310, StaleMarker.value),
            (900, StaleMarker.value), (1300, 4),
        ] as [(Int64, Double)] {
            batch.addSample(series: series, millis: seconds * 1000, value: value)
        }
        harness.append(batch)
        try harness.seal()
        try harness.downsample(harness.handles, 5 * minutes)
        let context = ReadContext()
        let set = try harness.store.select(
            SeriesRequest(tenant: .anonymous, matchers: [], range: .all), context)
        var columns = SampleColumns()
        try set.read(0, into: &columns, context)
        #expect(columns.millis == [200_000, 305_000, 310_000, 900_000, 1_300_000])
        #expect((0..<5).map { columns.isStale($0) } == [false, false, true, true, false])
    }

    /// Samples that come later are in a part of their own, count at once, and join their buckets.
    @Test func lateSamplesJoinTheirBuckets() throws {
        let harness = StoreHarness()
        var model = NaiveModel()
        func append(_ seconds: [Int64]) {
            var batch = MetricBatch()
            let series = batch.addSeries(Labels([("__name__", "a")]))
            for time in seconds {
                batch.addSample(series: series, millis: time * 1000, value: Double(time % 7))
            }
            harness.append(batch)
            model.append(batch)
        }
        append([10, 20, 400, 410])
        try harness.seal()
        try harness.downsample(harness.handles, 5 * minutes)
        append([15, 290, 1000])
        try harness.seal()
        let before = try #require(try read(harness.store, .sum).values.first)
        #expect(before.counts.reduce(0, +) == 7)
        // An ordinary merge keeps the buckets.
        try harness.merge(harness.handles)
        try #expect(bucketDifference(harness.store, model, 5 * minutes) == nil)
        #expect(harness.handles.count == 1)
    }

    @Test func deletionsOfBucketsGoByTheirLastSample() throws {
        let harness = StoreHarness()
        var batch = MetricBatch()
        for name in ["a", "b"] {
            let series = batch.addSeries(Labels([("__name__", name)]))
            for step in 0..<60 {
                batch.addSample(series: series, millis: Int64(step) * 60_000, value: Double(step))
            }
        }
        harness.append(batch)
        try harness.seal()
        try harness.downsample(harness.handles, 10 * minutes)
        try harness.delete(
            [[LabelMatcher(equal: "__name__", "a")]],
            MillisRange(first: Millis(0), last: Millis(29 * 60_000)))
        func lasts() throws -> [[Double]] {
            try read(harness.store, .last).sorted { $0.key < $1.key }.map(\.value.values)
        }
        try #expect(lasts() == [[39, 49, 59], [9, 19, 29, 39, 49, 59]])
        try harness.merge(harness.handles)
        try #expect(lasts() == [[39, 49, 59], [9, 19, 29, 39, 49, 59]])
        #expect(harness.handles.allSatisfy { $0.descriptor.deletions.isEmpty })
        #expect(harness.handles.flatMap { harness.store.verify($0) } == [])
    }

    /// Retention classes and down-sampling at once: one part per class.
    @Test func classesStayApart() throws {
        var configuration = MetricStoreConfiguration()
        configuration.retention = [
            MetricRetention(selectors: [[LabelMatcher(equal: "job", "job-1")]], seconds: 10)
        ]
        let harness = StoreHarness(configuration)
        harness.store.useRetentionClasses([4])
        var generator = BatchGenerator(seed: 5)
        var model = NaiveModel()
        for _ in 0..<50 {
            let batch = generator.next()
            harness.append(batch)
            model.append(batch)
        }
        try harness.seal()
        for handle in harness.handles { try harness.downsample([handle], 5 * minutes) }
        #expect(Set(harness.handles.map(\.descriptor.retentionClass)) == [0, 4])
        try #expect(bucketDifference(harness.store, model, 5 * minutes) == nil)
    }

    @Test func damagedBucketsNeverCrash() throws {
        var random = SplitMix64(seed: 21)
        let buckets = (0..<200).map { index -> Bucket in
            let value = Double(index)
            return Bucket(
                millis: Int64(index) * 300_000, last: value, least: value / 3,
                greatest: value * 3, sum: value * 20, count: 20, start: index > 100 ? 7 : 0)
        }
        var writer = ByteWriter()
        ChunkCoding.encode(buckets: buckets[...], into: &writer)
        let millis = buckets.map(\.millis)
        let back = try writer.bytes.withUnsafeBytes {
            try ChunkCoding.decodeBuckets($0, millis: millis)
        }
        #expect(back?.map(\.sum) == buckets.map(\.sum))
        #expect(back?.map(\.start) == buckets.map(\.start))
        for _ in 0..<3000 {
            var bytes = writer.bytes
            for _ in 0...(random.next() % 3) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(
                    truncatingIfNeeded: random.next())
            }
            if random.next() % 4 == 0 { bytes.removeLast(Int(random.next() % 40)) }
            bytes.withUnsafeBytes { raw in
                do throws(MalformedBytes) {
                    if let found = try ChunkCoding.decodeBuckets(raw, millis: millis) {
                        #expect(found.count == 200)
                    }
                } catch { #expect(error.offset >= 0) }
                for aggregate in [SampleAggregate.last, .min, .max, .sum, .counter] {
                    do throws(MalformedBytes) {
                        var floats: [Double] = []
                        var histograms: [NativeHistogram] = []
                        var starts: [Int64] = []
                        var counts: [Double] = []
                        try ChunkCoding.decode(
                            raw, count: 200, aggregate, floats: &floats, &histograms, &starts,
                            &counts)
                        #expect(floats.count + histograms.count == 200)
                        #expect(counts.isEmpty || counts.count == 200)
                    } catch { #expect(error.offset >= 0) }
                }
            }
        }
    }
}
