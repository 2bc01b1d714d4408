// SPDX-License-Identifier: Apache-2.0
// Rules over samples in memory.

import Base
import Ingest
import PromQL
import Synchronization
import Telemetry
import TestKit

@testable import Rules

/// Keeps what it receives.
final class AlertBox: AlertReceiving {
    private let box = Mutex<[OutgoingAlert]>([])
    func receive(_ alerts: [OutgoingAlert]) { box.withLock { $0 += alerts } }
    /// What came since the last call.
    func take() -> [OutgoingAlert] {
        box.withLock { all in
            defer { all = [] }
            return all
        }
    }
}

/// A memory, a clock and what a group needs to run on them.
struct RuleBench {
    let memory = SampleMemory()
    let clock = ManualClock(wallNanos: 1_000_000_000_000)
    let alerts = AlertBox()

    var environment: RuleEnvironment {
        var environment = RuleEnvironment(
            queries: MemoryQueries(memory: memory), sink: memory, clock: clock, receiver: alerts)
        environment.surroundings.externalURL = "http://tern.example"
        return environment
    }

    /// - Parameter seconds: since the epoch.
    func set(_ series: String, _ value: Double, at seconds: Int64) throws {
        var batch = MetricBatch()
        let labels = try parseSeriesNotation(series + " _").labels
        batch.addSample(series: batch.addSeries(labels), millis: seconds * 1000, value: value)
        memory.add(batch)
    }

    func query(_ text: String, at seconds: Int64) async throws -> [String: Double] {
        let samples = try await MemoryQueries(memory: memory).run(as: .anonymous) {
            try $0.query(text, .promql, atNanos: seconds * 1_000_000_000, windowMillis: 0)
        }
        var result: [String: Double] = [:]
        for sample in samples {
            if case .float(let value) = sample.value { result[sample.labels.description] = value }
        }
        return result
    }

    func group(
        _ rules: [RuleDefinition], limit: Int = 0, offsetMillis: Int64 = 0, restores: Bool = false
    ) -> RuleGroup {
        var group = RuleGroupDefinition(name: "g", file: "f.yml")
        group.rules = rules
        group.limit = limit
        group.queryOffsetMillis = offsetMillis
        return RuleGroup(group, environment, restores: restores)
    }
}

extension RuleGroup {
    func evaluate(at seconds: Int64) async { await evaluate(atNanos: seconds * 1_000_000_000) }
}

extension RuleDefinition {
    static func record(_ name: String, _ expression: String, _ labels: [RuleText] = []) -> Self {
        var rule = RuleDefinition()
        rule.record = name
        rule.expression = expression
        rule.labels = labels
        return rule
    }

    static func alert(
        _ name: String, _ expression: String, hold: Int64 = 0, keep: Int64 = 0,
        labels: [RuleText] = [], annotations: [RuleText] = []
    ) -> Self {
        var rule = RuleDefinition()
        rule.alert = name
        rule.expression = expression
        rule.holdMillis = hold * 1000
        rule.keepFiringMillis = keep * 1000
        rule.labels = labels
        rule.annotations = annotations
        return rule
    }
}
