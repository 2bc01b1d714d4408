// SPDX-License-Identifier: Apache-2.0
// A diagnosis as text.

import Base
import Testing

@testable import Shell

private let answer = """
    {"window":{"startTimeUnixNano":"1796061600000000000","endTimeUnixNano":"1796061660000000000"},
    "baseline":{"startTimeUnixNano":"1796061540000000000",
    "endTimeUnixNano":"1796061600000000000"},"suspects":[{"rank":1,"service":"payment",
    "operation":"Charge","code":{"file":"p.go","line":88,"function":null,"raw":"p.go:88"},
    "codeRange":null,"resource":"dependency","score":0.93,"summary":"Charge takes 40 times as long.",
    "evidence":[{"signal":"traces","text":"p95 of Charge in seconds","language":"traceql",
    "query":"{ name = \\"Charge\\" } | quantile_over_time(duration, .95)",
    "baseline":0.0213456,"window":0.8612345}],"traceIDs":["ab","cd"]},
    {"rank":2,"service":"x","score":0.1,"evidence":[],"traceIDs":[]}],
    "incidentThreshold":0.5,"coverage":{"notes":["3 of 10 lines have a trace"]},
    "elapsedSeconds":0.25}
    """

@Test func suspectsAreShownWithTheirEvidence() throws {
    var terminal = TerminalTraits.plain
    terminal.unicode = false
    let data = try JSONValue(parsing: Array(answer.utf8))
    let text = DiagnosisReport(data, terminal, .utc).lines.map(\.plain).joined(separator: "\n")
    #expect(
        text == """
            window 2026-11-30T18:00:00Z..2026-11-30T18:01:00Z  against \
            2026-11-30T17:59:00Z..2026-11-30T18:00:00Z  in 0.25 s

            1. payment  Charge  at p.go:88  dependency  score 0.93
               Charge takes 40 times as long.
               - traces  p95 of Charge in seconds  0.0213 -> 0.861
                         { name = "Charge" } | quantile_over_time(duration, .95)
                 traces  ab cd

            2. x  score 0.1, too low for an incident

            3 of 10 lines have a trace
            """)
}

@Test func queriesOfEvidenceAreNeverCut() throws {
    let narrow = TerminalTraits(isTerminal: true, columns: 40, colour: true, unicode: true)
    let data = try JSONValue(parsing: Array(answer.utf8))
    let report = DiagnosisReport(data, narrow, .utc)
    #expect(report.lines.allSatisfy { $0.width <= 40 })
    let joined = report.lines.map { $0.plain.filter { $0 != " " } }.joined()
    #expect(joined.contains("{name=\"Charge\"}|quantile_over_time(duration,.95)"))
    #expect(report.table.rows[0][4] == "p.go:88")
}

@Test func nothingDiffersIsSaid() throws {
    let data = try JSONValue(parsing: Array("{\"suspects\":[]}".utf8))
    let lines = DiagnosisReport(data, .plain, .utc).lines.map(\.plain)
    #expect(lines.last == "nothing differs")
}
