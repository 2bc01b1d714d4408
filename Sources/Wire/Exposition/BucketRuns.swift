// SPDX-License-Identifier: Apache-2.0
// Sparse buckets.

import Telemetry

/// Collects the buckets of one side in ascending order.
package struct BucketRuns {
    package private(set) var spans: [NativeHistogram.Span] = []
    package private(set) var buckets: [Double] = []
    /// Index after the last bucket.
    private var next: Int64 = 0

    package init() {}

    /// Adds a bucket. Empty buckets only bridge short gaps, which costs less than another span.
    package mutating func append(_ index: Int64, _ count: Double) {
        if count == 0 { return }
        let gap = index - next
        if !spans.isEmpty, gap <= 2 {
            for _ in 0..<max(gap, 0) { buckets.append(0) }
            spans[spans.count - 1].length += UInt32(clamping: gap) + 1
        } else {
            spans.append(NativeHistogram.Span(offset: Int32(clamping: gap), length: 1))
        }
        buckets.append(count)
        next = index + 1
    }
}
