// SPDX-License-Identifier: Apache-2.0
// Traces as tables and as a waterfall.

/// Table of a search answer.
func traceTable(_ answer: JSONValue, unicode: Bool) -> ResultTable {
    ResultTable(
        columns: [
            .init("trace"), .init("start"), .init("duration", .right), .init("service"),
            .init("name"), .init("matched", .right),
        ],
        rows: answer["traces"].items.map { trace in
            let spans = trace["spanSets"].items.first ?? trace["spanSet"]
            return [
                trace["traceID"].text, timeText(trace["startTimeUnixNano"].int),
                trace["durationMs"].text.isEmpty
                    ? "" : spanText(trace["durationMs"].int * 1_000_000, unicode: unicode),
                trace["rootServiceName"].text, trace["rootTraceName"].text,
                spans["matched"].text,
            ]
        })
}

/// A trace drawn as a waterfall with the log lines of each span under it. Spans on the critical path
/// have a mark, and those with children their self time.
///
/// - Parameter data: `data` of `/api/v1/correlate/trace/{id}`.
func waterfall(_ data: JSONValue, _ terminal: TerminalTraits) -> String {
    let spans = data["spans"].items
    let logs = data["logs"].items
    let start = data["startTimeUnixNano"].int
    let duration = max(1, data["endTimeUnixNano"].int - start)
    var out = "trace \(data["traceID"].text)  \(spanText(duration, unicode: terminal.unicode))  "
    out += "\(data["spanCount"].text) spans  \(data["errorCount"].text) errors  "
    out += harmless("\(data["rootService"].text) \(data["rootName"].text)") + "\n"
    if spans.contains(where: { $0["criticalPathNanos"].int > 0 }) {
        out += "(\(pathMark(terminal)) on the critical path)\n"
    }

    var children: [String: [Int]] = [:]
    let ids = Set(spans.map { $0["spanID"].text })
    for (index, span) in spans.enumerated() {
        let parent = span["parentSpanID"].text
        children[ids.contains(parent) ? parent : "", default: []].append(index)
    }
    let bar = max(16, min(48, (terminal.isTerminal ? terminal.columns : 120) / 3))
    var drawn: Set<Int> = []
    // Depth-first over an explicit stack: a trace may be deeper than the call stack.
    var stack = (children[""] ?? []).reversed().map { (index: $0, depth: 0) }
    while let (index, depth) = stack.popLast() {
        guard drawn.insert(index).inserted else { continue }
        let span = spans[index]
        out += spanLine(span, depth, start, duration, bar, terminal)
        for log in logs where log["spanID"].text == span["spanID"].text {
            out += logLine(log, depth + 1, bar)
        }
        for child in (children[span["spanID"].text] ?? []).reversed() {
            stack.append((child, depth + 1))
        }
    }
    for log in logs where !ids.contains(log["spanID"].text) { out += logLine(log, 0, bar) }
    for exemplar in data["exemplars"].items {
        out += String(repeating: " ", count: bar + 2) + "exemplar "
        out += harmless(seriesText(exemplar["labels"])) + " " + exemplar["value"].text + "\n"
    }
    if data["partial"] == .bool(true) { out += "(partial: some of the data could not be read)\n" }
    return out
}

private func pathMark(_ terminal: TerminalTraits) -> String { terminal.unicode ? "◆" : "*" }

private func spanLine(
    _ span: JSONValue, _ depth: Int, _ start: Int64, _ duration: Int64, _ bar: Int,
    _ terminal: TerminalTraits
) -> String {
    let offset = max(0, span["startTimeUnixNano"].int - start)
    let length = max(0, span["durationNanos"].int)
    let from = min(bar - 1, Int(Double(offset) / Double(duration) * Double(bar)))
    let cells = max(1, min(bar - from, Int(Double(length) / Double(duration) * Double(bar))))
    let full = terminal.unicode ? "█" : "#"
    let drawing =
        String(repeating: " ", count: from) + String(repeating: full, count: cells)
        + String(repeating: " ", count: bar - from - cells)
    let failed = span["status"].text == "error"
    var text = String(repeating: "  ", count: min(depth, 24))
    if span["criticalPathNanos"].int > 0 { text += pathMark(terminal) + " " }
    text += harmless("\(span["service"].text) \(span["name"].text)")
    text += "  " + spanText(length, unicode: terminal.unicode)
    let own = span["selfTimeNanos"].int
    if !span["selfTimeNanos"].isNull, own < length {
        text += " (self " + spanText(own, unicode: terminal.unicode) + ")"
    }
    if failed {
        let message = span["statusMessage"].text
        text += "  ERROR" + (message.isEmpty ? "" : ": " + harmless(message))
    }
    let code = span["code"]["raw"].text
    if !code.isEmpty { text += "  at " + harmless(code) }
    if terminal.colour {
        return (failed ? "\u{1b}[31m" : "\u{1b}[36m") + drawing + "\u{1b}[0m  " + text + "\n"
    }
    return drawing + "  " + text + "\n"
}

private func logLine(_ log: JSONValue, _ depth: Int, _ bar: Int) -> String {
    let level = log["structuredMetadata"]["detected_level"].text
    let time = timeText(log["timestampUnixNano"].int).dropFirst(11).dropLast(7)
    return String(repeating: " ", count: bar + 2) + String(repeating: "  ", count: min(depth, 24))
        + "· \(time) \(level.isEmpty ? "" : level + " ")\(harmless(log["line"].text))\n"
}
