// SPDX-License-Identifier: Apache-2.0
// What a read took from a cache and put into it.

import Synchronization

/// Counts of one read's dealings with a cache of decompressed pieces of parts.
package final class CacheCounters: Sendable {
    /// Look-ups, and those that found what they looked for.
    package let requested = Atomic<Int>(0)
    package let found = Atomic<Int>(0)
    /// Pieces that were put there.
    package let stored = Atomic<Int>(0)
    /// Bytes of the pieces that were found, and of those that were put there.
    package let foundBytes = Atomic<Int>(0)
    package let storedBytes = Atomic<Int>(0)

    package init() {}
}
