// SPDX-License-Identifier: Apache-2.0
// The engine judged by public scripts and tables, where they are present.

import FoundationEssentials
import LogQL
import LogQLScripts
import Testing
import TestKit

@Suite struct CorpusTests {
    /// Evaluations that must pass per script.
    static let floors = [
        "binary_operations.logqltest": 181, "formatters.logqltest": 12,
        "label_filters.logqltest": 186, "line_filters.logqltest": 38, "parsers.logqltest": 31,
        "range_aggregations.logqltest": 169, "vector_aggregations.logqltest": 75,
    ]

    @Test(.enabled(if: Corpora.folder != nil)) func scriptsPass() throws {
        for name in Corpora.names(under: "logql") where name.hasSuffix(".logqltest") {
            let bytes = try #require(Corpora.file("logql/" + name))
            var runner = LogScriptRunner(MemoryLogTarget())
            try runner.run(try LogScript(String(decoding: bytes, as: UTF8.self)))
            let total = runner.passed + runner.failures.count
            print("\(name): \(runner.passed) of \(total)")
            if ProcessInfo.processInfo.environment["TERN_SHOW_FAILURES"] != nil {
                for failure in runner.failures { print("  " + failure) }
            }
            #expect(runner.passed >= CorpusTests.floors[name, default: total], "\(name)")
        }
    }

    private struct ParseCase: Decodable {
        var query: String?
        var queryHex: String?
        var kind: String?
        var ok: Bool
        var error: String?
    }

    @Test(.enabled(if: Corpora.folder != nil)) func queriesParseOrFailWithTheKnownText() throws {
        let bytes = try #require(Corpora.file("logql/logql-parse.jsonl"))
        var count = 0
        var problems: [String] = []
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let item = try JSONDecoder().decode(ParseCase.self, from: Data(line.utf8))
            // Text that is no UTF-8 cannot reach the parser, which takes strings.
            guard let query = item.query else { continue }
            count += 1
            do {
                if item.kind == "matchers only" {
                    _ = try LogQLMatchers.parse(query)
                } else {
                    _ = try LogQLParser.parse(query)
                }
                if !item.ok { problems.append("accepted: \(query)") }
            } catch {
                if item.ok {
                    problems.append("refused: \(query)\n   \(error)")
                } else if let wanted = item.error, wanted != error.description {
                    problems.append("\(query)\n   \(error)\n   \(wanted)")
                }
            }
        }
        print("logql-parse.jsonl: \(count - problems.count) of \(count)")
        for problem in problems { print("  " + problem) }
        #expect(problems.isEmpty)
    }
}
