// SPDX-License-Identifier: Apache-2.0
// Remote write both ways: golden bytes, round trips, damage.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

@Suite struct RemoteWriteTests {
    private func decode1(
        _ bytes: [UInt8], _ limits: MetricDecodingLimits = .init()
    ) throws -> RemoteWriteRequest {
        try bytes.withUnsafeBytes { try RemoteWrite1.decode($0, limits: limits) }
    }

    private func decode2(
        _ bytes: [UInt8], _ limits: MetricDecodingLimits = .init()
    ) throws -> RemoteWriteRequest {
        try bytes.withUnsafeBytes { try RemoteWrite2.decode($0, limits: limits) }
    }

    /// Two series, every kind of point, a stale marker, metadata.
    static func sampleBatch() -> MetricBatch {
        var batch = MetricBatch()
        let up = batch.addSeries(
            Labels([("__name__", "up"), ("instance", "a:1"), ("job", "api")]))
        let latency = batch.addSeries(
            Labels([("__name__", "latency_seconds"), ("path", "/é\n\"x\"")]))
        batch.addSample(series: up, millis: 1000, value: 1)
        batch.addSample(series: up, millis: 2000, value: StaleMarker.value)
        batch.addSample(series: up, millis: -5, value: -0.0, startMillis: 7)
        var integers = NativeHistogram()
        integers.isInteger = true
        integers.schema = 3
        integers.zeroThreshold = 1e-128
        integers.zeroCount = 2
        integers.count = 12
        integers.sum = 18.4
        integers.positiveSpans = [.init(offset: -3, length: 2), .init(offset: 1, length: 1)]
        integers.positiveBuckets = [3, 1, 4]
        integers.negativeSpans = [.init(offset: 0, length: 1)]
        integers.negativeBuckets = [2]
        integers.counterReset = .notReset
        batch.addHistogram(series: latency, millis: 3000, integers, startMillis: 11)
        var custom = NativeHistogram()
        custom.schema = NativeHistogram.customSchema
        custom.count = 3.5
        custom.sum = -1
        custom.positiveSpans = [.init(offset: 0, length: 2)]
        custom.positiveBuckets = [1.5, 2]
        custom.customBounds = [0.5, 2.5]
        batch.addHistogram(series: latency, millis: 4000, custom)
        Labels([("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")]).bytes.withUnsafeBytes {
            batch.addExemplar(series: latency, millis: 3000, value: 0.25, labels: $0)
        }
        let texts = [Array("latency_seconds".utf8), Array("How long.".utf8), Array("seconds".utf8)]
        texts[0].withUnsafeBytes { family in
            texts[1].withUnsafeBytes { help in
                texts[2].withUnsafeBytes { unit in
                    batch.addMetadata(family: family, type: .histogram, help: help, unit: unit)
                }
            }
        }
        return batch
    }

    /// Everything in a batch as text, arena offsets aside.
    static func describe(_ batch: MetricBatch, starts: Bool = true) throws -> [String] {
        var lines: [String] = []
        for i in batch.sampleSeries.indices {
            let labels = batch.arena.labels(batch.series[Int(batch.sampleSeries[i])])
            let start = batch.sampleStartMillis.isEmpty ? 0 : batch.sampleStartMillis[i]
            lines.append(
                "\(labels) \(batch.sampleMillis[i]) \(batch.sampleValues[i].bitPattern)"
                    + (starts ? " \(start)" : ""))
        }
        for i in batch.histogramSeries.indices {
            let labels = batch.arena.labels(batch.series[Int(batch.histogramSeries[i])])
            let start = batch.histogramStartMillis.isEmpty ? 0 : batch.histogramStartMillis[i]
            lines.append(
                "\(labels) \(batch.histogramMillis[i]) \(try batch.histogram(i))"
                    + (starts ? " \(start)" : ""))
        }
        for i in batch.exemplarSeries.indices {
            let labels = batch.arena.labels(batch.series[Int(batch.exemplarSeries[i])])
            let own = Labels(canonical: Array(batch.arena[batch.exemplarLabels[i].range]))
            lines.append(
                "\(labels) ex \(own) \(batch.exemplarMillis[i]) \(batch.exemplarValues[i])")
        }
        for entry in batch.metadata {
            lines.append(
                "meta \(batch.arena.text(entry.family)) \(entry.type) "
                    + "\(batch.arena.text(entry.help)) \(batch.arena.text(entry.unit))")
        }
        return lines
    }

