// SPDX-License-Identifier: Apache-2.0
// Alerts that say where their cause may be.

import Synchronization
import Telemetry
import Testing

@testable import Rules

/// Answers as it is told, and keeps what it was asked.
private final class Oracle: AlertDiagnosing {
    private let state = Mutex<(asked: [AlertSymptom], answers: [[RuleText]?])>(([], []))
    init(_ answers: [[RuleText]?]) { state.withLock { $0.answers = answers } }
    var asked: [AlertSymptom] { state.withLock { $0.asked } }

    func suspects(for symptom: AlertSymptom, withinSeconds seconds: Double) async -> [RuleText]? {
        state.withLock { state in
            state.asked.append(symptom)
            return state.answers.isEmpty ? [] : state.answers.removeFirst()
        }
    }
}

private let asks = RuleText("tern_diagnose", "true")

private func group(
    _ bench: RuleBench, _ oracle: Oracle, _ annotations: [RuleText], hold: Int64 = 0
) -> RuleGroup {
    var definition = RuleGroupDefinition(name: "g", file: "f.yml")
    definition.rules = [.alert("A", "x > 0", hold: hold, annotations: annotations)]
    var environment = bench.environment
    environment.diagnosing = oracle
    return RuleGroup(definition, environment)
}

@Test func anAlertThatBeginsToFireGetsItsSuspectOnce() async throws {
    let bench = RuleBench()
    let oracle = Oracle([[RuleText("suspect", "cart"), RuleText("summary", "other")]])
    let group = group(bench, oracle, [RuleText("summary", "own"), asks], hold: 60)
    for time in stride(from: Int64(1000), through: 1240, by: 60) {
        try bench.set("x{service=\"shop\"}", 1, at: time)
        await group.evaluate(at: time)
    }
    #expect(oracle.asked.count == 1)
    #expect(oracle.asked.first?.sinceNanos == 1_000_000_000_000)
    #expect(oracle.asked.first?.nanos == 1_060_000_000_000)
    #expect(oracle.asked.first?.labels["service"] == "shop")
    let sent = bench.alerts.take()
    #expect(sent.count == 2)
    for alert in sent {
        #expect(
            alert.annotations
                == [RuleText("summary", "own"), RuleText("suspect", "cart"), asks].sorted {
                    $0.name < $1.name
                })
    }
    // When it fires again it is asked about again.
    try bench.set("x{service=\"shop\"}", 0, at: 1300)
    await group.evaluate(at: 1300)
    for time in [Int64(1360), 1420] {
        try bench.set("x{service=\"shop\"}", 1, at: time)
        await group.evaluate(at: time)
    }
    #expect(oracle.asked.count == 2)
}

@Test func withoutATurnTheNextEvaluationAsksAgain() async throws {
    let bench = RuleBench()
    let oracle = Oracle([nil, [RuleText("suspect", "cart")]])
    let group = group(bench, oracle, [asks])
    try bench.set("x", 1, at: 1000)
    await group.evaluate(at: 1000)
    #expect(bench.alerts.take().map { $0.annotations.count } == [1])
    await group.evaluate(at: 1015)
    // At once, not after the resend delay.
    #expect(bench.alerts.take().map { $0.annotations.count } == [2])
    await group.evaluate(at: 1030)
    #expect(bench.alerts.take().isEmpty)
    #expect(oracle.asked.count == 2)
}

@Test func rulesThatDoNotAskGetNoSuspects() async throws {
    for annotations in [[], [RuleText("tern_diagnose", "false")]] {
        let bench = RuleBench()
        let oracle = Oracle([])
        let group = group(bench, oracle, annotations)
        try bench.set("x", 1, at: 1000)
        await group.evaluate(at: 1000)
        #expect(bench.alerts.take().count == 1)
        #expect(oracle.asked.isEmpty)
    }
}
