// SPDX-License-Identifier: Apache-2.0
// The protobuf exposition.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

@Suite struct MetricFamiliesTests {
    private func label(_ writer: inout ProtobufWriter, _ name: String, _ value: String) {
        writer.message(1) {
            $0.string(1, name)
            $0.string(2, value)
        }
    }

    private func exposition() -> [UInt8] {
        var families: [ProtobufWriter] = []
        var counter = ProtobufWriter()
        counter.string(1, "hits_total")
        counter.string(2, "Hits.")
        counter.message(4) { metric in
            label(&metric, "code", "200")
            metric.message(3) { data in
                data.double(1, 7)
                data.message(2) { exemplar in
                    label(&exemplar, "trace_id", "abc")
                    exemplar.double(2, 0.5)
                    exemplar.message(3) {
                        $0.int64(1, 12)
                        $0.int32(2, 345_000_000)
                    }
                }
                data.message(3) { $0.int64(1, 10) }
            }
            metric.int64(6, 2000)
        }
        families.append(counter)
        var summary = ProtobufWriter()
        summary.string(1, "s")
        summary.int32(3, 2)
        summary.message(4) { metric in
            metric.message(4) { data in
                data.uint64(1, 4)
                data.double(2, 9)
                data.message(3) {
                    $0.double(1, 0.5)
                    $0.double(2, 2)
                }
            }
        }
        families.append(summary)
        var histogram = ProtobufWriter()
        histogram.string(1, "h")
        histogram.int32(3, 4)
        histogram.message(4) { metric in
            metric.message(7) { data in
                data.uint64(1, 6)
                data.double(2, 3)
                data.message(3) {
                    $0.uint64(1, 2)
                    $0.double(2, 1)
                }
                data.sint32(5, 3)
                data.double(6, 1e-128)
                data.uint64(7, 1)
                data.message(12) {
                    $0.sint32(1, -1)
                    $0.uint32(2, 2)
                }
                data.packedSInt64(13, [2, 1])
            }
        }
        families.append(histogram)
        var bytes: [UInt8] = []
        for family in families {
            var length = ProtobufWriter()
            length.rawVarint(UInt64(family.count))
            bytes += length.bytes + family.bytes
        }
        return bytes
    }

    private func lines(_ options: MetricFamilies.Options = .init()) throws -> [String] {
        let bytes = exposition()
        let result = try bytes.withUnsafeBytes {
            try MetricFamilies.decode($0, scrapeMillis: 99, options: options)
        }
        let batch = result.batch
        return batch.sampleSeries.indices.map { i in
            let labels = batch.arena.labels(batch.series[Int(batch.sampleSeries[i])])
            return "\(labels) \(floatText(batch.sampleValues[i])) @\(batch.sampleMillis[i])"
        }
    }

    @Test func familiesBecomeSeries() throws {
        let want = [
            #"{__name__="hits_total", code="200"} 7 @2000"#, #"{__name__="s_count"} 4 @99"#,
            #"{__name__="s_sum"} 9 @99"#, #"{__name__="s", quantile="0.5"} 2 @99"#,
        ]
        #expect(try lines() == want)
        let bytes = exposition()
        let result = try bytes.withUnsafeBytes { try MetricFamilies.decode($0, scrapeMillis: 99) }
        #expect(result.isExplicit == [true, false, false, false])
        #expect(result.batch.sampleStartMillis == [10_000, 0, 0, 0])
        #expect(result.batch.exemplarMillis == [12_345])
        let native = try result.batch.histogram(0)
        #expect(native.isInteger && native.schema == 3 && native.count == 6)
        #expect(native.positiveBuckets == [2, 3])
        #expect(result.batch.metadata.map(\.type) == [.counter, .summary, .histogram])
    }

    @Test func classicBucketsAreKeptOnWish() throws {
        var options = MetricFamilies.Options()
        options.keepsClassicHistograms = true
        let classic = [
            #"{__name__="h_count"} 6 @99"#, #"{__name__="h_sum"} 3 @99"#,
            #"{__name__="h_bucket", le="1.0"} 2 @99"#,
            #"{__name__="h_bucket", le="+Inf"} 6 @99"#,
        ]
        #expect(try Array(lines(options).suffix(4)) == classic)
        options = MetricFamilies.Options()
        options.ignoresNativeHistograms = true
        #expect(try Array(lines(options).suffix(4)) == classic)
    }

    /// One family with one histogram.
    private func histogramFamily(
        type: Int32 = 4, labels: [(String, String)] = [], _ data: (inout ProtobufWriter) -> Void
    ) -> [UInt8] {
        var family = ProtobufWriter()
        family.string(1, "h")
        family.int32(3, type)
        family.message(4) { metric in
            for (name, value) in labels { label(&metric, name, value) }
            metric.message(7) { data(&$0) }
        }
        var length = ProtobufWriter()
        length.rawVarint(UInt64(family.count))
        return length.bytes + family.bytes
    }

    private func bucket(
        _ writer: inout ProtobufWriter, _ bound: Double, _ count: UInt64, exemplarAt: Int64? = nil
    ) {
        writer.message(3) { bucket in
            bucket.uint64(1, count)
            bucket.double(2, bound)
            bucket.message(3) { exemplar in
                label(&exemplar, "trace_id", "t\(count)")
                exemplar.double(2, bound)
                if let exemplarAt { exemplar.message(3) { $0.int64(1, exemplarAt) } }
            }
        }
    }

