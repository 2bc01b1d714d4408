// SPDX-License-Identifier: Apache-2.0
// Groups: what runs when, and reloads.

import Base
import PromQL
import Telemetry
import TestKit
import Testing

@testable import Rules

private func steps(_ rules: RuleDefinition...) throws -> [[Int]] {
    try evaluationSteps(
        rules.map { RuleAccess($0, .promql, try parseExpression($0.expression)) })
}

@Test func rulesWithoutDependencyShareAStep() throws {
    #expect(try steps(.record("a", "x"), .record("b", "x"), .record("c", "x")) == [[0, 1, 2]])
    #expect(try steps(.record("a", "x"), .record("b", "a"), .record("c", "x")) == [[0, 2], [1]])
    #expect(
        try steps(.record("a", "x"), .record("b", "a"), .record("c", "b"), .record("d", "b"))
            == [[0], [1], [2, 3]])
    // A rule that stands behind its reader is not run before it.
    #expect(try steps(.record("b", "a"), .record("a", "x")) == [[0], [1]])
    #expect(try steps(.record("a", "x"), .record("a", "y")) == [[0], [1]])
    // Anything may be read: everything waits.
    #expect(
        try steps(.record("a", "x"), .record("b", "{job=\"j\"}"), .record("c", "x"))
            == [[0], [1], [2]])
    #expect(try steps(.record("a", "x"), .record("b", "{__name__=~\"a|z\"}")) == [[0], [1]])
    #expect(
        try steps(
            .alert("A", "x"), .record("b", "ALERTS{alertname=\"A\"}"),
            .record("c", "ALERTS{alertname=\"B\"}")) == [[0, 2], [1]])
    #expect(
        try steps(
            .record("a", "x"),
            .alert("B", "y", annotations: [RuleText("s", "{{ query \"a\" }}")])) == [[0], [1]])
}

@Test func groupsKeepTheirPlaceOnTheClock() {
    var group = RuleGroupDefinition(name: "one", file: "f")
    group.intervalMillis = 30_000
    let schedule = RuleSchedule(group)
    let now: Int64 = 1_700_000_000_123_456_789
    let time = schedule.time(before: now)
    #expect(time <= now && now - time < 30_000_000_000)
    #expect(schedule.time(before: time) == time)
    #expect(schedule.time(before: time - 1) == time - 30_000_000_000)
    #expect(schedule.time(before: time + 29_999_999_999) == time)
    group.name = "two"
    #expect(RuleSchedule(group).time(before: now) != time)
    let (next, missed) = schedule.next(after: time, now: time + 95_000_000_000)
    #expect(missed == 2)
    #expect(next == time + 90_000_000_000)
    #expect(schedule.next(after: time, now: time + 30_000_000_000).missed == 0)
}

private func definition(
    _ rules: [RuleDefinition], name: String = "g", interval: Int64 = 10_000
) -> RuleGroupDefinition {
    var group = RuleGroupDefinition(name: name, file: "f")
    group.rules = rules
    group.intervalMillis = interval
    return group
}

/// Moves the clock in small steps until a condition holds.
func wait(
    _ clock: ManualClock, sourceLocation: SourceLocation = #_sourceLocation,
    until holds: () async throws -> Bool
) async throws {
    for _ in 0..<2000 {
        if try await holds() { return }
        clock.advance(seconds: 1)
        for _ in 0..<20 { await Task.yield() }
    }
    Issue.record("does not come true", sourceLocation: sourceLocation)
}

@Test func groupsAreEvaluatedAndReplaced() async throws {
    let bench = RuleBench()
    let ruler = Ruler()
    ruler.apply([definition([.record("a", "vector(1)")])], bench.environment)
    let first = ruler.groups[0]
    try await wait(bench.clock) { first.status.iterations >= 2 }
    #expect(bench.memory.seriesCount == 1)
    // The same definition again disturbs nobody.
    ruler.apply([definition([.record("a", "vector(1)")])], bench.environment)
    #expect(ruler.groups[0] === first)
    // A changed one gets a successor.
    ruler.apply([definition([.record("b", "vector(1)")])], bench.environment)
    let second = ruler.groups[0]
    #expect(second !== first)
    try await wait(bench.clock) { second.status.evaluations >= 1 && second.status.samples == 1 }
    let now = bench.clock.wallNanos / 1_000_000_000
    #expect(try await bench.query("a", at: now).isEmpty)
    #expect(try await bench.query("b", at: now).count == 1)
    // A group that is gone is marked stale a little later.
    ruler.apply([], bench.environment)
    #expect(ruler.groups.isEmpty)
    try await wait(bench.clock) {
        try await bench.query("b", at: bench.clock.wallNanos / 1_000_000_000).isEmpty
    }
    await ruler.shutDown()
}

@Test func alertsSurviveAReload() async throws {
    let bench = RuleBench()
    let ruler = Ruler()
    let before = RuleDefinition.alert("A", "vector(1)", hold: 600)
    ruler.apply([definition([before])], bench.environment)
    try await wait(bench.clock) { ruler.groups[0].rules[0].alertState == .pending }
    let since = ruler.groups[0].rules[0].activeAlerts.map(\.activeAtNanos)
    var after = before
    after.annotations = [RuleText("summary", "new")]
    ruler.apply([definition([after])], bench.environment)
    try await wait(bench.clock) { ruler.groups[0].status.iterations > 0 }
    #expect(ruler.groups[0].rules[0].activeAlerts.map(\.activeAtNanos) == since)
    await ruler.shutDown()
}
