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

/// With helpers, threads hold parts of a query a little longer than it lasts.
@Test(arguments: [0, 2])
func endedQueriesLeaveNothingInTheSharedBudget(helpers: Int) throws {
    let store = fleet()
    var options = PromQLOptions()
    if helpers > 0 {
        options.slicing = .finest
        options.slicing.helpers = WorkerPool(name: "helper", threads: helpers, queueLimit: 0)
    }
    defer { options.slicing.helpers?.stop() }
    let engine = PromQLEngine(reader: store, options: options)
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
    options.slicing.helpers?.stop()
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

/// 500 series of one sample and one series of 40,000, a second apart.
private func crowd() -> InMemorySeries {
    var store = InMemorySeries()
    for number in 0..<500 {
        var columns = SampleColumns()
        columns.append(millis: 40_000_000, value: Double(number % 250))
        store.append(
            Labels([
                ("__name__", "one"), ("job", "j\(number % 7)"), ("n", "\(number)"),
                ("le", "\(number % 10)"),
            ]), columns)
    }
    var columns = SampleColumns()
    for second in 0..<40_000 {
        columns.append(millis: Int64(second) * 1000, value: Double(second % 977) + 0.5)
    }
    store.append(Labels([("__name__", "long")]), columns)
    return store
}

/// A query is to end soon after its client, so long loops look at the limits as they go, not only
/// once per series.
@Test func longLoopsLookAtTheLimits() throws {
    var options = PromQLOptions()
    options.parser.experimentalFunctions = true
    options.parser.fillModifiers = true
    let engine = PromQLEngine(reader: crowd(), options: options)
    let cases: [(String, steps: Int64, atLeast: Int)] = [
        ("sort(one)", 1, 1500), ("sort_by_label(one, \"n\")", 1, 1500),
        ("topk(500, one)", 50, 1600), ("quantile(0.5, one)", 50, 1050),
        ("count_values(\"v\", one)", 1, 1500), ("info(one)", 300, 3500),
        ("histogram_quantile(0.9, one)", 2, 2010),
        ("one + on (n) fill (1) one{n!~\"1.*\"}", 2, 2600),
        // Windows of 36,000 samples, a million or so at a time.
        ("stddev_over_time(long[10h])", 60, 8), ("sum_over_time(long[10h])", 60, 8),
        ("quantile_over_time(0.5, long[10h])", 3, 8),
    ]
    for (query, steps, atLeast) in cases {
        let clock = TickingClock()
        let context = ReadContext(timeoutSeconds: 1000, now: { clock.next() })
        _ = try engine.queryRange(
            query, start: Millis(40_000_000), end: Millis(40_000_000 + (steps - 1) * 1000),
            stepMillis: 1000, context: context)
        let looks = Int(clock.next())
        #expect(looks >= atLeast, "\(query) looked \(looks) times")
    }
}

/// A thread that helped may be the last to hold a slice, after its query has ended.
@Test func slicesGiveBackWhatTheyHoldWithTheirOperator() throws {
    let context = ReadContext()
    func scope() -> EvaluationScope {
        EvaluationScope(context: context, annotations: Annotations())
    }
    let slices = try (0..<2).map { number in
        let items = (0..<3).map { OutputSeries(Labels([("n", "\(number)-\($0)")])) }
        let scope = scope()
        try scope.reserveLabels(100)
        return Slice(
            ColumnsOperator(items, items.map { _ in StepColumn(steps: 50) }), steps: 50,
            scope: scope)
    }
    var sliced: SlicedOperator? = SlicedOperator(slices, series: 6, helpers: nil, scope: scope())
    #expect(try sliced?.series().count == 6)
    var column = StepColumn(steps: 50)
    try sliced?.next(into: &column)
    #expect(context.heldBytes > 200)
    sliced = nil
    #expect(context.heldBytes == 0)
    #expect(slices.count == 2)
}
