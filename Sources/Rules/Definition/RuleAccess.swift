// SPDX-License-Identifier: Apache-2.0
// Which series a rule reads and writes.

import PromQL
import Telemetry

/// What decides whether two rules may change places.
struct RuleAccess: Sendable {
    /// Conditions of each selector.
    private let selectors: [[LabelMatcher]]
    /// Reads nobody knows what: a selector without a name, `info`, a query in a template.
    private let isIndeterminate: Bool
    private let record: String
    private let alert: String

    init(_ rule: RuleDefinition, _ language: RuleLanguage, _ expression: Expression?) {
        record = rule.record
        alert = rule.alert
        guard language == .promql else {
            // Logs and traces are not what rules write.
            selectors = []
            isIndeterminate = (rule.labels + rule.annotations).contains { $0.value.mayQuery }
            return
        }
        selectors = expression?.selectors ?? []
        isIndeterminate =
            expression == nil || selectors.contains { !$0.contains { $0.name == "__name__" } }
            || expression?.callsInfo == true
            || (rule.labels + rule.annotations).contains { $0.value.mayQuery }
    }

    /// Whether the rule may read what the other writes.
    func mayRead(_ other: RuleAccess) -> Bool {
        if isIndeterminate { return true }
        return selectors.contains { matchers in
            if !other.record.isEmpty { return matchers.accept("__name__", other.record) }
            let isState =
                matchers.accept("__name__", Alert.stateMetric)
                || matchers.accept("__name__", Alert.activeAtMetric)
            return isState && matchers.accept("alertname", other.alert)
        }
    }

    func writesSame(_ other: RuleAccess) -> Bool {
        record == other.record && alert == other.alert
    }
}

extension [LabelMatcher] {
    fileprivate func accept(_ name: String, _ value: String) -> Bool {
        allSatisfy { $0.name != name || $0.matches(value) }
    }
}

extension String {
    /// Whether the text as a template may run a query.
    fileprivate var mayQuery: Bool { contains("{{") && contains("query") }
}

extension Expression {
    fileprivate var callsInfo: Bool {
        if case .call(let call) = self, call.name == "info" { return true }
        return children.contains(where: \.callsInfo)
    }
}

/// Rules in steps: those of one step may run at the same time, and the outcome is that of running all
/// rules in their order.
///
/// A rule goes one step behind the last earlier rule that it reads from, that reads from it, or that
/// writes the same series. Upstream finds what depends on what in the same way (`rules/group.go`,
/// `buildDependencyMap`) but runs a rule's inputs first even where they stand behind it; here the
/// order of the file counts, as in a group that is evaluated rule by rule.
func evaluationSteps(_ rules: [RuleAccess]) -> [[Int]] {
    var step = [Int](repeating: 0, count: rules.count)
    var steps: [[Int]] = []
    for index in rules.indices {
        for earlier in 0..<index where step[earlier] >= step[index] {
            let (a, b) = (rules[earlier], rules[index])
            if b.mayRead(a) || a.mayRead(b) || a.writesSame(b) { step[index] = step[earlier] + 1 }
        }
        while steps.count <= step[index] { steps.append([]) }
        steps[step[index]].append(index)
    }
    return steps
}
