// SPDX-License-Identifier: Apache-2.0
// Sums, differences and multiples of native histograms.

import Base
import Telemetry

/// Exponential buckets and custom bounds do not mix.
package struct IncompatibleHistograms: Error, Equatable, Sendable {}

/// What an addition or subtraction had to decide.
package struct HistogramOutcome: Sendable {
    /// One side says the counter was reset, the other that it was not.
    package var resetCollision = false
    /// Different custom bounds were brought down to those they share.
    package var reconciledBounds = false
}

/// Source for all rules: prometheus/prometheus `model/histogram/float_histogram.go`.
extension NativeHistogram {
    package func multiplied(by factor: Double) -> NativeHistogram {
        var result = self
        result.scale { $0 * factor }
        if factor < 0 { result.counterReset = .gauge }
        return result
    }

    /// Division by zero leaves no buckets.
    package func divided(by divisor: Double) -> NativeHistogram {
        var result = self
        if divisor == 0 {
            result.setPositive(BucketSide())
            result.setNegative(BucketSide())
        }
        result.scale { $0 / divisor }
        if divisor < 0 { result.counterReset = .gauge }
        return result
    }

    private mutating func scale(_ change: (Double) -> Double) {
        isInteger = false
        zeroCount = change(zeroCount)
        count = change(count)
        sum = change(sum)
        for i in positiveBuckets.indices { positiveBuckets[i] = change(positiveBuckets[i]) }
        for i in negativeBuckets.indices { negativeBuckets[i] = change(negativeBuckets[i]) }
    }

    /// Adds another histogram; schemas, zero buckets and custom bounds are brought together.
    @discardableResult
    package mutating func add(
        _ other: NativeHistogram
    ) throws(IncompatibleHistograms) -> HistogramOutcome {
        var nothing: NativeHistogram?
        return try combine(other, sign: 1, &nothing, compensates: false)
    }

    @discardableResult
    package mutating func subtract(
        _ other: NativeHistogram
    ) throws(IncompatibleHistograms) -> HistogramOutcome {
        var nothing: NativeHistogram?
        return try combine(other, sign: -1, &nothing, compensates: false)
    }

    /// Adds and keeps in `compensation` what the sums lost, bucket by bucket.
    package mutating func kahanAdd(
        _ other: NativeHistogram, _ compensation: inout NativeHistogram?
    ) throws(IncompatibleHistograms) -> HistogramOutcome {
        try combine(other, sign: 1, &compensation, compensates: true)
    }

    private mutating func combine(
        _ other: NativeHistogram, sign: Double, _ compensation: inout NativeHistogram?,
        compensates: Bool
    ) throws(IncompatibleHistograms) -> HistogramOutcome {
        guard usesCustomBounds == other.usesCustomBounds else { throw IncompatibleHistograms() }
        var outcome = HistogramOutcome(resetCollision: adjustCounterReset(other))
        isInteger = false
        var rest = compensation ?? emptyCompensation()
        var other = other
        if usesCustomBounds {
            if !customBoundsMatch(customBounds, other.customBounds) {
                outcome.reconciledBounds = true
                let shared = NativeHistogram.sharedBounds(customBounds, other.customBounds)
                rest.reduceBounds(to: shared)
                reduceBounds(to: shared)
                other.reduceBounds(to: shared)
            }
        } else {
            reconcileZeroBuckets(&other, &rest)
            compensatedAdd(sign * other.zeroCount, to: &zeroCount, &rest.zeroCount)
            let target = min(schema, other.schema)
            reduceResolution(to: target)
            rest.reduceResolution(to: target)
            other.reduceResolution(to: target)
            // What lies inside the zero bucket has been counted there.
            other.dropBucketsInZeroBucket(threshold: zeroThreshold)
        }
        compensatedAdd(sign * other.count, to: &count, &rest.count)
        compensatedAdd(sign * other.sum, to: &sum, &rest.sum)
        let positive = BucketMerge(positiveSide, rest.positiveSide, other.positiveSide, sign)
        let negative = BucketMerge(negativeSide, rest.negativeSide, other.negativeSide, sign)
        setPositive(positive.sum)
        setNegative(negative.sum)
        if compensates {
            rest.setPositive(positive.rest)
            rest.setNegative(negative.rest)
            rest.counterReset = counterReset
            compensation = rest
        }
        return outcome
    }

    /// A histogram of the same layout with nothing in it.
    private func emptyCompensation() -> NativeHistogram {
        var result = NativeHistogram()
        result.counterReset = counterReset
        result.schema = schema
        result.zeroThreshold = zeroThreshold
        result.customBounds = customBounds
        return result
    }

    /// Settles the hint of the result. Returns whether the two contradict each other.
    private mutating func adjustCounterReset(_ other: NativeHistogram) -> Bool {
        if other.counterReset == counterReset || counterReset == .gauge { return false }
        if other.counterReset == .gauge {
            counterReset = .gauge
            return false
        }
        if counterReset == .unknown { return false }
        let collides = other.counterReset != .unknown
        counterReset = .unknown
        return collides
    }

    package var hasOverflow: Bool {
        zeroCount.isInfinite || count.isInfinite || sum.isInfinite
            || positiveBuckets.contains(where: \.isInfinite)
            || negativeBuckets.contains(where: \.isInfinite)
    }

    // MARK: Layout

    package mutating func reduceResolution(to target: Int32) {
        guard target < schema, !usesCustomBounds else { return }
        setPositive(positiveSide.reduced(from: schema, to: target))
        setNegative(negativeSide.reduced(from: schema, to: target))
        schema = target
    }

