// SPDX-License-Identifier: Apache-2.0
// Prometheus' chunks of native histograms.

import Base
import Telemetry

/// Encodes native histograms as Prometheus' chunks of encoding 2 (whole counts: deltas of deltas)
/// and 3 (float counts: XOR). A chunk has one layout — schema, zero threshold, spans, bounds —
/// and, unless it holds gauges, no counter reset after its first sample.
///
///     u16 samples | u8 flags: counter reset in the highest two bits | zero threshold, 1 or 9 bytes
///     varbit schema | positive spans | negative spans | bounds of the custom schema | samples
///
/// Source: prometheus/prometheus `tsdb/docs/format/chunks.md`, `tsdb/chunkenc/histogram.go`,
/// `float_histogram.go`, `histogram_meta.go`.
struct HistogramChunk: Sendable {
    /// Samples of one chunk, and bytes after which it takes no more. A chunk of one sample may be
    /// larger: it holds at most 2 × `NativeHistogram.maxBuckets` buckets.
    static let maxSamples = 120
    static let maxBytes = 64 << 10

    private enum Samples: Sendable {
        case whole(WholeHistograms)
        case floats(FloatHistograms)
    }

    private(set) var count = 0
    let firstMillis: Int64
    private(set) var lastMillis: Int64
    private let flags: UInt8
    private var bits = ChunkBits()
    private var samples: Samples
    private let layout: Layout
    private var last: NativeHistogram
    private var millisDelta: Int64 = 0

    /// - Parameter isReset: whether the counter is known to have started anew before this sample.
    /// - Throws: `InvalidHistogram` when the spans do not cover the buckets.
    init(millis: Int64, _ sample: NativeHistogram, isReset: Bool) throws(InvalidHistogram) {
        let histogram = sample.isStale ? NativeHistogram(staleOf: sample) : sample
        layout = Layout(histogram)
        guard layout.covers(histogram) else {
            throw InvalidHistogram("spans of a histogram do not cover its buckets")
        }
        firstMillis = millis
        lastMillis = millis
        last = histogram
        switch sample.counterReset {
        case .gauge: flags = 0b1100_0000
        case .reset: flags = 0b1000_0000
        case .notReset: flags = isReset ? 0b1000_0000 : 0b0100_0000
        case .unknown: flags = isReset ? 0b1000_0000 : 0
        }
        layout.write(to: &bits)
        bits.varbit(millis)
        if let whole = WholeCounts(histogram) {
            samples = .whole(WholeHistograms(first: whole, sum: histogram.sum, to: &bits))
        } else {
            samples = .floats(FloatHistograms(first: histogram, to: &bits))
        }
        count = 1
    }

    /// 2 or 3, as `prometheus.Chunk.Encoding` counts.
    var encoding: UInt32 {
        if case .whole = samples { 2 } else { 3 }
    }

    var bytes: [UInt8] {
        [UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count), flags]
            + bits.bytes
    }

    enum Outcome { case appended, isFull, differs, isReset }

    /// Appends a sample if this chunk can hold it. Times must ascend.
    mutating func append(millis: Int64, _ sample: NativeHistogram) -> Outcome {
        guard count < HistogramChunk.maxSamples, bits.bytes.count < HistogramChunk.maxBytes else {
            return isReset(before: sample) ? .isReset : .isFull
        }
        if last.isStale, !sample.isStale { return .differs }
        let whole = sample.isStale ? nil : WholeCounts(sample)
        if !sample.isStale {
            guard (sample.counterReset == .gauge) == isGauge, layout == Layout(sample),
                layout.covers(sample)
            else { return .differs }
            if isReset(before: sample) { return .isReset }
        }
        let delta = millis &- lastMillis
        switch samples {
        case .whole(var column):
            guard sample.isStale || whole != nil else { return .differs }
            bits.varbit(delta &- millisDelta)
            column.append(whole, sum: sample.sum, to: &bits)
            samples = .whole(column)
        case .floats(var column):
            guard sample.isStale || whole == nil else { return .differs }
            bits.varbit(delta &- millisDelta)
            column.append(sample.isStale ? NativeHistogram(staleOf: sample) : sample, to: &bits)
            samples = .floats(column)
        }
        millisDelta = delta
        lastMillis = millis
        last = sample
        count += 1
        return .appended
    }

    private var isGauge: Bool { flags >> 6 == 0b11 }

    /// Whether a counter of the same layout has gone back. Readers believe that there is no reset
    /// inside a chunk.
    private func isReset(before next: NativeHistogram) -> Bool {
        if next.isStale || last.isStale || isGauge || next.counterReset == .gauge { return false }
        if next.counterReset == .reset || next.count < last.count { return true }
        guard layout == Layout(next) else { return false }
        return next.zeroCount < last.zeroCount
            || zip(next.positiveBuckets, last.positiveBuckets).contains(where: <)
            || zip(next.negativeBuckets, last.negativeBuckets).contains(where: <)
    }
}

extension NativeHistogram {
    /// What chunks keep of a stale marker: nothing but the sum.
    fileprivate init(staleOf other: NativeHistogram) {
        self.init()
        sum = other.sum
        isInteger = other.isInteger
    }
}

/// What all samples of a chunk share.
private struct Layout: Sendable, Equatable {
    let schema: Int32
    let zeroThreshold: Double
    let positive: [NativeHistogram.Span]
    let negative: [NativeHistogram.Span]
    let bounds: [Double]

    init(_ histogram: NativeHistogram) {
        schema = histogram.schema
        zeroThreshold = histogram.zeroThreshold
        positive = histogram.positiveSpans
        negative = histogram.negativeSpans
        bounds = schema == NativeHistogram.customSchema ? histogram.customBounds : []
    }

