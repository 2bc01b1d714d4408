// SPDX-License-Identifier: Apache-2.0
// explain over HTTP.

import Base
import TestKit
import Testing

@testable import Server

private func target(_ pairs: [(String, String)], _ path: String = "/api/v1/explain") -> String {
    path + "?"
        + pairs.map { percentEncoded($0.0) + "=" + percentEncoded($0.1) }
        .joined(separator: "&")
}

@Suite(.serialized) struct ExplainEndpointTests {
    @Test func aPlanCountsWhatItsNodesRead() async throws {
        try await withServer { server in
            let now = nowMillis / 1000 * 1000
            let series = (0..<3).map { number in
                TestSeries(
                    [("__name__", "x_total"), ("n", "\(number)")],
                    (0..<4).map { (Double($0), now - 60_000 + Int64($0) * 15_000) })
            }
            let reply = try await server.post(
                "/api/v1/write", protobuf, Snappy.compress(remoteWriteMessage(series)))
            #expect(reply.status == 204, "\(reply.text)")
            let query = ("query", "sum(rate(x_total[5m]))")
            let instant = try await server.get(target([query, ("time", "\(now / 1000)")]))
            #expect(instant.status == 200)
            for part in [
                #"{"status":"success","data":{"query":"sum(rate(x_total[5m]))","kind":"vector","#,
                #""plan":{"operator":"aggregate sum","text":"sum(rate(x_total[5m]))","series":1,"#,
                #"{"operator":"rate","text":"rate(x_total[5m])","series":3,"samples":0,"steps":1,"#,
                #""operator":"select range 5m","text":"x_total[5m]","series":3,"samples":12,"#,
                #""selections":[{"matchers":"{__name__=\"x_total\"}","startMillis":"#,
                #""totals":{"series":1,"samples":12,"peakBytes":"#,
            ] {
                #expect(instant.text.contains(part), "\(part)\n\(instant.text)")
            }
            let range = try await server.post(
                "/api/v1/explain", "application/x-www-form-urlencoded",
                Array(
                    ("query=x_total+%2B+scalar(x_total+%40+end())&step=15"
                        + "&start=\(now / 1000 - 60)&end=\(now / 1000)").utf8))
            #expect(range.text.contains(#""steps":5,"#), "\(range.text)")
            #expect(range.text.contains("step-invariant: computed once for 5 steps"))
        }
    }

    /// What is wrong with a query is said as query and query_range say it.
    @Test func faultsAreThoseOfTheQuery() async throws {
        let range = [("start", "1000"), ("end", "2000"), ("step", "10")]
        let cases: [([(String, String)], String)] = [
            ([("query", "up{")], "query"), ([], "query"),
            ([("query", "up"), ("time", "x")], "query"),
            ([("query", "up"), ("timeout", "0")], "query"),
            ([("query", "up"), ("lookback_delta", "x")], "query"),
            ([("query", "label_replace(up, \"a\", \"b\", \"c\", \"(\")")], "query"),
            ([("query", "up"), ("start", "1")], "query_range"),
            ([("query", "up"), ("step", "15")], "query_range"),
            ([("query", "up"), ("start", "0"), ("end", "99999"), ("step", "1")], "query_range"),
            ([("query", "up[1m]")] + range, "query_range"),
        ]
        try await withServer { server in
            for (pairs, endpoint) in cases {
                let explained = try await server.get(target(pairs))
                let expected = try await server.get(target(pairs, "/api/v1/\(endpoint)"))
                #expect(explained.status >= 400, "\(pairs)")
                #expect(explained.status == expected.status, "\(pairs)")
                #expect(explained.text == expected.text)
            }
            let warned = try await server.get(target([("query", "quantile(2, vector(1))")]))
            #expect(warned.text.contains(#""warnings":["PromQL warning: quantile value"#))
        }
    }
}
