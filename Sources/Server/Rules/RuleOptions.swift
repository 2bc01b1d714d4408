// SPDX-License-Identifier: Apache-2.0
// Flags about rules and alerts.

/// Flags of `tern serve` under Prometheus' names; times in seconds.
package struct RuleOptions: Sendable {
    /// `--web.external-url`; nil = this machine's name and port.
    package var externalURL: String?
    package var outageToleranceSeconds = 3600.0
    package var gracePeriodSeconds = 600.0
    package var resendDelaySeconds = 60.0
    /// Rules that may be evaluated at once beyond one per group.
    package var concurrentEvaluations = 4
    package var queueCapacity = 10_000
    package var drainsQueueOnShutdown = true
    /// Whether the built-in group `tern_watch` is evaluated.
    package var watches = true

    package init() {}
}
