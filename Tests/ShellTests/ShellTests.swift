// SPDX-License-Identifier: Apache-2.0
// Tables on terminals, times and durations as typed.

import Testing

@testable import Shell

@Test func narrowTerminalsCutTextBeforeTimes() {
    let table = ResultTable(
        columns: [.init("time", isWhole: true), .init("line")],
        rows: [["2026-11-24T07:44:12Z", "a line that is far too long for this"]])
    let terminal = TerminalTraits(isTerminal: true, columns: 40, colour: false, unicode: true)
    #expect(
        table.rendered(.table, terminal)
            == "TIME                  LINE\n2026-11-24T07:44:12Z  a line that is fa…\n")
    // Where nothing else is left to cut, times give way too.
    let narrow = TerminalTraits(isTerminal: true, columns: 20, colour: false, unicode: false)
    #expect(table.rendered(.table, narrow) == "TIME        LINE\n2026-11-2~  a line ~\n")
}

@Test func wideCharactersAlign() {
    let table = ResultTable(
        columns: [.init("app"), .init("n", .right)], rows: [["日本", "1"], ["shop", "12"]])
    #expect(table.rendered(.table, .plain) == "APP    N\n日本   1\nshop  12\n")
}

@Test func textFromDataCannotDriveATerminal() {
    let table = ResultTable(columns: [.init("line")], rows: [["\u{1b}[31mred\u{202e}\t\n"]])
    let terminal = TerminalTraits(isTerminal: true, columns: 80, colour: true, unicode: true)
    for mode in [OutputMode.table, .raw, .tsv, .markdown] {
        let text = table.rendered(mode, terminal)
        #expect(text.contains(#"\x1b[31mred\u{202e}\t\n"#), "\(mode): \(text)")
    }
}

@Test func timesAreAsWideAsEachOther() {
    #expect(timeText(0) == "1970-01-01T00:00:00.000000000Z")
    #expect(timeText(1_795_507_452_100_000_000) == "2026-11-24T08:04:12.100000000Z")
    #expect(timeText(-1) == "1969-12-31T23:59:59.999999999Z")
}

@Test func durationsArePrometheusOwn() {
    #expect(shellDuration("15m") == 900)
    #expect(shellDuration("1h30m") == 5400)
    #expect(shellDuration("0") == 0)
    for wrong in ["", "15", "m", "30m1h", "soon"] { #expect(shellDuration(wrong) == nil) }
}

@Test func languagesAreToldFromTheText() {
    let cases: [(String, QueryLanguage)] = [
        ("rate(x[5m])", .metrics), ("up", .metrics), ("sum(up{a=\"{\"})", .metrics),
        ("{app=\"x\"} |= \"y\"", .logs),
        ("{app=\"x\"}", .logs), ("sum(rate({app=\"x\"}[5m]))", .logs),
        ("{ status = error }", .traces), ("{ span.http.method = \"GET\" }", .traces),
        ("{.a = 1} >> {duration > 1s}", .traces),
    ]
    for (text, language) in cases { #expect(detectLanguage(text) == language, "\(text)") }
}

@Test func keysEditTheLine() {
    var editor = EditorState(history: History(path: nil))
    for character in "vectr(1)" { _ = editor.apply(.text(String(character))) }
    for _ in 0..<4 { _ = editor.apply(.left) }
    _ = editor.apply(.text("o"))
    #expect(editor.apply(.enter) == .done(.line("vector(1)")))
    #expect(editor.apply(.control("c")) == .done(.interrupted))
    _ = editor.apply(.control("a"))
    _ = editor.apply(.control("k"))
    #expect(editor.apply(.control("d")) == .done(.ended))
    _ = editor.apply(.control("y"))
    #expect(editor.apply(.enter) == .done(.line("vector(1)")))
}
