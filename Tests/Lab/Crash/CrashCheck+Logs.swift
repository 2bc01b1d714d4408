// SPDX-License-Identifier: Apache-2.0
// Every line of a window, byte by byte.

import Base
import Telemetry
import TestKit

extension CrashCheck {
    private struct Line {
        var nanos: Int64
        var hash: UInt64
        var pod: String
    }
    /// Lines per query.
    private static let pageLines = 5000

    /// Judges the lines of some batches and returns the numbers of the traces they belong to.
    func checkLogs(
        _ batches: Range<Int>, _ findings: inout CrashFindings, lines: inout [Int: Set<Int64>]
    ) async throws -> Set<Int> {
        guard !batches.isEmpty else { return [] }
        let shape = run.logs
        let ledger = run.ledger(.logs)
        var touched: Set<Int> = []
        var found: [Int: [Line]] = [:]
        let last = shape.lines(ofBatch: batches.upperBound - 1).upperBound
        try await readLines(
            from: shape.timeline.startNanos
                + Int64(shape.lines(ofBatch: batches.lowerBound).lowerBound)
                * shape.lineEveryNanos,
            to: shape.timeline.startNanos + Int64(last) * shape.lineEveryNanos
        ) { line in
            found[shape.line(at: line.nanos) / shape.batchLines, default: []].append(line)
        }
        for index in batches {
            let sent = shape.batch(index)
            var rest: [Int64: Int] = [:]
            for row in 0..<sent.rowCount { rest[sent.nanos[row]] = row }
            var right = 0
            var surplus = 0
            for line in found.removeValue(forKey: index) ?? [] {
                // Removing it makes a second copy surplus.
                guard let row = rest.removeValue(forKey: line.nanos),
                    sent.arena.withSlice(sent.lines[row], { hash64($0) }) == line.hash,
                    sent.arena.labels(sent.streams[Int(sent.rowStreams[row])])["pod"] == line.pod
                else {
                    surplus += 1
                    continue
                }
                right += 1
                if !sent.traceIDs[row].isZero {
                    let trace = Int(
                        (line.nanos - shape.timeline.startNanos) / shape.timeline.traceEveryNanos)
                    touched.insert(trace)
                    lines[trace, default: []].insert(line.nanos)
                }
            }
            findings.add(
                ledger.judge(index, expected: sent.rowCount, found: right, surplus: surplus),
                .logs, batch: index)
        }
        for (batch, rows) in found {
            findings.add(
                ledger.judge(batch, expected: 0, found: 0, surplus: rows.count), .logs,
                batch: batch)
        }
        return touched
    }

    /// Pages through the run's lines in order of time.
    private func readLines(
        from start: Int64, to end: Int64, _ take: (Line) -> Void
    ) async throws {
        var from = start
        while from < end {
            let answer = try await client.get(
                "/loki/api/v1/query_range",
                [
                    ("query", "{cluster=\"\(run.logs.timeline.cluster)\"}"),
                    ("start", String(from)), ("end", String(end)), ("direction", "forward"),
                    ("limit", String(Self.pageLines)),
                ])
            guard answer.isSuccess else {
                throw LabError("the lines were answered \(answer.status): \(answer.text)")
            }
            var count = 0
            var last = from
            try answer.body.withUnsafeBytes { bytes in
                var reader = JSONReader(bytes)
                try reader.members { name, reader in
                    guard name.equals("data") else { return false }
                    try reader.members { name, reader in
                        guard name.equals("result") else { return false }
                        try reader.elements { reader in
                            for line in try Self.lines(&reader) {
                                count += 1
                                last = max(last, line.nanos)
                                take(line)
                            }
                        }
                        return true
                    }
                    return true
                }
            }
            if count < Self.pageLines { return }
            from = last + 1
        }
    }

    /// Lines of one stream of an answer.
    private static func lines(_ reader: inout JSONReader) throws -> [Line] {
        var lines: [Line] = []
        var pod = ""
        var scratch: [UInt8] = []
        try reader.members { name, reader in
            if name.equals("stream") {
                try reader.members { name, reader in
                    guard name.equals("pod") else { return false }
                    pod = try reader.string().string
                    return true
                }
            } else if name.equals("values") {
                try reader.elements { reader in
                    try reader.beginArray()
                    _ = try reader.nextElement()
                    let nanos = try reader.int64OrString()
                    _ = try reader.nextElement()
                    let hash = try reader.string().withBytes(scratch: &scratch) { hash64($0) }
                    while try reader.nextElement() { _ = try reader.skipValue() }
                    lines.append(Line(nanos: nanos, hash: hash, pod: ""))
                }
            } else {
                return false
            }
            return true
        }
        for i in lines.indices { lines[i].pod = pod }
        return lines
    }
}
