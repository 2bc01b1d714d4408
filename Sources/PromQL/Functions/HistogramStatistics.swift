// SPDX-License-Identifier: Apache-2.0
// Quantiles, fractions and variance of native histograms.

import Base
import Glibc
import Telemetry

/// Source: prometheus/prometheus `promql/quantile.go`, `promql/functions.go`.
extension NativeHistogram {
    /// Estimated variance: each bucket's observations at its middle.
    var variance: Double {
        let mean = sum / count
        var total = 0.0, rest = 0.0
        for bucket in allBuckets where bucket.count != 0 {
            let middle: Double
            if usesCustomBounds {
                middle = (bucket.upper + bucket.lower) / 2
            } else if bucket.lower <= 0, bucket.upper >= 0 {
                middle = 0
            } else {
                let geometric = (bucket.upper * bucket.lower).squareRoot()
                middle = bucket.upper < 0 ? -geometric : geometric
            }
            let delta = middle - mean
            compensatedAdd(bucket.count * delta * delta, to: &total, &rest)
        }
        return (total + rest) / count
    }

    /// What a statistic says about NaN observations.
    enum NaNNote { case result, skewed, excluded }

    func quantile(_ q: Double, note: (NaNNote) -> Void) -> Double {
        if q < 0 { return -.infinity }
        if q > 1 { return .infinity }
        if count == 0 || q.isNaN { return .nan }
        let hasNaN = sum.isNaN
        let ascending = hasNaN || q < 0.5
        let buckets = ascending ? allBuckets : allBuckets.reversed()
        var rank = (ascending ? q : 1 - q) * count
        var bucket = HistogramBucket(lower: 0, upper: 0, count: 0)
        var passed = 0.0
        var next = 0
        while next < buckets.count {
            let candidate = buckets[next]
            next += 1
            if candidate.count == 0 {
                bucket = candidate
                continue
            }
            bucket = candidate
            passed += bucket.count
            if passed >= rank { break }
        }
        if !usesCustomBounds {
            if bucket.lower < 0, bucket.upper > 0 {
                // The zero bucket ends at zero where no bucket is on the other side.
                if negativeBuckets.isEmpty, !positiveBuckets.isEmpty {
                    bucket.lower = 0
                } else if positiveBuckets.isEmpty, !negativeBuckets.isEmpty {
                    bucket.upper = 0
                }
            }
        } else if bucket.lower == -.infinity {
            if bucket.upper <= 0 { return bucket.upper }
            bucket.lower = 0
        } else if bucket.upper == .infinity {
            return bucket.lower
        }
        passed = min(passed, count)
        if passed < rank {
            if hasNaN {
                note(.result)
                return .nan
            }
            return bucket.upper
        }
        rank = ascending ? rank - (passed - bucket.count) : passed - rank
        if hasNaN {
            let total = buckets[next...].reduce(passed) { $0 + $1.count }
            if total < count { note(.skewed) }
        }
        let fraction = rank / bucket.count
        if usesCustomBounds || bucket.lower <= 0 && bucket.upper >= 0 {
            return bucket.lower + (bucket.upper - bucket.lower) * fraction
        }
        let logLower = log2(bucket.lower.magnitude), logUpper = log2(bucket.upper.magnitude)
        if bucket.lower > 0 { return exp2(logLower + (logUpper - logLower) * fraction) }
        return -exp2(logUpper + (logLower - logUpper) * (1 - fraction))
    }

    /// Share of the observations between two values.
    func fraction(from lower: Double, to upper: Double, note: (NaNNote) -> Void) -> Double {
        if count == 0 || lower.isNaN || upper.isNaN { return .nan }
        if lower >= upper { return 0 }
        var rank = 0.0, seen = 0.0
        var lowerRank: Double?, upperRank: Double?
        let buckets = allBuckets
        for original in buckets {
            var bucket = original
            seen += bucket.count
            let isZero = bucket.lower <= 0 && bucket.upper >= 0
            if isZero {
                if negativeBuckets.isEmpty, !positiveBuckets.isEmpty {
                    bucket.lower = 0
                } else if positiveBuckets.isEmpty, !negativeBuckets.isEmpty {
                    bucket.upper = 0
                }
            }
            func rankAt(_ value: Double) -> Double {
                let isLinear = usesCustomBounds || isZero
                if isLinear, bucket.lower == -.infinity { return bucket.count }
                return rank + bucket.count * bucket.fractionBelow(value, isLinear: isLinear)
            }
            if lowerRank == nil, bucket.lower >= lower { lowerRank = rank }
            if upperRank == nil, bucket.lower >= upper { upperRank = rank }
            if lowerRank != nil, upperRank != nil { break }
            if lowerRank == nil, bucket.lower < lower, bucket.upper > lower {
                lowerRank = rankAt(lower)
            }
            if upperRank == nil, bucket.lower < upper, bucket.upper > upper {
                upperRank = rankAt(upper)
            }
            if lowerRank != nil, upperRank != nil { break }
            rank += bucket.count
        }
        var total = count
        if sum.isNaN {
            total = buckets.reduce(0) { $0 + $1.count }
            if total < count { note(.excluded) }
        }
        let low = min(lowerRank ?? total, total), high = min(upperRank ?? total, total)
        return (high - low) / count
    }
}

