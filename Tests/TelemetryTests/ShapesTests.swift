// SPDX-License-Identifier: Apache-2.0
// Generated telemetry: the same from the same seed, and as its description says.

import Base
import Telemetry
import TestKit
import Testing

private let start: Int64 = 1_800_000_000_000_000_000

private func timeline(seed: UInt64 = 7) -> Timeline {
    Timeline(seed: seed, startNanos: start)
}

@Suite struct MetricShapeTests {
    private let shape = MetricShape(timeline: timeline(), hosts: 3, batchSamples: 250)

    @Test func batchesFollowFromSeedAndNumberAlone() {
        let again = MetricShape(timeline: timeline(), hosts: 3, batchSamples: 250)
        // The second shape makes them in another order.
        let forwards = (0..<12).map { shape.batch($0) }
        let backwards = (0..<12).reversed().map { again.batch($0) }
        for (a, b) in zip(forwards, backwards.reversed()) {
            #expect(a.arena == b.arena)
            #expect(a.sampleMillis == b.sampleMillis)
            #expect(a.sampleValues == b.sampleValues)
        }
        let other = MetricShape(timeline: timeline(seed: 8), hosts: 3, batchSamples: 250)
        #expect(other.batch(0).sampleValues != shape.batch(0).sampleValues)
    }

    @Test func seriesDifferAndAreCanonical() {
        #expect(Set(shape.series).count == shape.seriesCount)
        #expect(shape.series.allSatisfy { $0.bytes.withUnsafeBytes { isCanonicalLabels($0) } })
        #expect((400...600).contains(shape.seriesPerHost))
    }

    @Test func batchesHoldEverySampleOnce() {
        for total in [1, 249, 250, 251, shape.seriesCount, shape.seriesCount * 2 + 300] {
            var seen: Set<[Int64]> = []
            for batch in 0..<shape.batchCount(samples: total) {
                let place = shape.place(batch: batch, samples: total)
                #expect(!place.series.isEmpty)
                for series in place.series { seen.insert([Int64(place.step), Int64(series)]) }
            }
            #expect(seen.count == total)
        }
    }

    @Test func countersGrowButForRestartsAndBucketsAscend() {
        var restarts = 0
        for (i, labels) in shape.series.enumerated().prefix(shape.seriesPerHost) {
            guard labels["__name__"]?.hasSuffix("_total") == true else { continue }
            var before = 0.0
            for step in 0..<200 {
                let value = shape.value(series: i, step: step * 150)
                if value < before { restarts += 1 }
                before = value
            }
        }
        #expect(restarts > 0 && restarts < 2000)
        var previous: (handler: String?, value: Double) = (nil, 0)
        for (i, labels) in shape.series.enumerated()
        where labels["__name__"]?.hasSuffix("_bucket") == true {
            let value = shape.value(series: i, step: 500)
            if labels["le"] != "0.005" { #expect(value >= previous.value) }
            previous = (labels["handler"], value)
        }
        #expect(previous.value > 0)
    }
}

@Suite struct LogShapeTests {
    private let shape = LogShape(timeline: timeline(), batchLines: 500)

    @Test func batchesFollowFromSeedAndNumberAlone() {
        let again = LogShape(timeline: timeline(), batchLines: 500)
        _ = again.batch(9)
        let (a, b) = (shape.batch(4), again.batch(4))
        #expect(a.arena == b.arena)
        #expect(a.nanos == b.nanos)
        #expect(a.rowStreams == b.rowStreams)
    }

    @Test func timesTellTheLine() {
        let batch = shape.batch(3)
        for row in 0..<batch.rowCount { #expect(shape.line(at: batch.nanos[row]) == 1500 + row) }
        #expect(Set(batch.nanos).count == 500)
    }

    @Test func linesNameTracesOfTheSameSeed() {
        let traces = TraceShape(timeline: timeline(), batchTraces: 1)
        let batch = shape.batch(0)
        var linked = 0
        for row in 0..<batch.rowCount where !batch.traceIDs[row].isZero {
            linked += 1
            let number = Int((batch.nanos[row] - start) / timeline().traceEveryNanos)
            #expect(batch.traceIDs[row] == traces.traceID(number))
            let line = batch.arena.text(batch.lines[row])
            let metadata = batch.arena.text(batch.metadata[row])
            #expect((line + metadata).contains("\(batch.traceIDs[row])"))
            let spans = traces.batch(number)
            if !batch.spanIDs[row].isZero { #expect(spans.spanIDs.contains(batch.spanIDs[row])) }
        }
        #expect((120...220).contains(linked))
    }

    @Test func everyFormatIsThereAndStackTracesHaveManyLines() {
        let batch = LogShape(timeline: timeline(), batchLines: 4000).batch(0)
        let lines = batch.lines.map { batch.arena.text($0) }
        #expect(lines.contains { $0.hasPrefix("{\"time\":\"2027-01-15T") && $0.hasSuffix("}") })
        #expect(lines.contains { $0.hasPrefix("ts=2027-01-15T") })
        #expect(lines.contains { $0.contains("[15/Jan/2027:08:00:") })
        #expect(lines.contains { $0.contains("\n\tat com.shop.") })
    }
}

@Suite struct TraceShapeTests {
    private let shape = TraceShape(timeline: timeline(), batchTraces: 40)

    @Test func batchesFollowFromSeedAndNumberAlone() {
        let again = TraceShape(timeline: timeline(), batchTraces: 40)
        _ = again.batch(3)
        let (a, b) = (shape.batch(1), again.batch(1))
        #expect(a.arena == b.arena)
        #expect(a.spanIDs == b.spanIDs)
        #expect(a.endNanos == b.endNanos)
    }

    @Test func tracesAreTreesInsideTheirParents() {
        let batch = shape.batch(2)
        var rows: [SpanID: Int] = [:]
        for row in 0..<batch.rowCount { rows[batch.spanIDs[row]] = row }
        #expect(rows.count == batch.rowCount)
        var roots = 0
        for row in 0..<batch.rowCount {
            #expect(batch.startNanos[row] < batch.endNanos[row])
            guard !batch.parentIDs[row].isZero else {
                roots += 1
                continue
            }
            guard let parent = rows[batch.parentIDs[row]] else {
                Issue.record("a span's parent is not in its batch")
                continue
            }
            #expect(parent < row)
            #expect(batch.traceIDs[parent] == batch.traceIDs[row])
            #expect(batch.startNanos[parent] <= batch.startNanos[row])
            #expect(batch.endNanos[parent] >= batch.endNanos[row])
        }
        #expect(roots == 40)
    }

    @Test func aRunHasTheSpansThatWereAskedFor() {
        for total in [1, 5, 100, 2345] {
            let (traces, lastSpans) = shape.traces(spans: total)
            let rows = (0..<shape.batchCount(traces: traces)).reduce(0) {
                $0 + shape.batch($1, traces: traces, lastSpans: lastSpans).rowCount
            }
            #expect(rows == total)
        }
    }

    @Test func failuresReachTheRoot() {
        var failed = 0
        let batch = shape.batch(0)
        for row in 0..<batch.rowCount where batch.parentIDs[row].isZero {
            if batch.statusCodes[row] == 2 { failed += 1 }
        }
        let expected = (0..<40).filter { shape.fails($0) }.count
        #expect(failed == expected)
    }
}
