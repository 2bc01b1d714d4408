// SPDX-License-Identifier: Apache-2.0
// Points of delta temporality.

/// A point whose values count since the point before it. Its samples lie in the batch as
/// increments; whoever keeps the totals replaces them.
package struct OTLPDelta: Sendable {
    /// Samples of the point, in a row: one of a sum; sum (where sent), count and cumulative buckets
    /// of a classic histogram.
    package var samples: Range<Int>
    /// The sample whose series names the point's stream.
    package var key: Int
    /// Place of the native histogram; then there are no samples.
    package var histogram: Int?
    /// Differs when bounds differ: totals of other bounds cannot go on.
    package var layout: UInt64
    /// The stream has ended: the values are stale markers.
    package var isStale: Bool
}
