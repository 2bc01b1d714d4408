// SPDX-License-Identifier: Apache-2.0
// What `why` found.

import Base

/// Suspects, worst first, each with its place in the code and what speaks for it; every piece of
/// evidence has the query that shows it.
struct DiagnosisReport: Sendable {
    private let data: JSONValue
    private let terminal: TerminalTraits
    private let zone: ShownZone

    /// - Parameter data: `data` of `/api/v1/correlate/diagnose`.
    init(_ data: JSONValue, _ terminal: TerminalTraits, _ zone: ShownZone) {
        self.data = data
        self.terminal = terminal
        self.zone = zone
    }

    var lines: [StyledText] {
        var out: [StyledText] = []
        var head = StyledText("window ", .dim, terminal)
        head.add(stretch(data["window"]))
        head.add("  against ", .dim)
        head.add(stretch(data["baseline"]))
        let elapsed = data["elapsedSeconds"].double
        if elapsed.isFinite { head.add("  in " + axisText(elapsed) + " s", .dim) }
        out += wrapped(head, indent: 2)
        let suspects = data["suspects"].items
        if suspects.isEmpty { out.append(StyledText("nothing differs", .green, terminal)) }
        for suspect in suspects { out += self.lines(of: suspect) }
        let notes = data["coverage"]["notes"].items
        if !notes.isEmpty { out.append(StyledText(terminal)) }
        for note in notes { out += wrapped(StyledText(note.text, .dim, terminal), indent: 2) }
        return out
    }

    /// The terminal without its width: lines are wrapped already, and a query must not be cut.
    var unclipped: TerminalTraits {
        var terminal = terminal
        terminal.columns = .max
        return terminal
    }

    /// A row a suspect, for programs.
    var table: ResultTable {
        ResultTable(
            columns: [
                .init("rank", .right), .init("score", .right), .init("service"),
                .init("operation"), .init("code"), .init("resource"), .init("summary"),
            ],
            rows: data["suspects"].items.map { suspect in
                [
                    suspect["rank"].text, suspect["score"].text, suspect["service"].text,
                    suspect["operation"].text, code(suspect), suspect["resource"].text,
                    suspect["summary"].text,
                ]
            }, rawColumn: 6)
    }

    /// A number as short as an axis has it; any other text as it is.
    private func number(_ value: JSONValue) -> String {
        value.double.isNaN ? value.text : axisText(value.double)
    }

    /// Times come as nanoseconds, as seconds, or as RFC 3339, by whatever name.
    private func stretch(_ value: JSONValue) -> String {
        func moment(_ names: [String]) -> String {
            for name in names where !value[name].isNull {
                let text = value[name].text
                guard let number = Double(text) else { return text }
                let nanos = abs(number) > 1e17 ? value[name].int : Int64(clamping: number * 1e9)
                return zone.text(nanos: nanos, digits: 0)
            }
            return "?"
        }
        return moment(["start", "startUnixNano", "startTimeUnixNano"]) + ".."
            + moment(["end", "endUnixNano", "endTimeUnixNano"])
    }

    private func code(_ suspect: JSONValue) -> String {
        let range = suspect["codeRange"].items
        if range.count == 2 { return range[0]["raw"].text + " to " + range[1]["raw"].text }
        return suspect["code"]["raw"].text
    }

    private func lines(of suspect: JSONValue) -> [StyledText] {
        let score = suspect["score"].double
        var head = StyledText(suspect["rank"].text + ". ", .bold, terminal)
        head.add(suspect["service"].text, .boldRed)
        if !suspect["operation"].text.isEmpty { head.add("  " + suspect["operation"].text) }
        let code = code(suspect)
        if !code.isEmpty { head.add("  at " + code, .magenta) }
        if !suspect["resource"].text.isEmpty {
            head.add("  " + suspect["resource"].text, .yellow)
        }
        if score.isFinite {
            head.add("  score " + axisText(score), .dim)
            let threshold = data["incidentThreshold"].double
            if score < threshold { head.add(", too low for an incident", .dim) }
        }
        var out = [StyledText(terminal)] + wrapped(head, indent: 3)
        if !suspect["summary"].text.isEmpty {
            var summary = StyledText("   ", .plain, terminal)
            summary.add(suspect["summary"].text)
            out += wrapped(summary, indent: 3)
        }
        for evidence in suspect["evidence"].items {
            var line = StyledText(
                terminal.unicode ? "   • " : "   - ", .plain, terminal)
            line.add(padded(evidence["signal"].text, 8), .cyan)
            line.add(evidence["text"].text)
            let before = number(evidence["baseline"])
            let now = number(evidence["window"])
            if !before.isEmpty || !now.isEmpty {
                line.add("  \(before) \(terminal.unicode ? "→" : "->") \(now)", .bold)
            }
            out += wrapped(line, indent: 13)
            var query = StyledText("             ", .plain, terminal)
            query.add(evidence["query"].text, .dim)
            out += wrapped(query, indent: 13)
        }
        let traces = suspect["traceIDs"].items
        if !traces.isEmpty {
            var line = StyledText("     traces  ", .cyan, terminal)
            line.add(traces.prefix(5).map(\.text).joined(separator: " "))
            out += wrapped(line, indent: 13)
        }
        return out
    }

    /// A long line goes on below itself: queries are there to be copied whole.
    private func wrapped(_ line: StyledText, indent: Int) -> [StyledText] {
        guard terminal.isTerminal, line.width > terminal.columns, terminal.columns > indent + 8
        else { return [line] }
        var out: [StyledText] = []
        var current = StyledText(terminal)
        for run in line.runs {
            for character in run.text {
                if current.width + displayWidth(String(character)) > terminal.columns {
                    out.append(current)
                    current = StyledText(terminal)
                    current.pad(to: indent)
                }
                current.add(String(character), run.style)
            }
        }
        out.append(current)
        return out
    }
}
