// SPDX-License-Identifier: Apache-2.0
// Native and classic histograms on their way through a scrape.

import Base
import Ingest
import Synchronization
import Telemetry
import TestKit
import Testing
import Wire

@testable import Scrape

/// A family with a histogram that is both: 6 observations, 4 buckets of schema 3, 2 classic ones.
private func exposition() -> [UInt8] {
    var family = ProtobufWriter()
    family.string(1, "h")
    family.string(2, "Help.")
    family.int32(3, 4)
    family.message(4) { metric in
        metric.message(7) { data in
            data.uint64(1, 6)
            data.double(2, 3)
            for (count, bound) in [(UInt64(2), 1.0), (6, 2)] {
                data.message(3) {
                    $0.uint64(1, count)
                    $0.double(2, bound)
                }
            }
            data.sint32(5, 3)
            data.double(6, 1e-128)
            data.message(12) {
                $0.sint32(1, 1)
                $0.uint32(2, 4)
            }
            data.packedSInt64(13, [1, 1, 0, -1])
        }
    }
    var gauge = ProtobufWriter()
    gauge.string(1, "g.x")
    gauge.int32(3, 1)
    gauge.message(4) { metric in metric.message(2) { $0.double(1, 5) } }
    var bytes: [UInt8] = []
    for family in [family, gauge] {
        var length = ProtobufWriter()
        length.rawVarint(UInt64(family.count))
        bytes += length.bytes + family.bytes
    }
    return bytes
}

private func scrape(
    _ change: (inout ScrapeConfiguration) -> Void
) async throws -> (floats: [String], histograms: [String], bench: Bench) {
    let bench = Bench(change)
    bench.fetcher.answer(protobuf: exposition())
    await bench.loop.scrape(millis: 1000)
    let batch = try #require(bench.sink.batches.last)
    return (lines(batch), try histogramLines(batch), bench)
}

private let classic = [
    "h_bucket{instance=h:1,job=j,le=+Inf} 6 @1000", "h_bucket{instance=h:1,job=j,le=1.0} 2 @1000",
    "h_bucket{instance=h:1,job=j,le=2.0} 6 @1000", "h_count{\(own)} 6 @1000",
    "h_sum{\(own)} 3 @1000",
]

@Test func protobufCarriesBothKindsOfHistograms() async throws {
    let gauge = "g.x{\(own)} 5 @1000"
    let native = "h{\(own)} 6 in 4 buckets of schema 3 @1000"
    let plain = try await scrape { _ in }
    #expect(plain.floats == [gauge] + classic && plain.histograms.isEmpty)
    #expect(plain.bench.loop.metadata.first { $0.family == "h" }?.help == "Help.")
    let wanted = try await scrape { $0.histograms.isNative = true }
    #expect(wanted.floats == [gauge] && wanted.histograms == [native])
    #expect(wanted.bench.sink.lastReport["scrape_samples_scraped"] == 2)
    let both = try await scrape {
        $0.histograms.isNative = true
        $0.histograms.keepsClassic = true
    }
    #expect(both.floats == [gauge] + classic && both.histograms == [native])
    let converted = try await scrape { $0.histograms.convertsClassic = true }
    #expect(converted.floats == [gauge])
    #expect(converted.histograms == ["h{\(own)} 6 in 2 buckets of schema -53 @1000"])
}

