// SPDX-License-Identifier: Apache-2.0
// Written expositions, read back.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

@Suite struct ExpositionWriterTests {
    private func write(_ format: ExpositionFormat) -> [UInt8] {
        var writer = ExpositionWriter(format)
        writer.family("up", .gauge, help: "A \\ \"b\"\nc")
        writer.sample("up", [("job", "a\"b\\c\nd"), ("é", "x")], 1)
        writer.family("hits_total", .counter, help: "Hits.")
        writer.sample("hits_total", [("le", "0.5")], 1e21, millis: 1_520_879_607_789)
        writer.sample("hits_total", [], .nan, millis: -1500)
        writer.family("odd.name", .info)
        writer.sample("odd.name", [("a", "b")], .infinity)
        writer.finish()
        return writer.bytes
    }

    @Test func textIsAsTheFormatHasIt() {
        let text = String(decoding: write(.text), as: UTF8.self)
        let want = #"""
            # HELP up A \\ "b"\nc
            # TYPE up gauge
            up{job="a\"b\\c\nd","é"="x"} 1
            # HELP hits_total Hits.
            # TYPE hits_total counter
            hits_total{le="0.5"} 1e+21 1520879607789
            hits_total NaN -1500
            # TYPE "odd.name" gauge
            {"odd.name",a="b"} +Inf

            """#
        #expect(text == want)
    }

    @Test func openMetricsIsAsTheFormatHasIt() {
        let text = String(decoding: write(.openMetrics), as: UTF8.self)
        let want = #"""
            # HELP up A \\ \"b\"\nc
            # TYPE up gauge
            up{job="a\"b\\c\nd","é"="x"} 1.0
            # HELP hits Hits.
            # TYPE hits counter
            hits_total{le="0.5"} 1e+21 1520879607.789
            hits_total NaN -1.500
            # TYPE "odd.name" info
            {"odd.name",a="b"} +Inf
            # EOF

            """#
        #expect(text == want)
    }

    @Test(arguments: [ExpositionFormat.text, .openMetrics])
    func whatIsWrittenReadsBack(format: ExpositionFormat) throws {
        let bytes = write(format)
        let result = try bytes.withUnsafeBytes {
            try Exposition.decode($0, format, scrapeMillis: 5)
        }
        let labels = result.batch.series.map { result.batch.arena.labels($0) }
        let want = [
            Labels([("__name__", "up"), ("job", "a\"b\\c\nd"), ("é", "x")]),
            Labels([("__name__", "hits_total"), ("le", "0.5")]),
            Labels([("__name__", "hits_total")]), Labels([("__name__", "odd.name"), ("a", "b")]),
        ]
        #expect(labels == want)
        #expect(result.batch.sampleMillis == [5, 1_520_879_607_789, -1500, 5])
        #expect(result.isExplicit == [false, true, true, false])
        #expect(result.batch.arena.text(result.batch.metadata[0].help) == "A \\ \"b\"\nc")
    }

    @Test func realExpositionsSurviveRewriting() throws {
        for name in ["node_exporter.txt", "etcd.txt", "coredns.txt"] {
            guard let text = Corpora.file("expositions/" + name) else { continue }
            let first = try text.withUnsafeBytes {
                try Exposition.decode($0, .text, scrapeMillis: 1)
            }
            var writer = ExpositionWriter()
            for i in first.batch.sampleSeries.indices {
                first.batch.arena.withSlice(first.batch.series[i].slice) {
                    writer.sample(
                        canonical: $0, first.batch.sampleValues[i],
                        millis: first.isExplicit[i] ? first.batch.sampleMillis[i] : nil)
                }
            }
            let second = try writer.bytes.withUnsafeBytes {
                try Exposition.decode($0, .text, scrapeMillis: 1)
            }
            #expect(second.batch.series.map(\.hash) == first.batch.series.map(\.hash))
            #expect(
                second.batch.sampleValues.map(\.bitPattern)
                    == first.batch.sampleValues.map(\.bitPattern))
            #expect(second.batch.sampleMillis == first.batch.sampleMillis)
        }
    }

    @Test func damageNeverCrashesTheParser() throws {
        var seeds = [write(.text), write(.openMetrics)]
        for name in ["entries-openmetrics", "entries-openmetrics-utf8", "entries-prom-utf8"] {
            if let file = Corpora.file("exposition/\(name).json"),
                let text = try CorpusJSON(parsing: file)["input"]?.string
            {
                seeds.append(Array(text.utf8))
            }
        }
        var strict = Exposition.Options()
        strict.isStrict = true
        var survived = 0
        for seed in seeds {
            mutate(seed, rounds: 2500) { bytes in
                for format in [ExpositionFormat.text, .openMetrics] {
                    let result = bytes.withUnsafeBytes {
                        try? Exposition.decode($0, format, scrapeMillis: 1)
                    }
                    if let batch = result?.batch {
                        survived += 1
                        #expect(batch.sampleSeries.count == result?.isExplicit.count)
                        #expect(
                            batch.series.allSatisfy { ref in
                                batch.arena.withSlice(ref.slice) {
                                    isCanonicalLabels($0) && hash64($0) == ref.hash
                                }
                            })
                    }
                }
                _ = bytes.withUnsafeBytes {
                    try? Exposition.decode($0, .openMetrics, scrapeMillis: 1, options: strict)
                }
                _ = bytes.withUnsafeBytes { try? MetricFamilies.decode($0, scrapeMillis: 1) }
            }
        }
        #expect(survived > 500)
    }
}
