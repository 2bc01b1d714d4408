// SPDX-License-Identifier: Apache-2.0
// What finding spans costs.

import Base
import Telemetry
import TestKit
import TraceStore

/// Look-ups by id and searches over everything that was written.
struct Reading {
    let store: TraceStore
    let shape: TraceShape
    let traceCount: Int
    let seed: UInt64

    func run() throws {
        try byID()
        try absent()
        try search(
            "rare string, limit 20", limit: 20,
            [
                SpanCondition(
                    .attribute(.span, "http.response.status_code"), .equal, .int(503))
            ])
        try search(
            "common string, limit 20", limit: 20,
            [
                SpanCondition(.attribute(.span, "db.namespace"), .equal, .string("shop"))
            ])
        try search(
            "one number of many",
            [
                SpanCondition(.attribute(.span, "session.id"), .equal, .int(12_345))
            ])
        try search(
            "absent number",
            [
                SpanCondition(.attribute(.span, "session.id"), .equal, .int(77_345_678))
            ])
        try search(
            "absent string",
            [
                SpanCondition(.attribute(.span, "db.query.text"), .equal, .string("DROP TABLE x"))
            ])
        try search(
            "service and error, limit 20", limit: 20,
            [
                SpanCondition(.attribute(.resource, "service.name"), .equal, .string("payment")),
                SpanCondition(.intrinsic(.status), .equal, .int(2)),
            ])
        try search(
            "slow, limit 20", limit: 20,
            [
                SpanCondition(.intrinsic(.duration), .greater, .int(800_000_000))
            ])
        try search(
            "expression, limit 20", limit: 20,
            [
                SpanCondition(.attribute(.span, "db.query.text"), .matches, .string("INSERT .*"))
            ])
        try search(
            "any scope, limit 20", limit: 20,
            [
                SpanCondition(.attribute(.any, "thread.id"), .equal, .int(64))
            ])
    }

    private func byID() throws {
        var chance = Chance(seed: seed, 1)
        try show("by id", turns: 400) {
            let id = shape.traceID(chance.below(traceCount))
            return try store.trace(id, tenant: .anonymous, ReadContext()).rowCount
        }
    }

    private func absent() throws {
        var chance = Chance(seed: seed, 2)
        try show("absent id", turns: 400) {
            let id = TraceID(high: chance.next(), low: chance.next())
            return try store.trace(id, tenant: .anonymous, ReadContext()).rowCount
        }
    }

    private func search(_ name: String, limit: Int = .max, _ conditions: [SpanCondition]) throws {
        let request = SpanRequest(tenant: .anonymous, range: .all, conditions: conditions)
        try show("search: \(name)", turns: 11) {
            var rows = 0
            try store.search(request, ReadContext()) { batch in
                rows += batch.rowCount
                return rows < limit
            }
            return rows
        }
    }

    /// Prints the median and the 99th of a hundred, of wall and of processor time.
    private func show(_ name: String, turns: Int, _ body: () throws -> Int) throws {
        let clock = SystemClock()
        var walls: [Int64] = [], cpus: [Double] = []
        var rows = 0
        _ = try body()
        for _ in 0..<turns {
            let cpu = cpuSeconds(), wall = clock.monotonicNanos
            rows += try body()
            walls.append(clock.monotonicNanos - wall)
            cpus.append(cpuSeconds() - cpu)
        }
        walls.sort()
        cpus.sort()
        func micros(_ nanos: Int64) -> Int64 { nanos / 1000 }
        print(
            "\(name): \(rows / turns) rows, p50 \(micros(walls[turns / 2])) us,",
            "p99 \(micros(walls[turns * 99 / 100])) us,",
            "CPU p50 \(Int(cpus[turns / 2] * 1e6)) us")
    }
}
