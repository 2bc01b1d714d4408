// SPDX-License-Identifier: Apache-2.0
// Native histograms made coarser, as a job asks for.

import Base
import Glibc
import Telemetry

extension HistogramOptions {
    /// Whether histograms may have to be changed before they are stored.
    var limitsResolution: Bool { bucketLimit > 0 || minBucketFactor > 1 }

    /// The finest schema whose buckets grow by at least `minBucketFactor`.
    ///
    /// Source: prometheus/prometheus `scrape/scrape.go`, `pickSchema`.
    var finestSchema: Int32 {
        guard minBucketFactor > 1 else { return NativeHistogram.finestSchema }
        let exact = (-log2(log2(minBucketFactor))).rounded(.down)
        return Int32(
            min(
                max(exact, Double(NativeHistogram.coarsestSchema)),
                Double(NativeHistogram.finestSchema)))
    }

    /// Makes a histogram as coarse as the options ask.
    ///
    /// - Returns: false when it cannot be made to fit `bucketLimit`.
    func apply(to histogram: inout NativeHistogram) -> Bool {
        let isExponential = histogram.schema != NativeHistogram.customSchema
        if isExponential { histogram.reduceResolution(to: finestSchema) }
        guard bucketLimit > 0 else { return true }
        while histogram.positiveBuckets.count + histogram.negativeBuckets.count > bucketLimit {
            guard isExponential, histogram.schema > NativeHistogram.coarsestSchema else {
                return false
            }
            histogram.reduceResolution(to: histogram.schema - 1)
        }
        return true
    }
}

extension NativeHistogram {
    static let finestSchema: Int32 = 8
    static let coarsestSchema: Int32 = -4

    /// Merges buckets until they are those of a coarser exponential schema.
    mutating func reduceResolution(to target: Int32) {
        guard schema != NativeHistogram.customSchema, target < schema else { return }
        (positiveSpans, positiveBuckets) = merged(
            positiveSpans, positiveBuckets, by: schema - target)
        (negativeSpans, negativeBuckets) = merged(
            negativeSpans, negativeBuckets, by: schema - target)
        schema = target
    }

    private func merged(
        _ spans: [Span], _ buckets: [Double], by shift: Int32
    ) -> ([Span], [Double]) {
        var newSpans: [Span] = []
        var newBuckets: [Double] = []
        var index: Int64 = 0
        var last: Int64?
        var position = 0
        for span in spans {
            index += Int64(span.offset)
            for _ in 0..<span.length {
                guard position < buckets.count else { return (newSpans, newBuckets) }
                // Bucket i ends at growth^i, so that i and i - 1 of an even i become one.
                let merged = ((index - 1) >> Int64(shift)) + 1
                if let last, last == merged {
                    newBuckets[newBuckets.count - 1] += buckets[position]
                } else {
                    let gap = merged - (last.map { $0 + 1 } ?? 0)
                    if gap == 0, !newSpans.isEmpty {
                        newSpans[newSpans.count - 1].length += 1
                    } else {
                        newSpans.append(Span(offset: Int32(clamping: gap), length: 1))
                    }
                    newBuckets.append(buckets[position])
                    last = merged
                }
                index += 1
                position += 1
            }
        }
        return (newSpans, newBuckets)
    }
}
