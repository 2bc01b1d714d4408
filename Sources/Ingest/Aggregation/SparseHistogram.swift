// SPDX-License-Identifier: Apache-2.0
// A native histogram that grows.

import Glibc
import Telemetry
import Wire

/// Buckets by index, for adding observations and whole histograms.
///
/// At most `maxBuckets` buckets per side: beyond it the resolution is halved until they fit, which
/// keeps every observation in the bucket that covers it.
///
/// Source: prometheus/prometheus `model/histogram` (bucket i reaches to 2^(i·2^−schema),
/// inclusive); OpenTelemetry data model, "Exponential histogram".
struct SparseHistogram: Sendable {
    static let maxBuckets = 160

    private(set) var schema: Int32
    private(set) var zeroThreshold: Double
    private(set) var zeroCount = 0.0
    private(set) var count = 0.0
    private(set) var sum = 0.0
    private var positive: [Int64: Double] = [:]
    private var negative: [Int64: Double] = [:]
    private var customBounds: [Double] = []
    private var isInteger = true

    /// An empty histogram for observations.
    ///
    /// - Parameter schema: 0…8.
    init(schema: Int32) {
        self.schema = schema
        zeroThreshold = 0x1p-128
    }

    init(_ histogram: NativeHistogram) {
        schema = histogram.schema
        zeroThreshold = histogram.zeroThreshold
        zeroCount = histogram.zeroCount
        count = histogram.count
        sum = histogram.sum
        customBounds = histogram.customBounds
        isInteger = histogram.isInteger
        positive = Self.indexed(histogram.positiveSpans, histogram.positiveBuckets)
        negative = Self.indexed(histogram.negativeSpans, histogram.negativeBuckets)
    }

    private var isCustom: Bool { schema == NativeHistogram.customSchema }

    private static func indexed(
        _ spans: [NativeHistogram.Span], _ buckets: [Double]
    ) -> [Int64: Double] {
        var result: [Int64: Double] = [:]
        var index: Int64 = 0
        var place = 0
        for span in spans {
            index += Int64(span.offset)
            for _ in 0..<span.length where place < buckets.count {
                if buckets[place] != 0 { result[index] = buckets[place] }
                index += 1
                place += 1
            }
        }
        return result
    }

    /// Adds `weight` observations of a finite value.
    mutating func observe(_ value: Double, weight: Double = 1) {
        count += weight
        sum += value * weight
        if weight != weight.rounded() { isInteger = false }
        let size = abs(value)
        if size <= zeroThreshold {
            zeroCount += weight
        } else if value > 0 {
            positive[Self.index(size, schema), default: 0] += weight
        } else {
            negative[Self.index(size, schema), default: 0] += weight
        }
        shrink()
    }

    /// Index of the bucket that covers a positive value.
    static func index(_ value: Double, _ schema: Int32) -> Int64 {
        // The significand lies in 1..<2, of which the schema cuts 2^schema pieces.
        let pieces = Int64(1) << Int64(schema)
        let scaled = log2(value.significand) * Double(pieces)
        var piece = Int64(scaled.rounded(.up))
        // Logarithms are rounded; a value on a bound belongs below it.
        if piece > 0, exp2(Double(piece - 1) / Double(pieces)) >= value.significand { piece -= 1 }
        return Int64(value.exponent) * pieces + piece
    }

    /// Adds all observations of another histogram; false when the two cannot be one because their
    /// custom bounds differ.
    mutating func add(_ other: NativeHistogram) -> Bool {
        var other = SparseHistogram(other)
        guard isCustom == other.isCustom, customBounds == other.customBounds else { return false }
        if !isCustom {
            let common = min(schema, other.schema)
            reduce(to: common)
            other.reduce(to: common)
            let threshold = max(zeroThreshold, other.zeroThreshold)
            // Buckets that straddle a threshold widen it, so that both need the same rounds.
            var wide = threshold
            while true {
                let next = max(widened(wide), other.widened(wide))
                if next == wide { break }
                wide = next
            }
            widenZero(to: wide)
            other.widenZero(to: wide)
        }
        zeroCount += other.zeroCount
        count += other.count
        sum += other.sum
        isInteger = isInteger && other.isInteger
        for (index, count) in other.positive { positive[index, default: 0] += count }
        for (index, count) in other.negative { negative[index, default: 0] += count }
        if !isCustom { shrink() }
        return true
    }

    // MARK: resolution

    private mutating func shrink() {
        while max(positive.count, negative.count) > Self.maxBuckets, schema > -4 {
            reduce(to: schema - 1)
        }
    }

    private mutating func reduce(to wanted: Int32) {
        guard wanted < schema else { return }
        let steps = Int64(schema - wanted)
        positive = Self.merged(positive, steps)
        negative = Self.merged(negative, steps)
        schema = wanted
    }

    private static func merged(_ buckets: [Int64: Double], _ steps: Int64) -> [Int64: Double] {
        var result: [Int64: Double] = [:]
        // Bounds are inclusive above: of the pair 2k−1, 2k becomes k.
        for (index, count) in buckets { result[((index - 1) >> steps) + 1, default: 0] += count }
        return result
    }

    private func bound(_ index: Int64) -> Double { exp2(Double(index) * exp2(Double(-schema))) }

    /// The zero threshold that leaves no bucket on both sides of it.
    private func widened(_ threshold: Double) -> Double {
        var result = threshold
        for index in positive.keys where bound(index - 1) < threshold {
            result = max(result, bound(index))
        }
        for index in negative.keys where bound(index - 1) < threshold {
            result = max(result, bound(index))
        }
        return result
    }

    private mutating func widenZero(to threshold: Double) {
        zeroThreshold = threshold
        for (index, count) in positive where bound(index) <= threshold {
            zeroCount += count
            positive[index] = nil
        }
        for (index, count) in negative where bound(index) <= threshold {
            zeroCount += count
            negative[index] = nil
        }
    }

    // MARK: result

    var native: NativeHistogram {
        var result = NativeHistogram()
        result.schema = schema
        result.zeroThreshold = zeroThreshold
        result.zeroCount = zeroCount
        result.count = count
        result.sum = sum
        result.customBounds = customBounds
        result.isInteger = isInteger
        let up = Self.runs(positive), down = Self.runs(negative)
        result.positiveSpans = up.spans
        result.positiveBuckets = up.buckets
        result.negativeSpans = down.spans
        result.negativeBuckets = down.buckets
        return result
    }

    private static func runs(_ buckets: [Int64: Double]) -> BucketRuns {
        var runs = BucketRuns()
        for (index, count) in buckets.sorted(by: { $0.key < $1.key }) { runs.append(index, count) }
        return runs
    }
}
