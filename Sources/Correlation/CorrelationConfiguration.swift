// SPDX-License-Identifier: Apache-2.0
// Bounds of the correlation index.

import Storage

/// How much the index keeps; what is beyond is left out and counted in `Correlation.dropped`.
package struct CorrelationConfiguration: Sendable {
    /// Entries per set (streams, series, instances …) of one service, day and head or part.
    package var maxSetEntries = 10_000
    /// Services per day and head or part.
    package var maxServices = 10_000
    /// Distinct operations per service and five minutes; the rest are counted as one.
    package var maxOperations = 1_000
    /// Exemplars per trace, day and head; and references to log lines, which a head holds and
    /// neither shows nor seals beyond this.
    package var maxReferencesPerTrace = 100_000
    /// Caller and callee spans kept per day and head for joining.
    package var maxCallSpans = 2_000_000

    /// Most entries of the inputs of a merge together: it holds them all in memory, some 80 bytes each
    /// at its height.
    package var maxMergeEntries = 3_000_000
    /// Largest section of a part that merging makes, in bytes before compression.
    package var maxSectionBytes = PartFormat.maxPlainCount

    package init() {}
}
