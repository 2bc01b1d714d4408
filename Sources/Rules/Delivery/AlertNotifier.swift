// SPDX-License-Identifier: Apache-2.0
// From rules to Alertmanagers.

import Base
import Ingest
import Synchronization
import Telemetry

/// Adds external labels, relabels, and hands each alert to all Alertmanagers.
///
/// Source: prometheus/prometheus `notifier/manager.go`.
package final class AlertNotifier: AlertReceiving {
    /// One Alertmanager, for metrics.
    package struct Destination: Sendable {
        package var url: String
        package var sent: Int
        package var errors: Int
        package var queued: Int
        package var requests: Int
        package var seconds: Double
    }

    private struct Set: Sendable {
        var definition: AlertmanagerSet
        var senders: [(url: String, sender: AlertSender)]
    }

    private struct State: Sendable {
        var sets: [Set] = []
        var relabelRules: [RelabelRule] = []
        var externalLabels: [RuleText] = []
        /// Of senders that are gone.
        var droppedBefore = 0
        var isShutDown = false
    }

    /// Alerts that may wait for one Alertmanager.
    package let capacity: Int
    private let clock: any Clock
    private let report: @Sendable (String) -> Void
    private let state = Mutex(State())

    package init(
        capacity: Int = 10_000, clock: any Clock,
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.capacity = capacity
        self.clock = clock
        self.report = report
    }

    /// Puts a configuration into force. What waits for an Alertmanager that stays goes on waiting.
    package func apply(
        _ sets: [AlertmanagerSet], relabelRules: [RelabelRule], externalLabels: [RuleText]
    ) {
        let gone = state.withLock { state -> [AlertSender] in
            guard !state.isShutDown else { return [] }
            var known: [String: [AlertSender]] = [:]
            for set in state.sets {
                for (url, sender) in set.senders { known[url, default: []].append(sender) }
            }
            // A sender keeps the settings it began with: its queue goes to the new one.
            var fresh: [Set] = []
            var taken: [(AlertSender, AlertSender)] = []
            for definition in sets {
                var senders: [(url: String, sender: AlertSender)] = []
                for url in definition.active {
                    let sender = AlertSender(
                        url, definition, capacity: capacity, clock: clock, report: report)
                    if let before = known[url]?.popLast() { taken.append((before, sender)) }
                    senders.append((url, sender))
                }
                fresh.append(Set(definition: definition, senders: senders))
            }
            for (before, sender) in taken { sender.takeOver(before) }
            state.sets = fresh
            state.relabelRules = relabelRules
            state.externalLabels = externalLabels
            let gone = known.values.flatMap { $0 }
            state.droppedBefore += gone.reduce(0) { $0 + $1.status.dropped }
            return gone
        }
        for sender in gone { sender.cancel() }
    }

    package func receive(_ alerts: [OutgoingAlert]) {
        let (sets, rules, external) = state.withLock {
            ($0.sets, $0.relabelRules, $0.externalLabels)
        }
        let common = relabelled(alerts, rules, external)
        if common.isEmpty { return }
        for set in sets {
            let own = relabelled(common, set.definition.alertRelabelRules, [])
            if own.isEmpty { continue }
            for (_, sender) in set.senders { sender.add(own) }
        }
    }

    private func relabelled(
        _ alerts: [OutgoingAlert], _ rules: [RelabelRule], _ external: [RuleText]
    ) -> [OutgoingAlert] {
        if rules.isEmpty, external.isEmpty { return alerts }
        return alerts.compactMap { alert in
            var alert = alert
            var builder = LabelsBuilder(alert.labels)
            for label in external where builder[label.name] == nil {
                builder.set(label.name, label.value)
            }
            guard let labels = relabel(builder.labels(), rules) else { return nil }
            alert.labels = labels
            return alert
        }
    }

    /// Sends what waits, as far as the time allows, and ends.
    package func shutDown(seconds: Double) async {
        let senders = state.withLock { state in
            state.isShutDown = true
            return state.sets.flatMap { $0.senders.map(\.sender) }
        }
        for sender in senders { sender.stop() }
        let clock = self.clock
        let limit = Task {
            do { try await clock.sleep(seconds: seconds) } catch { return }
            for sender in senders { sender.cancel() }
        }
        for sender in senders { await sender.finished() }
        limit.cancel()
    }

    // MARK: what others see

    package var activeURLs: [String] {
        state.withLock { $0.sets.flatMap { $0.definition.active } }
    }
    package var droppedURLs: [String] {
        state.withLock { $0.sets.flatMap { $0.definition.dropped } }
    }
    package var destinations: [Destination] {
        state.withLock { $0.sets }.flatMap { set in
            set.senders.map { url, sender in
                let status = sender.status
                return Destination(
                    url: url, sent: status.sent, errors: status.errors, queued: status.queued,
                    requests: status.requests, seconds: status.seconds)
            }
        }
    }
    /// Alerts that nobody got.
    package var droppedCount: Int {
        let (sets, before) = state.withLock { ($0.sets, $0.droppedBefore) }
        return sets.reduce(before) { sum, set in
            set.senders.reduce(sum) { $0 + $1.sender.status.dropped }
        }
    }
}
