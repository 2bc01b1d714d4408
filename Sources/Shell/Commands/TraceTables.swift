// SPDX-License-Identifier: Apache-2.0
// Traces as tables.

import Base

/// Table of a search answer.
func traceTable(_ answer: JSONValue, _ terminal: TerminalTraits, _ zone: ShownZone) -> ResultTable {
    let traces = answer["traces"].items
    return ResultTable(
        columns: [
            .init("trace", isWhole: true), .init("start"), .init("duration", .right),
            .init("service"), .init("name"), .init("matched", .right),
        ],
        rows: zip(traces, startTexts(traces, terminal, zone)).map { trace, start in
            let spans = trace["spanSets"].items.first ?? trace["spanSet"]
            return [
                trace["traceID"].text, start,
                trace["durationMs"].text.isEmpty
                    ? ""
                    : spanText(
                        trace["durationMs"].int.multipliedClamping(1_000_000),
                        unicode: terminal.unicode),
                trace["rootServiceName"].text, trace["rootTraceName"].text,
                spans["matched"].text,
            ]
        })
}

/// Table of trace summaries, as the correlation paths have them. For people errors are told as a
/// share of the spans, so that ids stay whole on narrow terminals.
func summaryTable(
    _ traces: [JSONValue], _ terminal: TerminalTraits, _ zone: ShownZone
) -> ResultTable {
    let isForPeople = terminal.isTerminal
    let counts: [ResultTable.Column] =
        isForPeople
        ? [.init("errors", .right)] : [.init("spans", .right), .init("errors", .right)]
    return ResultTable(
        columns: [
            .init("trace", isWhole: true), .init("start"), .init("duration", .right),
            .init("service"), .init("name"),
        ] + counts,
        rows: zip(traces, startTexts(traces, terminal, zone)).map { trace, start in
            let spans = trace["spanCount"].text
            let errors = trace["errorCount"].text
            return [
                trace["traceID"].text, start,
                spanText(trace["durationNanos"].int, unicode: terminal.unicode),
                trace["rootService"].text, trace["rootName"].text,
            ] + (isForPeople ? [errors + "/" + spans] : [spans, errors])
        })
}

/// When traces began: in full for programs; for people without the day when it is the same for all.
private func startTexts(
    _ traces: [JSONValue], _ terminal: TerminalTraits, _ zone: ShownZone
) -> [String] {
    let times = traces.map { $0["startTimeUnixNano"].int }
    guard terminal.isTerminal else { return times.map { zone.text(nanos: $0) } }
    let days = Set(times.map { zone.text(nanos: $0, digits: 0).prefix(10) })
    return times.map { zone.shortText(nanos: $0, day: days.count > 1, seconds: true) }
}

/// A span a row, for programs.
func spanTable(_ data: JSONValue) -> ResultTable {
    ResultTable(
        columns: [
            "spanID", "parentSpanID", "service", "name", "kind", "start", "durationNanos",
            "selfTimeNanos", "criticalPathNanos", "status", "code",
        ].map { .init($0) },
        rows: data["spans"].items.map { span in
            [
                span["spanID"].text, span["parentSpanID"].text, span["service"].text,
                span["name"].text, span["kind"].text,
                timeText(span["startTimeUnixNano"].int), span["durationNanos"].text,
                span["selfTimeNanos"].text, span["criticalPathNanos"].text,
                span["status"].text, span["code"]["raw"].text,
            ]
        })
}

extension Int64 {
    /// The product, or the end of the range it runs over.
    func multipliedClamping(_ other: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? ((self < 0) == (other < 0) ? .max : .min) : product
    }

    /// The difference, or the end of the range it runs over.
    func subtractingClamping(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? (self < 0 ? .min : .max) : difference
    }
}
