// SPDX-License-Identifier: Apache-2.0
// Answers of the log API against the shapes of public examples.

import Base
import TestKit
import Testing

@testable import Server

@Suite struct LokiShapeTests {
    /// The statistics have the members that Loki's have, of the same kinds, everywhere.
    @Test func statisticsHaveAllMembers() async throws {
        guard let bytes = Corpora.file("logql/wire/empty-stats.json") else { return }
        let wanted = try CorpusJSON(parsing: bytes)
        try await withServer { server in
            let now = SystemClock().wallNanos
            let body =
                "{\"streams\":[{\"stream\":{\"app\":\"a\"},\"values\":[[\"\(now - 60_000_000_000)\",\"x\",{\"k\":\"v\"}]]}]}"
            _ = try await server.post("/loki/api/v1/push", "application/json", Array(body.utf8))
            for query in ["%7Bapp%3D%22a%22%7D", "rate(%7Bapp%3D%22a%22%7D%5B1m%5D)"] {
                let reply = try await server.get("/loki/api/v1/query_range?query=\(query)")
                #expect(reply.status == 200, "\(reply.text)")
                let stats = try CorpusJSON(parsing: reply.body)["data"]?["stats"]
                expectMembers(of: wanted, in: stats, "stats")
                #expect(stats?["summary"]?["totalLinesProcessed"]?.int == 1)
                #expect((stats?["summary"]?["totalEntriesReturned"]?.int ?? 0) > 0)
                #expect((stats?["summary"]?["execTime"]?.double ?? 0) > 0)
                #expect(
                    stats?["querier"]?["store"]?["chunk"]?["decompressedLines"]?.int == 1)
            }
        }
    }

    @Test func oldPathsSpeakTheOldFormat() async throws {
        try await withServer { server in
            let now = SystemClock().wallNanos / 1_000_000_000 * 1_000_000_000
            let body =
                "{\"streams\":[{\"stream\":{\"app\":\"a\",\"b\":\"c\"},\"values\":[[\"\(now)\",\"x \\\"y\\\"\"]]}]}"
            let pushed = try await server.post(
                "/api/prom/push", "application/json", Array(body.utf8))
            #expect(pushed.status == 204)
            let query = try await server.get("/api/prom/query?query=%7Bapp%3D%22a%22%7D")
            let stream = try CorpusJSON(parsing: query.body)["streams"]?.array.first
            #expect(
                stream?["labels"]?.string?.hasPrefix(#"{app="a", b="c", "#) == true,
                "\(query.text)")
            #expect(stream?["entries"]?.array.first?["ts"]?.string == rfc3339Text(nanos: now))
            #expect(stream?["entries"]?.array.first?["line"]?.string == #"x "y""#)
            let metric = try await server.get(
                "/api/prom/query?query=rate(%7Bapp%3D%22a%22%7D%5B1m%5D)")
            #expect(metric.status == 400)
            let names = try await server.get("/api/prom/label")
            #expect(names.text == #"{"values":["app","b","service_name"]}"#)
            let values = try await server.get("/api/prom/label/b/values")
            #expect(values.text == #"{"values":["c"]}"#)
            let series = try await server.get("/api/prom/series?match=%7Bapp%3D%22a%22%7D")
            #expect(series.text.contains(#""app":"a""#))
            #expect(try await server.send("POST", "/flush").status == 204)
            #expect(try await server.get("/services").text.contains("Running"))
            #expect(try await server.get("/api/prom/label/b/values").text == values.text)
        }
    }

    private func expectMembers(of wanted: CorpusJSON, in found: CorpusJSON?, _ place: String) {
        guard case .object = wanted else {
            #expect(found != nil, "\(place) is missing")
            return
        }
        for (name, value) in wanted.members {
            expectMembers(of: value, in: found?[name], place + "." + name)
        }
    }
}
