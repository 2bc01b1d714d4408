// SPDX-License-Identifier: Apache-2.0
// Prometheus' API over HTTP: texts, codes, headers and shapes.

import Base
import HTTPTypes
import TestKit
import Testing

@testable import Server

private let form = "application/x-www-form-urlencoded"

/// Stores a few series at a time of now.
private func fill(_ server: TestServer) async throws {
    let now = nowMillis
    let series = ["api", "web", "db"].map { job in
        TestSeries(
            [("__name__", "http_requests_total"), ("job", job), ("http.code", "200")],
            (0..<5).map { (Double($0) * 1.5, now - 60_000 + Int64($0) * 15_000) })
    }
    let reply = try await server.post(
        "/api/v1/write", protobuf, Snappy.compress(remoteWriteMessage(series)))
    #expect(reply.status == 204, "\(reply.text)")
}

/// Path and encoded query of a GET.
private func target(_ path: String, _ pairs: [(String, String)]) -> String {
    path + "?"
        + pairs.map { percentEncoded($0.0) + "=" + percentEncoded($0.1) }
        .joined(separator: "&")
}

@Suite(.serialized) struct PrometheusAPITests {
    /// Texts of prometheus/prometheus `web/api/v1/api.go`.
    @Test func badParametersGetPrometheusTexts() async throws {
        let range = [("query", "up"), ("start", "1"), ("end", "2")]
        let cases: [(String, [(String, String)], Int, String)] = [
            (
                "query", [("query", "up"), ("time", "x")], 400,
                #"invalid parameter \"time\": invalid time value for 'time': cannot parse \"x\" to a"#
            ),
            (
                "query_range", [("query", "up"), ("start", "x")], 400,
                #"invalid parameter \"start\": cannot parse \"x\" to a valid timestamp"#
            ),
            (
                "query_range", range, 400,
                #"invalid parameter \"step\": cannot parse \"\" to a valid duration"#
            ),
            ("query_range", range + [("step", "0")], 400, "zero or negative query resolution"),
            (
                "query_range", [("query", "up"), ("start", "0"), ("end", "99999"), ("step", "1")],
                400, "exceeded maximum resolution of 11,000 points per timeseries"
            ),
            (
                "query_range", [("query", "up[1m]"), ("start", "1"), ("end", "2"), ("step", "1")],
                400, #"invalid parameter \"query\": invalid expression type \"range vector\""#
            ),
            (
                "query", [("query", "up"), ("limit", "x")], 400,
                #"invalid parameter \"limit\": strconv.Atoi: parsing \"x\": invalid syntax"#
            ),
            ("query", [("query", "up"), ("limit", "-1")], 400, "limit must be non-negative"),
            (
                "query", [("query", "up"), ("lookback_delta", "x")], 400,
                #"error parsing lookback delta duration: cannot parse \"x\" to a valid duration"#
            ),
            (
                "query", [("query", "up"), ("timeout", "x")], 400,
                #"invalid parameter \"timeout\": cannot parse \"x\" to a valid duration"#
            ),
            ("query", [("query", "1"), ("timeout", "0")], 503, "timeout"),
            ("query", [("query", "up{")], 400, #"invalid parameter \"query\": 1:4: parse error"#),
            ("series", [], 400, "no match[] parameter provided"),
            (
                "labels", [("match[]", "{a=\"\"}")], 400,
                "match[] must contain at least one non-empty matcher"
            ),
            ("metadata", [("limit", "x")], 400, "limit must be a number"),
            ("metadata", [("limit_per_metric", "x")], 400, "limit_per_metric must be a number"),
            ("status/tsdb", [("limit", "0")], 400, "limit must be a positive number"),
            ("status/tsdb", [("limit", "10001")], 400, "limit must not exceed 10000"),
            ("status/self_metrics", [("metric_name_pattern", "(")], 400, "metric_name_pattern"),
            ("search/label_values", [], 400, #"missing required parameter \"label\""#),
            ("search/metric_names", [("fuzz_threshold", "101")], 400, "must be 0-100"),
            ("search/metric_names", [("sort_by", "score")], 400, "requires search[] to be set"),
            ("search/metric_names", [("sort_dir", "asc")], 400, "only valid when sort_by is set"),
            ("search/metric_names", [("limit", "10001")], 400, "exceeds the configured maximum"),
        ]
        try await withServer { server in
            var wrong: [String] = []
            for (path, pairs, status, text) in cases {
                let reply = try await server.get(target("/api/v1/" + path, pairs))
                if reply.status != status || !reply.text.contains(text) {
                    wrong.append("\(path) \(pairs): \(reply.status) \(reply.text)")
                }
            }
            #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
        }
    }

    @Test func methodsOriginsAndCodings() async throws {
        try await withServer { server in
            try await fill(server)
            let wrong = try await server.send("DELETE", "/api/v1/query")
            #expect(wrong.status == 405)
            #expect(wrong.headers["allow"] == "GET, OPTIONS, POST")
            let unknown = try await server.get("/api/v1/nothing")
            #expect(unknown.status == 404 && unknown.text.contains("page not found"))
            let preflight = try await server.send(
                "OPTIONS", "/api/v1/query", headers: [("Origin", "http://grafana")])
            #expect(preflight.status == 204)
            #expect(preflight.headers["access-control-allow-origin"] == "*")
            #expect(preflight.headers["access-control-allow-methods"] == "GET, POST, OPTIONS")
            let elsewhere = try await server.send(
                "GET", "/loki/api/v1/labels", headers: [("Origin", "http://grafana")])
            #expect(elsewhere.headers["access-control-allow-origin"] == nil)
            let plain = try await server.get("/api/v1/status/self_metrics")
            for (accepted, coding) in [
                ("gzip", "gzip"), ("deflate", "deflate"), ("gzip;q=0, deflate", "deflate"),
                ("br;q=1.0, gzip;q=0.5, deflate;q=0.8", "deflate"),
            ] {
                let reply = try await server.send(
                    "GET", "/api/v1/status/self_metrics", headers: [("Accept-Encoding", accepted)])
                #expect(reply.headers["content-encoding"] == coding, "\(accepted)")
                let unpacked = try reply.body.withUnsafeBytes {
                    try Deflate.decompress($0, coding == "gzip" ? .gzip : .deflate, limit: 1 << 24)
                }
                #expect(unpacked.starts(with: plain.body.prefix(40)), "\(accepted)")
            }
        }
    }

    @Test func originsAreMatchedWhole() async throws {
        let pattern = try RegularExpression(#"https?://(a|b)\.example"#)
        try await withServer({ $0.corsOrigin = pattern }) { server in
            for (origin, isLetIn) in [
                ("https://a.example", true), ("https://a.example.evil", false),
            ] {
                let reply = try await server.send(
                    "GET", "/loki/api/v1/labels", headers: [("Origin", origin)])
                #expect(
                    reply.headers["access-control-allow-origin"] == (isLetIn ? origin : nil))
            }
        }
    }

    @Test func limitsTruncateAndStatisticsCount() async throws {
        try await withServer { server in
            try await fill(server)
            let limited = try await server.post(
                "/api/v1/query", form, Array("query=http_requests_total&limit=2&stats=true".utf8))
            #expect(limited.text.contains(#""warnings":["results truncated due to limit"]"#))
            #expect(limited.text.contains(#""totalQueryableSamples":"#))
            #expect(limited.text.contains(#""execTotalTime":"#))
            let odd = try await server.get("/api/v1/query?query=1&stats=yes")
            #expect(odd.text.contains(#"value \"yes\" for parameter \"stats\" is deprecated"#))
            let values = try await server.get("/api/v1/label/U__http_2e_code/values")
            #expect(values.text == #"{"status":"success","data":["200"]}"#, "\(values.text)")
            let backwards = try await server.get("/api/v1/labels?start=2&end=1")
            #expect(backwards.text == #"{"status":"success","data":[]}"#)
            let ever = try await server.get(
                target(
                    "/api/v1/labels",
                    [
                        ("start", "-292273086-05-16T16:47:06Z"),
                        ("end", "292277025-08-18T07:12:54.999999999Z"), ("limit", "1"),
                    ]))
            #expect(ever.text.contains(#"["__name__"]"#), "\(ever.text)")
            let nothing = try await server.get("/api/v1/query_exemplars?query=1")
            #expect(nothing.status == 204)
            let early = try await server.get(
                "/api/v1/query_exemplars?query=test&start=1700000000000&end=1700000001000")
            #expect(early.text == #"{"status":"success","data":[]}"#)
        }
    }

    @Test func queriesComeAsTrees() async throws {
        try await withServer { server in
            let cases: [(String, String)] = [
                ("1", #"{"type":"numberLiteral","val":"1"}"#),
                (
                    #"sum by (job) (rate(up{a="b"}[5m] @ start()))"#,
                    #"{"expr":{"args":[{"anchored":false,"matchers":[{"name":"a","type":"=","value":"b"},{"name":"__name__","type":"=","value":"up"}],"name":"up","offset":0,"offsetExpr":null,"range":300000,"rangeExpr":null,"smoothed":false,"startOrEnd":"start","timestamp":null,"type":"matrixSelector"}],"func":{"argTypes":["matrix"],"name":"rate","returnType":"vector","variadic":0},"type":"call"},"grouping":["job"],"op":"sum","param":null,"type":"aggregation","without":false}"#
                ),
                (
                    "1 + -x",
                    #"{"bool":false,"lhs":{"type":"numberLiteral","val":"1"},"matching":null,"op":"+","rhs":{"expr":"#
                ),
                (
                    "a / on (x) group_left (y) b",
                    #""matching":{"card":"many-to-one","fillValues":{"lhs":null,"rhs":null},"include":["y"],"labels":["x"],"on":true},"op":"/""#
                ),
            ]
            for (query, text) in cases {
                let reply = try await server.get(target("/api/v1/parse_query", [("query", query)]))
                #expect(reply.status == 200 && reply.text.contains(text), "\(reply.text)")
            }
        }
    }

    @Test func statusPagesAnswer() async throws {
        try await withServer { server in
            try await fill(server)
            for (path, text) in [
                ("features", #""api":{"#), ("features", #""promql_functions":{"#),
                ("notifications", #""data":[]"#), ("status/tsdb/blocks", #""blocks":["#),
                (
                    "status/self_metrics?metric_name_pattern=tern_build_info",
                    #""name":"tern_build_info","help":"#
                ),
                ("status/tsdb?limit=1", #""name":"http_requests_total","value":3"#),
            ] {
                let reply = try await server.get("/api/v1/" + path)
                #expect(reply.status == 200 && reply.text.contains(text), "\(path): \(reply.text)")
            }
        }
    }

    @Test func descriptionListsWhatIsServed() async throws {
        try await withServer { server in
            let scraping = server.scraping
            let routes = makeRoutes(server.core, server.startup, SelfMetrics(), scraping)
            let served = Set(
                routes.flatMap { route in
                    let path = route.path.replacing("**", with: "{labels}")
                    return route.methods.map { "\($0.rawValue.lowercased()) \(path)" }
                })
            let reply = try await server.get("/api/v1/openapi.yaml")
            var described: Set<String> = []
            for line in reply.text.split(separator: "\n") where line.contains("operationId: ") {
                described.insert(String(line.split(separator: "\"")[1]))
            }
            #expect(described == served)
            // Parameters of a path that is not served are parameters of nothing.
            let paths = Set(served.map { String($0.split(separator: " ")[1]) })
            #expect(Set(parametersByPath.keys).subtracting(paths).isEmpty)
            #expect(reply.text.contains("{name: \"line_limit\", in: query"))
        }
    }
}
