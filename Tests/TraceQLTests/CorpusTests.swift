// SPDX-License-Identifier: Apache-2.0
// The parser judged by a public table of queries, where it is present.

import Base
import Testing
import TestKit

@testable import TraceQL

@Suite struct CorpusTests {
    /// Section → queries of the table, whose lines are `- "…"` with YAML's double-quote escapes.
    private func table() throws -> [String: [String]] {
        let bytes = try #require(Corpora.file("traceql/queries.yaml"))
        var result: [String: [String]] = [:]
        var section = ""
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            if line.hasSuffix(":"), !line.hasPrefix("-") {
                section = String(line.dropLast())
            } else if line.hasPrefix("- ") {
                let query = try #require(unquotedBytes(line.dropFirst(2).utf8), "\(line)")
                result[section, default: []].append(String(decoding: query, as: UTF8.self))
            }
        }
        return result
    }

    private enum Outcome: String { case valid, parse_fails, validate_fails, unsupported }

    private func outcome(_ query: String) -> (Outcome, String) {
        let parsed: TraceQLQuery
        do {
            parsed = try TraceQLParser.parseUnchecked(query)
        } catch {
            return (.parse_fails, error.description)
        }
        do {
            try parsed.validate()
            return (.valid, "")
        } catch {
            return (error.isUnsupported ? .unsupported : .validate_fails, error.description)
        }
    }

    @Test(.enabled(if: Corpora.folder != nil)) func everyQueryIsJudgedAsKnown() throws {
        var problems: [String] = []
        var count = 0
        for (section, queries) in try table() {
            for query in queries {
                count += 1
                let (found, message) = outcome(query)
                if found.rawValue != section {
                    problems.append("\(section), not \(found.rawValue): \(query)  \(message)")
                }
            }
        }
        print("traceql/queries.yaml: \(count - problems.count) of \(count)")
        for problem in problems { print("  " + problem) }
        #expect(count >= 330)
        #expect(problems.isEmpty)
    }
}
