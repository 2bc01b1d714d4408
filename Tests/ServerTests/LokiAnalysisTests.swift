// SPDX-License-Identifier: Apache-2.0
// Analyses of log lines over Loki's API.

import Base
import TestKit
import Testing

@testable import Server

@Suite struct LokiAnalysisTests {
    /// A minute ago, at a full minute.
    private static let start = SystemClock().wallNanos / 60_000_000_000 * 60 - 60

    private func push(_ server: TestServer) async throws {
        var values: [String] = []
        for i in 0..<6 {
            let line = "level=\(i % 3 == 0 ? "error" : "info") path=/\(i % 2) took=\(i * 10)ms"
            values.append("[\"\(LokiAnalysisTests.start + Int64(i) * 10)000000000\",\"\(line)\"]")
        }
        let body =
            "{\"streams\":[{\"stream\":{\"app\":\"shop\"},\"values\":[\(values.joined(separator: ","))]}]}"
        let reply = try await server.post(
            "/loki/api/v1/push", "application/json", Array(body.utf8))
        #expect(reply.status == 204)
    }

    private func ask(
        _ server: TestServer, _ path: String, _ pipe: String, _ more: String = ""
    ) async throws -> String {
        let query = percentEncoded(#"{app="shop"} | logfmt "# + pipe)
        let start = LokiAnalysisTests.start
        let range =
            path == "query" ? "&time=\(start + 60)" : "&start=\(start)&end=\(start + 60)"
        let reply = try await server.get("/loki/api/v1/\(path)?query=\(query)\(range)\(more)")
        #expect(reply.status == 200, "\(pipe): \(reply.text)")
        return reply.text
    }

    @Test func tablesAreVectorsBucketsMatricesAndLinesStreams() async throws {
        let start = LokiAnalysisTests.start
        try await withServer { server in
            try await push(server)
            let table = try await ask(
                server, "query", "| stats count(), max(took) by (level) | sort by (count desc)")
            #expect(table.contains(#""resultType":"vector""#))
            #expect(
                table.contains(
                    #""result":[{"metric":{"__name__":"count","level":"info"},"value":[\#(start + 60),"4"]},"#
                ))
            #expect(
                table.contains(
                    #"{"metric":{"__name__":"max_took","level":"error"},"value":[\#(start + 60),"0.03"]}"#
                ))
            let buckets = try await ask(server, "query_range", "| stats count() every 30s")
            #expect(buckets.contains(#""resultType":"matrix""#))
            #expect(buckets.contains(#""values":[[\#(start),"3"],[\#(start + 30),"3"]]"#))
            let sorted = try await ask(
                server, "query_range", "| sort by (took desc) | limit 2")
            #expect(sorted.contains(#""resultType":"streams""#))
            let first = sorted.firstRange(of: "took=50ms")
            let second = sorted.firstRange(of: "took=40ms")
            #expect(first != nil && second != nil)
            if let first, let second { #expect(first.lowerBound < second.lowerBound) }
            #expect(!sorted.contains("took=30ms"))
            let around = try await ask(
                server, "query_range", "| took = 30ms | context before 1 after 1")
            #expect(around.contains(#""context":"match""#) && around.contains("took=20ms"))
            #expect(around.contains(#""context":"after""#) && !around.contains("took=50ms"))
        }
    }

    @Test func analysesAreFormattedAndKeptOutOfRules() async throws {
        try await withServer { server in
            let query = percentEncoded(#"{app="shop"}|stats   count( )by(level)|limit 3"#)
            let formatted = try await server.get("/loki/api/v1/format_query?query=\(query)")
            #expect(
                formatted.text.contains(#"{app=\"shop\"} | stats count() by (level) | limit 3"#))
            let detected = try await server.get("/loki/api/v1/detected_fields?query=\(query)")
            #expect(detected.status == 400)
        }
    }
}