    @Test func version1RoundTrips() throws {
        let batch = Self.sampleBatch()
        let back = try decode1(RemoteWrite1.encode(batch))
        #expect(back.problems.isEmpty)
        #expect(
            try Self.describe(back.batch, starts: false) == Self.describe(batch, starts: false))
    }

    @Test func version2RoundTrips() throws {
        var batch = Self.sampleBatch()
        // Samples and histograms may not share a series here; they do not.
        let back = try decode2(RemoteWrite2.encode(batch))
        #expect(back.problems.isEmpty)
        #expect(try Self.describe(back.batch) == Self.describe(batch))
        // Encoding what was decoded gives the same bytes.
        let once = try RemoteWrite2.encode(back.batch)
        batch = try decode2(once).batch
        #expect(try RemoteWrite2.encode(batch) == once)
    }

    @Test func goldenBytesOfVersion1() throws {
        // timeseries{labels{__name__=a} samples{value 1.5, timestamp 10}}
        let golden: [UInt8] =
            [0x0a, 0x1c, 0x0a, 0x0d, 0x0a, 0x08] + Array("__name__".utf8) + [0x12, 0x01, 0x61]
            + [0x12, 0x0b, 0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0x10, 0x0a]
        let result = try decode1(golden)
        #expect(result.batch.sampleValues == [1.5])
        #expect(result.batch.sampleMillis == [10])
        #expect(result.batch.arena.labels(result.batch.series[0]) == Labels([("__name__", "a")]))
        #expect(try RemoteWrite1.encode(result.batch) == golden)
    }

    @Test func goldenBytesOfVersion2() throws {
        let golden: [UInt8] =
            [0x22, 0x00, 0x22, 0x08] + Array("__name__".utf8) + [0x22, 0x01, 0x61]
            + [0x2a, 0x11, 0x0a, 0x02, 0x01, 0x02]
            + [0x12, 0x0b, 0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0x10, 0x0a]
        let result = try decode2(golden)
        #expect(result.batch.sampleValues == [1.5])
        #expect(try RemoteWrite2.encode(result.batch) == golden)
        // References may come one by one, not packed, and the table after the series.
        let loose: [UInt8] =
            [0x2a, 0x11, 0x08, 0x01, 0x08, 0x02]
            + [0x12, 0x0b, 0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0x10, 0x0a]
            + [0x22, 0x00, 0x22, 0x08] + Array("__name__".utf8) + [0x22, 0x01, 0x61]
        #expect(try Self.describe(decode2(loose).batch) == Self.describe(result.batch))
    }

    private func series1(_ labels: [([UInt8], [UInt8])]) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.message(1) { series in
            for label in labels {
                series.message(1) {
                    $0.bytes(1, label.0)
                    $0.bytes(2, label.1)
                }
            }
            series.message(2) {
                $0.double(1, 1)
                $0.int64(2, 1)
            }
        }
        return writer.bytes
    }

    @Test func badLabelsAreReportedAndLeftOut() throws {
        let name = (Array("__name__".utf8), Array("m".utf8))
        let cases: [([([UInt8], [UInt8])], SeriesProblem.Kind)] = [
            ([], .invalidLabels),
            ([(Array("a".utf8), Array("b".utf8))], .invalidLabels),
            ([(Array("__name__".utf8), [])], .invalidLabels),
            ([name, ([], Array("x".utf8))], .invalidLabels),
            ([name, (Array("a".utf8), [0xff])], .invalidLabels),
            ([name, ([0xc3], Array("a".utf8))], .invalidLabels),
            ([name, (Array("a".utf8), [0x31]), (Array("a".utf8), [0x32])], .duplicateLabel),
            ([name, (Array("b".utf8), [0x31]), (Array("a".utf8), [0x31]), name], .duplicateLabel),
            ([name, (Array(repeating: 0x61, count: 9), [0x31])], .limit),
            ([name, (Array("a".utf8), Array(repeating: 0x61, count: 9))], .limit),
            ([name] + "abcd".utf8.map { ([$0], [0x31]) }, .limit),
        ]
        var limits = MetricDecodingLimits()
        limits.labelNameBytes = 8
        limits.labelValueBytes = 8
        limits.labelsPerSeries = 4
        let good = series1([name])
        for (labels, kind) in cases {
            let result = try decode1(good + series1(labels) + good, limits)
            #expect(result.problems.map(\.kind) == [kind], "\(labels)")
            #expect(result.batch.sampleSeries == [0, 1], "\(labels)")
            #expect(result.batch.series.count == 2)
            #expect(result.rejectedSamples == 1)
        }
    }

    @Test func unsortedLabelsAndEmptyValuesBecomeCanonical() throws {
        let result = try decode1(
            series1([
                (Array("z".utf8), [0x31]), (Array("__name__".utf8), [0x6d]),
                (Array("gone".utf8), []), (Array("A".utf8), [0x32]),
            ]))
        let ref = result.batch.series[0]
        let want = Labels([("__name__", "m"), ("z", "1"), ("A", "2")])
        #expect(result.batch.arena.labels(ref) == want)
        #expect(ref.hash == want.hash)
    }

    @Test func referencesAreChecked() throws {
        func request(_ refs: [UInt32], table: [String]) -> [UInt8] {
            var writer = ProtobufWriter()
            for text in table { writer.string(4, text, always: true) }
            writer.message(5) {
                $0.packedUInt32(1, refs)
                $0.message(2) { $0.int64(2, 1) }
            }
            return writer.bytes
        }
        let table = ["", "__name__", "m"]
        #expect(try decode2(request([1, 2], table: table)).problems.isEmpty)
        #expect(
            try decode2(request([1, 2, 1], table: table)).problems.map(\.message)
                == ["invalid labelRefs length 3, must be even"])
        #expect(try decode2(request([1, 3], table: table)).problems.map(\.kind) == [.badReference])
        #expect(
            try decode2(request([.max, 1], table: table)).problems.map(\.kind) == [.badReference])
        #expect(throws: MalformedBytes.self) {
            try decode2(request([0, 1], table: ["__name__", "m"]))
        }
        #expect(throws: MalformedBytes.self) { try decode2(request([], table: [])) }
        #expect(try decode2([]).batch.isEmpty)
    }

    @Test func invalidHistogramsAreReported() throws {
        var batch = MetricBatch()
        let series = batch.addSeries(Labels([("__name__", "h")]))
        var histogram = NativeHistogram()
        histogram.isInteger = true
        histogram.count = 5
        histogram.positiveSpans = [.init(offset: 0, length: 2)]
        histogram.positiveBuckets = [1, 1]
        batch.addHistogram(series: series, millis: 1, histogram)
        histogram.count = 2
        batch.addHistogram(series: series, millis: 2, histogram)
        let result = try decode1(RemoteWrite1.encode(batch))
        #expect(result.hasInvalidHistogram)
        #expect(result.rejectedHistograms == 1)
        #expect(result.batch.histogramMillis == [2])
        #expect(
            result.problems.first?.message
                == "2 observations found in buckets, but the Count field is 5: histogram's observation "
                + "count should equal the number of observations found in the buckets (in absence of "
                + "NaN), timestamp 1")
    }

    @Test func aSymbolTableCannotUnfoldBeyondTheLimit() throws {
        var writer = ProtobufWriter()
        for text in ["", "__name__", String(repeating: "x", count: 60_000)] {
            writer.string(4, text, always: true)
        }
        for _ in 0..<100 { writer.message(5) { $0.packedUInt32(1, [1, 2]) } }
        var limits = MetricDecodingLimits()
        limits.arenaBytes = 1 << 20
        #expect(throws: MalformedBytes.self) { try decode2(writer.bytes, limits) }
    }

    @Test func damageNeverCrashes() throws {
        let one = try RemoteWrite1.encode(Self.sampleBatch())
        let two = try RemoteWrite2.encode(Self.sampleBatch())
        var survived = 0
        for seed in [one, two] {
            mutate(seed, rounds: 4000) { bytes in
                for decode in [decode1, decode2] {
                    guard let result = try? decode(bytes, .init()) else { continue }
                    survived += 1
                    let batch = result.batch
                    #expect(batch.sampleSeries.allSatisfy { Int($0) < batch.series.count })
                    #expect(
                        batch.series.allSatisfy { ref in
                            batch.arena.withSlice(ref.slice) {
                                isCanonicalLabels($0)
                                    && hash64($0) == ref.hash
                            }
                        })
                    // What was decoded can be encoded.
                    #expect((try? RemoteWrite2.encode(batch)) != nil)
                }
            }
        }
        #expect(survived > 500)
    }
}
