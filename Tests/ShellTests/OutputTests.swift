// SPDX-License-Identifier: Apache-2.0
// Forms of output, the pager, live views, and LogQL over local lines.

import Base
import TestKit
import Testing

@testable import Shell

private func terminal(_ columns: Int, rows: Int = 24, unicode: Bool = true) -> TerminalTraits {
    var traits = TerminalTraits(
        isTerminal: true, columns: columns, colour: false, unicode: unicode)
    traits.rows = rows
    return traits
}

@Test func tablesThatAreTooWideBecomeBlocks() {
    let table = ResultTable(
        columns: (0..<8).map { .init("column\($0)") },
        rows: [(0..<8).map { "a value of some length \($0)" }])
    let text = table.rendered(.table, terminal(80))
    #expect(text.hasPrefix("─── 1 ───"))
    #expect(text.contains("column7  a value of some length 7\n"))
    #expect(!table.rendered(.table, terminal(80), vertical: false).contains("───"))
    #expect(!table.rendered(.table, terminal(200)).contains("───"))
    #expect(!table.rendered(.table, .plain).contains("───"))
    // Long cells go on below themselves.
    let long = ResultTable(
        columns: [.init("a"), .init("b")], rows: [["x", String(repeating: "y", count: 30)]])
    #expect(
        long.rendered(.table, terminal(20), vertical: true)
            == "─── 1 ───\na  x\nb  " + String(repeating: "y", count: 17) + "\n   "
            + String(repeating: "y", count: 13) + "\n")
}

@Test func logfmtQuotesWhatNeedsIt() {
    let table = ResultTable(
        columns: [.init("log lines"), .init("b"), .init("c")],
        rows: [["1", "two words", ""], ["a=b", "say \"x\"", "\n"]])
    #expect(
        table.rendered(.logfmt, .plain) == """
            log_lines=1 b="two words"
            log_lines="a=b" b="say \\"x\\"" c=\\n

            """)
}

@Test func labelsThatAllLinesHaveAreToldOnce() throws {
    let json = """
        {"result":[{"stream":{"app":"shop","pod":"a"},"values":[["2","two"]]},
        {"stream":{"app":"shop","pod":"b","level":"error"},"values":[["1","one"]]}]}
        """
    let lines = logLines(try JSONValue(parsing: Array(json.utf8)))
    #expect(lines.map(\.text) == ["one", "two"])
    let (common, table) = logView(lines, .utc)
    #expect(common == "{app=\"shop\"}")
    #expect(table.rows[1][1] == "{pod=\"a\"}")
    #expect(table.rowStyles.first == .red)
}

@Test func instantTablesHaveTrends() throws {
    let json = """
        {"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a"},"value":[1,"1"]}]}
        """
    let data = try JSONValue(parsing: Array(json.utf8))
    let table = metricTable(
        data, .table, terminal(80), trends: ["up{job=\"a\"}": [0, 1, 2, 3]])
    #expect(
        table.rendered(.table, terminal(80)).contains("up{job=\"a\"}  ▁▃▆█   1")
            || table.rows[0][1] == "▁▃▆█")
    #expect(table.rows[0][2] == "1")
}

@Test func statisticsAreFlattened() throws {
    let commands = ShellCommands(ShellOptions(client: ShellClient(url: "x")))
    let value = try JSONValue(parsing: Array("{\"a\":{\"b\":3,\"c\":0},\"d\":\"x\"}".utf8))
    #expect(try commands.statistics(value).text == "what\tvalue\na.b\t3\nd\tx\n")
    #expect(throws: ShellError.self) { try commands.statistics(.null) }
}

// MARK: Pager

