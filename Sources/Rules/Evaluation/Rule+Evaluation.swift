// SPDX-License-Identifier: Apache-2.0
// One rule at one time.

import LogQL
import PromQL
import Synchronization
import Telemetry

/// What an evaluation needs besides the rule.
struct RuleMoment: Sendable {
    /// Time of the group's evaluation.
    var nanos: Int64
    var offsetMillis: Int64
    /// Over how long trace queries look.
    var windowMillis: Int64
    /// 0 = any number.
    var limit: Int
    var surroundings: AlertTemplate.Surroundings
    var report: @Sendable (String) -> Void

    var queryNanos: Int64 { nanos &- offsetMillis &* 1_000_000 }
}

extension Rule {
    /// Evaluates the expression and says what to write. For an alert its state moves on.
    ///
    /// - Throws: what the query throws, `RuleQueryError` for results that cannot be written; nothing
    ///   has changed then, except that an alert over its limit forgets its alerts.
    func evaluate(
        _ moment: RuleMoment, _ querying: any RuleQuerying
    ) throws -> [RuleSample] {
        let vector = try querying.query(
            definition.expression, language, atNanos: moment.queryNanos,
            windowMillis: moment.windowMillis)
        return definition.isAlert
            ? try alert(vector, moment, querying) : try record(vector, limit: moment.limit)
    }

    /// Source: prometheus/prometheus `rules/recording.go`, `Eval`.
    private func record(_ vector: [RuleSample], limit: Int) throws -> [RuleSample] {
        var seen: Set<Labels> = []
        var result: [RuleSample] = []
        result.reserveCapacity(vector.count)
        for sample in vector {
            var builder = LabelsBuilder(sample.labels)
            builder.set("__name__", definition.record)
            for label in labels { builder.set(label.name, label.value) }
            let named = builder.labels()
            guard seen.insert(named).inserted else {
                throw RuleQueryError(
                    "vector contains metrics with the same labelset after applying rule labels")
            }
            result.append(RuleSample(labels: named, value: sample.value))
        }
        if limit > 0, result.count > limit {
            throw RuleQueryError("exceeded limit of \(limit) with \(result.count) series")
        }
        return result
    }

    /// Source: prometheus/prometheus `rules/alerting.go`, `Eval`.
    private func alert(
        _ vector: [RuleSample], _ moment: RuleMoment, _ querying: any RuleQuerying
    ) throws -> [RuleSample] {
        var alerts: [Labels: Alert] = [:]
        for sample in vector {
            let alert = makeAlert(sample, moment, querying)
            if alerts.updateValue(alert, forKey: alert.labels) != nil {
                throw RuleQueryError(
                    "vector contains metrics with the same labelset after applying alert labels")
            }
        }
        return try state.withLock { state in try state.advance(alerts, self, moment) }
    }

    private func makeAlert(
        _ sample: RuleSample, _ moment: RuleMoment, _ querying: any RuleQuerying
    ) -> Alert {
        let template = AlertTemplate(
            sample, moment.surroundings, atNanos: moment.nanos, querying)
        func expand(_ text: String) -> String {
            template.expand(text, alert: name) { moment.report("alert \(name): \($0)") }
        }
        var builder = LabelsBuilder(sample.labels)
        builder.remove("__name__")
        for label in labels { builder.set(label.name, expand(label.value)) }
        builder.set("alertname", name)
        var value = 0.0
        if case .float(let number) = sample.value { value = number }
        return Alert(
            labels: builder.labels(),
            annotations: definition.annotations.map { RuleText($0.name, expand($0.value)) },
            value: value, activeAtNanos: moment.nanos)
    }
}

extension Rule.State {
    /// Brings the alerts in line with a result.
    fileprivate mutating func advance(
        _ alerts: [Labels: Alert], _ rule: Rule, _ moment: RuleMoment
    ) throws -> [RuleSample] {
        for (labels, alert) in alerts {
            if let known = active[labels], known.state != .inactive {
                active[labels]?.value = alert.value
                active[labels]?.annotations = alert.annotations
            } else {
                active[labels] = alert
            }
        }
        var samples: [RuleSample] = []
        var count = 0
        for (labels, var alert) in active {
            let (isKept, isActive) = alert.advance(
                atNanos: moment.nanos, isPresent: alerts[labels] != nil,
                holdNanos: rule.definition.holdMillis &* 1_000_000,
                keepFiringNanos: rule.definition.keepFiringMillis &* 1_000_000)
            active[labels] = isKept ? alert : nil
            guard isActive else { continue }
            count += 1
            if isRestored { samples += alert.series }
        }
        if moment.limit > 0, count > moment.limit {
            active = [:]
            throw RuleQueryError("exceeded limit of \(moment.limit) with \(count) alerts")
        }
        return samples
    }
}

extension Alert {
    static let stateMetric = "ALERTS"
    static let activeAtMetric = "ALERTS_FOR_STATE"

    /// `ALERTS` and `ALERTS_FOR_STATE`.
    fileprivate var series: [RuleSample] {
        var builder = LabelsBuilder(labels)
        builder.set("__name__", Self.activeAtMetric)
        let activeAt = builder.labels()
        builder.set("__name__", Self.stateMetric)
        builder.set("alertstate", state.rawValue)
        let seconds = (activeAtNanos - (activeAtNanos < 0 ? 999_999_999 : 0)) / 1_000_000_000
        return [
            RuleSample(labels: builder.labels(), value: .float(1)),
            RuleSample(labels: activeAt, value: .float(Double(seconds))),
        ]
    }
}
