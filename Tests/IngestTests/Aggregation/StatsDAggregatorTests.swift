// SPDX-License-Identifier: Apache-2.0
// StatsD's observations added up.

import Base
import Telemetry
import Testing
import Wire

@testable import Ingest

@Suite struct StatsDAggregatorTests {
    private func add(_ text: String, to aggregator: inout StatsDAggregator, at millis: Int64 = 1000)
    {
        var text = text
        var batch = StatsDBatch()
        text.withUTF8 { StatsDLines.decode(UnsafeRawBufferPointer($0), into: &batch) }
        #expect(batch.rejectedLines == 0)
        aggregator.add(batch, nowMillis: millis)
    }

    private func values(_ batch: MetricBatch) -> [String: Double] {
        var result: [String: Double] = [:]
        for i in batch.sampleSeries.indices {
            let labels = batch.arena.labels(batch.series[Int(batch.sampleSeries[i])])
            result[labels["__name__"] ?? ""] = batch.sampleValues[i]
        }
        return result
    }

    @Test func everyFlushBringsEverySeries() throws {
        var aggregator = StatsDAggregator()
        add("hits:2|c\nhits:3|c|@0.5\nload:5|g\nload:-2|g\nu:a|s\nu:b|s\nu:a|s", to: &aggregator)
        add("time:100|ms\ntime:300|ms|@0.5", to: &aggregator)
        var batch = aggregator.flush(nowMillis: 11_000)
        #expect(values(batch) == ["hits": 8, "load": 3, "u": 2])
        let histogram = try batch.arena.withSlice(batch.histograms[0]) {
            try NativeHistogram(decoding: $0)
        }
        try histogram.validate()
        #expect(histogram.count == 3 && abs(histogram.sum - 0.7) < 1e-12)
        #expect(batch.histogramStartMillis == [1000])
        add("hits:1|c\nu:z|s", to: &aggregator, at: 12_000)
        batch = aggregator.flush(nowMillis: 21_000)
        #expect(values(batch) == ["hits": 9, "load": 3, "u": 1])
        #expect(Set(batch.sampleStartMillis) == [1000, 0])
        #expect(values(aggregator.flush(nowMillis: 31_000))["u"] == 0)
    }

    @Test func typesAreToldOfNewSeriesAndEveryDay() {
        func types(_ batch: MetricBatch) -> [String: MetricType] {
            var result: [String: MetricType] = [:]
            for entry in batch.metadata {
                let name = batch.arena.withSlice(entry.family) {
                    String(decoding: $0, as: UTF8.self)
                }
                #expect(result.updateValue(entry.type, forKey: name) == nil)
            }
            return result
        }
        var aggregator = StatsDAggregator()
        add("hits:2|c\nhits:2|c|#a:b\nload:1|g\nu:a|s\ntime:1|ms", to: &aggregator)
        let all: [String: MetricType] = [
            "hits": .counter, "load": .gauge, "u": .gauge, "time": .histogram,
        ]
        #expect(types(aggregator.flush(nowMillis: 11_000)) == all)
        #expect(types(aggregator.flush(nowMillis: 21_000)).isEmpty)
        add("more:2|c", to: &aggregator, at: 22_000)
        #expect(types(aggregator.flush(nowMillis: 31_000)) == ["more": .counter])
        add("hits:2|c", to: &aggregator, at: 86_400_000)
        #expect(types(aggregator.flush(nowMillis: 86_401_000))["hits"] == .counter)
    }

    @Test func silentSeriesEnd() {
        var limits = StatsDLimits()
        limits.idleSeconds = 60
        var aggregator = StatsDAggregator(limits: limits)
        add("hits:2|c", to: &aggregator)
        let batch = aggregator.flush(nowMillis: 70_000)
        #expect(batch.sampleValues.count == 1 && StaleMarker.isStale(batch.sampleValues[0]))
        #expect(aggregator.flush(nowMillis: 80_000).isEmpty && aggregator.seriesCount == 0)
    }

    @Test func boundsAndTypesAreKept() {
        var limits = StatsDLimits()
        limits.series = 2
        limits.members = 1
        var aggregator = StatsDAggregator(limits: limits)
        add("a:1|c\na:1|g\nb:x|s\nb:y|s\nb:x|s\nc:1|c", to: &aggregator)
        #expect(aggregator.refused == 3)
        #expect(values(aggregator.flush(nowMillis: 2000)) == ["a": 1, "b": 1])
    }
}