@Test func pagersAskForMoreOnlyWhenItIsAboutToBeSeen() {
    var pager = PagerState(rows: 11, columns: 40, hasMore: true)
    pager.add((0..<30).map { "line \($0)\n" }.joined())
    #expect(!pager.isHungry)
    _ = pager.apply(.text(" "))
    #expect(!pager.isHungry)
    _ = pager.apply(.text("G"))
    #expect(pager.isHungry)
    pager.add((30..<60).map { "line \($0)\n" }.joined())
    #expect(!pager.isHungry)
    #expect(pager.screen(isLoading: false, terminal(40, rows: 11)).first == "line 20")
    #expect(pager.apply(.text("q")) == .quit)
    _ = pager.apply(.text("/"))
    for character in "line 45" { _ = pager.apply(.text(String(character))) }
    _ = pager.apply(.enter)
    #expect(pager.screen(isLoading: false, terminal(40, rows: 11)).first == "line 45")
}

@Test func longLinesTakeSeveralRowsOfAPager() {
    let red = "\u{1b}[31m" + String(repeating: "x", count: 25) + "\u{1b}[0m"
    let rows = rowsOf(red, columns: 10)
    #expect(rows.count == 3)
    #expect(rows[1] == "\u{1b}[31mxxxxxxxxxx\u{1b}[0m")
    #expect(rowsOf("日本語日本語", columns: 5) == ["日本", "語日", "本語"])
}

// MARK: Live

@Test func pausedTailsKeepAndCount() {
    var options = ShellOptions(client: ShellClient(url: "x"))
    options.mode = .raw
    var view = TailView(options)
    let line = { (n: Int) in LogLine(nanos: Int64(n), labels: .object([]), text: "l\(n)") }
    #expect(view.add(TailFrame(lines: [line(1)], dropped: 2)) == "l1\n")
    #expect(view.togglePause() == "")
    #expect(view.add(TailFrame(lines: [line(2), line(3)], dropped: 1)) == "")
    #expect(
        view.status == "paused, 2 waiting, 1 lines, 3 dropped  space goes on, / filters, q ends")
    #expect(view.togglePause() == "l2\nl3\n")
    _ = view.togglePause()
    let many = (0..<(TailView.mostWaiting + 5)).map(line)
    _ = view.add(TailFrame(lines: many, dropped: 0))
    #expect(view.dropped == 8)
    #expect(view.waiting.count == TailView.mostWaiting)
}

@Test func tailsFilterWhileTheyRun() {
    var options = ShellOptions(client: ShellClient(url: "x"))
    options.mode = .table
    var view = TailView(options)
    func line(_ text: String, _ app: String = "shop") -> LogLine {
        LogLine(
            nanos: 0,
            labels: .object([JSONMember(name: "service_name", value: .string(app))]), text: text)
    }
    _ = view.add(
        TailFrame(lines: [line("an Error"), line("fine"), line("x", "errors")], dropped: 0))
    for key: Key in [.text("/"), .text("q"), .backspace, .text("error")] {
        #expect(view.apply(key) == .write(""))
    }
    #expect(view.status == "/error")
    // Lines go on meanwhile.
    #expect(view.add(TailFrame(lines: [line("more")], dropped: 0)).contains("more"))
    guard case .write(let text) = view.apply(.enter) else {
        Issue.record("Enter ended the tail")
        return
    }
    let lines = text.split(separator: "\n")
    #expect(lines.count == 3, "\(text)")
    #expect(lines.first == "-- lines with error")
    #expect(
        view.add(TailFrame(lines: [line("quiet"), line("ERROR 5")], dropped: 0)).contains("ERROR"))
    #expect(view.status.hasPrefix("tail, 5 lines with error, 1 without"), "\(view.status)")
    // A filter that is left stays as it was; an empty one shows all.
    _ = view.apply(.text("/"))
    _ = view.apply(.text("z"))
    _ = view.apply(.escape)
    #expect(view.filter == "error")
    _ = view.apply(.text("/"))
    #expect(view.apply(.enter) == .write("-- all lines\n"))
    #expect(view.apply(.text("q")) == .end)
}

