// SPDX-License-Identifier: Apache-2.0
// What one destination's sender counts.

import Synchronization

/// Counts of one kind of point.
package struct ForwardCount: Sendable, Equatable {
    package var sent = 0
    /// Refused for good.
    package var failed = 0
    package var retried = 0
}

/// Totals of one destination since the start.
package struct ForwardTotals: Sendable, Equatable {
    package var samples = ForwardCount()
    package var histograms = ForwardCount()
    package var exemplars = ForwardCount()
    package var metadata = ForwardCount()
    package var leftOut = ForwardLeftOut()
    /// Bytes of requests that were taken, compressed.
    package var bytes = 0
    package var requests = 0
    package var requestSeconds = 0.0
    package var shards = 0
    package var desiredShards = 0
    /// Newest timestamp that was sent, milliseconds; 0 = none.
    package var highestMillis: Int64 = 0
    /// Whether the destination turned out not to know version 2.
    package var isFallenBack = false
    package var lastError: String?

    package init() {}
}

/// What a request holds.
struct ForwardContents: Sendable {
    var samples = 0
    var histograms = 0
    var exemplars = 0
    var metadata = 0
    var highestMillis: Int64 = 0

    var text: String {
        "\(samples) samples, \(histograms) histograms, \(exemplars) exemplars"
    }
}

extension ForwardTotals {
    mutating func add(_ contents: ForwardContents, _ field: WritableKeyPath<ForwardCount, Int>) {
        samples[keyPath: field] += contents.samples
        histograms[keyPath: field] += contents.histograms
        exemplars[keyPath: field] += contents.exemplars
        metadata[keyPath: field] += contents.metadata
    }
}
