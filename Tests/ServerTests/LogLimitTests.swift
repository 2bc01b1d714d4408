// SPDX-License-Identifier: Apache-2.0
// Limits of log queries, in Loki's words.

import Base
import Ingest
import Telemetry
import TestKit
import Testing
import Wire

@testable import Server

@Suite struct LogLimitTests {
    private static let selector = "query=%7Bapp%3D%22a%22%7D"

    private func refusal(
        _ server: TestServer, _ path: String, _ headers: [(String, String)] = []
    ) async throws -> String {
        let reply = try await server.send("GET", "/loki/api/v1/" + path, headers: headers)
        #expect(reply.status == 400, "\(path): \(reply.status)")
        return reply.text
    }

    @Test func queriesBeyondTheirLimitsAreToldWhich() async throws {
        try await withServer { server in
            var limits = LogTenantLimits()
            limits.maxEntriesPerQuery = 50
            limits.maxQueryLengthSeconds = 7200
            limits.maxQueryRangeSeconds = 300
            limits.maxQueryTextBytes = 60
            limits.maxQueryBytesRead = 1000
            limits.requiredLabels = ["app"]
            limits.maxTails = 1
            var table = TenantLimitTable()
            table.common.logs = limits
            server.core.pipeline.limiter.set(table)
            let query = Self.selector
            #expect(
                try await refusal(server, "query_range?\(query)&limit=51")
                    == "max entries limit per query exceeded, limit > max_entries_limit_per_query (51 > 50)\n"
            )
            #expect(
                try await refusal(server, "query_range?\(query)&since=3h")
                    == "the query time range exceeds the limit (query length: 3h, limit: 2h)\n")
            #expect(
                try await refusal(server, "query?query=rate(%7Bapp%3D%22a%22%7D%5B10m%5D)")
                    == "[interval] value exceeds limit: [10m] > [5m]\n")
            #expect(
                try await refusal(server, "query_range?query=%7Bjob%3D%22a%22%7D")
                    == "stream selector is missing required matchers [app], labels present in the query were [job]\n"
            )
            let long = String(repeating: "a", count: 60)
            #expect(
                try await refusal(server, "query_range?query=%7Bapp%3D%22\(long)%22%7D")
                    == "parse error : input size too long (68 > 60)\n")
            let now = SystemClock().wallNanos
            let line = String(repeating: "x", count: 900)
            let body =
                "{\"streams\":[{\"stream\":{\"app\":\"a\"},\"values\":[[\"\(now - 2000)\",\"\(line)\"],[\"\(now - 1000)\",\"\(line)\"]]}]}"
            _ = try await server.post("/loki/api/v1/push", "application/json", Array(body.utf8))
            #expect(
                try await refusal(server, "query_range?\(query)")
                    == "the query would read too many bytes (query: 1.8 KiB, limit: 1000 B); consider adding more specific stream selectors or reduce the time range of the query\n"
            )
            let header = [
                (
                    "X-Loki-Query-Limits",
                    #"{"maxEntriesLimitPerQuery":5,"maxQueryLength":"10m","requiredLabels":["env"]}"#
                )
            ]
            #expect(
                try await refusal(server, "query_range?\(query)", header).contains(
                    "missing required matchers [env]"))
            #expect(
                try await refusal(
                    server, "labels?since=1h",
                    [("X-Loki-Query-Limits", #"{"maxQueryLength":"10m"}"#)]
                ).contains("(query length: 1h, limit: 10m)"))
            #expect(
                try await refusal(server, "labels", [("X-Loki-Query-Limits", "{")])
                    == "invalid query limits\n")
            let watch = server.core.tails.watch([.anonymous])
            #expect(
                try await refusal(server, "tail?\(query)")
                    == "max concurrent tail requests limit exceeded, count > limit (2 > 1)\n")
            server.core.tails.end(watch)
        }
    }

    @Test func sizesAreWrittenWithTheirUnit() {
        #expect(binarySizeText(9) == "9 B")
        #expect(binarySizeText(1023) == "1023 B")
        #expect(binarySizeText(1536) == "1.5 KiB")
        #expect(binarySizeText(12 << 20) == "12 MiB")
        #expect(binarySizeText(150 << 30) == "150 GiB")
    }

    @Test func linesAndStreamsHaveLimitsByTenant() async throws {
        let text = """
            limits:
              logs:
                max_line_size: 20B
                max_label_names_per_series: 2
              tenants:
                roomy: {logs: {max_line_size: 1KiB}}
            """
        let table = try Configuration.parse(text).lineLimits
        #expect(table.common.maxLineBytes == 20)
        #expect(table.byTenant["roomy"]?.maxLineBytes == 1024)
        // What a tenant does not say is as for all.
        #expect(table.byTenant["roomy"]?.maxLabelNames == 2)
        for bad in ["max_line_size: 3MiB", "max_line_size: 0", "max_label_value_length: -1"] {
            #expect(throws: ConfigurationError.self) {
                try Configuration.parse("limits: {logs: {\(bad)}}")
            }
        }
        try await withServer({ $0.tenancy = .header }) { server in
            server.core.lineLimits.set(table)
            let line = String(repeating: "x", count: 21)
            let tight = [("X-Scope-OrgID", "tight")], roomy = [("X-Scope-OrgID", "roomy")]
            let refused = try await server.post(
                "/loki/api/v1/push", "application/json", lokiBody("a", line), headers: tight)
            #expect(refused.status == 400)
            #expect(
                refused.text
                    == "max entry size '20' bytes exceeded for stream '{app=\"a\"}' while adding an "
                    + "entry with length '21' bytes\n")
            let taken = try await server.post(
                "/loki/api/v1/push", "application/json", lokiBody("a", line), headers: roomy)
            #expect(taken.status == 204, "\(taken.text)")
            // Other ways in have the same limits.
            let json = try await server.post(
                "/insert/jsonline?stream_fields=app", "application/x-ndjson",
                Array("{\"_msg\":\"\(line)\",\"app\":\"a\"}\n".utf8), headers: tight)
            #expect(json.status == 400 && json.text.contains("max entry size '20'"), "\(json.text)")
            let labels =
                #"{"streams":[{"stream":{"a":"1","b":"2","c":"3"},"values":[["1","l"]]}]}"#
            let many = try await server.post(
                "/loki/api/v1/push", "application/json", Array(labels.utf8), headers: roomy)
            #expect(many.text.contains("has 3 label names; limit 2"), "\(many.text)")
        }
    }
}
