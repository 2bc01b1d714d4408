// SPDX-License-Identifier: Apache-2.0
// Quantiles of many numbers in little memory.

import Glibc

/// Counts numbers in buckets whose bounds grow by 1 %, so that every quantile is at most 0.5 % away
/// from a number that was added at its rank; the ends are exact.
///
/// At most about 2,900 buckets between a nanosecond and an hour. Source of the scheme: Masson, Rim
/// and Lee, "DDSketch" (2019).
struct QuantileSketch {
    /// Largest relative error.
    static let relativeError = 0.005
    private static let gamma = (1 + relativeError) / (1 - relativeError)
    private static let perLogarithm = 1 / log(gamma)
    /// What a bucket takes.
    static let bucketBytes = MemoryLayout<Int32>.stride + MemoryLayout<Double>.stride

    /// Buckets of one sign, ascending by key.
    private struct Buckets {
        var keys: [Int32] = []
        var counts: [Double] = []

        /// True when a bucket was made.
        mutating func add(_ key: Int32, _ weight: Double) -> Bool {
            var low = 0, high = keys.count
            while low < high {
                let middle = (low + high) / 2
                if keys[middle] < key { low = middle + 1 } else { high = middle }
            }
            if low < keys.count, keys[low] == key {
                counts[low] += weight
                return false
            }
            keys.insert(key, at: low)
            counts.insert(weight, at: low)
            return true
        }
    }

    private var positive = Buckets()
    private var negative = Buckets()
    private var zeros = 0.0
    private var total = 0.0
    private var smallest = Double.infinity
    private var largest = -Double.infinity

    var isEmpty: Bool { total == 0 }

    /// Adds a finite number. Gives the bytes by which the sketch grew.
    mutating func add(_ value: Double, weight: Double = 1) -> Int {
        total += weight
        smallest = min(smallest, value)
        largest = max(largest, value)
        if value == 0 {
            zeros += weight
            return 0
        }
        let key = Int32(
            (log(value.magnitude) * QuantileSketch.perLogarithm).rounded(.up))
        let isNew = value > 0 ? positive.add(key, weight) : negative.add(key, weight)
        return isNew ? QuantileSketch.bucketBytes : 0
    }

    /// The number of rank ⌈q · count⌉, at least 1; NaN without numbers.
    func quantile(_ q: Double) -> Double {
        guard total > 0 else { return .nan }
        if q <= 0 { return smallest }
        if q >= 1 { return largest }
        // Sums of weights round; whole counts are hit exactly.
        let target = q * total * (1 - 1e-12)
        var seen = 0.0
        for i in negative.keys.indices.reversed() {
            seen += negative.counts[i]
            if seen >= target { return bounded(-value(negative.keys[i])) }
        }
        seen += zeros
        if zeros > 0, seen >= target { return 0 }
        for i in positive.keys.indices {
            seen += positive.counts[i]
            if seen >= target { return bounded(value(positive.keys[i])) }
        }
        return largest
    }

    private func value(_ key: Int32) -> Double {
        2 * pow(QuantileSketch.gamma, Double(key)) / (QuantileSketch.gamma + 1)
    }

    private func bounded(_ value: Double) -> Double { min(max(value, smallest), largest) }
}
