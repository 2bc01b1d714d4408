// SPDX-License-Identifier: Apache-2.0
// Recording rules.

import PromQL
import Telemetry
import Testing

@testable import Rules

@Test func recordedSeriesCarryNameAndLabels() async throws {
    let bench = RuleBench()
    try bench.set("load{host=\"a\",zone=\"x\"}", 3, at: 100)
    let group = bench.group([
        .record(
            "zone:load", "sum by (zone) (load)", [RuleText("team", "blue"), RuleText("zone", "")])
    ])
    await group.evaluate(at: 100)
    #expect(
        try await bench.query("zone:load", at: 100) == [
            "{__name__=\"zone:load\", team=\"blue\"}": 3
        ])
    #expect(group.rules[0].status.health == .ok)
    #expect(group.status.samples == 1)
}

@Test func laterRulesSeeWhatEarlierOnesWrote() async throws {
    let bench = RuleBench()
    let group = bench.group([
        .record("one", "vector(1)"), .record("two", "one + one"), .record("four", "two + two"),
    ])
    await group.evaluate(at: 100)
    #expect(try await bench.query("four", at: 100).values.first == 4)
}

@Test func seriesThatEndAreMarkedStale() async throws {
    let bench = RuleBench()
    try bench.set("up{host=\"a\"}", 0, at: 100)
    let group = bench.group([.record("down", "up == 0")])
    await group.evaluate(at: 100)
    #expect(try await bench.query("down", at: 110).count == 1)
    try bench.set("up{host=\"a\"}", 1, at: 160)
    await group.evaluate(at: 160)
    #expect(try await bench.query("down", at: 160).isEmpty)
}

@Test func offsetMovesQueryAndSamples() async throws {
    let bench = RuleBench()
    try bench.set("x", 1, at: 40)
    try bench.set("x", 2, at: 100)
    let group = bench.group([.record("y", "x")], offsetMillis: 60_000)
    await group.evaluate(at: 100)
    #expect(try await bench.query("y", at: 45) == ["{__name__=\"y\"}": 1])
}

@Test func sameLabelSetsAndLimitsFail() async throws {
    let bench = RuleBench()
    try bench.set("x{a=\"1\"}", 1, at: 100)
    try bench.set("x{a=\"2\"}", 1, at: 100)
    let group = bench.group([.record("y", "x", [RuleText("a", "same")])])
    await group.evaluate(at: 100)
    #expect(
        group.rules[0].status.lastError
            == "vector contains metrics with the same labelset after applying rule labels")
    #expect(group.rules[0].status.health == .err)
    #expect(group.status.failures == 1)

    let limited = bench.group([.record("y", "x"), .record("z", "sum(x)")], limit: 1)
    await limited.evaluate(at: 100)
    #expect(limited.rules[0].status.lastError == "exceeded limit of 1 with 2 series")
    #expect(try await bench.query("y", at: 100).isEmpty)
    #expect(try await bench.query("z", at: 100).count == 1)
}

@Test func resultsThatAreNoVectorFail() async throws {
    let bench = RuleBench()
    let group = bench.group([.record("y", "\"text\"")])
    await group.evaluate(at: 100)
    #expect(group.rules[0].status.lastError == "rule result is not a vector or scalar")
}

@Test func seriesOfFailedEvaluationsStay() async throws {
    let bench = RuleBench()
    try bench.set("x{a=\"1\"}", 1, at: 100)
    let group = bench.group([.record("y", "x * on () group_left () vector(1)")])
    await group.evaluate(at: 100)
    #expect(try await bench.query("y", at: 110).count == 1)
    let failing = bench.group([.record("y", "x + on () x")])
    failing.inherit(group)
    try bench.set("x{a=\"2\"}", 1, at: 120)
    await failing.evaluate(at: 120)
    #expect(failing.rules[0].status.health == .err)
    #expect(try await bench.query("y", at: 121).count == 1)
}

@Test func aSuccessorMarksWhatItNoLongerWrites() async throws {
    let bench = RuleBench()
    let before = bench.group([.record("a", "vector(1)"), .record("b", "vector(1)")])
    await before.evaluate(at: 100)
    let after = bench.group([.record("b", "vector(2)"), .record("c", "vector(1)")])
    after.inherit(before)
    await after.evaluate(at: 160)
    #expect(try await bench.query("a", at: 160).isEmpty)
    #expect(try await bench.query("b", at: 160).values.first == 2)
}

@Test func thePastIsFilledIn() async throws {
    let bench = RuleBench()
    for time in stride(from: Int64(0), through: 600, by: 60) {
        try bench.set("x{a=\"1\"}", Double(time), at: time)
    }
    var group = RuleGroupDefinition(name: "g", file: "f")
    group.labels = [RuleText("team", "blue")]
    group.rules = [
        .record("y", "x"), .alert("A", "x"), .record("z", "y * 2", [RuleText("a", "")]),
    ]
    let backfill = RuleBackfill(
        [group], queries: MemoryQueries(memory: bench.memory), sink: bench.memory)
    let outcome = try await backfill.run(start: 120_000, end: 300_000, step: 60_000)
    #expect(outcome.rules == 2)
    #expect(outcome.samples == 8)
    #expect(
        try await bench.query("z", at: 180) == ["{__name__=\"z\", team=\"blue\"}": 360])
    #expect(try await bench.query("z", at: 119).isEmpty)
    #expect(try await bench.query("ALERTS", at: 300).isEmpty)
    group.rules = [.record("bad", "x + on () (x or y)")]
    let failing = RuleBackfill(
        [group], queries: MemoryQueries(memory: bench.memory), sink: bench.memory)
    await #expect(throws: RuleBackfill.Failure.self) {
        try await failing.run(start: 120_000, end: 300_000, step: 60_000)
    }
    await #expect(throws: RuleQueryError.self) {
        try await failing.run(start: 0, end: 10_000_000, step: 1)
    }
}
