// SPDX-License-Identifier: Apache-2.0
// Delta temporality made cumulative.

import Base
import Telemetry
import Testing
import Wire

@testable import Ingest

@Suite struct DeltaAccumulatorTests {
    private func sum(_ value: Int, start: Int = 0, at millis: Int, flags: Int = 0) -> String {
        #"{"name":"jobs","sum":{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":["#
            + #"{"startTimeUnixNano":"\#(start)000000","timeUnixNano":"\#(millis)000000","#
            + #""asInt":"\#(value)","flags":\#(flags)}]}}"#
    }

    private func histogram(
        _ counts: [Int], bounds: String = "1,5", sum: Double? = 4, at millis: Int
    ) -> String {
        let total = counts.reduce(0, +)
        let sumText = sum.map { #""sum":\#($0),"# } ?? ""
        return #"{"name":"lat","histogram":{"aggregationTemporality":1,"dataPoints":["#
            + #"{"timeUnixNano":"\#(millis)000000","count":"\#(total)",\#(sumText)"#
            + #""bucketCounts":\#(counts.map { "\($0)" }),"explicitBounds":[\#(bounds)]}]}}"#
    }

    private func exponential(_ counts: [Int], scale: Int, at millis: Int) -> String {
        #"{"name":"exp","exponentialHistogram":{"aggregationTemporality":1,"dataPoints":["#
            + #"{"startTimeUnixNano":"7000000","timeUnixNano":"\#(millis)000000","#
            + #""count":"\#(counts.reduce(0, +))","sum":9,"scale":\#(scale),"#
            + #""positive":{"offset":0,"bucketCounts":\#(counts.map { "\($0)" })}}]}}"#
    }

    private func decode(
        _ metric: String, _ settings: OTLPSettings = OTLPSettings()
    ) throws -> DecodedMetrics {
        var options = OTLPMetrics.Options(settings)
        options.takesDeltas = true
        var text = #"{"resourceMetrics":[{"scopeMetrics":[{"metrics":["# + metric + "]}]}]}"
        return try text.withUTF8 {
            try OTLPMetrics.decodeJSON(UnsafeRawBufferPointer($0), options)
        }
    }

    /// Values by name and `le`, with their start where known.
    private func samples(_ batch: MetricBatch) -> [String] {
        batch.sampleSeries.indices.map { i in
            let labels = batch.arena.labels(batch.series[Int(batch.sampleSeries[i])])
            let start = batch.sampleStartMillis.isEmpty ? 0 : batch.sampleStartMillis[i]
            let value = batch.sampleValues[i]
            return (labels["__name__"] ?? "") + (labels["le"].map { " le=" + $0 } ?? "")
                + (StaleMarker.isStale(value) ? " stale" : " \(floatText(value))")
                + " @\(batch.sampleMillis[i])" + (start == 0 ? "" : " from \(start)")
        }
    }

    private func add(
        _ metric: String, to accumulator: DeltaAccumulator, nanos: Int64 = 0,
        settings: OTLPSettings = OTLPSettings()
    ) throws -> (DecodedMetrics, DeltaAccumulator.Receipt) {
        var decoded = try decode(metric, settings)
        let receipt = accumulator.accumulate(&decoded, tenant: .anonymous, nanos: nanos)
        #expect(decoded.deltas.isEmpty)
        return (decoded, receipt)
    }

    @Test func sumsGrow() throws {
        let accumulator = DeltaAccumulator()
        #expect(
            samples(try add(sum(3, start: 5, at: 10), to: accumulator).0.batch)
                == ["jobs_total 3 @10 from 5"])
        #expect(
            samples(try add(sum(4, start: 10, at: 20), to: accumulator).0.batch)
                == ["jobs_total 7 @20 from 5"])
        // Sent again it adds nothing and is no fault; what is older is one.
        let (again, _) = try add(sum(4, start: 10, at: 20), to: accumulator)
        #expect(again.batch.sampleSeries.isEmpty && again.rejectedPoints == 0)
        let (old, _) = try add(sum(4, start: 10, at: 15), to: accumulator)
        #expect(old.batch.sampleSeries.isEmpty && old.rejectedPoints == 1)
        #expect(
            samples(try add(sum(1, start: 20, at: 30), to: accumulator).0.batch)
                == ["jobs_total 8 @30 from 5"])
    }

    @Test func whatWasNotStoredIsTakenBack() throws {
        let accumulator = DeltaAccumulator()
        let (_, first) = try add(sum(3, at: 10), to: accumulator)
        accumulator.takeBack(first)
        #expect(accumulator.streamCount == 0)
        #expect(
            samples(try add(sum(3, at: 10), to: accumulator).0.batch) == ["jobs_total 3 @10"])
        let (_, second) = try add(sum(4, at: 20), to: accumulator)
        accumulator.takeBack(second)
        #expect(
            samples(try add(sum(4, at: 20), to: accumulator).0.batch) == ["jobs_total 7 @20"])
        // A later increment holds the one that failed: it stays.
        let (_, third) = try add(sum(5, at: 30), to: accumulator)
        #expect(
            samples(try add(sum(1, at: 40), to: accumulator).0.batch) == ["jobs_total 13 @40"])
        accumulator.takeBack(third)
        #expect(
            samples(try add(sum(1, at: 50), to: accumulator).0.batch) == ["jobs_total 14 @50"])
    }

    @Test func classicHistogramsGrowTogether() throws {
        let accumulator = DeltaAccumulator()
        _ = try add(histogram([1, 2, 0], at: 10), to: accumulator)
        #expect(
            samples(try add(histogram([0, 1, 4], at: 20), to: accumulator).0.batch) == [
                "lat_sum 8 @20", "lat_count 8 @20", "lat_bucket le=1 1 @20",
                "lat_bucket le=5 4 @20", "lat_bucket le=+Inf 8 @20",
            ])
        // Other bounds: a new total.
        #expect(
            samples(try add(histogram([1, 0, 0], bounds: "1,6", at: 30), to: accumulator).0.batch)
                == [
                    "lat_sum 4 @30", "lat_count 1 @30", "lat_bucket le=1 1 @30",
                    "lat_bucket le=6 1 @30", "lat_bucket le=+Inf 1 @30",
                ])
    }

    @Test func nativeHistogramsGrow() throws {
        let accumulator = DeltaAccumulator()
        _ = try add(exponential([1, 2, 3], scale: 3, at: 10), to: accumulator)
        let (decoded, _) = try add(exponential([5, 0, 0, 1], scale: 2, at: 20), to: accumulator)
        let native = try decoded.batch.arena.withSlice(decoded.batch.histograms[0]) {
            try NativeHistogram(decoding: $0)
        }
        try native.validate()
        #expect(native.schema == 2 && native.count == 12 && native.sum == 18)
        #expect(native.positiveBuckets == [8, 3, 0, 1])
        #expect(decoded.batch.histogramStartMillis == [7])
        var settings = OTLPSettings()
        settings.convertsHistogramsToCustomBuckets = true
        let custom = DeltaAccumulator()
        _ = try add(histogram([1, 2, 0], at: 10), to: custom, settings: settings)
        let (more, _) = try add(histogram([0, 1, 4], at: 20), to: custom, settings: settings)
        let buckets = try more.batch.arena.withSlice(more.batch.histograms[0]) {
            try NativeHistogram(decoding: $0)
        }
        try buckets.validate()
        #expect(buckets.customBounds == [1, 5] && buckets.positiveBuckets == [1, 3, 4])
    }

    @Test func silentStreamsAreForgottenAndStaleOnesEnd() throws {
        var limits = DeltaLimits()
        limits.idleSeconds = 60
        let accumulator = DeltaAccumulator(limits: limits)
        _ = try add(sum(3, at: 10), to: accumulator, nanos: 0)
        #expect(
            samples(try add(sum(3, at: 20), to: accumulator, nanos: 61_000_000_000).0.batch)
                == ["jobs_total 3 @20"])
        #expect(
            samples(
                try add(sum(0, at: 30, flags: 1), to: accumulator, nanos: 61_000_000_000).0.batch)
                == ["jobs_total stale @30"])
        #expect(accumulator.streamCount == 0)
    }

    @Test func streamsAreBounded() throws {
        var limits = DeltaLimits()
        limits.streams = 1
        let accumulator = DeltaAccumulator(limits: limits)
        _ = try add(sum(3, at: 10), to: accumulator)
        let (refused, _) = try add(histogram([1, 2, 0], at: 10), to: accumulator)
        #expect(refused.rejectedPoints == 1 && refused.batch.sampleSeries.isEmpty)
        #expect(
            samples(try add(sum(3, at: 20), to: accumulator).0.batch) == ["jobs_total 6 @20"])
    }
}
