// SPDX-License-Identifier: Apache-2.0
// Answers, keys, frames and files that nobody meant to send.

import Base
import TestKit
import Testing

@testable import Shell

private let traits = TerminalTraits(isTerminal: true, columns: 60, colour: true, unicode: true)

/// A JSON value with members that the drawings look for and values that none of them expect.
private func randomValue(_ random: inout SplitMix64, depth: Int) -> JSONValue {
    let names = [
        "data", "result", "resultType", "metric", "values", "value", "histograms", "histogram",
        "buckets", "spans", "spanID", "parentSpanID", "startTimeUnixNano", "endTimeUnixNano",
        "durationNanos", "selfTimeNanos", "criticalPathNanos", "logs", "exemplars", "labels",
        "line", "service", "name", "status", "code", "raw", "suspects", "evidence", "window",
        "baseline", "traceIDs", "le", "count", "sum", "stream", "streams", "traces", "spanSets",
        "downstream", "operations", "p50Nanos", "callCount", "versions", "score", "codeRange",
    ]
    let texts = [
        "", "0", "-1", "9223372036854775807", "-9223372036854775808", "1e308", "NaN", "+Inf",
        "vector", "matrix", "streams", "a", "\u{1b}[2J", "日本", "0.5", "error", "x\ny",
    ]
    switch random.next() % (depth > 0 ? 7 : 4) {
    case 0: return .null
    case 1: return .bool(random.next() % 2 == 0)
    case 2: return .number(texts[Int(1 + random.next() % 5)])
    case 3: return .string(texts[Int(random.next() % UInt64(texts.count))])
    case 4:
        return .array(
            (0..<Int(random.next() % 5)).map { _ in randomValue(&random, depth: depth - 1) })
    default:
        return .object(
            (0..<Int(random.next() % 8)).map { _ in
                JSONMember(
                    name: names[Int(random.next() % UInt64(names.count))],
                    value: randomValue(&random, depth: depth - 1))
            })
    }
}

@Test func noAnswerCrashesADrawing() {
    var random = SplitMix64(seed: 11)
    for _ in 0..<500 {
        let value = randomValue(&random, depth: 5)
        let start = Int64(bitPattern: random.next())
        let times = ChartTimes(
            startNanos: start, endNanos: Int64(bitPattern: random.next()),
            stepSeconds: random.next() % 3 == 0 ? 0 : Double(random.next() % 1000) / 7)
        for one in [value] + value.items + value.members.map(\.value) {
            _ = metricChart(one, times, .utc, traits).rendered(traits)
            for mode in OutputMode.allCases {
                _ = metricTable(one, mode, traits).rendered(mode, traits)
            }
            _ = Waterfall(one, traits).lines.rendered(traits)
            _ = DiagnosisReport(one, traits, .utc).lines.rendered(traits)
            _ = DiagnosisReport(one, traits, .utc).table
            _ = ServicePage(one, seconds: 1, traits, .utc).text
            _ = logView(logLines(one), .utc).table.rendered(.table, traits)
            _ = traceTable(one, traits, .utc).rendered(.wide, traits)
            _ = planTable(one, .table, unicode: true).rendered(.table, traits)
        }
    }
}

@Test func treesOfSpansMayBeRingsAndDeep() throws {
    func trace(_ spans: [JSONValue]) -> JSONValue {
        .object([
            JSONMember(name: "spans", value: .array(spans)),
            JSONMember(name: "endTimeUnixNano", value: .string("10")),
        ])
    }
    func span(_ id: String, _ parent: String) -> JSONValue {
        .object([
            JSONMember(name: "spanID", value: .string(id)),
            JSONMember(name: "parentSpanID", value: .string(parent)),
        ])
    }
    _ = Waterfall(trace([span("a", "b"), span("b", "a"), span("c", "c")]), traits).lines
    let deep = (0..<20_000).map { span("\($0)", $0 == 0 ? "" : "\($0 - 1)") }
    let lines = Waterfall(trace(deep), traits).lines
    #expect(lines.count <= Waterfall.most + 10)
    #expect(lines.last?.plain.hasSuffix("more spans") == true)
}

@Test func keysOfAnyBytesAreTaken() {
    var random = SplitMix64(seed: 5)
    for _ in 0..<200 {
        var decoder = KeyDecoder()
        var editor = EditorState(history: History(path: nil))
        for _ in 0..<300 {
            let byte = UInt8(truncatingIfNeeded: random.next())
            // Escape often, so that sequences are begun.
            let key = decoder.feed(random.next() % 5 == 0 ? 0x1b : byte)
            if let key { _ = editor.apply(key) }
            if random.next() % 50 == 0 { _ = decoder.timeout().map { editor.apply($0) } }
        }
        let view = editor.view(prompt: StyledText("> ", .plain, traits), traits)
        #expect(view.lines.allSatisfy { $0.width <= traits.columns })
    }
}

@Test func framesAndLinesOfAnyBytesAreRefusedOrTaken() {
    var random = SplitMix64(seed: 9)
    let frame = Array(
        "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[[\"1\",\"x\"]]}],\"dropped_entries\":[{}]}"
            .utf8)
    for _ in 0..<3000 {
        var bytes = frame
        for _ in 0..<(1 + random.next() % 4) {
            bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(
                truncatingIfNeeded: random.next())
        }
        _ = try? TailFrame(parsing: bytes)
        _ = timeOfLine(bytes)
        _ = metricsPage(String(decoding: bytes, as: UTF8.self))
        var splitter = LineSplitter(limit: 16)
        var count = 0
        for line in splitter.add(bytes) { count += line.count }
        #expect(count + (splitter.rest?.count ?? 0) <= bytes.count)
    }
}

@Test func historyAndKeptQueriesSurviveInFilesOfTheirOwner() async throws {
    try await withTemporaryDirectory { folder in
        let path = folder + "/state/tern/history"
        var first = History(path: path)
        var second = History(path: path)
        try first.add("sum(\nup)")
        try second.add("a\\nb")
        try first.add("up")
        // Both shells' lines are kept.
        #expect(History(path: path).lines == ["sum(\nup)", "a\\nb", "up"])
        var saved = NamedQueries(path: folder + "/state/tern/queries")
        try saved.save("one", "up")
        try saved.save("two", "{a=\"b\"}\n| json")
        try saved.save("one", "down")
        let again = NamedQueries(path: folder + "/state/tern/queries")
        #expect(again.queries.map(\.name) == ["two", "one"])
        #expect(try again.query("one", arguments: []) == "down")
        #expect(throws: ShellError.self) { try StatePath.append("x", to: "/proc/none/x") }
    }
}

@Test func filesThatAreNoneOfOursAreReadAsFarAsTheyGo() async throws {
    try await withTemporaryDirectory { folder in
        let path = folder + "/queries"
        try StatePath.replace(path, with: "{\n{\"name\":\"a\",\"query\":\"up\"}\n[]\n\u{0}\n")
        #expect(NamedQueries(path: path).queries.map(\.name) == ["a"])
        try StatePath.replace(path, with: "\\\n\\x\n")
        #expect(History(path: path).lines == ["", "x"])
        #expect(History(path: folder).lines.isEmpty)
    }
}
