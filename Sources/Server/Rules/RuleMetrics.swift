// SPDX-License-Identifier: Apache-2.0
// What rules and alerts count, under Prometheus' names.

import Base
import Rules

/// Names are those that dashboards and alerts about Prometheus itself ask for. Source:
/// prometheus/prometheus `rules/group.go` and `notifier/metric.go`.
struct RuleMetrics: Sendable {
    let rules: RuleService

    func collect(into metrics: SelfMetrics) {
        collectGroups(rules.ruler.groups, into: metrics)
        collectDurations(
            "rule_evaluation", "The duration for a rule to execute.", rules.durations.rules,
            [0.5, 0.9, 0.99], into: metrics)
        collectDurations(
            "rule_group", "The duration of rule group evaluations.", rules.durations.groups,
            [0.01, 0.05, 0.5, 0.9, 0.99], into: metrics)
        collectNotifications(rules.notifier, into: metrics)
        var diagnoses: [String: Double] = [:]
        for outcome in AlertDiagnoser.Outcome.allCases {
            diagnoses["outcome=\"\(outcome.rawValue)\""] = Double(rules.diagnoses(outcome))
        }
        metrics.replace(
            "tern_alert_diagnoses_total", .counter,
            "Alerts for which a suspect was looked for, by what came of it.", diagnoses)
    }

    private func collectGroups(_ groups: [RuleGroup], into metrics: SelfMetrics) {
        let all = groups.map { ("rule_group=\(quotedText($0.definition.key))", $0, $0.status) }
        func show(
            _ name: String, _ kind: SelfMetrics.Kind, _ help: String,
            _ value: (RuleGroup, RuleGroup.Status) -> Double
        ) {
            var values: [String: Double] = [:]
            for (labels, group, status) in all { values[labels] = value(group, status) }
            metrics.replace("prometheus_" + name, kind, help, values)
        }
        show("rule_evaluations_total", .counter, "The total number of rule evaluations.") {
            Double($1.evaluations)
        }
        show("rule_evaluation_failures_total", .counter, "The total number of failed evaluations.")
        {
            Double($1.failures)
        }
        show(
            "rule_group_iterations_total", .counter,
            "The total number of scheduled rule group evaluations, whether executed or missed."
        ) { Double($1.iterations) }
        show(
            "rule_group_iterations_missed_total", .counter,
            "The total number of rule group evaluations missed due to slow evaluation."
        ) { Double($1.missedIterations) }
        show(
            "rule_group_last_duration_seconds", .gauge,
            "The duration of the last rule group evaluation."
        ) { $1.durationSeconds }
        show(
            "rule_group_last_rule_duration_sum_seconds", .gauge,
            "The sum of the durations of a group's rules in the last evaluation."
        ) { $1.ruleSeconds }
        show(
            "rule_group_last_evaluation_timestamp_seconds", .gauge,
            "The timestamp of the last rule group evaluation in seconds."
        ) { Double($1.lastEvaluationNanos / 1_000_000) / 1000 }
        show(
            "rule_group_last_evaluation_samples", .gauge,
            "The number of samples returned during the last rule group evaluation."
        ) { Double($1.samples) }
        show(
            "rule_group_last_restore_duration_seconds", .gauge,
            "The time it took to restore the state of the group's alerts."
        ) { $1.restoreSeconds }
        show("rule_group_rules", .gauge, "The number of rules.") { group, _ in
            Double(group.rules.count)
        }
        show("rule_group_interval_seconds", .gauge, "The interval of a rule group.") { group, _ in
            Double(group.definition.intervalMillis) / 1000
        }
    }

    /// As a summary and as a histogram, the quantiles being Prometheus'.
    private func collectDurations(
        _ name: String, _ help: String, _ durations: DurationDistribution, _ quantiles: [Double],
        into metrics: SelfMetrics
    ) {
        let now = durations.snapshot(
            quantiles: quantiles, atMonotonicNanos: rules.clock.monotonicNanos)
        metrics.replace(
            "prometheus_\(name)_duration_seconds", help,
            SelfMetrics.Summary(
                quantiles: Array(zip(quantiles, now.quantiles)), sum: now.seconds,
                count: now.count))
        metrics.replace(
            "prometheus_\(name)_duration_histogram_seconds", help,
            bounds: DurationDistribution.bounds,
            SelfMetrics.Distribution(counts: now.buckets, sum: now.seconds))
    }

    private func collectNotifications(_ notifier: AlertNotifier, into metrics: SelfMetrics) {
        let all = notifier.destinations
        func show(
            _ name: String, _ kind: SelfMetrics.Kind, _ help: String,
            _ value: (AlertNotifier.Destination) -> Double
        ) {
            var values: [String: Double] = [:]
            for destination in all {
                values["alertmanager=\(quotedText(destination.url))", default: 0] +=
                    value(destination)
            }
            metrics.replace("prometheus_notifications_" + name, kind, help, values)
        }
        show("sent_total", .counter, "Total number of alerts sent.") { Double($0.sent) }
        show("errors_total", .counter, "Total number of alerts that could not be sent.") {
            Double($0.errors)
        }
        show("queue_length", .gauge, "The number of alert notifications in the queue.") {
            Double($0.queued)
        }
        show("latency_seconds_sum", .counter, "Seconds spent sending alert notifications.") {
            $0.seconds
        }
        show("latency_seconds_count", .counter, "Requests with alert notifications.") {
            Double($0.requests)
        }
        metrics.show(
            "prometheus_notifications_dropped_total", .counter,
            "Total number of alerts dropped due to errors when sending to Alertmanager.",
            Double(notifier.droppedCount))
        metrics.show(
            "prometheus_notifications_queue_capacity", .gauge,
            "The capacity of the alert notifications queue.", Double(notifier.capacity))
        metrics.show(
            "prometheus_notifications_alertmanagers_discovered", .gauge,
            "The number of alertmanagers discovered and active.",
            Double(notifier.activeURLs.count))
    }
}
