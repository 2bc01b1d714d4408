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

    @Test func damageNeverCrashes() throws {
        var survived = 0
        mutate(exposition(), rounds: 6000) { bytes in
            let result = bytes.withUnsafeBytes {
                try? MetricFamilies.decode($0, scrapeMillis: 1)
            }
            guard let result else { return }
            survived += 1
            #expect(result.isExplicit.count == result.batch.sampleSeries.count)
        }
        #expect(survived > 100)
    }
}
