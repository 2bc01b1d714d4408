// SPDX-License-Identifier: Apache-2.0
// Keys, completion, faults and colours, without a terminal.

import Base
import TestKit
import Testing

@testable import Shell

private let traits = TerminalTraits(isTerminal: true, columns: 80, colour: false, unicode: true)

private func typed(_ text: String, into editor: inout EditorState) {
    for character in text { _ = editor.apply(.text(String(character))) }
}

@Test func openBracketsGoOnInTheNextLine() {
    var editor = EditorState(history: History(path: nil))
    typed("sum(", into: &editor)
    #expect(editor.apply(.enter) == .more)
    typed("up)", into: &editor)
    #expect(editor.apply(.enter) == .done(.line("sum(\nup)")))
    let cases: [(String, Bool)] = [
        ("up", true), ("sum(", false), ("sum(up", false), ("{a=\"(\"}", true), ("{a=\"b", false),
        ("up \\", false), ("sum(;", true), ("\\d (", true), ("`a", false), ("a)", true),
        ("# (", true),
    ]
    for (text, complete) in cases { #expect(isComplete(text) == complete, "\(text)") }
    #expect(runnable(" up;; ") == "up")
}

@Test func keysMoveBetweenLines() {
    var editor = EditorState(history: History(path: nil), text: "ab\ncdef\ng")
    _ = editor.apply(.up)
    _ = editor.apply(.end)
    typed("X", into: &editor)
    #expect(editor.buffer.text == "ab\ncdefX\ng")
    _ = editor.apply(.home)
    _ = editor.apply(.control("k"))
    #expect(editor.buffer.text == "ab\n\ng")
    let view = editor.view(prompt: StyledText("> ", .plain, traits), traits)
    #expect(view.lines.map(\.plain) == ["> ab", ". ", ". g"])
    #expect(view.cursorRow == 1 && view.cursorColumn == 2)
}

@Test func pastedNewlinesRunNothing() {
    var editor = EditorState(history: History(path: nil))
    _ = editor.apply(.pasteStart)
    typed("up", into: &editor)
    #expect(editor.apply(.enter) == .more)
    #expect(editor.apply(.control("c")) == .more)
    _ = editor.apply(.pasteEnd)
    #expect(editor.apply(.enter) == .done(.line("up\n")))
    var decoder = KeyDecoder()
    let keys = Array("\u{1b}[200~a\u{1b}[201~\u{1b}[Z".utf8).compactMap { decoder.feed($0) }
    #expect(keys == [.pasteStart, .text("a"), .pasteEnd, .backTab])
}

@Test func longLinesWrapAndTheCursorFollows() {
    let narrow = TerminalTraits(isTerminal: true, columns: 20, colour: false, unicode: true)
    let text = Array(String(repeating: "日", count: 25))
    for cursor in 0...25 {
        let view = EditorView(
            prompt: StyledText("> ", .plain, narrow), text, styles: [], cursor: cursor, below: [],
            narrow)
        #expect(view.lines.allSatisfy { $0.width <= 20 })
        #expect(view.cursorColumn < 20)
        #expect(view.cursorRow < view.lines.count)
    }
}

@Test func faultsAreWhereTheParsersFindThem() throws {
    let metrics = try #require(syntaxFault("sum(rate(x[5m))", .metrics))
    #expect(metrics.position == 13, "\(metrics)")
    let logs = try #require(syntaxFault("{app=\"x\"} | | json", .logs))
    #expect(logs.position == 12, "\(logs)")
    let traces = try #require(syntaxFault("{ duration > }", .traces))
    #expect(traces.position == 13, "\(traces)")
    #expect(syntaxFault("up", .metrics) == nil)
    let lines = caretLines("sum(rate(x[5m))", metrics, traits).map(\.plain)
    #expect(lines[0] == "  sum(rate(x[5m))")
    #expect(lines[1].hasPrefix("               ^ "))
}

@Test func faultsAreShownWhileTypingOnlyWhereMoreTypingCannotHelp() {
    func below(_ text: String) -> [String] {
        var editor = EditorState(history: History(path: nil), language: .metrics)
        typed(text, into: &editor)
        return editor.view(prompt: StyledText("> ", .plain, traits), traits)
            .lines.dropFirst().map(\.plain)
    }
    #expect(below("rate(x[5m").first?.hasPrefix("rate(range vector)") == true)
    #expect(below("up +").isEmpty)
    #expect(below("up ) + sum(x)").count == 1)
}

@Test func wordsHaveTheColoursOfTheirLanguage() {
    let styles = highlight(Array("sum by (job) (rate(x[5m]))"), .metrics)
    #expect(styles[0] == .blue)
    #expect(styles[4] == .magenta)
    #expect(styles[8] == .cyan)
    #expect(styles[21] == .yellow)
    #expect(highlight(Array("{a=\"b"), .logs)[4] == .yellow)
    #expect(highlight(Array("\\d up"), .metrics)[1] == .magenta)
}

@Test func historyIsSearchedBackwards() throws {
    var history = History(path: nil)
    for line in ["rate(a[5m])", "up", "rate(b[5m])"] { try history.add(line) }
    var editor = EditorState(history: history)
    _ = editor.apply(.control("r"))
    typed("rate", into: &editor)
    let view = editor.view(prompt: StyledText("> ", .plain, traits), traits)
    #expect(view.lines[0].plain == "(search) rate: rate(b[5m])")
    _ = editor.apply(.control("r"))
    #expect(editor.apply(.enter) == .done(.line("rate(a[5m])")))
}

// MARK: Completion

private func sources(_ text: String, _ language: QueryLanguage) -> [CompletionSource] {
    CompletionContext(Array(text), cursor: text.count, language).sources
}

@Test func whatMayStandAtTheCursor() {
    #expect(sources("rate(ht", .metrics).contains(.metricNames))
    #expect(sources("x{", .metrics) == [.labelNames(selector: "x{}")])
    #expect(sources("x{job=\"a\", in", .metrics) == [.labelNames(selector: "x{job=\"a\"}")])
    #expect(
        sources("x{job=\"a\", instance=\"lo", .metrics)
            == [.labelValues(label: "instance", selector: "x{job=\"a\"}")])
    #expect(sources("sum by (", .metrics) == [.labelNames(selector: "")])
    #expect(sources("sum(rate(x[5m])) by (jo", .metrics) == [.labelNames(selector: "x")])
    #expect(sources("rate(x[", .metrics).count == 1)
    #expect(sources("{", .logs) == [.streamLabels(selector: "")])
    #expect(
        sources("{a=\"b\", app=\"s", .logs)
            == [.streamValues(label: "app", selector: "{a=\"b\"}")])
    #expect(
        sources("{a=\"b\"} | js", .logs)
            == [.words(.logs, [.stage]), .logFields(query: "{a=\"b\"}")])
    #expect(sources("{ span.ht", .traces) == [.attributes(scope: "span")])
    #expect(sources("{ ", .traces) == [.words(.traces, [.scope, .intrinsic])])
    #expect(
        sources("{ resource.service.name = \"s", .traces)
            == [.attributeValues(name: "resource.service.name")])
    #expect(sources("{ status = ", .traces) == [.fixed(["error", "ok", "unset"])])
    #expect(sources("\\d ht", .metrics) == [.metricNames])
    #expect(sources("\\why fr", .metrics) == [.services])
    let context = CompletionContext(Array("{ span.http.me"), cursor: 14, .traces)
    #expect(context.typed == "http.me")
    #expect(context.replaced == 7..<14)
}

