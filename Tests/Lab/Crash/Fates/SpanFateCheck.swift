// SPDX-License-Identifier: Apache-2.0
// Judging traces whose spans came late.

import Base
import Shell
import Telemetry
import TestKit

/// Reads traces back from a server: every acknowledged span once, and self times that are those of
/// the whole trace, whatever of it was stored before.
struct SpanFateCheck: Sendable {
    let run: SpanFateRun
    let client: LabClient

    /// - Parameter traces: which to read.
    func check(_ traces: Range<Int>, _ note: (String) -> Void) async throws -> FateVerdict {
        var verdict = FateVerdict()
        let ledger = run.ledger
        for trace in traces {
            let found = try await spans(of: trace)
            check(trace, found, ledger, &verdict, note)
        }
        return verdict
    }

    /// Traces that have had a part since a batch, or all.
    func traces(since batch: Int) -> Range<Int> {
        let end = (run.ledger.end + SpanFateRun.parts - 1) / SpanFateRun.parts
        return min(end, max(0, batch / SpanFateRun.parts - 250))..<end
    }

    private struct Found {
        var id: String
        var selfNanos: Int64
    }

    private func spans(of trace: Int) async throws -> [Found] {
        let answer = try await client.get(
            "/api/v1/correlate/trace/\(run.traceID(trace))", [("include", "spans")])
        if answer.status == 404 { return [] }
        guard answer.isSuccess else {
            throw LabError("a late trace was answered \(answer.status): \(answer.text)")
        }
        return try JSONValue(parsing: answer.body)["data"]["spans"].items.map {
            Found(id: $0["spanID"].text, selfNanos: Int64($0["selfTimeNanos"].text) ?? -1)
        }
    }

    private func check(
        _ trace: Int, _ found: [Found], _ ledger: BatchLedger, _ verdict: inout FateVerdict,
        _ note: (String) -> Void
    ) {
        var counts: [String: Int] = [:]
        for span in found { counts[span.id, default: 0] += 1 }
        var present = SpanColumns()
        for part in 0..<SpanFateRun.parts {
            let state = ledger[run.batch(trace: trace, part: part)]
            let spans = run.spans(trace, part: part)
            let there = spans.spanIDs.count { counts[$0.description] != nil }
            verdict.present += there
            if state == .acknowledged { verdict.lost += spans.rowCount - there }
            if state != .acknowledged, there > 0, there < spans.rowCount { verdict.torn += 1 }
            if state == .unsent { verdict.phantom += there }
            if there < spans.rowCount, state == .acknowledged {
                note("trace \(trace) has \(there) spans of part \(part)")
            }
            if there == spans.rowCount { present.add(spans) }
        }
        let surplus = found.count - present.ids.count
        if surplus > 0 {
            verdict.phantom += surplus
            note("trace \(trace) has \(found.count) spans, \(present.ids.count) were sent")
            return
        }
        let structure = present.structure
        var wanted: [String: Int64] = [:]
        for (row, id) in present.ids.enumerated() {
            wanted[id.description] = structure.selfTimeNanos[row]
        }
        let wrong = found.count { wanted[$0.id] != $0.selfNanos }
        if wrong > 0 {
            verdict.phantom += wrong
            note("trace \(trace) has \(wrong) wrong self times")
        }
    }
}

/// Spans of several batches.
private struct SpanColumns {
    private(set) var ids: [SpanID] = []
    private var parents: [SpanID] = []
    private var starts: [Int64] = []
    private var ends: [Int64] = []
    private var kinds: [UInt8] = []

    mutating func add(_ batch: SpanBatch) {
        ids += batch.spanIDs
        parents += batch.parentIDs
        starts += batch.startNanos
        ends += batch.endNanos
        kinds += batch.kinds
    }

    var structure: SpanStructure {
        SpanStructure(
            spanIDs: ids, parentIDs: parents, starts: starts, ends: ends, kinds: kinds)
    }
}
