// SPDX-License-Identifier: Apache-2.0
// Quantiles of histograms in the naive evaluator.

import Base
import Glibc
import Telemetry

@testable import PromQL

/// 2 to any power.
func pow2(_ exponent: Double) -> Double { exp2(exponent) }

extension NaiveEvaluator {
    func histogramQuantile(_ node: Call, at t: Int64) throws -> NaiveVector {
        let q = try scalar(node.arguments[0], at: t)
        let input = try vector(node.arguments[1], at: t)
        var result: NaiveVector = []
        var classic: [Tags: [Double: Double]] = [:]
        for (tags, value) in input {
            switch value {
            case .histogram(let histogram):
                result.append((unnamed(tags), .float(quantile(q, histogram))))
            case .float(let count):
                guard let le = tags["le"].flatMap({ parseFloat($0) }) else { continue }
                var rest = unnamed(tags)
                rest["le"] = nil
                classic[rest, default: [:]][le, default: 0] += count
            }
        }
        for (tags, buckets) in classic {
            result.append((tags, .float(quantile(q, buckets.sorted { $0.key < $1.key }))))
        }
        return try unique(result)
    }

    /// Linear inside the bucket that holds the rank.
    private func quantile(_ q: Double, _ given: [(key: Double, value: Double)]) -> Double {
        if q.isNaN { return .nan }
        if q < 0 { return -.infinity }
        if q > 1 { return .infinity }
        guard given.count > 1, given.last?.key == .infinity else { return .nan }
        var counts: [Double] = []
        for (_, count) in given {
            guard let before = counts.last else {
                counts.append(count)
                continue
            }
            // Counts never fall; what differs by rounding alone is the same.
            let isSame = (count - before).magnitude / (count.magnitude + before.magnitude) < 1e-12
            counts.append(isSame || count < before ? before : count)
        }
        let total = counts[counts.count - 1]
        if total == 0 || total.isNaN { return .nan }
        let rank = q * total
        let i = counts.dropLast().firstIndex { $0 >= rank } ?? counts.count - 1
        if i == counts.count - 1 { return given[i - 1].key }
        if i == 0, given[0].key <= 0 { return given[0].key }
        let lower = i == 0 ? 0 : given[i - 1].key, below = i == 0 ? 0 : counts[i - 1]
        return lower + (given[i].key - lower) * ((rank - below) / (counts[i] - below))
    }

    /// On a logarithmic scale in exponential buckets, linear in the zero bucket and custom ones.
    private func quantile(_ q: Double, _ histogram: NaiveHistogram) -> Double {
        if q < 0 { return -.infinity }
        if q > 1 { return .infinity }
        if histogram.count == 0 || q.isNaN { return .nan }
        let buckets = histogram.buckets
        let fromBelow = q < 0.5
        let order = fromBelow ? buckets : buckets.reversed()
        let rank = (fromBelow ? q : 1 - q) * histogram.count
        var passed = 0.0
        var found = order.last
        for bucket in order {
            passed += bucket.count
            if passed >= rank {
                found = bucket
                break
            }
        }
        // A difference may have a count and no bucket: upstream then looks at one of zeros.
        var bucket = found ?? NaiveHistogram.Bucket(lower: 0, upper: 0, count: 0)
        if histogram.isCustom {
            if bucket.lower == -.infinity {
                if bucket.upper <= 0 { return bucket.upper }
                bucket.lower = 0
            } else if bucket.upper == .infinity {
                return bucket.lower
            }
        } else if bucket.lower < 0, bucket.upper > 0 {
            if histogram.negative.isEmpty, !histogram.positive.isEmpty { bucket.lower = 0 }
            if histogram.positive.isEmpty, !histogram.negative.isEmpty { bucket.upper = 0 }
        }
        passed = min(passed, histogram.count)
        if passed < rank { return bucket.upper }
        let inside = fromBelow ? rank - (passed - bucket.count) : passed - rank
        let fraction = inside / bucket.count
        if histogram.isCustom || bucket.lower <= 0 && bucket.upper >= 0 {
            return bucket.lower + (bucket.upper - bucket.lower) * fraction
        }
        let low = log2(bucket.lower.magnitude), high = log2(bucket.upper.magnitude)
        return bucket.lower > 0
            ? exp2(low + (high - low) * fraction) : -exp2(high + (low - high) * (1 - fraction))
    }
}