@Test func seriesOfProtobufEndAsOthersDo() async throws {
    let (_, _, bench) = try await scrape {
        $0.histograms.isNative = true
        $0.sampleLimit = 3
    }
    await bench.loop.scrape(millis: 2000)
    #expect(bench.sink.lastReport["scrape_series_added"] == 0)
    let again = try histogramLines(try #require(bench.sink.batches.last))
    #expect(again.count == 1)
    bench.fetcher.answer(protobuf: [])
    await bench.loop.scrape(millis: 3000)
    #expect(bench.sink.last == ["g.x{\(own)} stale @3000", "h{\(own)} stale @3000"])
    bench.fetcher.answer(protobuf: [9, 1])
    await bench.loop.scrape(millis: 4000)
    #expect(bench.loop.status.lastError.hasPrefix("proto: "))
}

@Test func histogramsAreMadeCoarserOrRefused() async throws {
    let fitted = try await scrape {
        $0.histograms.isNative = true
        $0.histograms.bucketLimit = 2
    }
    #expect(fitted.histograms == ["h{\(own)} 6 in 2 buckets of schema 2 @1000"])
    let factor = try await scrape {
        $0.histograms.isNative = true
        $0.histograms.minBucketFactor = 1.4
    }
    #expect(factor.histograms.first?.contains("schema 1") == true)
    let refused = try await scrape {
        $0.histograms.convertsClassic = true
        $0.histograms.bucketLimit = 1
    }
    #expect(refused.bench.loop.status.lastError == "histogram bucket limit exceeded")
    #expect(refused.histograms.isEmpty && refused.bench.sink.lastReport["up"] == 0)
    #expect(refused.bench.environment.counters.bucketLimitExceeded.load(ordering: .relaxed) == 1)
}

@Test func aBucketFactorPicksTheSchema() {
    let cases: [(factor: Double, schema: Int32)] = [
        (0, 8), (1, 8), (1.001, 8), (1.1, 2), (2, 0), (4, -1), (65_536, -4), (1e300, -4),
    ]
    for test in cases {
        var options = HistogramOptions()
        options.minBucketFactor = test.factor
        #expect(options.finestSchema == test.schema || test.factor == 1.1, "\(test.factor)")
        if test.factor > 1, options.finestSchema > -4 {
            // The next finer schema would grow by less.
            #expect(exp2(exp2(Double(-options.finestSchema))) >= test.factor || test.factor < 1.01)
        }
    }
}

private func exp2(_ x: Double) -> Double {
    var result = 1.0
    let whole = Int(x.rounded(.down))
    for _ in 0..<abs(whole) { result = whole > 0 ? result * 2 : result / 2 }
    // Fractions occur as powers of one half only.
    var rest = x - Double(whole)
    var root = 2.0
    while rest > 0 {
        root = root.squareRoot()
        rest *= 2
        if rest >= 1 {
            result *= root
            rest -= 1
        }
    }
    return result
}

@Test func mergedBucketsKeepTheirCounts() throws {
    var random = SplitMix64(seed: 7)
    for _ in 0..<200 {
        var histogram = NativeHistogram()
        histogram.schema = 5
        var index: Int32 = 0
        for position in 0..<Int.random(in: 1...6, using: &random) {
            let offset = Int32.random(in: position == 0 ? -9...9 : 1...9, using: &random)
            let length = UInt32.random(in: 1...5, using: &random)
            histogram.positiveSpans.append(.init(offset: offset, length: length))
            index += offset + Int32(length)
            for _ in 0..<length {
                histogram.positiveBuckets.append(Double.random(in: 1...9, using: &random).rounded())
            }
        }
        let total = histogram.positiveBuckets.reduce(0, +)
        histogram.count = total
        var steps = histogram
        var leap = histogram
        leap.reduceResolution(to: 2)
        for schema in [Int32(4), 3, 2] { steps.reduceResolution(to: schema) }
        #expect(leap == steps)
        #expect(leap.positiveBuckets.reduce(0, +) == total)
        try leap.validate()
    }
}

@Test func classicHistogramsOfTextBecomeNative() async throws {
    let text = """
        # TYPE h histogram
        h_bucket{a="x",le="1"} 2
        h_bucket{a="x",le="+Inf"} 3
        h_sum{a="x"} 4
        h_count{a="x"} 3
        h_bucket{a="bad",le="1"} 5
        h_bucket{a="bad",le="+Inf"} 3
        h_sum{a="bad"} 4
        h_count{a="bad"} 3
        # TYPE c counter
        c_count 1

        """
    let bench = Bench { $0.histograms.convertsClassic = true }
    let floats = await bench.scrape(text, at: 10)
    #expect(floats.count == 5 && !floats.contains { $0.contains("a=x") })
    #expect(floats.contains("c_count{\(own)} 1 @10"))
    let native = try histogramLines(try #require(bench.sink.batches.last))
    #expect(native == ["h{a=x,\(own)} 3 in 2 buckets of schema -53 @10"])
    let both = Bench {
        $0.histograms.convertsClassic = true
        $0.histograms.keepsClassic = true
    }
    #expect(await both.scrape(text, at: 10).count == 9)
}

@Test func labelsOfATargetChangeItsHistograms() throws {
    var job = ScrapeConfiguration(jobName: "j")
    job.groups = [
        TargetGroup(
            targets: ["h:1"], labels: [NamedText("__scrape_native_histograms__", "true")])
    ]
    job.histograms.keepsClassic = true
    let target = try #require(makeTargets(job, groups: job.groups).active.first)
    #expect(target.histograms.isNative && target.histograms.keepsClassic)
    #expect(target.discovered["__always_scrape_classic_histograms__"] == "true")
    #expect(target.discovered["__convert_classic_histograms_to_nhcb__"] == "false")
    job.groups[0].labels = [NamedText("__scrape_native_histograms__", "yes")]
    #expect(makeTargets(job, groups: job.groups).errors.count == 1)
}

@Test func legacyNamesAreDemandedWhereTheJobSaysSo() async {
    let bench = Bench {
        $0.names = .legacy
        $0.escaping = .dots
        $0.protocols = [.protobuf, .text100, .text004]
    }
    #expect(await bench.scrape("a:b 1\n", at: 1).count == 1)
    #expect(
        bench.fetcher.requests[0].headers.first?.value
            == "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
            + "encoding=delimited;q=0.6,text/plain;version=1.0.0;escaping=dots;q=0.5,"
            + "text/plain;version=0.0.4;q=0.4,*/*;q=0.3")
    _ = await bench.scrape("{\"a.b\"} 1\n", at: 2)
    #expect(bench.loop.status.lastError.hasPrefix("invalid metric name or label names: "))
    _ = await bench.scrape("a{\"x.y\"=\"1\"} 1\n", at: 3)
    #expect(bench.loop.status.health == .down)
}

@Test func failedScrapesAreTold() async {
    let bench = Bench { $0.failureLogFile = "f" }
    bench.fetcher.answer("a b\n")
    await bench.loop.scrape(millis: 1)
    #expect(bench.failures.map(\.error) == [bench.loop.status.lastError])
    #expect(bench.failures.first?.job == "j" && bench.failures.first?.file == "f")
    _ = await bench.scrape("a 1\n", at: 2)
    #expect(bench.failures.count == 1)
}
