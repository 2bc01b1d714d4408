// SPDX-License-Identifier: Apache-2.0
// Random series for the engine's fuzz test: floats, counters, histograms of both kinds.

import Base
import Telemetry
import TestKit

@testable import PromQL

/// The same samples for the engine and for the naive evaluator.
struct FuzzData {
    private(set) var store = InMemorySeries()
    private(set) var series: [NaiveSeries] = []
    /// Samples lie from 0 to here.
    static let endMillis: Int64 = 3_600_000

    init(_ random: inout SplitMix64) {
        for job in ["api", "db"] {
            for instance in 0..<Int.random(in: 1...3, using: &random) {
                let place: Tags = ["job": job, "instance": "i\(instance)"]
                for zone in ["a", "b"] where Bool.random(using: &random) {
                    let tags = place.merging(["zone": zone]) { $1 }
                    addFloats("gauge", tags, &random) { _, random in
                        Double.random(in: -1000...1000, using: &random)
                    }
                    addFloats("level", tags, &random) { _, random in
                        Double(Int.random(in: 0...3, using: &random))
                    }
                    addFloats("odd", tags, &random) { _, random in
                        [.nan, .infinity, -.infinity, 0, -0.0, .leastNonzeroMagnitude, 7.5]
                            .randomElement(using: &random) ?? 0
                    }
                }
                for code in ["200", "500"] {
                    addFloats("requests_total", place.merging(["code": code]) { $1 }, &random) {
                        previous, random in
                        if Int.random(in: 0..<25, using: &random) == 0 { return 0 }
                        return (previous ?? 0) + Double(Int.random(in: 0...40, using: &random))
                    }
                }
                addFloats(
                    "target_info", place.merging(["version": "v\(instance % 2)"]) { $1 }, &random
                ) { _, _ in 1 }
                addClassic(place, &random)
                addNative("native", place, &random, custom: false)
                addNative("custom", place, &random, custom: true)
            }
        }
        series.sort { Self.labels($0.tags) < Self.labels($1.tags) }
    }

    private static func labels(_ tags: Tags) -> Labels {
        Labels(tags.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
    }

    /// Scrape times with jitter and gaps.
    private func times(_ random: inout SplitMix64) -> [Int64] {
        let step = [15_000, 30_000, 60_000].randomElement(using: &random) ?? 15_000
        let jitter = Bool.random(using: &random) ? Int64.random(in: 1...900, using: &random) : 0
        var result: [Int64] = []
        var time = Int64.random(in: 0...600_000, using: &random)
        while time <= Self.endMillis {
            result.append(time + (jitter == 0 ? 0 : Int64.random(in: 0...jitter, using: &random)))
            time += Int64(step)
            if Int.random(in: 0..<40, using: &random) == 0 {
                time += Int64.random(in: 60_000...900_000, using: &random)
            }
        }
        return result
    }

    private mutating func add(
        _ name: String, _ tags: Tags, _ samples: [NaiveSample], _ columns: SampleColumns
    ) {
        let tags = tags.merging(["__name__": name]) { $1 }
        if samples.isEmpty { return }
        series.append(NaiveSeries(tags: tags, samples: samples))
        store.append(Self.labels(tags), columns)
    }

    private mutating func addFloats(
        _ name: String, _ tags: Tags, _ random: inout SplitMix64,
        _ next: (Double?, inout SplitMix64) -> Double
    ) {
        var samples: [NaiveSample] = []
        var columns = SampleColumns()
        var previous: Double?
        for time in times(&random) {
            var value = next(previous, &random)
            previous = value
            if Int.random(in: 0..<50, using: &random) == 0 { value = StaleMarker.value }
            samples.append(NaiveSample(millis: time, value: .float(value)))
            columns.append(millis: time, value: value)
        }
        add(name, tags, samples, columns)
    }

    /// A classic histogram whose series are scraped together.
    private mutating func addClassic(_ place: Tags, _ random: inout SplitMix64) {
        let bounds = ["0.1", "0.5", "1", "5", "+Inf"]
        var counts = [Double](repeating: 0, count: bounds.count)
        var samples = [[NaiveSample]](repeating: [], count: bounds.count)
        var columns = [SampleColumns](repeating: SampleColumns(), count: bounds.count)
        for time in times(&random) {
            if Int.random(in: 0..<40, using: &random) == 0 {
                counts = counts.map { _ in 0 }
            }
            var growth = 0.0
            for i in bounds.indices {
                growth += Double(Int.random(in: 0...5, using: &random))
                counts[i] += growth
                samples[i].append(NaiveSample(millis: time, value: .float(counts[i])))
                columns[i].append(millis: time, value: counts[i])
            }
        }
        for (i, bound) in bounds.enumerated() {
            add("latency_bucket", place.merging(["le": bound]) { $1 }, samples[i], columns[i])
        }
    }

    /// A native histogram that counts up, begins anew now and then, and may change its resolution.
    private mutating func addNative(
        _ name: String, _ place: Tags, _ random: inout SplitMix64, custom: Bool
    ) {
        func fresh(_ random: inout SplitMix64) -> NativeHistogram {
            var histogram = NativeHistogram()
            histogram.schema = custom ? -53 : Int32.random(in: 0...3, using: &random)
            if custom { histogram.customBounds = [0.1, 1, 10] }
            if !custom { histogram.zeroThreshold = 0.001 }
            let length = custom ? 4 : Int.random(in: 1...6, using: &random)
            let offset = custom ? 0 : Int32.random(in: -4...4, using: &random)
            histogram.positiveSpans = [.init(offset: offset, length: UInt32(length))]
            // No bucket is ever empty: what an empty one does to the zero bucket hangs on where it came from.
            histogram.positiveBuckets = [Double](repeating: 1, count: length)
            histogram.count = Double(length)
            if !custom, Bool.random(using: &random) {
                histogram.negativeSpans = [.init(offset: 1, length: 2)]
                histogram.negativeBuckets = [0, 0]
            }
            return histogram
        }
        var histogram = fresh(&random)
        var samples: [NaiveSample] = []
        var columns = SampleColumns()
        for time in times(&random) {
            if Int.random(in: 0..<30, using: &random) == 0 { histogram = fresh(&random) }
            for i in histogram.positiveBuckets.indices {
                let growth = Double(Int.random(in: 0...3, using: &random))
                histogram.positiveBuckets[i] += growth
                histogram.count += growth
                histogram.sum += growth * Double(i + 1) / 4
            }
            for i in histogram.negativeBuckets.indices {
                histogram.negativeBuckets[i] += 1
                histogram.count += 1
                histogram.sum -= 0.5
            }
            if !custom {
                histogram.zeroCount += 1
                histogram.count += 1
            }
            var stored = histogram
            if Int.random(in: 0..<50, using: &random) == 0 {
                stored = NativeHistogram()
                stored.sum = StaleMarker.value
            }
            samples.append(NaiveSample(millis: time, value: .histogram(NaiveHistogram(stored))))
            columns.append(millis: time, histogram: stored)
        }
        add(name, place, samples, columns)
    }
}
