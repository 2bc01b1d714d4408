// SPDX-License-Identifier: Apache-2.0
// Buckets of native histograms with their bounds.

import Base
import Glibc
import Telemetry

/// One bucket with its bounds.
package struct HistogramBucket: Sendable, Equatable {
    package var lower: Double
    package var upper: Double
    package var count: Double

    /// Share of the bucket at or below `value`, which lies strictly inside finite bounds: linear
    /// for custom bounds and the zero bucket, on a logarithmic scale otherwise.
    func fractionBelow(_ value: Double, isLinear: Bool) -> Double {
        if isLinear { return (value - lower) / (upper - lower) }
        let logLower = log2(lower.magnitude), logUpper = log2(upper.magnitude)
        let logValue = log2(value.magnitude)
        return value > 0
            ? (logValue - logLower) / (logUpper - logLower)
            : 1 - (logValue - logUpper) / (logLower - logUpper)
    }
}

/// The buckets of one side by index, ascending, empty ones included.
struct BucketSide {
    var indexes: [Int32] = []
    var counts: [Double] = []

    init() {}

    /// Tolerates spans that promise more buckets than there are.
    init(_ spans: [NativeHistogram.Span], _ buckets: [Double]) {
        indexes.reserveCapacity(buckets.count)
        var index: Int32 = 0
        var next = 0
        for span in spans {
            index = index &+ span.offset
            for _ in 0..<span.length {
                guard next < buckets.count else {
                    counts = Array(buckets[..<next])
                    return
                }
                indexes.append(index)
                index = index &+ 1
                next += 1
            }
        }
        counts = next == buckets.count ? buckets : Array(buckets[..<next])
    }

    mutating func append(_ index: Int32, _ count: Double) {
        indexes.append(index)
        counts.append(count)
    }

    /// Spans of consecutive indexes, in Prometheus' relative form.
    var spans: [NativeHistogram.Span] {
        var result: [NativeHistogram.Span] = []
        var end: Int32 = 0
        for index in indexes {
            if !result.isEmpty, index == end {
                result[result.count - 1].length += 1
            } else {
                result.append(NativeHistogram.Span(offset: index &- end, length: 1))
            }
            end = index &+ 1
        }
        return result
    }

    /// Merges neighbours into the buckets of a coarser schema.
    func reduced(from schema: Int32, to target: Int32) -> BucketSide {
        if target >= schema { return self }
        var result = BucketSide()
        for (position, index) in indexes.enumerated() {
            let merged = ((index &- 1) >> (schema &- target)) &+ 1
            if result.indexes.last == merged {
                result.counts[result.counts.count - 1] += counts[position]
            } else {
                result.append(merged, counts[position])
            }
        }
        return result
    }
}

extension NativeHistogram {
    package var usesCustomBounds: Bool { schema == NativeHistogram.customSchema }

    /// Upper bound of the positive bucket `index` of an exponential schema. Source:
    /// prometheus/prometheus `model/histogram/generic.go`, `getBoundExponential`.
    static func exponentialBound(_ index: Int32, schema: Int32) -> Double {
        if schema < 0 {
            let exponent = Int64(index) << Int64(min(0 &- schema, 31))
            // The bucket that ends at the greatest double.
            if exponent == 1024 { return .greatestFiniteMagnitude }
            return exponent > 1024 ? .infinity : scalbn(1, Int(max(exponent, -1100)))
        }
        let shift = min(schema, 30)
        let fractionIndex = Int64(index) & ((1 << Int64(shift)) - 1)
        let fraction = 0.5 * exp2(Double(fractionIndex) / Double(Int64(1) << Int64(shift)))
        let exponent = (Int64(index) >> Int64(shift)) + 1
        if fraction == 0.5, exponent == 1025 { return .greatestFiniteMagnitude }
        return exponent > 1025 ? .infinity : scalbn(fraction, Int(max(exponent, -1200)))
    }

    /// Upper bound of positive bucket `index`.
    private func bound(_ index: Int32) -> Double {
        if !usesCustomBounds {
            return NativeHistogram.exponentialBound(index, schema: schema)
        }
        if index < 0 { return -.infinity }
        return Int(index) < customBounds.count ? customBounds[Int(index)] : .infinity
    }

    var positiveSide: BucketSide { BucketSide(positiveSpans, positiveBuckets) }
    var negativeSide: BucketSide { BucketSide(negativeSpans, negativeBuckets) }

    mutating func setPositive(_ side: BucketSide) {
        positiveSpans = side.spans
        positiveBuckets = side.counts
    }
    mutating func setNegative(_ side: BucketSide) {
        negativeSpans = side.spans
        negativeBuckets = side.counts
    }

    /// Bounds and count of a bucket on one side.
    func bucket(_ index: Int32, _ count: Double, isPositive: Bool) -> HistogramBucket {
        isPositive
            ? HistogramBucket(lower: bound(index &- 1), upper: bound(index), count: count)
            : HistogramBucket(lower: -bound(index), upper: -bound(index &- 1), count: count)
    }

    /// Buckets of one side in the order of the spans.
    func buckets(isPositive: Bool) -> [HistogramBucket] {
        let side = isPositive ? positiveSide : negativeSide
        return zip(side.indexes, side.counts).map { bucket($0, $1, isPositive: isPositive) }
    }

    var zeroBucket: HistogramBucket {
        HistogramBucket(lower: -zeroThreshold, upper: zeroThreshold, count: zeroCount)
    }

    /// All buckets in ascending order, those next to the zero bucket cut at its bounds.
    package var allBuckets: [HistogramBucket] {
        var result = Array(buckets(isPositive: false).reversed())
        if zeroCount > 0 { result.append(zeroBucket) }
        result += buckets(isPositive: true)
        for i in result.indices {
            if result[i].upper < 0, result[i].upper > -zeroThreshold {
                result[i].upper = -zeroThreshold
            }
            if result[i].lower > 0, result[i].lower < zeroThreshold {
                result[i].lower = zeroThreshold
            }
        }
        return result
    }

    /// Prometheus' text form: `{count:5, sum:18.4, [-0.001,0.001]:2, (1,2]:3}`.
    package var text: String {
        var out = "{count:\(floatGeneralText(count)), sum:\(floatGeneralText(sum))"
        func append(_ bucket: HistogramBucket, _ open: Bool, _ close: Bool) {
            if bucket.count == 0 { return }
            out += ", \(open ? "[" : "(")\(floatGeneralText(bucket.lower)),"
            out += "\(floatGeneralText(bucket.upper))\(close ? "]" : ")"):"
            out += floatGeneralText(bucket.count)
        }
        for bucket in buckets(isPositive: false).reversed() { append(bucket, true, false) }
        append(zeroBucket, true, true)
        let side = positiveSide
        for (index, bucket) in zip(side.indexes, buckets(isPositive: true)) {
            append(bucket, usesCustomBounds && index == 0, true)
        }
        return out + "}"
    }
}
