// SPDX-License-Identifier: Apache-2.0
// Equality of native histograms, and counter resets between them.

import Telemetry

extension NativeHistogram {
    /// Whether both have the same observations in the same layout; empty buckets do not count.
    package func isEqual(to other: NativeHistogram) -> Bool {
        guard schema == other.schema, count.bitPattern == other.count.bitPattern,
            sum.bitPattern == other.sum.bitPattern, zeroThreshold == other.zeroThreshold,
            zeroCount.bitPattern == other.zeroCount.bitPattern,
            !usesCustomBounds || customBoundsMatch(customBounds, other.customBounds)
        else { return false }
        let a = compacted(), b = other.compacted()
        return a.positiveSpans == b.positiveSpans && a.negativeSpans == b.negativeSpans
            && sameBits(a.positiveBuckets, b.positiveBuckets)
            && sameBits(a.negativeBuckets, b.negativeBuckets)
    }

    private func sameBits(_ a: [Double], _ b: [Double]) -> Bool {
        a.count == b.count && zip(a, b).allSatisfy { $0.bitPattern == $1.bitPattern }
    }

    /// Whether the counter was reset between `previous` and this histogram: by the hint when there
    /// is one, else when any count went down or the layout became finer.
    package func isReset(after previous: NativeHistogram) -> Bool {
        if counterReset == .reset { return true }
        if counterReset == .notReset { return false }
        if count < previous.count { return true }
        if usesCustomBounds {
            guard previous.usesCustomBounds else { return true }
            if !customBoundsMatch(customBounds, previous.customBounds) {
                return isResetAcrossBounds(previous)
            }
        }
        if schema > previous.schema || zeroThreshold < previous.zeroThreshold { return true }
        let earlier = previous.zeroBucket(reaching: zeroThreshold)
        if earlier.threshold != zeroThreshold || zeroCount < earlier.count { return true }
        return decreased(positiveSide, previous.positiveSide, previous.schema)
            || decreased(negativeSide, previous.negativeSide, previous.schema)
    }

    private func decreased(
        _ current: BucketSide, _ previous: BucketSide, _ previousSchema: Int32
    ) -> Bool {
        func isInsideZeroBucket(_ index: Int32) -> Bool {
            !usesCustomBounds && zeroThreshold > 0
                && NativeHistogram.exponentialBound(index, schema: schema) <= zeroThreshold
        }
        let earlier =
            usesCustomBounds ? previous : previous.reduced(from: previousSchema, to: schema)
        var i = 0
        for (index, count) in zip(earlier.indexes, earlier.counts)
        where !isInsideZeroBucket(index) {
            while i < current.indexes.count, current.indexes[i] < index { i += 1 }
            let now =
                i < current.indexes.count && current.indexes[i] == index
                ? current.counts[i] : nil
            if let now {
                if now < count { return true }
            } else if count != 0 {
                return true
            }
        }
        return false
    }

    /// Compares the counts between the bounds both have.
    private func isResetAcrossBounds(_ previous: NativeHistogram) -> Bool {
        let shared = NativeHistogram.sharedBounds(customBounds, previous.customBounds)
        func rolledUp(_ histogram: NativeHistogram) -> [Double] {
            var counts = [Double](repeating: 0, count: shared.count + 1)
            var target = 0
            for bucket in histogram.buckets(isPositive: true) {
                while target < shared.count, shared[target] < bucket.upper { target += 1 }
                counts[target] += bucket.count
            }
            return counts
        }
        return zip(rolledUp(self), rolledUp(previous)).contains { $0 < $1 }
    }
}
