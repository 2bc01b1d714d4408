// SPDX-License-Identifier: Apache-2.0
// What scraping counts about itself.

import Synchronization

/// Counts since the start, over all targets; `/metrics` shows them.
package final class ScrapeCounters: Sendable {
    package let scrapes = Atomic<Int>(0)
    /// Scrapes that set `up` to 0.
    package let failures = Atomic<Int>(0)
    /// Samples that targets exposed.
    package let samples = Atomic<Int>(0)
    package let staleMarkers = Atomic<Int>(0)
    package let bodyBytes = Atomic<Int>(0)
    /// Batches that could not be stored, whose scrape is lost.
    package let failedWrites = Atomic<Int>(0)
    package let sampleLimitExceeded = Atomic<Int>(0)
    package let labelLimitExceeded = Atomic<Int>(0)
    package let bucketLimitExceeded = Atomic<Int>(0)
    package let bodySizeLimitExceeded = Atomic<Int>(0)
    package let targetLimitExceeded = Atomic<Int>(0)
    /// Samples left out because their series stood in the same answer already.
    package let duplicates = Atomic<Int>(0)
    /// Samples that admission refused: too old, too far ahead, another value for the same time.
    package let refused = Atomic<Int>(0)
    /// Microseconds spent from request to answer, all scrapes together.
    package let microseconds = Atomic<Int>(0)

    package init() {}
}

extension Atomic where Value == Int {
    func add(_ amount: Int = 1) { wrappingAdd(amount, ordering: .relaxed) }
}
