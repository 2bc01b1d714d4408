// SPDX-License-Identifier: Apache-2.0
// What a tenant may send and ask for in logs.

/// Limits on the log lines of one tenant, under Loki's names. Sizes in bytes, times in seconds; 0 =
/// none unless it says otherwise. Source: grafana/loki `pkg/validation/limits.go`.
package struct LogTenantLimits: Sendable, Equatable {
    // What is sent.
    package var ingestionRateBytes = 0
    /// At least one second's worth when a rate is given.
    package var ingestionBurstBytes = 0
    package var perStreamRateBytes = 0
    package var perStreamBurstBytes = 0
    /// Streams with a line in the last hour.
    package var maxStreams = 0

    // What is asked for.
    package var maxEntriesPerQuery = 100_000
    package var maxQueryTextBytes = 131_072
    package var maxQueryLengthSeconds = 0.0
    /// `[range]` of a metric query.
    package var maxQueryRangeSeconds = 0.0
    /// Bytes of lines that a query may read.
    package var maxQueryBytesRead = 0
    /// Labels that every selector must have a matcher for.
    package var requiredLabels: [String] = []
    /// Label matchers that every selector must have at least.
    package var requiredNumberLabels = 0
    /// Live tails at once.
    package var maxTails = 100

    package init() {}
}
