// SPDX-License-Identifier: Apache-2.0
// One rule while it is in force.

import Base
import LogQL
import PromQL
import Synchronization
import Telemetry

/// A rule with what its evaluations left behind.
///
/// Evaluations of one rule follow each other; whoever looks at it meanwhile sees it before or after
/// a step.
package final class Rule: Sendable {
    package enum Health: String, Sendable { case unknown, ok, err }

    /// How the last evaluation went.
    package struct Status: Sendable {
        package var health = Health.unknown
        package var lastError = ""
        /// 0 = not evaluated yet.
        package var lastEvaluationNanos: Int64 = 0
        package var durationSeconds = 0.0
    }

    struct State: Sendable {
        var status = Status()
        var active: [Labels: Alert] = [:]
        /// Whether `for` was taken up again after the start; until then no state is written.
        var isRestored: Bool
    }

    package let definition: RuleDefinition
    package let language: RuleLanguage
    /// The group's labels included.
    package let labels: [RuleText]
    /// The expression as it is printed.
    package let query: String
    let access: RuleAccess
    let state: Mutex<State>

    /// - Parameter isRestored: whether there is no earlier state to take up.
    init(
        _ definition: RuleDefinition, _ group: RuleGroupDefinition, isRestored: Bool,
        parser: ParserOptions
    ) {
        self.definition = definition
        language = group.language
        labels = group.labels(of: definition)
        var query = definition.expression
        var expression: Expression?
        if language == .promql,
            let parsed = try? parseExpression(definition.expression, options: parser)
        {
            // What does not parse fails at each evaluation, with its reason.
            query = parsed.description
            expression = parsed
        }
        self.query = query
        access = RuleAccess(definition, language, expression)
        state = Mutex(State(isRestored: isRestored))
    }

    package var name: String { definition.name }
    package var status: Status { state.withLock { $0.status } }
    package var isRestored: Bool { state.withLock { $0.isRestored } }

    func setRestored() { state.withLock { $0.isRestored = true } }
    func setFailure(_ reason: String) {
        state.withLock { state in
            state.status.health = .err
            state.status.lastError = reason
        }
    }
    func setSuccess() {
        state.withLock { state in
            state.status.health = .ok
            state.status.lastError = ""
        }
    }
    func setTimes(atNanos nanos: Int64, durationSeconds: Double) {
        state.withLock { state in
            state.status.lastEvaluationNanos = nanos
            state.status.durationSeconds = durationSeconds
        }
    }

    // MARK: alerts

    /// Pending and firing alerts, the longest active first.
    package var activeAlerts: [Alert] {
        state.withLock { $0.active.values.filter { $0.state != .inactive } }
            .sorted {
                $0.activeAtNanos == $1.activeAtNanos
                    ? $0.labels < $1.labels : $0.activeAtNanos < $1.activeAtNanos
            }
    }

    /// The furthest that an alert of the rule is.
    package var alertState: Alert.State {
        state.withLock { $0.active.values.map(\.state).max() ?? .inactive }
    }

    /// Alerts that are due to be sent, marked as sent now.
    func takeDue(
        atNanos nanos: Int64, intervalMillis: Int64, _ environment: RuleEnvironment
    )
        -> [OutgoingAlert]
    {
        let resend = environment.resendDelayMillis
        let validity = 4 * max(intervalMillis, resend) * 1_000_000
        let link = environment.surroundings.externalURL + expressionLink(query, asTable: true)
        return state.withLock { state in
            var due: [OutgoingAlert] = []
            for (labels, var alert) in state.active
            where alert.needsSending(atNanos: nanos, resendDelayNanos: resend * 1_000_000) {
                alert.lastSentNanos = nanos
                alert.validUntilNanos = nanos &+ validity
                state.active[labels] = alert
                due.append(
                    OutgoingAlert(
                        labels: labels, annotations: alert.allAnnotations,
                        startsAtNanos: alert.firedAtNanos ?? alert.activeAtNanos,
                        endsAtNanos: alert.resolvedAtNanos ?? (nanos &+ validity),
                        generatorURL: link))
            }
            return due.sorted { $0.labels < $1.labels }
        }
    }

    /// Takes over what an earlier version of the rule knows.
    func inherit(_ other: Rule) {
        let (active, isRestored) = other.state.withLock { ($0.active, $0.isRestored) }
        state.withLock { state in
            state.active = active
            state.isRestored = isRestored
        }
    }
}
