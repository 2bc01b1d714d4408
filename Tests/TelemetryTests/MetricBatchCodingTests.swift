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

private func versionOne() -> (bytes: [UInt8], arena: [UInt8], labels: Labels, trace: Labels) {
    var writer = ByteWriter()
    writer.u8(1)
    let labels = Labels([("__name__", "m"), ("job", "api")])
    let trace = Labels([("trace_id", "7")])
    let arena = labels.bytes + trace.bytes + Array("m".utf8)
    writer.lengthPrefixed(arena)
    func slice(_ offset: Int, _ count: Int) {
        writer.varint(offset)
        writer.varint(count)
    }
    writer.varint(1)
    slice(0, labels.bytes.count)
    writer.varint(1)
    writer.double(2.5)
    writer.raw([1, 1])
    writer.i64(1000)
    writer.u8(0)
    writer.raw([0, 1, 0, 0])
    writer.varint(1)
    writer.double(0.5)
    slice(labels.bytes.count, trace.bytes.count)
    writer.raw([1, 1])
    writer.i64(900)
    writer.varint(1)
    writer.u8(MetricType.gauge.rawValue)
    slice(arena.count - 1, 1)
    slice(0, 0)
    slice(0, 0)
    return (writer.bytes, arena, labels, trace)
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

/// Label sets that share starts, ends, both at once, all or nothing with the one before.
@Test func labelSetsComeBackWhateverTheyShare() throws {
    var random = SplitMix64(seed: 11)
    let names = ["__name__", "a", "aa", "instance", "job", "z"]
    let values = ["x", "xx", "xxx", "y", String(repeating: "x", count: 200), "xyx", "\u{80}"]
    for _ in 0..<300 {
        var batch = MetricBatch()
        for i in 0..<Int(random.next() % 20) {
            let labels = names.filter { _ in random.next() % 3 > 0 }.map {
                ($0, values[Int(random.next() % UInt64(values.count))])
            }
            let series = batch.addSeries(Labels(labels))
            batch.addSample(series: series, millis: Int64(i), value: 1)
        }
        if random.next() % 2 == 0 {
            batch.metadata.append(
                MetricBatch.Metadata(family: .empty, type: .gauge, help: .empty, unit: .empty))
        }
        let copy = try decoded(encoded(batch))
        #expect(copy.arena == batch.arena)
        #expect(copy.series == batch.series)
        #expect(copy.metadata.count == batch.metadata.count)
    }
}

@Test func aSeriesCostsWhatItDiffersIn() {
    var batch = MetricBatch()
    for i in 0..<1000 {
        let series = batch.addSeries(
            Labels([
                ("__name__", "node_cpu_seconds_total"), ("cpu", "\(i)"),
                ("instance", "machine-17.example.com:9100"), ("job", "node"),
            ]))
        batch.addSample(series: series, millis: 5, value: 0)
    }
    #expect(encoded(batch).count < 1000 * (8 + 3 + 3) + 200)
}

/// Records of the first version: an arena, and slices of it.
@Test func batchesOfVersionOneAreRead() throws {
    let (bytes, arena, labels, trace) = versionOne()
    let batch = try decoded(bytes)
    #expect(batch.arena == arena)
    #expect(batch.arena.labels(batch.series[0]) == labels)
    #expect(batch.sampleValues == [2.5] && batch.sampleMillis == [1000])
    #expect(Labels(canonical: Array(batch.arena[batch.exemplarLabels[0].range])) == trace)
    #expect(batch.arena.text(batch.metadata[0].family) == "m")
}

/// A few bytes that claim to unfold to much are refused, at the cost of what they name.
@Test func labelSetsKeepToTheirTotal() {
    var writer = ByteWriter()
    writer.u8(MetricBatch.codingVersion)
    writer.varint(2)
    let labels = Labels([("a", String(repeating: "b", count: 100))]).bytes
    writer.varint(labels.count + 1)
    writer.raw([0, 0])
    writer.lengthPrefixed(labels)
    writer.raw([UInt8(labels.count), 0, 0])
    #expect(throws: MalformedBytes.self) { try decoded(writer.bytes) }
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
        var bytes =
            round % 3 == 0
            ? versionOne().bytes
            : encoded(
                sampleBatch(
                    identity: shape & 1 != 0, sameTime: shape & 2 != 0, starts: shape & 4 != 0))
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
