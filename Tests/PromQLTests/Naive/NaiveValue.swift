// SPDX-License-Identifier: Apache-2.0
// Values of the naive evaluator: labels as dictionaries, histogram buckets as dictionaries.

import Telemetry

typealias Tags = [String: String]

/// A native histogram whose buckets are looked up by index.
struct NaiveHistogram: Equatable {
    var schema: Int
    var bounds: [Double] = []
    var zeroThreshold = 0.0
    var zeroCount = 0.0
    var count = 0.0
    var sum = 0.0
    var positive: [Int: Double] = [:]
    var negative: [Int: Double] = [:]

    var isCustom: Bool { schema == -53 }

    init(_ histogram: NativeHistogram) {
        schema = Int(histogram.schema)
        bounds = histogram.customBounds
        zeroThreshold = histogram.zeroThreshold
        zeroCount = histogram.zeroCount
        count = histogram.count
        sum = histogram.sum
        positive = Self.buckets(histogram.positiveSpans, histogram.positiveBuckets)
        negative = Self.buckets(histogram.negativeSpans, histogram.negativeBuckets)
    }

    private static func buckets(
        _ spans: [NativeHistogram.Span], _ counts: [Double]
    ) -> [Int: Double] {
        var result: [Int: Double] = [:]
        var index = 0
        var next = 0
        for span in spans {
            index += Int(span.offset)
            for _ in 0..<span.length {
                result[index] = counts[next]
                next += 1
                index += 1
            }
        }
        return result
    }

    // MARK: Arithmetic

    func scaled(_ change: (Double) -> Double) -> NaiveHistogram {
        var result = self
        result.zeroCount = change(zeroCount)
        result.count = change(count)
        result.sum = change(sum)
        result.positive = positive.mapValues(change)
        result.negative = negative.mapValues(change)
        return result
    }

    /// Both in the coarser of two schemas; nil for exponential and custom ones together.
    ///
    /// Bucket i of a schema lies in bucket ⌈i/2⌉ of the next coarser one.
    static func aligned(
        _ a: NaiveHistogram, _ b: NaiveHistogram
    ) -> (NaiveHistogram, NaiveHistogram)? {
        if a.isCustom != b.isCustom { return nil }
        if a.isCustom { return a.bounds == b.bounds ? (a, b) : nil }
        let schema = min(a.schema, b.schema)
        return (a.coarsened(to: schema), b.coarsened(to: schema))
    }

    func coarsened(to target: Int) -> NaiveHistogram {
        var result = self
        while result.schema > target {
            func half(_ buckets: [Int: Double]) -> [Int: Double] {
                var merged: [Int: Double] = [:]
                for (index, count) in buckets {
                    merged[Int((Double(index) / 2).rounded(.up)), default: 0] += count
                }
                return merged
            }
            result.positive = half(result.positive)
            result.negative = half(result.negative)
            result.schema -= 1
        }
        return result
    }

    func combined(_ other: NaiveHistogram, sign: Double) -> NaiveHistogram? {
        guard let (a, b) = Self.aligned(self, other) else { return nil }
        var result = a
        result.zeroCount += sign * b.zeroCount
        result.count += sign * b.count
        result.sum += sign * b.sum
        for (index, count) in b.positive { result.positive[index, default: 0] += sign * count }
        for (index, count) in b.negative { result.negative[index, default: 0] += sign * count }
        // What came to nothing is no bucket any more.
        result.positive = result.positive.filter { $0.value != 0 }
        result.negative = result.negative.filter { $0.value != 0 }
        return result
    }

    /// Whether something fell since `previous`: the counter began anew.
    func isReset(after previous: NaiveHistogram) -> Bool {
        if count < previous.count { return true }
        if isCustom != previous.isCustom || isCustom && bounds != previous.bounds { return true }
        if schema > previous.schema || zeroThreshold != previous.zeroThreshold { return true }
        if zeroCount < previous.zeroCount { return true }
        let before = isCustom ? previous : previous.coarsened(to: schema)
        return before.positive.contains { (positive[$0.key] ?? 0) < $0.value }
            || before.negative.contains { (negative[$0.key] ?? 0) < $0.value }
    }

    // MARK: Reading

    struct Bucket {
        var lower: Double
        var upper: Double
        var count: Double
    }

    /// Ascending, those with observations.
    var buckets: [Bucket] {
        func upper(_ index: Int) -> Double {
            guard isCustom else {
                // 2^(index · 2^−schema)
                return pow2(Double(index) * pow2(Double(-schema)))
            }
            if index < 0 { return -.infinity }
            return index < bounds.count ? bounds[index] : .infinity
        }
        var result = negative.filter { $0.value != 0 }.sorted { $0.key > $1.key }.map {
            Bucket(lower: -upper($0.key), upper: -upper($0.key - 1), count: $0.value)
        }
        if zeroCount > 0 {
            result.append(Bucket(lower: -zeroThreshold, upper: zeroThreshold, count: zeroCount))
        }
        result += positive.filter { $0.value != 0 }.sorted { $0.key < $1.key }.map {
            Bucket(lower: upper($0.key - 1), upper: upper($0.key), count: $0.value)
        }
        return result
    }
}

enum NaiveValue: Equatable {
    case float(Double)
    case histogram(NaiveHistogram)

    var float: Double? { if case .float(let value) = self { value } else { nil } }
    var histogram: NaiveHistogram? {
        if case .histogram(let value) = self { value } else { nil }
    }
}

struct NaiveSample {
    var millis: Int64
    var value: NaiveValue
}

struct NaiveSeries {
    var tags: Tags
    var samples: [NaiveSample]
}

typealias NaiveVector = [(tags: Tags, value: NaiveValue)]

/// The query fails.
struct NaiveFailure: Error {
    var reason: String
}

/// Neumaier's sum, which upstream's aggregations use.
struct CompensatedSum {
    private var sum = 0.0
    private var lost = 0.0

    mutating func add(_ value: Double) {
        let total = sum + value
        if total.isInfinite {
            lost = 0
        } else if sum.magnitude >= value.magnitude {
            lost += (sum - total) + value
        } else {
            lost += (value - total) + sum
        }
        sum = total
    }
    var value: Double { sum.isInfinite ? sum : sum + lost }

    static func of(_ values: [Double]) -> Double {
        var sum = CompensatedSum()
        for value in values { sum.add(value) }
        return sum.value
    }
}
