// SPDX-License-Identifier: Apache-2.0
// How a target fares, for the targets page.

import Telemetry

/// Result of a target's last scrape.
package struct TargetStatus: Sendable, Equatable {
    package enum Health: String, Sendable { case unknown, up, down }

    package var health = Health.unknown
    /// Why the last scrape failed or could not be stored; empty when all was well.
    package var lastError = ""
    /// Wall time at which the last scrape started; 0 = never.
    package var lastScrapeNanos: Int64 = 0
    package var lastDurationSeconds = 0.0
    package init() {}
}

/// A target being scraped.
package struct ActiveTarget: Sendable {
    package var pool: String
    package var target: Target
    package var status: TargetStatus
    /// What its last answers said about their families, by name.
    package var metadata: [TargetMetadata]
}

/// A target that relabelling dropped.
package struct DroppedTarget: Sendable {
    package var pool: String
    package var discovered: Labels
}
