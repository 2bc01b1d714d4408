// SPDX-License-Identifier: Apache-2.0
// The built-in rules: quiet is silent, a fault fires within minutes.

import Base
import Telemetry
import Testing

@testable import Rules

/// Services with their counters, a minute at a time.
private struct Town {
    let bench = RuleBench()
    let group: RuleGroup
    /// Seconds since the epoch.
    let start: Int64 = 10_000_000
    private var counters: [String: Double] = [:]
    /// First minute at which an alert fired, by `alert/service`.
    private(set) var fired: [String: Int64] = [:]

    init() { group = RuleGroup(WatchRules.group(tenant: .anonymous), bench.environment) }

    private mutating func count(_ series: String, _ increase: Double, at time: Int64) throws {
        let value = counters[series, default: 0] + increase
        counters[series] = value
        try bench.set(series, value, at: time)
    }

    /// One minute of a service.
    mutating func serve(
        _ service: String, minute: Int64, requests: Double, errors: Double, slow: Double
    ) throws {
        let time = start + minute * 60
        let labels = "service=\"\(service)\",span_kind=\"SPAN_KIND_SERVER\""
        for (code, number) in [
            ("STATUS_CODE_UNSET", requests - errors), ("STATUS_CODE_ERROR", errors),
        ] {
            try count(
                "traces_spanmetrics_calls_total{\(labels),status_code=\"\(code)\"}", number,
                at: time)
        }
        for (le, number) in [
            ("0.016", (requests - slow) / 2), ("0.032", requests - slow),
            ("0.064", requests - slow),
            ("1.024", requests), ("+Inf", requests),
        ] {
            try count("traces_spanmetrics_latency_bucket{\(labels),le=\"\(le)\"}", number, at: time)
        }
    }

    mutating func evaluate(minute: Int64) async {
        await group.evaluate(at: start + minute * 60 + 1)
        for rule in group.rules {
            for alert in rule.activeAlerts where alert.state == .firing {
                let name =
                    rule.name + "/" + (alert.labels["service"] ?? alert.labels["instance"] ?? "")
                if fired[name] == nil { fired[name] = minute }
            }
        }
    }

    var failures: [String] {
        group.rules.filter { $0.status.health == .err }.map { $0.name + $0.status.lastError }
    }
}

