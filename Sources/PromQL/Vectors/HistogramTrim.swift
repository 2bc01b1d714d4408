// SPDX-License-Identifier: Apache-2.0
// Cutting native histograms at a value.

import Glibc
import Telemetry

/// Source: prometheus/prometheus `model/histogram/float_histogram.go`, `TrimBuckets`.
extension NativeHistogram {
    /// Only observations up to `value`, estimated where it falls inside a bucket.
    package func trimmed(upper value: Double) -> NativeHistogram { trimmed(value, isUpper: true) }
    /// Only observations from `value` on.
    package func trimmed(lower value: Double) -> NativeHistogram { trimmed(value, isUpper: false) }

    private func trimmed(_ value: Double, isUpper: Bool) -> NativeHistogram {
        var result = self
        var newCount = 0.0, newSum = 0.0
        var isChanged = false
        var populated = (positive: false, negative: false)
        for isPositive in [true, false] {
            var side = isPositive ? positiveSide : negativeSide
            for (position, bucket) in buckets(isPositive: isPositive).enumerated()
            where bucket.count != 0 {
                if isPositive { populated.positive = true } else { populated.negative = true }
                let kept = keptPart(of: bucket, value, isUpper: isUpper, isPositive: isPositive)
                newCount += kept.count
                newSum += kept.midpoint * kept.count
                if kept.count != bucket.count || kept.isOutside {
                    side.counts[position] = kept.count
                    isChanged = true
                }
            }
            if isPositive { result.setPositive(side) } else { result.setNegative(side) }
        }
        if zeroCount > 0 {
            let kept = keptZero(value, isUpper: isUpper, populated)
            if kept.count != zeroCount {
                result.zeroCount = kept.count
                isChanged = true
            }
            newCount += kept.count
            newSum += kept.midpoint * kept.count
        }
        if !isChanged { return self }
        result.count = newCount
        result.sum = newSum
        result.isInteger = false
        return result.compacted()
    }

    private typealias Kept = (count: Double, midpoint: Double, isOutside: Bool)

    private func keptPart(
        of bucket: HistogramBucket, _ value: Double, isUpper: Bool, isPositive: Bool
    ) -> Kept {
        let isInside = isUpper ? bucket.upper <= value : bucket.lower >= value
        if isInside {
            return (bucket.count, midpoint(bucket.lower, bucket.upper, isPositive), false)
        }
        let isCut = isUpper ? bucket.lower < value : bucket.upper > value
        if !isCut { return (0, 0, true) }
        if bucket.lower == -.infinity || bucket.upper == .infinity {
            let kept = keptOfInfinite(bucket, value, isUpper: isUpper)
            return (kept.0, kept.1, false)
        }
        let below: Double
        if value <= bucket.lower {
            below = 0
        } else if value >= bucket.upper {
            below = bucket.count
        } else {
            below = bucket.count * bucket.fractionBelow(value, isLinear: usesCustomBounds)
        }
        return isUpper
            ? (below, midpoint(bucket.lower, value, isPositive), false)
            : (bucket.count - below, midpoint(value, bucket.upper, isPositive), false)
    }

    private func keptOfInfinite(
        _ bucket: HistogramBucket, _ value: Double, isUpper: Bool
    ) -> (Double, Double) {
        func finite(_ x: Double) -> Double { x.isInfinite ? 0 : x }
        if bucket.lower == -.infinity {
            if isUpper {
                if value >= bucket.upper { return (bucket.count, 0) }
                if value > 0, bucket.upper > 0, bucket.upper != .infinity {
                    return (bucket.count * value / bucket.upper, value / 2)
                }
                return bucket.upper <= 0 ? (bucket.count, value) : (0, finite(bucket.upper))
            }
            if value <= bucket.lower { return (bucket.count, 0) }
            if value >= 0, bucket.upper > value, bucket.upper != .infinity {
                return (bucket.count * (1 - value / bucket.upper), (value + bucket.upper) / 2)
            }
            return (0, finite(bucket.upper))
        }
        if isUpper { return (0, finite(bucket.lower)) }
        return value >= bucket.lower ? (bucket.count, value) : (0, finite(bucket.lower))
    }

    private func midpoint(_ lower: Double, _ upper: Double, _ isPositive: Bool) -> Double {
        if lower.isInfinite {
            if upper.isInfinite { return 0 }
            return upper > 0 ? upper / 2 : upper
        }
        if upper.isInfinite { return lower }
        if usesCustomBounds { return (lower + upper) / 2 }
        let mean = (lower * upper).magnitude.squareRoot()
        return isPositive ? mean : -mean
    }

    private func keptZero(
        _ value: Double, isUpper: Bool, _ populated: (positive: Bool, negative: Bool)
    ) -> (count: Double, midpoint: Double) {
        let lower = populated.positive && !populated.negative ? 0 : -zeroThreshold
        let upper = populated.negative && !populated.positive ? 0 : zeroThreshold
        if isUpper {
            if value <= lower { return (0, 0) }
            if value >= upper { return (zeroCount, (lower + upper) / 2) }
            return (zeroCount * ((value - lower) / (upper - lower)), (lower + value) / 2)
        }
        if value <= lower { return (zeroCount, (lower + upper) / 2) }
        if value >= upper { return (0, 0) }
        return (zeroCount * ((upper - value) / (upper - lower)), (value + upper) / 2)
    }
}