    /// Moves the buckets to coarser custom bounds, each to the first that covers it.
    private mutating func reduceBounds(to shared: [Double]) {
        var counts = [Double](repeating: 0, count: shared.count + 1)
        let side = positiveSide
        var target = 0
        for (index, count) in zip(side.indexes, side.counts) {
            if Int(index) >= 0, Int(index) < customBounds.count {
                while target < shared.count, shared[target] < customBounds[Int(index)] {
                    target += 1
                }
            } else {
                target = shared.count
            }
            counts[target] += count
        }
        var reduced = BucketSide()
        for (index, count) in counts.enumerated() where count != 0 {
            reduced.append(Int32(index), count)
        }
        setPositive(reduced)
        customBounds = shared
    }

    static func sharedBounds(_ a: [Double], _ b: [Double]) -> [Double] {
        var result: [Double] = []
        var i = 0, j = 0
        while i < a.count, j < b.count {
            if a[i] == b[j] {
                result.append(a[i])
                i += 1
                j += 1
            } else if a[i] < b[j] {
                i += 1
            } else {
                j += 1
            }
        }
        return result
    }

    /// Without empty buckets.
    package func compacted() -> NativeHistogram {
        var result = self
        func compact(_ side: BucketSide) -> BucketSide {
            guard side.counts.contains(0) else { return side }
            var kept = BucketSide()
            for (index, count) in zip(side.indexes, side.counts) where count != 0 {
                kept.append(index, count)
            }
            return kept
        }
        result.setPositive(compact(positiveSide))
        result.setNegative(compact(negativeSide))
        return result
    }

    // MARK: Zero bucket

    /// Widens the zero buckets until both have the same threshold.
    private mutating func reconcileZeroBuckets(
        _ other: inout NativeHistogram, _ rest: inout NativeHistogram
    ) {
        while zeroThreshold != other.zeroThreshold {
            if zeroThreshold > other.zeroThreshold {
                var nothing = NativeHistogram()
                other.widenZeroBucket(to: zeroThreshold, &nothing)
            } else {
                widenZeroBucket(to: other.zeroThreshold, &rest)
            }
        }
        rest.zeroThreshold = zeroThreshold
    }

    /// The zero bucket's count at a threshold of at least `threshold`: a populated bucket is never
    /// split, the threshold grows to its bound instead.
    func zeroBucket(reaching threshold: Double) -> (count: Double, threshold: Double) {
        var threshold = threshold
        while true {
            var count = zeroCount
            for bucket in buckets(isPositive: true) {
                if bucket.lower >= threshold { break }
                count += bucket.count
                if bucket.upper > threshold {
                    if bucket.count != 0 { threshold = bucket.upper }
                    break
                }
            }
            var grew = false
            for bucket in buckets(isPositive: false) {
                if bucket.upper <= -threshold { break }
                count += bucket.count
                if bucket.lower < -threshold {
                    if bucket.count != 0 {
                        threshold = -bucket.lower
                        grew = true
                    }
                    break
                }
            }
            if !grew { return (count, threshold) }
        }
    }

    private mutating func widenZeroBucket(
        to wanted: Double, _ rest: inout NativeHistogram
    ) {
        let (count, threshold) = zeroBucket(reaching: wanted)
        zeroCount = count
        zeroThreshold = threshold
        rest.zeroCount = rest.zeroBucket(reaching: threshold).count
        rest.zeroThreshold = threshold
        dropBucketsInZeroBucket(threshold: threshold)
        rest.dropBucketsInZeroBucket(threshold: threshold)
    }

    private mutating func dropBucketsInZeroBucket(threshold: Double) {
        guard threshold > 0 else { return }
        func drop(_ side: BucketSide) -> BucketSide {
            var kept = BucketSide()
            for (index, count) in zip(side.indexes, side.counts)
            where NativeHistogram.exponentialBound(index, schema: schema) > threshold {
                kept.append(index, count)
            }
            return kept.indexes.count == side.indexes.count ? side : kept
        }
        setPositive(drop(positiveSide))
        setNegative(drop(negativeSide))
    }
}

/// Two equal lists of bounds; NaN never occurs in them.
func customBoundsMatch(_ a: [Double], _ b: [Double]) -> Bool { a == b }

/// The bucketwise sum of two sides, with what the sums lost.
private struct BucketMerge {
    var sum = BucketSide()
    var rest = BucketSide()

    /// - Parameter restA: lost so far; its indexes are among those of `a`.
    init(_ a: BucketSide, _ restA: BucketSide, _ b: BucketSide, _ sign: Double) {
        let capacity = a.indexes.count + b.indexes.count
        sum.indexes.reserveCapacity(capacity)
        sum.counts.reserveCapacity(capacity)
        var i = 0, j = 0, k = 0
        while i < a.indexes.count || j < b.indexes.count {
            let indexA = i < a.indexes.count ? Int64(a.indexes[i]) : .max
            let indexB = j < b.indexes.count ? Int64(b.indexes[j]) : .max
            let index = Int32(truncatingIfNeeded: min(indexA, indexB))
            var total = 0.0, lost = 0.0
            if indexA <= indexB {
                total = a.counts[i]
                i += 1
                while k < restA.indexes.count, restA.indexes[k] < index { k += 1 }
                if k < restA.indexes.count, restA.indexes[k] == index { lost = restA.counts[k] }
            }
            if indexB <= indexA {
                if indexA == indexB {
                    compensatedAdd(sign * b.counts[j], to: &total, &lost)
                } else {
                    total = sign * b.counts[j]
                }
                j += 1
            }
            sum.append(index, total)
            rest.append(index, lost)
        }
    }
}
