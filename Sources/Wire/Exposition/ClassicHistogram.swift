// SPDX-License-Identifier: Apache-2.0
// Classic histograms as native ones with custom bounds.

import Telemetry

/// Collects the buckets of one classic histogram and turns them into a native histogram.
///
/// Source: prometheus/prometheus `util/convertnhcb/convertnhcb.go`. Memory is bounded by
/// `NativeHistogram.maxBuckets` buckets.
package struct ClassicHistogram: Sendable {
    private var buckets: [(bound: Double, cumulative: Double)] = []
    /// Total of observations; nil = what the last bucket says.
    package var count: Double?
    package var sum = 0.0

    package init() {}

    package var isEmpty: Bool { buckets.isEmpty && count == nil }

    package mutating func reset() {
        buckets.removeAll(keepingCapacity: true)
        count = nil
        sum = 0
    }

    /// Adds the observations up to a bound; a bound that is known already replaces its count.
    ///
    /// - Throws: when the count is negative, the bound no number, or there are too many bounds.
    package mutating func add(bound: Double, cumulative: Double) throws(InvalidHistogram) {
        guard cumulative >= 0, !bound.isNaN else {
            throw InvalidHistogram(
                "bucket count must be a non-negative number: le=\(bound), count=\(cumulative)")
        }
        guard buckets.count < NativeHistogram.maxBuckets else {
            throw InvalidHistogram("more than \(NativeHistogram.maxBuckets) classic buckets")
        }
        if let last = buckets.last, last.bound >= bound {
            var low = 0, high = buckets.count
            while low < high {
                let middle = (low + high) / 2
                if buckets[middle].bound < bound { low = middle + 1 } else { high = middle }
            }
            if buckets[low].bound == bound {
                buckets[low].cumulative = cumulative
            } else {
                buckets.insert((bound, cumulative), at: low)
            }
        } else {
            buckets.append((bound, cumulative))
        }
    }

    /// The histogram with custom bounds; of integers when all counts are whole.
    ///
    /// - Throws: when cumulative counts fall with rising bounds, or disagree with the total.
    package func native() throws(InvalidHistogram) -> NativeHistogram {
        var result = NativeHistogram()
        result.schema = NativeHistogram.customSchema
        result.sum = sum
        result.count = count ?? buckets.last?.cumulative ?? 0
        var all = buckets
        if all.last?.bound != .infinity { all.append((.infinity, result.count)) }
        result.isInteger = (all.map(\.cumulative) + [result.count]).allSatisfy {
            $0 == $0.rounded() && $0 < 0x1p53
        }
        var runs = BucketRuns()
        var previous = 0.0
        for (i, bucket) in all.enumerated() {
            guard bucket.cumulative >= previous else {
                throw InvalidHistogram(
                    "bucket counts must not fall with rising bounds: le=\(bucket.bound), "
                        + "count=\(bucket.cumulative) after \(previous)")
            }
            runs.append(Int64(i), bucket.cumulative - previous)
            previous = bucket.cumulative
        }
        guard previous == result.count else {
            throw InvalidHistogram(
                "count \(result.count) of a histogram differs from its last bucket \(previous)")
        }
        result.customBounds = all.dropLast().map(\.bound)
        result.positiveSpans = runs.spans
        result.positiveBuckets = runs.buckets
        try result.validate()
        return result
    }
}