@Test func progressIsThatOfTheOwnQueries() throws {
    let json = """
        {"data":[{"family":"promql","tags":"Source=tern,Id=b","samplesRead":7,"bytesRead":9},
        {"family":"logql","tags":"Source=tern,Id=a","samplesRead":12000,"bytesRead":2500000},
        {"family":"logql","tags":"Source=tern,Id=a","samplesRead":3,"bytesRead":1}]}
        """
    let answer = try JSONValue(parsing: Array(json.utf8))
    #expect(
        QueryProgress(answer, tags: "Source=tern,Id=a")?.text == ", 12k lines, 2.5MB read")
    #expect(QueryProgress(answer, tags: "Source=tern,Id=c") == nil)
    #expect(ShellClient.freshTags() != ShellClient.freshTags())
}

@Test func framesOfATailAreRead() throws {
    let frame = try TailFrame(
        parsing: Array(
            """
            {"streams":[{"stream":{"a":"b"},"values":[["1","x"]]}],
            "dropped_entries":[{"timestamp":"1","labels":{}}]}
            """.utf8))
    #expect(frame.lines.map(\.text) == ["x"])
    #expect(frame.dropped == 1)
    #expect(throws: ShellError.self) { try TailFrame(parsing: [0x7b]) }
}

@Test func changesAreMarked() {
    let lines = marked(["a 1 x", "b 2"], over: ["a 1 x", "b 3"], terminal(80))
    #expect(lines[0].runs.map(\.style) == [.plain])
    #expect(lines[1].runs.map(\.style) == [.plain, .reversed])
}

@Test func metricsPagesAreRead() {
    let page = metricsPage("# HELP a b\na 1\nb{x=\"1 } 2\"} 2.5 123\nc NaN\nbroken\n")
    #expect(page["a"] == 1)
    #expect(page["b{x=\"1 } 2\"}"] == 2.5)
    #expect(page["broken"] == nil)
}

// MARK: Kept queries

@Test func keptQueriesTakeArguments() throws {
    var saved = NamedQueries(path: nil)
    try saved.save("errors", "{app=\"$app\"} |= \"$what\"")
    #expect(
        try saved.query("errors", arguments: ["app=shop", "what=a=b"])
            == "{app=\"shop\"} |= \"a=b\"")
    #expect(throws: ShellError.self) { try saved.query("none", arguments: []) }
    #expect(throws: ShellError.self) { try saved.query("errors", arguments: ["x"]) }
    #expect(throws: ShellError.self) { try saved.save("a b", "up") }
}

@Test func everyVerbHasHelpAndIsFoundByName() throws {
    for verb in ShellVerb.allCases {
        #expect(ShellVerb(name: verb.name) == verb)
        #expect(!verb.text.isEmpty)
        #expect(try !ShellVerb.help(verb.name, .plain).isEmpty)
    }
    for entry in Documentation.all {
        #expect(!entry.text.isEmpty, "\(entry.word)")
        #expect(try !ShellVerb.help(entry.word, .plain).isEmpty)
    }
    #expect(throws: ShellError.self) { try ShellVerb.help("nonsense", .plain) }
}

// MARK: Local lines

private func local(
    _ query: String, _ text: String, range: Bool = false, limit: Int = 0, step: Int = 1 << 18
) throws -> String {
    var options = ShellOptions(client: ShellClient(url: "x"))
    options.mode = .raw
    options.limit = limit
    options.range = range
    let bytes = Array(text.utf8)
    var offset = 0
    var out = ""
    try LocalLogQuery(query, options).run {
        guard offset < bytes.count else { return nil }
        defer { offset += step }
        return Array(bytes[offset..<min(offset + step, bytes.count)])
    } write: {
        out += $0
        return true
    }
    return out
}

private let sample = """
    2026-11-24T10:00:00Z level=info msg=start ms=5
    2026-11-24T10:00:10Z level=error msg="it broke" ms=50
    2026-11-24T10:00:20Z level=error msg=again ms=70
    """

