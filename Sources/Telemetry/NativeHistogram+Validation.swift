// SPDX-License-Identifier: Apache-2.0
// What makes a native histogram acceptable.

/// A histogram whose parts contradict each other. The text is Prometheus'.
package struct InvalidHistogram: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

extension NativeHistogram {
    /// Checks schema, spans, bucket counts and the total.
    ///
    /// Source: prometheus/prometheus `model/histogram`, `Validate` of both histogram types. The
    /// total of a float histogram is not compared, since rounding makes it differ.
    package func validate() throws(InvalidHistogram) {
        if schema == NativeHistogram.customSchema {
            try validateCustom()
        } else {
            guard (-4...8).contains(schema) else {
                throw InvalidHistogram(
                    "histogram has an invalid schema, which must be between -4 and 8 for "
                        + "exponential buckets, or -53 for custom buckets, got schema \(schema)")
            }
            if !customBounds.isEmpty {
                throw InvalidHistogram(
                    "histogram with exponential schema must not have custom bounds")
            }
            try validateSpans(negativeSpans, negativeBuckets.count, "negative side: ")
            try validateBuckets(negativeBuckets, "negative side: ")
        }
        try validateSpans(positiveSpans, positiveBuckets.count, "positive side: ")
        try validateBuckets(positiveBuckets, "positive side: ")
        if !isInteger {
            if count < 0 { throw InvalidHistogram("count \(count) of a histogram is negative") }
            if zeroCount < 0 {
                throw InvalidHistogram("zero count \(zeroCount) of a histogram is negative")
            }
            return
        }
        let found =
            positiveBuckets.reduce(0, +) + negativeBuckets.reduce(0, +) + zeroCount
        // Observations of NaN count, but fall in no bucket and make the sum NaN.
        if sum.isNaN ? found > count : found != count {
            let rule =
                sum.isNaN
                ? "histogram's observation count should be at least the number of observations "
                    + "found in the buckets"
                : "histogram's observation count should equal the number of observations found in "
                    + "the buckets (in absence of NaN)"
            throw InvalidHistogram(
                "\(whole(found)) observations found in buckets, but the Count field is "
                    + "\(whole(count)): \(rule)")
        }
    }

    private func validateCustom() throws(InvalidHistogram) {
        if zeroCount != 0 || zeroThreshold != 0 {
            throw InvalidHistogram(
                "custom buckets: must have zero count and zero threshold of 0")
        }
        if !negativeSpans.isEmpty || !negativeBuckets.isEmpty {
            throw InvalidHistogram("custom buckets: must not have negative spans or buckets")
        }
        var previous = -Double.infinity
        for bound in customBounds {
            guard bound > previous else {
                throw InvalidHistogram(
                    "custom buckets: previous bound is \(previous) and current is \(bound): "
                        + "histogram custom bounds must be in strictly increasing order")
            }
            previous = bound
        }
        if previous == .infinity {
            throw InvalidHistogram("custom buckets: last +Inf bound must not be explicit")
        }
        var reach: Int64 = 0
        for span in positiveSpans {
            reach += Int64(span.offset) + Int64(span.length)
            if reach > Int64(customBounds.count) + 1 {
                throw InvalidHistogram(
                    "custom buckets: only \(customBounds.count) custom bounds defined which is "
                        + "insufficient to cover total span length of \(reach)")
            }
        }
    }

    private func validateSpans(
        _ spans: [Span], _ buckets: Int, _ side: String
    ) throws(InvalidHistogram) {
        var covered: UInt64 = 0
        for (i, span) in spans.enumerated() {
            if i > 0, span.offset < 0 {
                throw InvalidHistogram(
                    "\(side)span number \(i + 1) with offset \(span.offset): histogram has a span "
                        + "whose offset is negative")
            }
            covered &+= UInt64(span.length)
        }
        if covered != UInt64(buckets) {
            throw InvalidHistogram(
                "\(side)spans need \(covered) buckets, have \(buckets) buckets: histogram spans "
                    + "specify different number of buckets than provided")
        }
    }

    private func validateBuckets(_ buckets: [Double], _ side: String) throws(InvalidHistogram) {
        for (i, value) in buckets.enumerated() where value < 0 {
            throw InvalidHistogram(
                "\(side)bucket number \(i + 1) has observation count of \(whole(value)): histogram "
                    + "has a bucket whose observation count is negative")
        }
    }

    private func whole(_ value: Double) -> String {
        Int64(exactly: value).map { "\($0)" } ?? "\(value)"
    }
}