/// A bucket of a classic histogram: observations up to and including a bound.
struct ClassicBucket {
    var upperBound: Double
    var count: Double
}

/// Repairs made to counts that must not fall from bucket to bucket.
struct MonotonicityRepair {
    var isForced = false
    var minBucket = Double.infinity
    var maxBucket = -Double.infinity
    var maxDifference = 0.0
}

/// A classic histogram at one step.
struct ClassicHistogram {
    /// Ascending, one per bound.
    private var buckets: [ClassicBucket]

    /// - Parameter buckets: not empty.
    init(_ unsorted: [ClassicBucket]) {
        buckets = []
        for bucket in unsorted.sorted(by: { $0.upperBound < $1.upperBound }) {
            if let last = buckets.last, last.upperBound == bucket.upperBound {
                buckets[buckets.count - 1].count += bucket.count
            } else {
                buckets.append(bucket)
            }
        }
    }

    private var hasInfiniteBucket: Bool { buckets.last?.upperBound == .infinity }

    mutating func quantile(_ q: Double) -> (value: Double, repair: MonotonicityRepair) {
        var repair = MonotonicityRepair()
        if q.isNaN { return (.nan, repair) }
        if q < 0 { return (-.infinity, repair) }
        if q > 1 { return (.infinity, repair) }
        guard hasInfiniteBucket else { return (.nan, repair) }
        repair = makeMonotonic()
        let observations = buckets[buckets.count - 1].count
        guard buckets.count >= 2, observations != 0 else { return (.nan, repair) }
        var rank = q * observations
        let last = buckets.count - 1
        let found = buckets[..<last].firstIndex { $0.count >= rank } ?? last
        if found == last { return (buckets[last - 1].upperBound, repair) }
        if found == 0, buckets[0].upperBound <= 0 { return (buckets[0].upperBound, repair) }
        var start = 0.0
        let end = buckets[found].upperBound
        var count = buckets[found].count
        if found > 0 {
            start = buckets[found - 1].upperBound
            count -= buckets[found - 1].count
            rank -= buckets[found - 1].count
        }
        return (start + (end - start) * (rank / count), repair)
    }

    private mutating func makeMonotonic() -> MonotonicityRepair {
        var repair = MonotonicityRepair()
        var previous = buckets[0].count
        for i in buckets.indices.dropFirst() {
            let count = buckets[i].count
            if count == previous { continue }
            if isAlmostEqual(previous, count, tolerance: 1e-12) {
                buckets[i].count = previous
            } else if count < previous {
                buckets[i].count = previous
                repair.isForced = true
                repair.minBucket = min(repair.minBucket, buckets[i].upperBound)
                repair.maxBucket = max(repair.maxBucket, buckets[i].upperBound)
                repair.maxDifference = max(repair.maxDifference, previous - count)
            } else {
                previous = count
            }
        }
        return repair
    }

    func fraction(from lower: Double, to upper: Double) -> Double {
        guard hasInfiniteBucket else { return .nan }
        let total = buckets[buckets.count - 1].count
        if total == 0 || lower.isNaN || upper.isNaN { return .nan }
        if lower >= upper { return 0 }
        var rank = 0.0
        var lowerRank: Double?, upperRank: Double?
        var bound = buckets[0].upperBound <= 0 ? -Double.infinity : 0
        for bucket in buckets {
            func rankAt(_ value: Double) -> Double {
                if bound == -.infinity { return bucket.count }
                return rank + (bucket.count - rank) * (value - bound)
                    / (bucket.upperBound - bound)
            }
            if lowerRank == nil, bound >= lower { lowerRank = rank }
            if upperRank == nil, bound >= upper { upperRank = rank }
            if lowerRank == nil, bound < lower, bucket.upperBound > lower {
                lowerRank = rankAt(lower)
            }
            if upperRank == nil, bound < upper, bucket.upperBound > upper {
                upperRank = rankAt(upper)
            }
            if lowerRank != nil, upperRank != nil { break }
            rank = bucket.count
            bound = bucket.upperBound
        }
        let low = min(lowerRank ?? total, total), high = min(upperRank ?? total, total)
        return (high - low) / total
    }
}

/// Source: prometheus/prometheus `util/almost`.
func isAlmostEqual(_ a: Double, _ b: Double, tolerance: Double) -> Bool {
    if a.isNaN, b.isNaN || a == b { return true }
    if a == b { return true }
    let sum = a.magnitude + b.magnitude
    let difference = (a - b).magnitude
    if a == 0 || b == 0 || sum < .leastNormalMagnitude {
        return difference < tolerance * .leastNormalMagnitude
    }
    return difference / min(sum, .greatestFiniteMagnitude) < tolerance
}
