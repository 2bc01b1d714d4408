// SPDX-License-Identifier: Apache-2.0
// The life of alerts.

import PromQL
import Telemetry
import Testing

@testable import Rules

@Test func pendingThenFiringThenResolved() async throws {
    let bench = RuleBench()
    let group = bench.group([
        .alert(
            "Down", "up == 0", hold: 120, labels: [RuleText("severity", "page")],
            annotations: [RuleText("summary", "{{ $labels.host }} is at {{ $value }}")])
    ])
    try bench.set("up{host=\"a\"}", 0, at: 100)
    await group.evaluate(at: 100)
    var active = group.rules[0].activeAlerts
    #expect(active.map(\.state) == [.pending])
    #expect(active[0].annotations == [RuleText("summary", "a is at 0")])
    #expect(bench.alerts.take().isEmpty)
    #expect(
        try await bench.query("ALERTS", at: 100) == [
            "{__name__=\"ALERTS\", alertname=\"Down\", alertstate=\"pending\", host=\"a\", "
                + "severity=\"page\"}": 1
        ])
    await group.evaluate(at: 160)
    #expect(group.rules[0].alertState == .pending)
    await group.evaluate(at: 220)
    active = group.rules[0].activeAlerts
    #expect(active.map(\.state) == [.firing])
    #expect(active[0].activeAtNanos == 100_000_000_000)
    // The pending series has ended with the step.
    #expect(try await bench.query("ALERTS{alertstate=\"pending\"}", at: 220).isEmpty)
    #expect(try await bench.query("ALERTS_FOR_STATE", at: 220).values.first == 100)

    let sent = bench.alerts.take()
    #expect(sent.count == 1)
    #expect(sent[0].labels["alertname"] == "Down")
    #expect(sent[0].startsAtNanos == 220_000_000_000)
    #expect(sent[0].endsAtNanos == 460_000_000_000)
    #expect(sent[0].generatorURL == "http://tern.example/graph?g0.expr=up+%3D%3D+0&g0.tab=1")

    try bench.set("up{host=\"a\"}", 1, at: 230)
    await group.evaluate(at: 280)
    #expect(group.rules[0].activeAlerts.isEmpty)
    let resolved = bench.alerts.take()
    #expect(resolved.map(\.endsAtNanos) == [280_000_000_000])
    #expect(resolved.map(\.startsAtNanos) == [220_000_000_000])
    #expect(try await bench.query("ALERTS", at: 280).isEmpty)
}

@Test func resolvedAlertsAreSentForAQuarterOfAnHour() async throws {
    let bench = RuleBench()
    let group = bench.group([.alert("A", "x > 0")])
    try bench.set("x", 1, at: 1000)
    await group.evaluate(at: 1000)
    try bench.set("x", 0, at: 1060)
    await group.evaluate(at: 1060)
    _ = bench.alerts.take()
    var times: [Int64] = []
    for time in stride(from: Int64(1120), through: 2200, by: 60) {
        await group.evaluate(at: time)
        if !bench.alerts.take().isEmpty { times.append(time) }
    }
    // More than the resend delay after the last time: every other evaluation.
    #expect(times == [1180, 1300, 1420, 1540, 1660, 1780, 1900])
}

@Test func firingAlertsAreSentAgainAfterTheDelay() async throws {
    let bench = RuleBench()
    let group = bench.group([.alert("A", "vector(1)")])
    var times: [Int64] = []
    for time in stride(from: Int64(1000), through: 1120, by: 15) {
        await group.evaluate(at: time)
        if !bench.alerts.take().isEmpty { times.append(time) }
    }
    #expect(times == [1000, 1075])
}

@Test func keepsFiring() async throws {
    let bench = RuleBench()
    let group = bench.group([.alert("A", "x > 0", keep: 120)])
    try bench.set("x", 1, at: 1000)
    await group.evaluate(at: 1000)
    try bench.set("x", 0, at: 1060)
    await group.evaluate(at: 1060)
    #expect(group.rules[0].activeAlerts.map(\.keepFiringSinceNanos) == [1_060_000_000_000])
    await group.evaluate(at: 1120)
    #expect(group.rules[0].alertState == .firing)
    await group.evaluate(at: 1180)
    #expect(group.rules[0].alertState == .inactive)
}

@Test func labelsMayCollide() async throws {
    let bench = RuleBench()
    try bench.set("x{a=\"1\"}", 1, at: 100)
    try bench.set("x{a=\"2\"}", 1, at: 100)
    let group = bench.group([.alert("A", "x", labels: [RuleText("a", "same")])])
    await group.evaluate(at: 100)
    #expect(
        group.rules[0].status.lastError
            == "vector contains metrics with the same labelset after applying alert labels")
    #expect(bench.alerts.take().isEmpty)
    let limited = bench.group([.alert("A", "x")], limit: 1)
    await limited.evaluate(at: 100)
    #expect(limited.rules[0].status.lastError == "exceeded limit of 1 with 2 alerts")
    #expect(limited.rules[0].activeAlerts.isEmpty)
}

@Test(arguments: [
    // Down for a minute: what remains of the hour goes on.
    (down: Int64(60), firesAt: Int64(10_000 + 3600 + 60)),
    // Had almost fired: the grace period.
    (down: Int64(3550), firesAt: Int64(10_000 + 3550 + 600)),
])
func theTimeWaitedSurvivesARestart(down: Int64, firesAt: Int64) async throws {
    let bench = RuleBench()
    try bench.set("x", 1, at: 9_990)
    // Written by an earlier process until it went down.
    let wasUpFor = down == 60 ? Int64(1800) : 3500
    try bench.set("ALERTS_FOR_STATE{alertname=\"A\"}", 10_000, at: 10_000 + wasUpFor)
    let back = 10_000 + wasUpFor + (down == 60 ? 60 : 50)
    for time in stride(from: back - 60, through: back + 4000, by: 60) {
        try bench.set("x", 1, at: time)
    }
    let group = bench.group([.alert("A", "x", hold: 3600)], restores: true)
    await group.evaluate(at: back - 60)
    // Nothing is written before the earlier state is known.
    #expect(try await bench.query("ALERTS", at: back - 60).isEmpty)
    await group.restore(atNanos: back * 1_000_000_000)
    #expect(group.rules[0].isRestored)
    await group.evaluate(at: firesAt - 1)
    #expect(group.rules[0].alertState == .pending)
    await group.evaluate(at: firesAt)
    #expect(group.rules[0].alertState == .firing)
}

@Test func staleStateIsNotTakenUp() async throws {
    let bench = RuleBench()
    try bench.set("ALERTS_FOR_STATE{alertname=\"A\"}", 10, at: 1000)
    try bench.set("ALERTS_FOR_STATE{alertname=\"A\"}", StaleMarker.value, at: 1060)
    let group = bench.group([.alert("A", "vector(1)", hold: 3600)], restores: true)
    await group.evaluate(at: 1200)
    await group.restore(atNanos: 1_200_000_000_000)
    #expect(group.rules[0].activeAlerts.map(\.activeAtNanos) == [1_200_000_000_000])
}