@Test func logQLRunsOverLinesWithoutAServer() throws {
    for step in [1, 7, 1 << 18] {
        #expect(
            try local("|= \"broke\"", sample, step: step)
                == "2026-11-24T10:00:10Z level=error msg=\"it broke\" ms=50\n")
    }
    #expect(
        try local("{source=\"stdin\"} | logfmt | level=\"error\" | line_format \"{{.ms}}\"", sample)
            == "50\n70\n")
    #expect(
        try local("| logfmt | level=\"error\"", sample, limit: 1).split(separator: "\n").count == 1)
    #expect(
        try local("sum(count_over_time({source=\"stdin\"} |= \"error\" [1m]))", sample) == "2\n")
    #expect(
        try local(
            "sum by (level) (sum_over_time({source=\"stdin\"} | logfmt | unwrap ms [1m]))", sample)
            == "120\n5\n")
    #expect(throws: ShellError.self) { try local("{app=\"x\"}", sample) }
    #expect(throws: ShellError.self) { try local("{app=", sample) }
    #expect(try local("|= \"x\"", "") == "")
}

@Test func timesAreFoundInLines() {
    let nanos: Int64 = 1_795_514_400_000_000_000
    let cases: [(String, Int64?)] = [
        ("2026-11-24T10:00:00Z x", nanos), ("2026-11-24 10:00:00,123 INFO", nanos),
        ("[2026-11-24T10:00:00Z] x", nanos), ("2026-11-24 10:00:00.5 x", nanos + 500_000_000),
        ("level=info ts=2026-11-24T10:00:00Z x", nanos),
        ("{\"time\":\"2026-11-24T10:00:00Z\"}", nanos),
        ("{\"ts\":1795514400.5}", nanos + 500_000_000),
        ("{\"timestamp\": \"2026-11-24T12:00:00+02:00\"}", nanos), ("no time", nil), ("", nil),
        ("12345", nil),
    ]
    for (line, expected) in cases { #expect(timeOfLine(Array(line.utf8)) == expected, "\(line)") }
}

// MARK: Files

@Test func filesAreReadWithinBounds() async throws {
    #expect(try fileBytes("/dev/zero", limit: 100_000).count == 100_000)
    #expect(throws: ShellError.self) { try readFile("/dev/zero") }
    #expect(throws: ShellError.self) { try readFile("/none/such") }
    try await withTemporaryDirectory { folder in
        let path = folder + "/lines"
        try StatePath.replace(path, with: "first\nsecond\nthird\n")
        #expect(try readFile(path) == "first\nsecond\nthird\n")
        #expect(try fileBytes(path, limit: 6, fromEnd: true) == Array("third\n".utf8))
        #expect(History(path: path).lines == ["first", "second", "third"])
    }
}

@Test func aQueryTooManyIsRefused() async throws {
    try await withTemporaryDirectory { folder in
        let path = folder + "/queries"
        var saved = NamedQueries(path: nil)
        for number in 0..<NamedQueries.limit { try saved.save("q\(number)", "up") }
        #expect(throws: ShellError.self) { try saved.save("more", "up") }
        // One that is there is replaced all the same.
        try saved.save("q0", "down")
        #expect(try saved.query("q0", arguments: []) == "down")
        var kept = NamedQueries(path: path)
        try kept.save("a", "up")
        #expect(NamedQueries(path: path).queries.map(\.query) == ["up"])
    }
}

@Test func whatIsNotUnderstoodOfKeptQueriesIsNotLost() async throws {
    try await withTemporaryDirectory { directory in
        let path = directory + "/queries"
        let text = "{\"name\":\"a\",\"query\":\"up\"}\nnot a query\n"
        try StatePath.replace(path, with: text)
        var saved = NamedQueries(path: path)
        #expect(try saved.query("a", arguments: []) == "up")
        #expect(throws: ShellError.self) { try saved.save("b", "down") }
        #expect(try readFile(path) == text)
    }
}
