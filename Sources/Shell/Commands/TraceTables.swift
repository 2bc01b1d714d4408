// SPDX-License-Identifier: Apache-2.0
// Traces as tables.

/// Table of a search answer.
func traceTable(_ answer: JSONValue, _ terminal: TerminalTraits, _ zone: ShownZone) -> ResultTable {
    ResultTable(
        columns: [
            .init("trace", isWhole: true), .init("start", isWhole: true), .init("duration", .right),
            .init("service"), .init("name"), .init("matched", .right),
        ],
        rows: answer["traces"].items.map { trace in
            let spans = trace["spanSets"].items.first ?? trace["spanSet"]
            return [
                trace["traceID"].text,
                startText(trace["startTimeUnixNano"].int, terminal, zone),
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

/// Table of trace summaries, as the correlation paths have them.
func summaryTable(
    _ traces: [JSONValue], _ terminal: TerminalTraits, _ zone: ShownZone
) -> ResultTable {
    ResultTable(
        columns: [
            .init("trace", isWhole: true), .init("start", isWhole: true), .init("duration", .right),
            .init("service"), .init("name"), .init("spans", .right), .init("errors", .right),
        ],
        rows: traces.map { trace in
            [
                trace["traceID"].text,
                startText(trace["startTimeUnixNano"].int, terminal, zone),
                spanText(trace["durationNanos"].int, unicode: terminal.unicode),
                trace["rootService"].text, trace["rootName"].text, trace["spanCount"].text,
                trace["errorCount"].text,
            ]
        })
}

/// When a trace began: in full for programs, as short as it can be for people.
private func startText(_ nanos: Int64, _ terminal: TerminalTraits, _ zone: ShownZone) -> String {
    terminal.isTerminal
        ? zone.shortText(nanos: nanos, day: true, seconds: true) : zone.text(nanos: nanos)
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
