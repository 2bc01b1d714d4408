// SPDX-License-Identifier: Apache-2.0
// Observations without the first half of the window.

import Telemetry

/// A copy in which the window only has the traces that begin in its second half, and the way back from
/// its rows.
struct SecondHalf {
    private(set) var observations: Observations
    /// Rows of the original, by row of the copy.
    private let rows: [Int]

    init(_ original: Observations, from middle: Int64) {
        observations = original
        let spans = original.spans
        var isWanted = [Bool](repeating: true, count: spans.traceIDs.count)
        for row in 0..<spans.count
        where spans.stretches[row] == .window && spans.starts[row] < middle {
            isWanted[Int(spans.traces[row])] = false
        }
        rows = observations.spans.keep(traces: isWanted)
        observations.spans.link()
        var copies = [Int32](repeating: -1, count: spans.count)
        for (copy, row) in rows.enumerated() { copies[row] = Int32(copy) }
        var lines = LineTable()
        lines.statements = original.lines.statements.map { statement in
            var statement = statement
            statement.counts.window = statement.lateCount
            return statement
        }
        for (line, span) in original.lines.spans.enumerated() where copies[Int(span)] >= 0 {
            lines.spans.append(copies[Int(span)])
            lines.statementOf.append(original.lines.statementOf[line])
            lines.nanos.append(original.lines.nanos[line])
            lines.failures.append(original.lines.failures[line])
        }
        lines.lineCounts = original.lines.lineCounts
        for service in lines.lineCounts.keys {
            lines.lineCounts[service]?.window = original.lines.lateLineCounts[service] ?? 0
        }
        observations.lines = lines
    }

    /// Findings with rows of the original. Two looks find more by chance than one.
    func mapped(_ findings: [Finding]) -> [Finding] {
        findings.map { finding in
            var finding = finding
            finding.rows = finding.rows.map { Int32(rows[Int($0)]) }
            finding.scale(by: 0.9)
            finding.isLate = true
            return finding
        }
    }
}
