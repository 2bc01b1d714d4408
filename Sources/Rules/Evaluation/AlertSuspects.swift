// SPDX-License-Identifier: Apache-2.0
// Alerts that say where their cause may be.

import Base
import Synchronization
import Telemetry

/// An alert that has begun to fire, for whoever looks for its cause.
package struct AlertSymptom: Sendable, Equatable {
    package var tenant: Tenant
    package var labels: Labels
    /// Since when what it is about lasts: when it began to fire, less the rule's `for`.
    package var sinceNanos: Int64
    /// Time of the evaluation.
    package var nanos: Int64

    package init(tenant: Tenant, labels: Labels, sinceNanos: Int64, nanos: Int64) {
        self.tenant = tenant
        self.labels = labels
        self.sinceNanos = sinceNanos
        self.nanos = nanos
    }
}

/// Finds the first suspect for an alert.
package protocol AlertDiagnosing: Sendable {
    /// - Parameter seconds: within which the answer must be there.
    /// - Returns: annotations for the alert, none when nothing is suspected or the search failed; nil
    ///   when there was no turn, and the next evaluation shall ask again.
    func suspects(for symptom: AlertSymptom, withinSeconds seconds: Double) async -> [RuleText]?
}

extension Alert {
    /// The annotation by whose value `true` a rule asks for suspects.
    package static let diagnoseAnnotation = "tern_diagnose"

    /// With the suspects; what the rule itself says under their names stays.
    package var allAnnotations: [RuleText] {
        if suspects.isEmpty { return annotations }
        let own = Set(annotations.map(\.name))
        return (annotations + suspects.filter { !own.contains($0.name) })
            .sorted { $0.name < $1.name }
    }

    fileprivate func wantsSuspects(atNanos nanos: Int64) -> Bool {
        guard state == .firing, !isDiagnosed, let firedAtNanos else { return false }
        return nanos &- firedAtNanos <= RuleGroup.diagnosisAgeNanos
            && annotations.contains { $0.name == Self.diagnoseAnnotation && $0.value == "true" }
    }
}

extension RuleGroup {
    /// Seconds that all diagnoses of one evaluation of a rule may hold its alerts up.
    static let diagnosisSeconds = 5.0
    /// How long after an alert began to fire it is still asked about, when there was no turn.
    static let diagnosisAgeNanos: Int64 = 600_000_000_000

    /// Gives the alerts of a rule that ask for it their suspects, once per alert, the longest
    /// active first, as far as the time allows.
    func diagnose(_ rule: Rule, atNanos nanos: Int64) async {
        guard let diagnosing = environment.diagnosing,
            rule.definition.annotations.contains(where: { $0.name == Alert.diagnoseAnnotation })
        else { return }
        let clock = environment.clock
        let end = clock.monotonicNanos &+ Int64(Self.diagnosisSeconds * 1e9)
        for alert in rule.activeAlerts where alert.wantsSuspects(atNanos: nanos) {
            let left = Double(end &- clock.monotonicNanos) / 1e9
            guard left > 0 else { return }
            let fired = alert.firedAtNanos ?? nanos
            let symptom = AlertSymptom(
                tenant: definition.tenant, labels: alert.labels,
                sinceNanos: fired &- rule.definition.holdMillis &* 1_000_000, nanos: nanos)
            guard let texts = await diagnosing.suspects(for: symptom, withinSeconds: left) else {
                continue
            }
            rule.setSuspects(texts, of: alert.labels)
        }
    }
}

extension Rule {
    fileprivate func setSuspects(_ texts: [RuleText], of labels: Labels) {
        state.withLock { state in
            state.active[labels]?.isDiagnosed = true
            state.active[labels]?.suspects = texts
            // What was sent without them is sent again at once.
            if !texts.isEmpty { state.active[labels]?.lastSentNanos = nil }
        }
    }
}
