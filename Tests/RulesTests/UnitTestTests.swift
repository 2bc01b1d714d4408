// SPDX-License-Identifier: Apache-2.0
// Tests of rules, tested.

import PromQL
import Telemetry
import Testing

@testable import Rules

private func group(_ rules: RuleDefinition..., name: String = "g") -> RuleGroupDefinition {
    var group = RuleGroupDefinition(name: name, file: "f")
    group.rules = rules
    return group
}

private func expression(
    _ text: String, at seconds: Int64, _ expected: (labels: String, value: Double)...
) -> RuleUnitTest.ExpressionCase {
    var item = RuleUnitTest.ExpressionCase()
    item.expression = text
    item.evalMillis = seconds * 1000
    item.expected = expected.map { labels, value in
        var sample = RuleUnitTest.ExpectedSample()
        sample.labels = labels
        sample.value = value
        return sample
    }
    return item
}

private func faults(
    _ test: RuleUnitTest, _ groups: [RuleGroupDefinition],
    _ settings: RuleUnitTestSettings = RuleUnitTestSettings()
) async throws -> [String] {
    var run = try RuleUnitTestRun(test, groups, settings)
    return await run.run()
}

@Test func expressionsAreCompared() async throws {
    var test = RuleUnitTest()
    test.input = [.init(series: "x{a=\"1\"}", values: "0+60x10")]
    test.expressionCases = [
        expression("r", at: 300, ("r{a=\"1\"}", 1)), expression("x", at: 300, ("x{a=\"1\"}", 300)),
        expression("1 + 1", at: 0, ("", 2)),
    ]
    let rules = group(.record("r", "rate(x[5m])"))
    #expect(try await faults(test, [rules]) == [])
    test.expressionCases = [expression("x", at: 300, ("x{a=\"1\"}", 299))]
    #expect(
        try await faults(test, [rules]) == [
            "    expr: \"x\", time: 5m,\n        exp: x{a=\"1\"} 299\n        got: x{a=\"1\"} 300"
        ])
}

@Test func ofASeriesGivenTwiceTheLastCounts() async throws {
    var test = RuleUnitTest()
    test.input = [
        .init(series: "x{a=\"1\"}", values: "1 2 3"), .init(series: "y", values: "9"),
        .init(series: "x{a=\"1\"}", values: "5 6"), .init(series: "x{a=\"1\"}", values: "7 8"),
    ]
    test.expressionCases = [
        expression("x", at: 0, ("x{a=\"1\"}", 7)), expression("x", at: 120, ("x{a=\"1\"}", 8)),
        expression("y", at: 0, ("y", 9)),
    ]
    #expect(try await faults(test, []) == [])
}

@Test func alertsAreCompared() async throws {
    var test = RuleUnitTest()
    test.input = [.init(series: "up{host=\"a\"}", values: "0x10")]
    let rules = group(
        .alert("Down", "up == 0", hold: 300, annotations: [RuleText("s", "{{ $labels.host }}")]))
    func item(at seconds: Int64, _ expected: [RuleUnitTest.ExpectedAlert]) -> RuleUnitTest.AlertCase
    {
        var item = RuleUnitTest.AlertCase()
        item.alert = "Down"
        item.evalMillis = seconds * 1000
        item.expected = expected
        return item
    }
    let expected = RuleUnitTest.ExpectedAlert(
        labels: [RuleText("host", "a")], annotations: [RuleText("s", "a")])
    test.alertCases = [item(at: 299, []), item(at: 330, [expected])]
    #expect(try await faults(test, [rules]) == [])
    test.alertCases = [item(at: 330, [])]
    let found = try await faults(test, [rules])
    #expect(found.count == 1)
    #expect(
        found[0].hasPrefix("    alertname: Down, time: 5m30s, \n        exp:[], \n        got:["))
}

@Test func failingRulesEndATest() async throws {
    var test = RuleUnitTest()
    test.input = [
        .init(series: "a{x=\"1\"}", values: "1"), .init(series: "b{x=\"1\"}", values: "1"),
        .init(series: "b{x=\"2\"}", values: "1"),
    ]
    let found = try await faults(test, [group(.record("j", "a + on () b"))])
    #expect(found.count == 1)
    #expect(found[0].hasPrefix("    rule: j, time: 0s, err: "))
}

@Test func evaluationsDoNotSeeTheFuture() async throws {
    var test = RuleUnitTest()
    test.input = [.init(series: "x", values: "1x20")]
    test.expressionCases = [expression("ahead", at: 0), expression("now", at: 0, ("now", 1))]
    #expect(
        try await faults(
            test, [group(.record("ahead", "x offset -5m"), .record("now", "x"))]
        ).isEmpty)
}

@Test func groupsFollowTheGivenOrder() async throws {
    var test = RuleUnitTest()
    test.expressionCases = [expression("b", at: 0, ("b", 2))]
    let groups = [
        group(.record("b", "a * 2"), name: "second"),
        group(.record("a", "vector(1)"), name: "first"),
    ]
    var settings = RuleUnitTestSettings()
    settings.groupOrder = ["first", "second"]
    #expect(try await faults(test, groups, settings).isEmpty)
    settings.groupOrder = ["second", "first"]
    #expect(try await faults(test, groups, settings).count == 1)
}

@Test func fuzzyMeansTheLastDigit() async throws {
    var test = RuleUnitTest()
    test.expressionCases = [expression("0.1 + 0.2", at: 0, ("", 0.3))]
    var settings = RuleUnitTestSettings()
    #expect(try await faults(test, [], settings).count == 1)
    settings.isFuzzy = true
    #expect(try await faults(test, [], settings) == [])
}

@Test func histogramsAreCompared() async throws {
    var test = RuleUnitTest()
    test.input = [.init(series: "h", values: "{{schema:0 sum:5 count:3 buckets:[1 2]}}")]
    var item = expression("h", at: 0)
    var sample = RuleUnitTest.ExpectedSample()
    sample.labels = "h"
    sample.histogram = "{{schema:0 sum:5 count:3 buckets:[1 2]}}"
    item.expected = [sample]
    test.expressionCases = [item]
    #expect(try await faults(test, []).isEmpty)
    test.expressionCases[0].expected[0].histogram = "{{schema:0 sum:5 count:3 buckets:[2 1]}}"
    #expect(try await faults(test, []).count == 1)
}
