// SPDX-License-Identifier: Apache-2.0
// Queries that are ended, and what they leave behind.

import Base
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import PromQL

/// Sixty series of ten minutes.
private func fleet() -> InMemorySeries {
    var store = InMemorySeries()
    for number in 0..<60 {
        var columns = SampleColumns()
        for minute in 0...10 {
            columns.append(millis: Int64(minute) * 60_000, value: Double(number * minute))
        }
        store.append(
            Labels([
                ("__name__", "x_total"), ("n", "\(number)"), ("le", "\(number % 10)"),
                ("mode", "m\(number % 8)"),
            ]), columns)
    }
    return store
}

private let queries = [
    "x_total", "rate(x_total[5m])", "sum by (mode) (rate(x_total[5m]))",
    "topk(3, x_total)", "quantile(0.9, x_total)", "x_total * on (n) x_total",
    "x_total and on (n) x_total", "histogram_quantile(0.9, x_total)",
    #"label_replace(x_total, "to", "$1", "n", "(.*)")"#,
    "max_over_time(rate(x_total[2m])[5m:30s])", "count_values(\"v\", x_total)",
]

@Test func endedQueriesLeaveNothingInTheSharedBudget() throws {
    let store = fleet()
    let engine = PromQLEngine(reader: store)
    let budget = ReadBudget(limitBytes: 1 << 40)
    var ended = 0
    for round in 0..<1000 {
        // The clock steps at each check: the deadline falls on another place each time.
        let clock = TickingClock()
        let context = ReadContext(
            timeoutSeconds: Double(round * 7 % 90 + 1) / 1e9, budget: budget,
            now: { clock.next() })
        budget.enter(context)
        defer { budget.leave(context) }
        do {
            _ = try engine.queryRange(
                queries[round % queries.count], start: Millis(0), end: Millis(600_000),
                stepMillis: 60_000, context: context)
        } catch is QueryInterruption {
            ended += 1
        }
    }
    #expect(ended > 500)
    #expect(budget.heldBytes == 0)
}

/// A clock that advances by a nanosecond whenever it is read.
private final class TickingClock: Sendable {
    private let ticks = Atomic<Int64>(0)
    func next() -> Int64 { ticks.wrappingAdd(1, ordering: .relaxed).newValue }
}

@Test func queriesBeyondTheirMemoryNameTheLimitAndTheRemedy() throws {
    let engine = PromQLEngine(reader: fleet())
    var faults: [String] = []
    for query in queries {
        let context = ReadContext(memoryLimitBytes: 6_000)
        do {
            _ = try engine.queryRange(
                query, start: Millis(0), end: Millis(600_000), stepMillis: 1000,
                context: context)
            faults.append("\(query) held \(context.peakBytes) bytes and was let through")
        } catch let error as QueryInterruption {
            if !error.description.contains("6000")
                || !error.description.contains("--query.memory-limit")
            {
                faults.append("\(query): \(error)")
            }
        }
    }
    #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
}
