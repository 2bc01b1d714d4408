// SPDX-License-Identifier: Apache-2.0
// Judging what is left of lines that do not stay.

import Base
import Telemetry
import TestKit

/// Reads the lines of the fates back from a server.
struct LogFateCheck: Sendable {
    let run: LogFateRun
    let client: LabClient
    /// Lines per query; a moment has two.
    private static let pageLines = 5000

    func check(_ note: (String) -> Void) async throws -> [FateVerdict] {
        var verdicts: [FateVerdict] = []
        for fate in LogFate.allCases {
            var verdict = FateVerdict()
            try await check(fate, &verdict) { note("lines, " + $0) }
            if !verdict.isSound { note("lines, \(fate): \(verdict)") }
            verdicts.append(verdict)
        }
        return verdicts
    }

    /// A line of the answer.
    private struct Line: Hashable {
        var nanos: Int64
        var kind: String
        var text: String
    }

    private func check(
        _ fate: LogFate, _ verdict: inout FateVerdict, _ note: (String) -> Void
    ) async throws {
        let ledger = run.ledger(fate)
        let end = ledger.batches.end
        guard end > 0 else { return }
        /// The batch and the line of a text, by what was sent.
        var sent: [Line: (batch: Int, kind: Int)] = [:]
        var range = (first: Int64.max, last: Int64.min)
        for batch in 0..<end {
            for (number, kind) in LogFateRun.kinds.enumerated() {
                for line in 0..<LogFateRun.half {
                    let nanos = run.nanos(
                        fate, batch: batch, millis: ledger.millis[batch], line: line)
                    range = (min(range.first, nanos), max(range.last, nanos))
                    let text = run.text(fate, batch: batch, kind: kind, line: line)
                    sent[Line(nanos: nanos, kind: kind, text: text)] = (batch, number)
                }
            }
        }
        var found = [[Int]](repeating: [Int](repeating: 0, count: end), count: 2)
        try await read(fate, range.first, range.last + 1) { line in
            // Taking it out makes a second copy one too many.
            guard let place = sent.removeValue(forKey: line) else {
                verdict.phantom += 1
                note("\(fate): \(line.nanos) \(line.text) was never sent, or is there twice")
                return
            }
            found[place.kind][place.batch] += 1
        }
        let now = SystemClock().wallNanos / 1_000_000
        for batch in 0..<end {
            verdict.judge(
                found[0][batch], found[1][batch], of: LogFateRun.half,
                isAcknowledged: ledger.batches[batch] == .acknowledged,
                mayExpire: fate == .short && ledger.millis[batch] + FateShape.shortMillis <= now,
                ledger.deletions[batch]
            ) { note("\(fate) batch \(batch) \($0)") }
        }
    }

    /// Pages through the lines in order of time.
    private func read(
        _ fate: LogFate, _ start: Int64, _ end: Int64, _ take: (Line) -> Void
    ) async throws {
        var from = start
        while from < end {
            let answer = try await client.get(
                "/loki/api/v1/query_range",
                [
                    ("query", "{app=\"lab-fate\", fate=\"\(fate)\"}"), ("start", String(from)),
                    ("end", String(end)), ("direction", "forward"),
                    ("limit", String(Self.pageLines)),
                ])
            guard answer.isSuccess else {
                throw LabError("the lines were answered \(answer.status): \(answer.text)")
            }
            let json = try CorpusJSON(parsing: answer.body)
            var lines: [Line] = []
            for stream in json["data"]?["result"]?.array ?? [] {
                let kind = stream["stream"]?["kind"]?.string ?? ""
                for value in stream["values"]?.array ?? [] {
                    guard let nanos = value.array.first?.string.flatMap({ Int64($0) }),
                        let text = value.array.dropFirst().first?.string
                    else { throw LabError("a line that is no pair") }
                    lines.append(Line(nanos: nanos, kind: kind, text: text))
                }
            }
            guard lines.count >= Self.pageLines, let last = lines.map(\.nanos).max() else {
                for line in lines { take(line) }
                return
            }
            // The other line of the last moment may be on the next page.
            for line in lines where line.nanos < last { take(line) }
            from = last
        }
    }
}
