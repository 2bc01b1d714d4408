// SPDX-License-Identifier: Apache-2.0
// Hostile text in every form of output.

import Base
import Testing

@testable import Shell

/// What a terminal could obey, and what could hide or reorder text.
private let hostile = [
    "\u{1b}[31mred\u{1b}[0m", "\u{1b}]0;title\u{7}", "\u{1b}]52;c;ZXZpbA==\u{1b}\\",
    "\u{9b}2J", "\u{90}q#0\u{9c}", "a\u{0}b", "a\rb", "a\nb\n", "tab\there", "back\u{8}\u{8}",
    "\u{7f}\u{85}", "\u{202e}txet\u{202c}", "\u{2066}x\u{2069}", "\u{200b}\u{feff}\u{200d}",
    "line\u{2028}par\u{2029}", "\u{e0041}\u{e007f}", "e" + String(repeating: "\u{301}", count: 40),
    "\u{1b}[?1049h\u{1b}[6n\u{1b}c", "\u{ad}", "\u{61c}\u{180e}",
]

private let attack = hostile.joined()

/// The text without the sequences that our own styles make.
private func withoutStyles(_ text: String) -> String {
    var out = text
    for style in Style.allCases where style != .plain {
        out = out.replacing("\u{1b}[" + style.rawValue + "m", with: "")
    }
    return out.replacing("\u{1b}[0m", with: "")
}

private func dangerous(_ text: String) -> [Unicode.Scalar] {
    text.unicodeScalars.filter { scalar in
        if scalar == "\n" { return false }
        return switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }
}

private func terminal(_ unicode: Bool, _ colour: Bool, columns: Int = 80) -> TerminalTraits {
    TerminalTraits(isTerminal: true, columns: columns, colour: colour, unicode: unicode)
}

private func json(_ text: String) throws -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }

private func string(_ text: String) -> JSONValue { .string(text) }

private func object(_ members: [(String, JSONValue)]) -> JSONValue {
    .object(members.map { JSONMember(name: $0.0, value: $0.1) })
}

@Test(arguments: OutputMode.allCases, [true, false])
func noFormOfOutputLetsEscapesThrough(_ mode: OutputMode, _ colour: Bool) {
    for text in hostile + [attack] {
        let table = ResultTable(
            columns: [.init(text), .init("line")], rows: [[text, text], ["a", text]], rawColumn: 1)
        for vertical in [true, false] {
            var out = table.rendered(mode, terminal(true, colour), vertical: vertical)
            if mode == .tsv {
                // A tab between two columns, and no other.
                for line in out.split(separator: "\n") {
                    #expect(line.filter { $0 == "\t" }.count == 1)
                }
                out = out.replacing("\t", with: " ")
            }
            #expect(dangerous(withoutStyles(out)).isEmpty, "\(mode): \(out.debugDescription)")
        }
        let ascii = table.rendered(mode, terminal(false, colour))
        #expect(ascii.utf8.allSatisfy { $0 < 0x80 }, "\(mode): \(ascii.debugDescription)")
    }
}

