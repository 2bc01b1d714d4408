// SPDX-License-Identifier: Apache-2.0
// Comparing what a server answers with the ledger.

import Base
import Telemetry
import TestKit

/// What a check found, by signal.
struct CrashFindings: Sendable {
    var signals = [LedgerVerdict](repeating: LedgerVerdict(), count: CrashSignal.allCases.count)
    /// Traces whose spans and lines were looked up through the correlation index.
    var tracesLinked = 0
    /// Traces of which the correlation index gave other spans or lines than there are.
    var tracesMislinked = 0
    /// Traces that a search over the whole run names.
    var tracesSearched = 0
    /// First few things that were wrong, in words.
    var notes: [String] = []

    var isSound: Bool { signals.allSatisfy(\.isSound) && tracesMislinked == 0 }

    mutating func note(_ text: @autoclosure () -> String) {
        if notes.count < 20 { notes.append(text()) }
    }

    mutating func add(_ verdict: LedgerVerdict, _ signal: CrashSignal, batch: Int) {
        signals[signal.rawValue].add(verdict)
        if !verdict.isSound {
            note(
                "\(signal) batch \(batch): lost \(verdict.lost), phantom \(verdict.phantom), "
                    + "torn \(verdict.torn)")
        }
    }

    mutating func add(_ other: CrashFindings) {
        for (i, verdict) in other.signals.enumerated() { signals[i].add(verdict) }
        tracesLinked += other.tracesLinked
        tracesSearched += other.tracesSearched
        tracesMislinked += other.tracesMislinked
        for text in other.notes { note(text) }
    }
}

/// Batches of each signal that a check covers.
struct CrashWindow: Sendable {
    var metrics: Range<Int>
    var logs: Range<Int>
    var traces: Range<Int>
}

/// Reads a window of a run back and judges it.
struct CrashCheck: Sendable {
    let run: CrashRun
    let client: LabClient

    /// - Parameter lines: lines found per trace number so far; those of the window are added.
    func check(
        _ window: CrashWindow, lines: inout [Int: Set<Int64>]
    ) async throws -> CrashFindings {
        var findings = CrashFindings()
        try await checkMetrics(window.metrics, &findings)
        var touched = try await checkLogs(window.logs, &findings, lines: &lines)
        let spans = try await checkTraces(window.traces, &findings)
        let traces = run.traces.numbers(ofBatches: window.traces)
        touched.formUnion(traces)
        try await checkLinks(touched, window: traces, spans: spans, lines: lines, &findings)
        return findings
    }

    /// Runs work on parts of a list, eight at once, and hands the results over in any order.
    func concurrently<Part: Sendable, Result: Sendable>(
        _ parts: some Collection<Part>, _ work: @Sendable @escaping (Part) async throws -> Result,
        take: (Result) -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Result.self) { group in
            var rest = parts.makeIterator()
            for _ in 0..<8 {
                if let part = rest.next() { group.addTask { try await work(part) } }
            }
            while let result = try await group.next() {
                take(result)
                if let part = rest.next() { group.addTask { try await work(part) } }
            }
        }
    }
}

extension TraceShape {
    func numbers(ofBatches batches: Range<Int>) -> Range<Int> {
        batches.lowerBound * batchTraces..<batches.upperBound * batchTraces
    }
}
