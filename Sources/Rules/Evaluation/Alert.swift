// SPDX-License-Identifier: Apache-2.0
// One alert and its life.

import Telemetry

/// An alert of a rule. Times in nanoseconds since the Unix epoch.
package struct Alert: Sendable {
    package enum State: String, Sendable, Comparable {
        case inactive, pending, firing

        package static func < (a: State, b: State) -> Bool { a.rank < b.rank }
        private var rank: Int {
            switch self {
            case .inactive: 0
            case .pending: 1
            case .firing: 2
            }
        }
    }

    package var labels: Labels
    package var annotations: [RuleText]
    package var value: Double
    package var state = State.pending
    package var activeAtNanos: Int64
    package var firedAtNanos: Int64?
    package var resolvedAtNanos: Int64?
    package var lastSentNanos: Int64?
    /// Until when the receiver shall believe it without hearing again.
    package var validUntilNanos: Int64?
    /// Since when it fires only for `keep_firing_for`.
    package var keepFiringSinceNanos: Int64?
    /// Annotations with the first suspect; see `RuleGroup.diagnose`.
    package var suspects: [RuleText] = []
    /// Whether suspects were looked for.
    package var isDiagnosed = false

    package init(
        labels: Labels, annotations: [RuleText], value: Double, activeAtNanos: Int64
    ) {
        self.labels = labels
        self.annotations = annotations
        self.value = value
        self.activeAtNanos = activeAtNanos
    }

    /// How long a resolved alert is remembered and sent again.
    static let resolvedRetentionNanos: Int64 = 15 * 60 * 1_000_000_000

    /// Source: prometheus/prometheus `rules/alerting.go`, `needsSending`.
    func needsSending(atNanos nanos: Int64, resendDelayNanos: Int64) -> Bool {
        if state == .pending { return false }
        guard let lastSentNanos else { return true }
        if let resolvedAtNanos, resolvedAtNanos > lastSentNanos { return true }
        return lastSentNanos &+ resendDelayNanos < nanos
    }

    /// One step of the alert's life.
    ///
    /// - Returns: whether it is still to be remembered, and whether it is active.
    mutating func advance(
        atNanos nanos: Int64, isPresent: Bool, holdNanos: Int64, keepFiringNanos: Int64
    ) -> (isKept: Bool, isActive: Bool) {
        if isPresent {
            keepFiringSinceNanos = nil
        } else {
            var keepsFiring = false
            if state == .firing, keepFiringNanos > 0 {
                let since = keepFiringSinceNanos ?? nanos
                keepFiringSinceNanos = since
                keepsFiring = nanos &- since < keepFiringNanos
            }
            let isForgotten =
                state == .pending
                || resolvedAtNanos.map { nanos &- $0 > Self.resolvedRetentionNanos } == true
            if state != .inactive, !keepsFiring {
                state = .inactive
                resolvedAtNanos = nanos
            }
            if !keepsFiring { return (!isForgotten, false) }
        }
        if state == .pending, nanos &- activeAtNanos >= holdNanos {
            state = .firing
            firedAtNanos = nanos
        }
        return (true, true)
    }
}

/// An alert on its way to Alertmanagers.
package struct OutgoingAlert: Sendable, Equatable {
    package var labels: Labels
    package var annotations: [RuleText]
    package var startsAtNanos: Int64
    package var endsAtNanos: Int64
    package var generatorURL: String

    package init(
        labels: Labels, annotations: [RuleText] = [], startsAtNanos: Int64, endsAtNanos: Int64,
        generatorURL: String = ""
    ) {
        self.labels = labels
        self.annotations = annotations
        self.startsAtNanos = startsAtNanos
        self.endsAtNanos = endsAtNanos
        self.generatorURL = generatorURL
    }
}