@Test func watchingRulesAreValid() {
    let group = WatchRules.group(tenant: .anonymous)
    for rule in group.rules { #expect(rule.faults() == [], "\(rule.name)") }
}

@Test func nothingFiresOnAFreshServer() async throws {
    var town = Town()
    for minute in 0..<5 { await town.evaluate(minute: Int64(minute)) }
    #expect(town.failures == [])
    #expect(town.fired.isEmpty)
    #expect(town.bench.memory.seriesCount == 0)
}

@Test func aFaultFiresWithinMinutesAndOnlyForItsService() async throws {
    var town = Town()
    for minute in Int64(0)..<75 {
        // Some unrest, always the same.
        let wave = Double((minute * 7) % 5)
        let isFaulty = minute >= 60
        try town.serve(
            "quiet", minute: minute, requests: 120 + wave * 10, errors: minute % 4 == 0 ? 3 : 1,
            slow: 2 + wave)
        try town.serve(
            "failing", minute: minute, requests: 120, errors: isFaulty ? 30 : 1, slow: 2)
        try town.serve(
            "slow", minute: minute, requests: 120 + wave, errors: 0,
            slow: isFaulty ? 60 : 2 + wave / 2)
        // All of it fails, but hardly anyone asks.
        try town.serve(
            "rare", minute: minute, requests: minute % 5 == 0 ? 1 : 0,
            errors: isFaulty && minute % 5 == 0 ? 1 : 0, slow: isFaulty && minute % 5 == 0 ? 1 : 0)
        await town.evaluate(minute: minute)
    }
    #expect(town.failures == [])
    #expect(town.fired.keys.sorted() == ["TernErrors/failing", "TernLatency/slow"])
    for (name, minute) in town.fired { #expect((61...66).contains(minute), "\(name): \(minute)") }
    let alert = try #require(town.bench.alerts.take().first { $0.labels["service"] == "failing" })
    let summary = alert.annotations.first { $0.name == "summary" }?.value ?? ""
    #expect(summary.contains("of the requests of failing fail"))
}

@Test func aServiceThatFailsFromTheFirstHasNoPast() async throws {
    var town = Town()
    for minute in Int64(0)..<25 {
        try town.serve("new", minute: minute, requests: 120, errors: 60, slow: 60)
        await town.evaluate(minute: minute)
    }
    #expect(town.fired.isEmpty)
}

/// What was so at this time yesterday is usual, though it was not so all day.
@Test(arguments: [true, false])
func thisTimeYesterdayIsAPastToo(wasSoYesterday: Bool) async throws {
    var town = Town()
    let now: Int64 = 26 * 60
    for minute in stride(from: Int64(0), to: now - 10, by: 2) {
        let isThen = wasSoYesterday && (now - 25 * 60..<now - 23 * 60).contains(minute)
        try town.bench.set(
            "tern_watch:error_ratio:rate5m{service=\"batch\"}", isThen ? 0.3 : 0.001,
            at: town.start + minute * 60)
    }
    for minute in now - 6...now + 4 {
        try town.serve("batch", minute: minute, requests: 100, errors: 30, slow: 0)
        await town.evaluate(minute: minute)
    }
    #expect(town.failures == [])
    #expect(town.fired.keys.sorted() == (wasSoYesterday ? [] : ["TernErrors/batch"]))
}

@Test func fewerRequestsThanYesterdayAreNoticed() async throws {
    var town = Town()
    let now: Int64 = 26 * 60
    for minute in stride(from: Int64(0), to: now - 10, by: 2) {
        for service in ["a", "b"] {
            try town.bench.set(
                "tern_watch:requests:rate5m{service=\"\(service)\"}", 2,
                at: town.start + minute * 60)
        }
    }
    for minute in now - 6...now + 9 {
        try town.serve("a", minute: minute, requests: 10, errors: 0, slow: 0)
        try town.serve("b", minute: minute, requests: 110, errors: 0, slow: 0)
        await town.evaluate(minute: minute)
    }
    #expect(town.fired.keys.sorted() == ["TernRequestsFell/a"])
}

@Test func whatWillRunOutIsNoticed() async throws {
    var town = Town()
    let giga = 1e9
    for minute in Int64(0)..<40 {
        let (time, step) = (town.start + minute * 60, Double(minute))
        for (instance, left) in [("full", 30 * giga - step * 0.2 * giga), ("calm", 30 * giga)] {
            let labels = "{fstype=\"ext4\",mountpoint=\"/\",instance=\"\(instance)\"}"
            try town.bench.set("node_filesystem_avail_bytes" + labels, left, at: time)
            try town.bench.set("node_filesystem_size_bytes" + labels, 100 * giga, at: time)
        }
        for (instance, used) in [("leak", 0.5 + step * 0.01), ("calm", 0.8)] {
            let labels = "{container=\"c\",pod=\"p\",instance=\"\(instance)\"}"
            try town.bench.set(
                "container_memory_working_set_bytes" + labels, used * giga, at: time)
            try town.bench.set("container_spec_memory_limit_bytes" + labels, giga, at: time)
            try town.bench.set(
                "process_open_fds{instance=\"\(instance)\"}", used * 1000, at: time)
            try town.bench.set("process_max_fds{instance=\"\(instance)\"}", 1000, at: time)
        }
        await town.evaluate(minute: minute)
    }
    #expect(town.failures == [])
    #expect(
        town.fired.keys.sorted() == [
            "TernDiskFills/full", "TernFilesRunOut/leak", "TernMemoryFills/leak",
        ])
}
