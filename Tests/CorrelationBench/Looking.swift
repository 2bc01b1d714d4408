// SPDX-License-Identifier: Apache-2.0
// From trace ids to exemplars, log lines and spans.

import Base
import Correlation
import LogStore
import Storage
import Telemetry
import TestKit
import TraceStore

/// Look-ups as `correlate/trace/{id}` makes them.
struct Looking {
    let stores: Stores
    let traffic: Traffic

    private struct Found {
        var exemplars = 0, lines = 0, spans = 0
    }

    func run() throws {
        let turns = Main.number("BENCH_TURNS", 500)
        var chance = Chance(seed: 7, 1)
        let ids = (0..<turns).map { _ in chance.below(traffic.traces) }
        try check(ids.prefix(20))
        try show("a trace", ids.map { traffic.shape.traceID($0) })
        let step = 15_000_000_000 / Int(5_000_000)
        try show(
            "a trace with an exemplar",
            ids.map { traffic.shape.traceID($0 / step * step + $0 % 40) })
        try show(
            "an id that is nowhere",
            ids.map { _ in TraceID(high: chance.next(), low: chance.next()) })
    }

    private func look(_ id: TraceID) throws -> Found {
        let context = ReadContext()
        var found = Found()
        let refs = stores.index.index.traceRefs(id, tenant: .anonymous)
        found.exemplars = refs.exemplars.count
        for reference in LogReference.joined(refs.logs) {
            found.lines += try stores.logs.rows(
                ofTrace: id, tenant: .anonymous, streamHash: reference.streamHash,
                range: reference.range, context
            ).rowCount
        }
        found.spans = try stores.traces.trace(id, tenant: .anonymous, context).rowCount
        return found
    }

    /// Every line that was sent of some traces is found.
    private func check(_ traces: some Sequence<Int>) throws {
        for trace in traces {
            let id = traffic.shape.traceID(trace)
            let nanos =
                traffic.shape.timeline.startNanos
                + Int64(trace) * traffic.shape.timeline.traceEveryNanos
            let first = traffic.logShape.line(at: nanos)
            let last = traffic.logShape.line(
                at: nanos + traffic.shape.timeline.traceEveryNanos - 1)
            var wanted = 0
            let batches = first / traffic.logShape.batchLines...last / traffic.logShape.batchLines
            for batch in batches where batch * traffic.logShape.batchLines < traffic.lines {
                wanted += traffic.logShape.batch(batch, lines: traffic.lines).traceIDs
                    .count { $0 == id }
            }
            let found = try look(id)
            guard found.lines == wanted, found.spans > 0 else {
                throw Mismatch(text: "trace \(id): \(found) instead of \(wanted) lines")
            }
        }
    }

    private struct Mismatch: Error { var text: String }

    /// Prints the median and the 99th of a hundred, of wall and of processor time.
    private func show(_ name: String, _ ids: [TraceID]) throws {
        let clock = SystemClock()
        var walls: [Int64] = [], cpus: [Double] = []
        var sum = Found()
        for id in ids {
            let cpu = cpuSeconds(), wall = clock.monotonicNanos
            let found = try look(id)
            walls.append((clock.monotonicNanos - wall) / 1000)
            cpus.append(cpuSeconds() - cpu)
            sum.exemplars += found.exemplars
            sum.lines += found.lines
            sum.spans += found.spans
        }
        walls.sort()
        cpus.sort()
        let n = ids.count
        func each(_ count: Int) -> Double { Double(count * 10 / n) / 10 }
        print(
            "\(name): \(each(sum.spans)) spans, \(each(sum.lines)) lines,",
            "\(each(sum.exemplars)) exemplars; p50 \(walls[n / 2]) us, p99 \(walls[n * 99 / 100]) us,",
            "CPU p50 \(Int(cpus[n / 2] * 1e6)) us, p99 \(Int(cpus[n * 99 / 100] * 1e6)) us")
    }
}