    private func decode(
        _ bytes: [UInt8], _ options: MetricFamilies.Options = .init()
    ) throws -> ExpositionBatch {
        try bytes.withUnsafeBytes {
            try MetricFamilies.decode($0, scrapeMillis: 99, options: options)
        }
    }

    @Test func floatAndGaugeHistograms() throws {
        let result = try decode(
            histogramFamily(type: 5) {
                $0.double(4, 5.5)
                $0.double(2, -2)
                $0.sint32(5, -1)
                $0.double(6, 0.25)
                $0.double(8, 1.5)
                $0.message(9) {
                    $0.sint32(1, 2)
                    $0.uint32(2, 1)
                }
                $0.double(11, 4)
                $0.message(15) { $0.int64(1, 3) }
            })
        let native = try result.batch.histogram(0)
        #expect(!native.isInteger && native.counterReset == .gauge)
        #expect(native.count == 5.5 && native.zeroCount == 1.5 && native.negativeBuckets == [4])
        #expect(result.batch.histogramStartMillis == [3000])
        #expect(result.isHistogramExplicit == [false] && result.isExplicit.isEmpty)
    }

    @Test func exemplarsOfNativeHistogramsStateTheirTime() throws {
        let bytes = histogramFamily {
            $0.uint64(1, 2)
            $0.double(6, 1e-128)
            $0.uint64(7, 2)
            bucket(&$0, 1, 1)
            bucket(&$0, 2, 2, exemplarAt: 7)
        }
        var result = try decode(bytes)
        #expect(result.batch.exemplarMillis == [7000])
        #expect(result.batch.sampleSeries.isEmpty && result.batch.histogramSeries.count == 1)
        var options = MetricFamilies.Options()
        options.keepsClassicHistograms = true
        result = try decode(bytes, options)
        #expect(result.batch.exemplarMillis == [7000, 99, 7000])
        #expect(result.batch.sampleSeries.count == 5)
    }

    @Test func classicHistogramsBecomeCustomBuckets() throws {
        let bytes = histogramFamily(labels: [("a", ""), ("b", "c")]) {
            $0.uint64(1, 9)
            $0.double(2, 12)
            bucket(&$0, 1, 2)
            bucket(&$0, 2.5, 2)
            bucket(&$0, 5, 7, exemplarAt: 4)
        }
        var options = MetricFamilies.Options()
        options.convertsClassicHistograms = true
        let result = try decode(bytes, options)
        let native = try result.batch.histogram(0)
        #expect(native.schema == NativeHistogram.customSchema && native.isInteger)
        #expect(native.customBounds == [1, 2.5, 5] && native.count == 9 && native.sum == 12)
        #expect(native.positiveBuckets == [2, 0, 5, 2])
        #expect(result.batch.exemplarMillis == [99, 99, 4000])
        #expect(result.emptyLabels.map(\.name) == ["a"])
        options.keepsClassicHistograms = true
        #expect(try decode(bytes, options).batch.sampleSeries.count == 6)
    }

    @Test func bucketsThatContradictEachOtherStayClassic() throws {
        let bytes = histogramFamily {
            $0.uint64(1, 9)
            bucket(&$0, 1, 5)
            bucket(&$0, 2, 3)
        }
        var options = MetricFamilies.Options()
        options.convertsClassicHistograms = true
        let result = try decode(bytes, options)
        #expect(result.batch.histogramSeries.isEmpty && result.batch.sampleSeries.count == 5)
    }

    @Test func fractionsMakeFloatHistograms() throws {
        var classic = ClassicHistogram()
        try classic.add(bound: 2, cumulative: 1.5)
        try classic.add(bound: 1, cumulative: 0.5)
        try classic.add(bound: .infinity, cumulative: 2)
        let native = try classic.native()
        #expect(!native.isInteger && native.customBounds == [1, 2])
        #expect(native.positiveBuckets == [0.5, 1, 0.5] && native.count == 2)
        #expect(throws: InvalidHistogram.self) { try classic.add(bound: 3, cumulative: -1) }
    }

    @Test func labelsDoNotUnfoldWithoutBound() throws {
        let bytes = histogramFamily(labels: [("a", String(repeating: "x", count: 1000))]) { data in
            for i in 0..<100 { bucket(&data, Double(i), 1) }
        }
        var options = MetricFamilies.Options()
        options.arenaBytes = 10_000
        #expect(throws: ExpositionError.self) { try decode(bytes, options) }
        options.arenaBytes = 1 << 20
        #expect(try decode(bytes, options).batch.sampleSeries.count == 103)
    }

    @Test(arguments: [false, true]) func damageNeverCrashes(_ converts: Bool) throws {
        var survived = 0
        var options = MetricFamilies.Options()
        options.convertsClassicHistograms = converts
        options.keepsClassicHistograms = true
        let classic = histogramFamily {
            $0.uint64(1, 2)
            bucket(&$0, 1, 1)
            bucket(&$0, 2, 2, exemplarAt: 7)
        }
        mutate(exposition() + classic, rounds: 6000) { bytes in
            guard let result = try? decode(bytes, options) else { return }
            survived += 1
            #expect(result.isExplicit.count == result.batch.sampleSeries.count)
            #expect(result.isHistogramExplicit.count == result.batch.histogramSeries.count)
        }
        #expect(survived > 100)
    }
}
