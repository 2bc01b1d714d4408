// SPDX-License-Identifier: Apache-2.0
// Every span of a window, and what the correlation index says of its traces.

import Base
import Shell
import Telemetry
import TestKit
import Wire

/// What tells two spans of a trace apart, and what must come back with it.
private struct SpanFacts: Hashable {
    var id: SpanID
    var parent: SpanID
    var start: Int64
    var end: Int64
    var name: UInt64

    init(_ batch: SpanBatch, _ row: Int) {
        id = batch.spanIDs[row]
        parent = batch.parentIDs[row]
        start = batch.startNanos[row]
        end = batch.endNanos[row]
        name = batch.arena.withSlice(batch.names[row]) { hash64($0) }
    }
}

extension CrashCheck {
    /// Judges the spans of some batches and returns how many each trace has that has any.
    func checkTraces(
        _ batches: Range<Int>, _ findings: inout CrashFindings
    ) async throws -> [Int: Int] {
        let ledger = run.ledger(.traces)
        var spans: [Int: Int] = [:]
        try await concurrently(batches, { batch in try await spansFound(ofBatch: batch) }) {
            batch, expected, found, surplus in
            for (trace, count) in found where count > 0 { spans[trace] = count }
            findings.add(
                ledger.judge(
                    batch, expected: expected, found: found.values.reduce(0, +),
                    surplus: surplus), .traces, batch: batch)
        }
        return spans
    }

    private func spansFound(
        ofBatch index: Int
    ) async throws -> (batch: Int, expected: Int, found: [Int: Int], surplus: Int) {
        let shape = run.traces
        let sent = shape.batch(index)
        var rest: Set<SpanFacts> = []
        for row in 0..<sent.rowCount { rest.insert(SpanFacts(sent, row)) }
        var found: [Int: Int] = [:]
        var surplus = 0
        for trace in shape.traces(ofBatch: index) {
            let answer = try await client.get(
                "/api/traces/\(shape.traceID(trace))", accept: "application/protobuf")
            if answer.status == 404 { continue }
            guard answer.isSuccess else {
                throw LabError("trace \(trace) was answered \(answer.status): \(answer.text)")
            }
            let batch = try answer.body.withUnsafeBytes {
                try OTLPTraces.decodeProtobuf($0).batch
            }
            for row in 0..<batch.rowCount {
                if rest.remove(SpanFacts(batch, row)) == nil {
                    surplus += 1
                } else {
                    found[trace, default: 0] += 1
                }
            }
        }
        return (index, sent.rowCount, found, surplus)
    }

    /// Searches the whole run for traces that were never sent.
    func checkUnknownTraces(_ findings: inout CrashFindings) async throws {
        let shape = run.traces
        let count = run.ledger(.traces).end * shape.batchTraces
        let known = Set((0..<count).map { shape.traceID($0).description })
        // A search names 10,000 traces at most; a window has a tenth of that.
        let seconds = max(1, 1000 * shape.timeline.traceEveryNanos / 1_000_000_000)
        let first = shape.timeline.startNanos / 1_000_000_000
        let last = first + Int64(count) * shape.timeline.traceEveryNanos / 1_000_000_000 + 60
        var seen: Set<String> = []
        for start in stride(from: first, through: last, by: Int(seconds)) {
            let json = try await client.json(
                "/api/search",
                [
                    ("q", "{ resource.k8s.cluster.name = \"\(shape.timeline.cluster)\" }"),
                    ("start", String(start)), ("end", String(start + seconds)),
                    ("limit", "10000"), ("spss", "1"),
                ])
            for trace in json["traces"].items { seen.insert(trace["traceID"].text) }
        }
        findings.tracesSearched = seen.count
        for id in seen.subtracting(known).sorted() {
            findings.signals[CrashSignal.traces.rawValue].phantom += 1
            findings.note("trace \(id) was never sent")
        }
    }

    /// Asks the correlation index for traces and compares their spans and lines with those found.
    func checkLinks(
        _ traces: Set<Int>, window: Range<Int>, spans: [Int: Int], lines: [Int: Set<Int64>],
        _ findings: inout CrashFindings
    ) async throws {
        try await concurrently(traces.sorted(), { trace in (trace, try await links(of: trace)) }) {
            trace, links in
            findings.tracesLinked += 1
            // What spans an older trace has was judged with its own window.
            let expectedSpans = trace < window.lowerBound ? links.spans : spans[trace] ?? 0
            if links.spans != expectedSpans || links.lines != (lines[trace] ?? []).sorted() {
                findings.tracesMislinked += 1
                findings.note(
                    "trace \(run.traces.traceID(trace)): correlated \(links.spans) spans and "
                        + "\(links.lines.count) lines, there are \(expectedSpans) and "
                        + "\(lines[trace]?.count ?? 0)")
            }
        }
    }

    private func links(of trace: Int) async throws -> (spans: Int, lines: [Int64]) {
        let answer = try await client.get(
            "/api/v1/correlate/trace/\(run.traces.traceID(trace))")
        if answer.status == 404 { return (0, []) }
        guard answer.isSuccess else {
            throw LabError("trace \(trace) was answered \(answer.status): \(answer.text)")
        }
        let data = try JSONValue(parsing: answer.body)["data"]
        return (
            data["spans"].items.count,
            data["logs"].items.map { $0["timestampUnixNano"].int }.sorted()
        )
    }
}