@Test func anyTextHasAContext() {
    var random = SplitMix64(seed: 3)
    let pieces = [
        "{", "}", "(", ")", "[", "]", "\"", "'", "`", "=", "=~", "|", ",", "a", "sum", "by ",
        "span.", ".", "5m", "\\", " ", "\n", "#", "日",
    ]
    for _ in 0..<4000 {
        let text = (0..<Int(random.next() % 12)).map { _ in
            pieces[Int(random.next() % UInt64(pieces.count))]
        }.joined()
        let characters = Array(text)
        for language in QueryLanguage.allCases {
            let cursor = Int(random.next() % UInt64(characters.count + 1))
            let context = CompletionContext(characters, cursor: cursor, language)
            #expect(context.replaced.upperBound <= characters.count)
            #expect(highlight(characters, language).count == characters.count)
            let tokens = queryTokens(characters, dotted: language == .traces)
            #expect(tokens.map(\.text).joined() == text)
            _ = syntaxFault(text, language).map { fault in
                #expect(fault.position <= characters.count)
                return caretLines(text, fault, traits)
            }
        }
    }
}

@Test func bestNamesComeFirst() {
    let index = FuzzyIndex([
        "node_http_x", "http_requests_total", "http", "x_hyttp", "process_http_total", "hxtxtxp",
        "other",
    ])
    let found = index.search("http", limit: 10).map { index.names[$0] }
    #expect(
        found == [
            "http", "http_requests_total", "node_http_x", "process_http_total", "x_hyttp",
            "hxtxtxp",
        ])
    #expect(index.search("HTTP_R", limit: 1).map { index.names[$0] } == ["http_requests_total"])
    #expect(index.search("", limit: 3).count == 3)
    #expect(index.search("zzz", limit: 3).isEmpty)
}

@Test func namesInAnyOrderAreFoundByTheirBeginning() {
    let sorted = (0..<500).map { "M_\($0)_x" }.sorted() + ["n"]
    for names in [sorted, Array(sorted.reversed())] {
        let index = FuzzyIndex(names)
        for (text, limit) in [("m_4", 20), ("M_", 500), ("m_49", 11), ("n", 1), ("m_499_x", 1)] {
            let found = index.search(text, limit: limit).map { names[$0] }
            let wanted = names.filter { $0.lowercased().hasPrefix(text.lowercased()) }
            #expect(found.count == min(limit, wanted.count), "\(text)")
            #expect(found.allSatisfy { wanted.contains($0) })
            let longest = found.map(\.utf8.count).max() ?? 0
            #expect(wanted.count { $0.utf8.count < longest } <= limit)
        }
    }
}

