// SPDX-License-Identifier: Apache-2.0
// `for`, taken up again after a restart.

import Base
import Synchronization
import Telemetry

extension RuleGroup {
    /// Sets back since when alerts are active, by the `ALERTS_FOR_STATE` that an earlier process
    /// wrote. The time it was away does not count.
    ///
    /// Source: prometheus/prometheus `rules/group.go`, `RestoreForState`.
    func restore(atNanos nanos: Int64) async {
        let clock = environment.clock
        let started = clock.monotonicNanos
        for rule in rules where rule.definition.isAlert { await restore(rule, atNanos: nanos) }
        state.withLock { state in
            state.needsRestoring = false
            state.status.restoreSeconds = Double(clock.monotonicNanos &- started) / 1e9
        }
    }

    private func restore(_ rule: Rule, atNanos nanos: Int64) async {
        defer { rule.setRestored() }
        let hold = rule.definition.holdMillis
        // Waiting anew takes no longer than the grace period would.
        guard hold >= environment.gracePeriodMillis else { return }
        let last = millisRoundedDown(nanos)
        let range = MillisRange(
            first: Millis(last &- environment.outageToleranceMillis), last: Millis(last))
        let matchers = [
            LabelMatcher(equal: "__name__", Alert.activeAtMetric),
            LabelMatcher(equal: "alertname", rule.name),
        ]
        do {
            let found = try await environment.queries.run(as: definition.tenant) {
                try $0.newest(matchers, in: range)
            }
            var byLabels: [Labels: NewestSample] = [:]
            for sample in found {
                var builder = LabelsBuilder(sample.labels)
                builder.remove("__name__")
                byLabels[builder.labels()] = sample
            }
            rule.restore(byLabels, atNanos: nanos, graceMillis: environment.gracePeriodMillis)
        } catch {
            // The alerts fire in the end all the same.
            environment.report(
                "group \(definition.key): state of alert \(rule.name) not restored: \(error)")
        }
    }
}

extension Rule {
    fileprivate func restore(
        _ samples: [Labels: NewestSample], atNanos nanos: Int64, graceMillis: Int64
    ) {
        state.withLock { state in
            for (labels, alert) in state.active where alert.state != .inactive {
                guard let sample = samples[labels], !StaleMarker.isStale(sample.value),
                    let seconds = Int64(exactly: sample.value.rounded(.down))
                else { continue }
                let (since, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
                guard !overflow else { continue }
                state.active[labels]?.activeAtNanos = restored(
                    since, downNanos: sample.millis &* 1_000_000, nanos, graceMillis)
            }
        }
    }

    /// Since when an alert counts as active that was so since `since` when the process went down.
    private func restored(
        _ since: Int64, downNanos: Int64, _ nanos: Int64, _ graceMillis: Int64
    ) -> Int64 {
        let hold = definition.holdMillis &* 1_000_000
        let grace = graceMillis &* 1_000_000
        let remaining = hold &- (downNanos &- since)
        // It fired already, and does again at its next evaluation.
        if remaining <= 0 { return since }
        if remaining < grace { return nanos &+ grace &- hold }
        return since &+ (nanos &- downNanos)
    }
}
