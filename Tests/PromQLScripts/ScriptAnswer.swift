// SPDX-License-Identifier: Apache-2.0
// What a query of a script answered, whichever way it was asked.

import PromQL
import Telemetry

/// An answer in the terms that scripts compare.
package struct ScriptAnswer {
    enum Number {
        case float(Double)
        case histogram(NativeHistogram)
        /// As an answer over HTTP shows it: without schema and hint.
        case shown(ShownHistogram)

        var isHistogram: Bool {
            if case .float = self { return false }
            return true
        }
    }
    typealias Sample = (labels: Labels, value: Number)
    struct Series {
        var labels: Labels
        var points: [(millis: Int64, value: Number)]
    }
    enum Value {
        case scalar(Double)
        case string(String)
        case vector([Sample])
        case matrix([Series])
    }

    var value: Value
    var warnings: [String]
    var infos: [String]

    init(value: Value, warnings: [String], infos: [String]) {
        self.value = value
        self.warnings = warnings
        self.infos = infos
    }

    init(_ result: QueryResult) {
        warnings = result.warnings
        infos = result.infos
        switch result.value {
        case .scalar(_, let number): value = .scalar(number)
        case .string(_, let text): value = .string(text)
        case .vector(let samples):
            value = .vector(samples.map { ($0.labels, Number($0.value)) })
        case .matrix(let matrix):
            value = .matrix(
                matrix.map { series in
                    Series(
                        labels: series.labels,
                        points: zip(series.floatMillis, series.floats).map { ($0, .float($1)) }
                            + zip(series.histogramMillis, series.histograms).map {
                                ($0, .histogram($1))
                            })
                })
        }
    }
}

extension ScriptAnswer.Number: CustomStringConvertible {
    init(_ value: SampleValue) {
        switch value {
        case .float(let float): self = .float(float)
        case .histogram(let histogram): self = .histogram(histogram)
        }
    }

    var description: String {
        switch self {
        case .float(let float): "\(float)"
        case .histogram(let histogram): "\(histogram.text) \(histogram)"
        case .shown(let shown): "\(shown)"
        }
    }
}

/// A histogram in the form of the HTTP API.
struct ShownHistogram {
    struct Bucket {
        var rule: Int
        var lower: Double
        var upper: Double
        var count: Double
    }
    var count: Double
    var sum: Double
    /// Those with observations only, ascending.
    var buckets: [Bucket]

    init(count: Double, sum: Double, buckets: [Bucket]) {
        self.count = count
        self.sum = sum
        self.buckets = buckets
    }

    /// What the API must show of a histogram. Rule 0 is open on the left, 1 on the right, 3 closed.
    /// Source: prometheus/prometheus `util/jsonutil/marshal.go`.
    init(_ histogram: NativeHistogram) {
        count = histogram.count
        sum = histogram.sum
        buckets = histogram.allBuckets.filter { $0.count != 0 }.map { bucket in
            var rule = bucket.upper < 0 ? 1 : 0
            if bucket.lower <= 0, bucket.upper >= 0 { rule = 3 }
            if histogram.usesCustomBounds { rule = bucket.lower == -.infinity ? 3 : 0 }
            return Bucket(
                rule: rule, lower: bucket.lower, upper: bucket.upper, count: bucket.count)
        }
    }

    func equals(_ expected: ShownHistogram) -> Bool {
        almostEqual(count, expected.count) && almostEqual(sum, expected.sum)
            && buckets.count == expected.buckets.count
            && zip(buckets, expected.buckets).allSatisfy { a, e in
                a.rule == e.rule && almostEqual(a.lower, e.lower) && almostEqual(a.upper, e.upper)
                    && almostEqual(a.count, e.count)
            }
    }
}