@Test func typingOnFindsWhatAFreshSearchFinds() {
    var chance = Chance(seed: 11, 0)
    let letters = Array("abc_")
    let names = (0..<300).map { _ in
        String((0..<(1 + chance.below(12))).map { _ in letters[chance.below(letters.count)] })
    }
    let index = FuzzyIndex(names)
    for _ in 0..<10 {
        var text = ""
        for _ in 0..<8 {
            // Sometimes back, as one types.
            if chance.happens(1, in: 5) {
                text = String(text.dropLast())
            } else {
                text.append(letters[chance.below(letters.count)])
            }
            for limit in [1, 20, 3000] {
                #expect(
                    index.search(text, limit: limit)
                        == FuzzyIndex(names).search(text, limit: limit),
                    "\(text)")
            }
        }
    }
}

@Test func theShortestOfManyNamesComeFirst() {
    let names = (0..<3000).map { "m" + String(repeating: "x", count: $0 % 300) + "\($0)" }
    let index = FuzzyIndex(names)
    let all = names.indices.sorted {
        (names[$0].utf8.count, $0) < (names[$1].utf8.count, $1)
    }
    for limit in [1, 10, 200, 2999, 5000] {
        #expect(index.search("m", limit: limit) == Array(all.prefix(limit)))
    }
}

@Test func tabCompletesAndWalks() {
    let names = ["http_a", "http_b", "grpc_c"].map { CompletionItem(text: $0) }
    var editor = EditorState(history: History(path: nil), language: .metrics) { context in
        let index = FuzzyIndex(names.map(\.text))
        return CompletionAnswer(
            items: index.search(context.typed, limit: 10).map { names[$0] }, isLoading: false)
    }
    typed("rate(ht", into: &editor)
    _ = editor.apply(.tab)
    #expect(editor.buffer.text == "rate(http_")
    #expect(editor.menu?.items.count == 2)
    _ = editor.apply(.tab)
    _ = editor.apply(.tab)
    #expect(editor.buffer.text == "rate(http_b")
    _ = editor.apply(.escape)
    #expect(editor.buffer.text == "rate(http_")
    #expect(editor.menu == nil)
    for _ in 0..<5 { _ = editor.apply(.backspace) }
    typed("gr", into: &editor)
    _ = editor.apply(.tab)
    #expect(editor.buffer.text == "rate(grpc_c")
}

@Test func namesArriveLateAndNothingWaits() async throws {
    let catalogue = CompletionCatalogue { source in
        source == .metricNames ? [CompletionItem(text: "up", detail: "gauge", help: "is up")] : []
    }
    let context = CompletionContext(Array("u"), cursor: 1, .metrics)
    let (arrivals, continuation) = AsyncStream<Void>.makeStream()
    catalogue.onArrival { continuation.yield() }
    var editor = EditorState(history: History(path: nil), language: .metrics) {
        catalogue.answer($0)
    }
    typed("up", into: &editor)
    _ = editor.apply(.tab)
    for await _ in arrivals { break }
    editor.refreshMenu()
    let answer = catalogue.answer(context)
    #expect(!answer.isLoading)
    #expect(answer.items.first == CompletionItem(text: "up", detail: "gauge", help: "is up"))
    let view = editor.view(prompt: StyledText("> ", .plain, traits), traits)
    #expect(view.lines.contains { $0.plain.contains("up") && $0.plain.contains("gauge  is up") })
}

@Test func aServerThatFailsHasNoNames() async {
    let catalogue = CompletionCatalogue { _ in throw ShellError("down") }
    await catalogue.load(.metricNames)
    let context = CompletionContext(Array("\\d x"), cursor: 4, .metrics)
    #expect(catalogue.answer(context) == CompletionAnswer(items: [], isLoading: false))
}

/// Prints how long a key takes with 100,000 metric names; nothing is asserted about it.
@Test func completionBenchmark() async {
    let names = (0..<100_000).map { "app_\($0 % 977)_component_\($0)_requests_total" }
    let catalogue = CompletionCatalogue { _ in names.map { CompletionItem(text: $0) } }
    await catalogue.load(.metricNames)
    var editor = EditorState(history: History(path: nil), language: .metrics) {
        catalogue.answer($0)
    }
    typed("rate(a", into: &editor)
    _ = editor.apply(.tab)
    let clock = SystemClock()
    var nanos: [Int64] = []
    for key in "pp_12_comp5_total9" {
        let began = clock.monotonicNanos
        _ = editor.apply(.text(String(key)))
        _ = editor.view(prompt: StyledText("> ", .plain, traits), traits)
        nanos.append(clock.monotonicNanos - began)
    }
    nanos.sort()
    let p50 = Double(nanos[nanos.count / 2]) / 1e6
    let most = Double(nanos[nanos.count - 1]) / 1e6
    print("benchmark: completion of 100,000 names: p50 \(p50) ms, most \(most) ms a key")
}