    func covers(_ histogram: NativeHistogram) -> Bool {
        func covered(_ spans: [NativeHistogram.Span]) -> UInt64 {
            spans.reduce(0) { $0 &+ UInt64($1.length) }
        }
        return covered(positive) == UInt64(histogram.positiveBuckets.count)
            && covered(negative) == UInt64(histogram.negativeBuckets.count)
    }

    func write(to bits: inout ChunkBits) {
        write(threshold: zeroThreshold, to: &bits)
        bits.varbit(Int64(schema))
        for spans in [positive, negative] {
            bits.varbit(unsigned: UInt64(spans.count))
            for span in spans {
                bits.varbit(unsigned: UInt64(span.length))
                bits.varbit(Int64(span.offset))
            }
        }
        guard schema == NativeHistogram.customSchema else { return }
        bits.varbit(unsigned: UInt64(bounds.count))
        for bound in bounds { write(bound: bound, to: &bits) }
    }

    /// One byte for zero and for powers of two from 2^−243 to 2^10.
    private func write(threshold: Double, to bits: inout ChunkBits) {
        if threshold == 0 { return bits.write(0, 8) }
        if threshold > 0, threshold.isNormal, threshold.significandBitPattern == 0,
            (-243...10).contains(threshold.exponent)
        {
            return bits.write(UInt64(threshold.exponent + 244), 8)
        }
        bits.write(0xff, 8)
        bits.write(threshold)
    }

    /// Thousandths up to 33554.43 as numbers above 0, all else plainly behind a 0 bit.
    private func write(bound: Double, to bits: inout ChunkBits) {
        let thousandths = bound * 1000
        if thousandths >= 0, thousandths <= 33_554_430,
            thousandths.rounded() / 1000 == bound,
            let number = UInt64(exactly: thousandths.rounded())
        {
            return bits.varbit(unsigned: number + 1)
        }
        bits.write(0, 1)
        bits.write(bound)
    }
}

/// The counts of a histogram as the whole numbers that they are.
private struct WholeCounts {
    let count: UInt64
    let zeroCount: UInt64
    /// Each bucket's difference from the one before; positive buckets, then negative ones.
    var buckets: [Int64] = []

    /// Nil for float histograms, and where a count is beyond what whole numbers hold.
    init?(_ histogram: NativeHistogram) {
        guard histogram.isInteger, let count = UInt64(exactly: histogram.count),
            let zeroCount = UInt64(exactly: histogram.zeroCount)
        else { return nil }
        self.count = count
        self.zeroCount = zeroCount
        buckets.reserveCapacity(
            histogram.positiveBuckets.count + histogram.negativeBuckets.count)
        for side in [histogram.positiveBuckets, histogram.negativeBuckets] {
            var previous: Int64 = 0
            for bucket in side {
                guard let whole = Int64(exactly: bucket) else { return nil }
                buckets.append(whole &- previous)
                previous = whole
            }
        }
    }
}

private struct WholeHistograms: Sendable {
    /// Count, zero count, buckets: last value and last difference of each.
    private var values: [Int64]
    private var deltas: [Int64]
    private var sum: XORColumn

    init(first: WholeCounts, sum: Double, to bits: inout ChunkBits) {
        bits.varbit(unsigned: first.count)
        bits.varbit(unsigned: first.zeroCount)
        bits.write(sum)
        for bucket in first.buckets { bits.varbit(bucket) }
        values =
            [Int64(bitPattern: first.count), Int64(bitPattern: first.zeroCount)] + first.buckets
        deltas = [Int64](repeating: 0, count: values.count)
        self.sum = XORColumn(first: sum)
    }

    /// Nil is a stale marker, which has no buckets and leaves the counts as they are.
    mutating func append(_ next: WholeCounts?, sum: Double, to bits: inout ChunkBits) {
        guard let next else {
            bits.write(0, 2)
            return self.sum.append(sum, to: &bits)
        }
        append(Int64(bitPattern: next.count), at: 0, &bits)
        append(Int64(bitPattern: next.zeroCount), at: 1, &bits)
        self.sum.append(sum, to: &bits)
        for (i, bucket) in next.buckets.enumerated() { append(bucket, at: i + 2, &bits) }
    }

    private mutating func append(_ value: Int64, at i: Int, _ bits: inout ChunkBits) {
        let delta = value &- values[i]
        bits.varbit(delta &- deltas[i])
        values[i] = value
        deltas[i] = delta
    }
}

private struct FloatHistograms: Sendable {
    private var counts: [XORColumn]
    private var buckets: [XORColumn]

    init(first: NativeHistogram, to bits: inout ChunkBits) {
        let counts = [first.count, first.zeroCount, first.sum]
        let buckets = first.positiveBuckets + first.negativeBuckets
        for value in counts { bits.write(value) }
        for value in buckets { bits.write(value) }
        self.counts = counts.map { XORColumn(first: $0) }
        self.buckets = buckets.map { XORColumn(first: $0) }
    }

    /// A stale marker has no buckets.
    mutating func append(_ next: NativeHistogram, to bits: inout ChunkBits) {
        for (i, value) in [next.count, next.zeroCount, next.sum].enumerated() {
            counts[i].append(value, to: &bits)
        }
        if next.isStale { return }
        for (i, value) in next.positiveBuckets.enumerated() { buckets[i].append(value, to: &bits) }
        let before = next.positiveBuckets.count
        for (i, value) in next.negativeBuckets.enumerated() {
            buckets[before + i].append(value, to: &bits)
        }
    }
}
