// SPDX-License-Identifier: Apache-2.0
// Metric batches through the log's encoding.

import Base
import Telemetry
import Testing

private func sampleBatch(identity: Bool, sameTime: Bool, starts: Bool) -> MetricBatch {
    var batch = MetricBatch()
    let series = (0..<5).map {
        batch.addSeries(Labels([("__name__", "m\($0)"), ("job", "api")]))
    }
    for i in 0..<5 {
        batch.addSample(
            series: series[identity ? i : 4 - i], millis: sameTime ? 1000 : 1000 + Int64(i),
            value: i == 2 ? StaleMarker.value : Double(i) / 3, startMillis: starts ? 77 : 0)
    }
    var histogram = NativeHistogram()
    histogram.count = 4
    histogram.positiveSpans = [NativeHistogram.Span(offset: -2, length: 2)]
    histogram.positiveBuckets = [1, 3]
    batch.addHistogram(series: series[1], millis: 2000, histogram, startMillis: starts ? 5 : 0)
    batch.exemplarSeries.append(series[3])
    batch.exemplarMillis.append(1500)
    batch.exemplarValues.append(0.25)
    let labels = Labels([("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")])
    batch.exemplarLabels.append(labels.bytes.withUnsafeBytes { batch.arena.keep($0) })
    batch.metadata.append(
        MetricBatch.Metadata(
            family: batch.arena.keep("m1"), type: .counter, help: batch.arena.keep("Help."),
            unit: .empty))
    return batch
}

private func encoded(_ batch: MetricBatch) -> [UInt8] {
    var writer = ByteWriter()
    batch.encode(into: &writer)
    return writer.bytes
}

private func decoded(_ bytes: [UInt8]) throws -> MetricBatch {
    try bytes.withUnsafeBytes { try MetricBatch(decoding: $0) }
}

@Test func batchesComeBackAsTheyWere() throws {
    for shape in 0..<8 {
        let batch = sampleBatch(
            identity: shape & 1 != 0, sameTime: shape & 2 != 0, starts: shape & 4 != 0)
        let copy = try decoded(encoded(batch))
        #expect(copy.arena == batch.arena)
        #expect(copy.series == batch.series)
        #expect(copy.sampleSeries == batch.sampleSeries)
        #expect(copy.sampleMillis == batch.sampleMillis)
        #expect(copy.sampleValues.map(\.bitPattern) == batch.sampleValues.map(\.bitPattern))
        #expect(copy.sampleStartMillis == batch.sampleStartMillis)
        #expect(copy.histogramSeries == batch.histogramSeries)
        #expect(copy.histogramMillis == batch.histogramMillis)
        #expect(copy.histogramStartMillis == batch.histogramStartMillis)
        #expect(copy.histograms == batch.histograms)
        #expect(copy.exemplarSeries == batch.exemplarSeries)
        #expect(copy.exemplarMillis == batch.exemplarMillis)
        #expect(copy.exemplarValues == batch.exemplarValues)
        #expect(copy.exemplarLabels == batch.exemplarLabels)
        #expect(copy.metadata.count == 1 && copy.metadata[0].type == .counter)
    }
    #expect(try decoded(encoded(MetricBatch())).isEmpty)
}

@Test func oneScrapeCostsEightBytesPerSample() {
    var batch = MetricBatch()
    for i in 0..<1000 {
        let series = batch.addSeries(Labels([("i", "\(i)")]))
        batch.addSample(series: series, millis: 5, value: Double(i))
    }
    let labels = batch.arena.count + 1000 * 4
    #expect(encoded(batch).count < labels + 1000 * 8 + 64)
}

@Test func batchesThatPointOutsideAreRefused() throws {
    var outside = sampleBatch(identity: false, sameTime: false, starts: false)
    outside.sampleSeries[0] = 5
    #expect(throws: MalformedBytes.self) { try decoded(encoded(outside)) }
    var unsorted = MetricBatch()
    let slice = unsorted.arena.keep("\u{1}b\u{1}1\u{1}a\u{1}1")
    unsorted.series.append(LabelsRef(slice: slice, hash: 0))
    #expect(throws: MalformedBytes.self) { try decoded(encoded(unsorted)) }
    var histogram = MetricBatch()
    let series = histogram.addSeries(Labels([("a", "b")]))
    histogram.addHistogram(series: series, millis: 1, slice: histogram.arena.keep("junk"))
    #expect(throws: MalformedBytes.self) { try decoded(encoded(histogram)) }
}

/// Whatever the bytes, decoding throws or gives a batch whose references all hold.
@Test func damagedBatchesNeverCrash() throws {
    var random = SplitMix64(seed: 3)
    var refused = 0
    for round in 0..<4000 {
        let shape = round % 8
        var bytes = encoded(
            sampleBatch(identity: shape & 1 != 0, sameTime: shape & 2 != 0, starts: shape & 4 != 0))
        for _ in 0...(random.next() % 4) {
            let at = Int(random.next() % UInt64(bytes.count))
            switch random.next() % 4 {
            case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
            case 1: bytes[at] = 0xff
            case 2: bytes.remove(at: at)
            default: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: at)
            }
        }
        if round % 5 == 0 { bytes.removeLast(Int(random.next() % UInt64(bytes.count))) }
        do {
            let batch = try decoded(bytes)
            for index in batch.sampleSeries + batch.histogramSeries + batch.exemplarSeries {
                _ = batch.arena.labels(batch.series[Int(index)])
            }
            for slice in batch.histograms + batch.exemplarLabels { _ = batch.arena.text(slice) }
            #expect(batch.sampleMillis.count == batch.sampleSeries.count)
            #expect(batch.sampleValues.count == batch.sampleSeries.count)
        } catch { refused += 1 }
    }
    #expect(refused > 1000)
}
