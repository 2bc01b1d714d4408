// SPDX-License-Identifier: Apache-2.0
// Groups of tenants: whose data they read and write.

import Base
import Ingest
import PromQL
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Rules

/// Samples by tenant.
private final class TenantMemories: RuleQueries, RuleSink {
    private let memories = Mutex<[Tenant: SampleMemory]>([:])

    func memory(of tenant: Tenant) -> SampleMemory {
        memories.withLock { memories in
            let memory = memories[tenant] ?? SampleMemory()
            memories[tenant] = memory
            return memory
        }
    }

    func run<T: Sendable>(
        as tenant: Tenant, _ work: @escaping @Sendable (any RuleQuerying) throws -> T
    ) async throws -> T {
        try await MemoryQueries(memory: memory(of: tenant)).run(as: tenant, work)
    }

    func write(
        metrics batch: MetricBatch, tenant: Tenant
    ) async throws(IngestError) -> MetricWriteReport {
        try await memory(of: tenant).write(metrics: batch, tenant: tenant)
    }

    func values(_ text: String, of tenant: Tenant, at nanos: Int64) async throws -> [Double] {
        try await run(as: tenant) {
            try $0.query(text, .promql, atNanos: nanos, windowMillis: 0)
        }.map {
            if case .float(let value) = $0.value { value } else { .nan }
        }
    }
}

private func group(_ tenant: String, _ rules: RuleDefinition...) -> RuleGroupDefinition {
    var group = RuleGroupDefinition(name: "g", file: "f")
    group.intervalMillis = 10_000
    group.tenant = Tenant(tenant)
    group.rules = rules
    return group
}

@Test func groupsReadAndWriteTheirTenantsData() async throws {
    let bench = RuleBench()
    let memories = TenantMemories()
    var environment = bench.environment
    environment.queries = memories
    environment.sink = memories
    let (red, blue) = (Tenant("red"), Tenant("blue"))
    let nanos = bench.clock.wallNanos
    for (tenant, value) in [(red, 1.0), (blue, 2.0)] {
        var batch = MetricBatch()
        let labels = Labels([("__name__", "x")])
        batch.addSample(
            series: batch.addSeries(labels), millis: nanos / 1_000_000, value: value)
        memories.memory(of: tenant).add(batch)
    }
    let one = RuleGroup(group("red", .record("a", "x"), .alert("A", "x == 2")), environment)
    await one.evaluate(atNanos: nanos)
    #expect(try await memories.values("a", of: red, at: nanos) == [1])
    #expect(try await memories.values("a", of: blue, at: nanos) == [])
    #expect(one.rules[1].activeAlerts.isEmpty)
    let other = RuleGroup(group("blue", .alert("A", "x == 2")), environment)
    await other.evaluate(atNanos: nanos)
    #expect(other.rules[0].activeAlerts.count == 1)
    #expect(try await memories.values("ALERTS", of: blue, at: nanos) == [1])
    #expect(try await memories.values("ALERTS", of: red, at: nanos) == [])
}

@Test func aGroupOfAnotherTenantIsAnotherGroup() async throws {
    let bench = RuleBench()
    let memories = TenantMemories()
    var environment = bench.environment
    environment.queries = memories
    environment.sink = memories
    let (red, blue) = (Tenant("red"), Tenant("blue"))
    let ruler = Ruler()
    let rule = RuleDefinition.alert("A", "vector(1)")
    ruler.apply([group("red", rule)], environment)
    func has(_ tenant: Tenant) async throws -> Bool {
        try await memories.values("ALERTS", of: tenant, at: bench.clock.wallNanos) == [1]
    }
    try await wait(bench.clock) { try await has(red) }
    ruler.apply([group("blue", rule)], environment)
    // The alert does not move, and what it wrote for the first tenant is marked stale there.
    #expect(ruler.groups[0].rules[0].activeAlerts.isEmpty)
    try await wait(bench.clock) {
        let isBlue = try await has(blue)
        let isRed = try await has(red)
        return isBlue && !isRed
    }
    await ruler.shutDown()
}

@Test func durationsAreThoseOfTheLastMinutes() {
    let distribution = DurationDistribution()
    let minute: Int64 = 60_000_000_000
    func quantiles(at minutes: Int64) -> [Double] {
        distribution.snapshot(quantiles: [0.5, 1], atMonotonicNanos: minutes * minute).quantiles
    }
    let none = quantiles(at: 0)
    #expect(none[0].isNaN && none[1].isNaN)
    for nanos in 1...100 {
        distribution.observe(nanos: Int64(nanos) * 1_000_000, atMonotonicNanos: 0)
    }
    let early = quantiles(at: 9)
    #expect(abs(early[0] / 0.05 - 1) < 0.01)
    #expect(abs(early[1] / 0.1 - 1) < 0.01)
    distribution.observe(nanos: 5_000_000_000, atMonotonicNanos: 9 * minute)
    let late = quantiles(at: 10)
    #expect(abs(late[0] / 5 - 1) < 0.01)
    let all = distribution.snapshot(quantiles: [], atMonotonicNanos: 100 * minute)
    #expect(all.count == 101)
    #expect(abs(all.seconds - 10.05) < 1e-9)
    #expect(all.buckets == [10, 90, 0, 1, 0])
    let gone = quantiles(at: 100)
    #expect(gone[0].isNaN && gone[1].isNaN)
    // A clock or a duration that makes no sense is counted all the same.
    distribution.observe(nanos: .max, atMonotonicNanos: .max)
    distribution.observe(nanos: -5, atMonotonicNanos: .min)
    #expect(distribution.snapshot(quantiles: [1], atMonotonicNanos: .max).count == 103)
}