@Test func noDrawingLetsEscapesThrough() throws {
    let labels = object([("__name__", string(attack)), (attack, string(attack))])
    let matrix = object([
        ("resultType", string("matrix")),
        (
            "result",
            .array([
                object([
                    ("metric", labels),
                    ("values", .array([.array([.number("1"), string("2")])])),
                ])
            ])
        ),
    ])
    let vector = object([
        ("resultType", string("vector")),
        (
            "result",
            .array([
                object([("metric", labels), ("value", .array([.number("1"), string(attack)]))])
            ])
        ),
    ])
    let span = object([
        ("spanID", string("a")), ("service", string(attack)), ("name", string(attack)),
        ("status", string("error")), ("statusMessage", string(attack)),
        ("durationNanos", string("10")), ("startTimeUnixNano", string("0")),
        ("code", object([("raw", string(attack))])),
    ])
    let log = object([
        ("timestampUnixNano", string("5")), ("line", string(attack)), ("spanID", string("a")),
        ("structuredMetadata", object([("detected_level", string(attack))])),
        ("labels", labels),
    ])
    let trace = object([
        ("traceID", string(attack)), ("spans", .array([span])), ("logs", .array([log])),
        ("rootService", string(attack)), ("rootName", string(attack)),
        ("endTimeUnixNano", string("10")), ("startTimeUnixNano", string("0")),
        ("exemplars", .array([object([("labels", labels), ("value", string(attack))])])),
    ])
    let service = object([
        ("name", string(attack)), ("namespace", string(attack)),
        ("instances", .array([string(attack)])),
        ("versions", .array([object([("version", string(attack))])])),
        ("operations", .array([object([("name", string(attack))])])),
        ("downstream", .array([object([("service", string(attack))])])),
        ("errorTraces", .array([object([("traceID", string(attack))])])),
        ("streams", .array([object([("labels", labels)])])),
        ("metricNames", .array([string(attack)])),
    ])
    let diagnosis = object([
        ("window", object([("start", string(attack))])),
        (
            "suspects",
            .array([
                object([
                    ("service", string(attack)), ("summary", string(attack)),
                    ("operation", string(attack)), ("code", object([("raw", string(attack))])),
                    ("resource", string(attack)), ("traceIDs", .array([string(attack)])),
                    (
                        "evidence",
                        .array([
                            object([
                                ("text", string(attack)), ("query", string(attack)),
                                ("signal", string(attack)), ("window", string(attack)),
                            ])
                        ])
                    ),
                ])
            ])
        ),
    ])
    let times = ChartTimes(startNanos: 0, endNanos: 10_000_000_000, stepSeconds: 1)
    let lines = [LogLine(nanos: 1, labels: labels, text: attack)]
    for traits in [terminal(true, true), terminal(false, false), terminal(true, true, columns: 20)]
    {
        var options = ShellOptions(client: ShellClient(url: "x"), terminal: traits)
        options.mode = .table
        var tail = TailView(options)
        let report = DiagnosisReport(diagnosis, traits, .utc)
        let texts = [
            metricChart(matrix, times, .utc, traits).rendered(traits),
            metricChart(vector, times, .utc, traits).rendered(traits),
            metricTable(matrix, .table, traits).rendered(.table, traits),
            metricTable(vector, .wide, traits).rendered(.wide, traits),
            Waterfall(trace, traits).lines.rendered(traits),
            ServicePage(service, seconds: 1, traits, .utc).text,
            report.lines.rendered(report.unclipped),
            ServiceTree(
                edges: [.init(parent: attack, child: attack + "b", callCount: 1)], seconds: 1
            ).lines(traits).rendered(traits),
            VolumeBars(
                levels: [.init(name: attack, counts: [1, 2])], startNanos: 0, endNanos: 1
            ).lines(traits).rendered(traits),
            logView(lines, .utc).table.rendered(.table, traits),
            tail.add(TailFrame(lines: lines, dropped: 0)),
            EditorView(
                prompt: StyledText(attack, .plain, traits), Array(attack), styles: [], cursor: 3,
                below: [StyledText(attack, .red, traits)], traits
            ).lines.rendered(traits),
            caretLines(attack, SyntaxFault(position: 2, message: attack), traits).rendered(traits),
            marked([attack], over: ["b"], traits).rendered(traits),
        ]
        for (index, text) in texts.enumerated() {
            #expect(dangerous(withoutStyles(text)).isEmpty, "\(index): \(text.debugDescription)")
            if !traits.unicode { #expect(text.utf8.allSatisfy { $0 < 0x80 }, "\(index): \(text)") }
        }
    }
}

@Test func bytesThatAreNotUTF8BecomeReplacementCharacters() throws {
    let bytes: [UInt8] = [0x22, 0x61, 0xff, 0xc3, 0x28, 0x9b, 0x33, 0x31, 0x6d, 0x22]
    let text = try JSONValue(parsing: bytes).text
    #expect(dangerous(harmless(text)).isEmpty)
    #expect(harmless(text).contains("\u{fffd}"))
}

@Test func jsonForTerminalsIsTheSameJSON() throws {
    let value = object([(attack, string(attack + "ü漢")), ("n", .number("1"))])
    let commands = ShellCommands(
        ShellOptions(client: ShellClient(url: "x"), terminal: terminal(false, false)))
    let text = commands.jsonText(value)
    #expect(text.utf8.allSatisfy { $0 < 0x7f && ($0 >= 0x20 || $0 == 0x0a) })
    #expect(try json(text) == value)
}

@Test func pipesGetWhatTheServerSent() {
    let table = ResultTable(columns: [.init("line")], rows: [["\u{1b}[31mü\u{202e}"]])
    for mode in [OutputMode.raw, .csv] {
        #expect(table.rendered(mode, .plain).contains("\u{1b}[31mü\u{202e}"))
    }
}

@Test func widthsAreThoseOfTerminals() {
    let cases: [(String, Int)] = [
        ("", 0), ("abc", 3), ("日本", 4), ("e\u{301}", 1), ("한국", 4), ("ｆｕｌｌ", 8), ("½", 1),
        ("🙂", 2), ("\u{1100}\u{1161}", 2), ("─█⣿", 3), ("é", 1),
    ]
    for (text, width) in cases { #expect(displayWidth(text) == width, "\(text)") }
    #expect(clipped("日本語", 5, unicode: true) == "日本…")
    #expect(clipped("日本語", 4, unicode: true) == "日…")
    #expect(padded("日", 4) == "日  ")
}

@Test func stacksOfMarksAreCut() {
    let text = harmless("e" + String(repeating: "\u{301}", count: 40) + "x")
    #expect(text.unicodeScalars.filter { $0 == "\u{301}" }.count == 4)
    #expect(text.hasSuffix("x"))
}

@Test func traitsComeFromTheEnvironment() {
    func traits(_ variables: [String: String]) -> TerminalTraits {
        Terminal.traits(rows: 24, columns: 80) { variables[$0] }
    }
    #expect(traits(["TERM": "xterm-256color", "LANG": "en_GB.UTF-8"]).colour)
    #expect(traits(["TERM": "xterm", "LC_ALL": "C", "LANG": "en_GB.UTF-8"]).unicode == false)
    #expect(traits(["TERM": "xterm", "NO_COLOR": "1"]).colour == false)
    #expect(traits(["TERM": "dumb", "LANG": "C.utf8"]).isDumb)
    #expect(traits([:]).isDumb)
}
