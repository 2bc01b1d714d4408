// SPDX-License-Identifier: Apache-2.0
// What Grafana's Prometheus data source asks, as it asks, and what it makes of the answers.

import Base
import TestKit
import Testing

@testable import Server

@Test func grafanasDataSourceFindsWhatItNeeds() async throws {
    let form = "application/x-www-form-urlencoded"
    try await withServer { server in
        let now = nowMillis
        let seconds = now / 1000
        let stored = try await server.post(
            "/api/v1/write", protobuf, remoteWriteBody("grafana_sees", 2.5, millis: now))
        #expect(stored.status == 204)
        let check = try await server.post("/api/v1/query", form, Array("query=1%2B1&time=4".utf8))
        #expect(
            check.text
                == #"{"status":"success","data":{"resultType":"scalar","result":[4,"2"]}}"#)
        let build = try await server.get("/api/v1/status/buildinfo")
        #expect(!build.text.contains("features") && !build.text.contains("true"))
        #expect(build.text.contains(#""version":"3."#))
        let range = "start=\(seconds - 60).000&end=\(seconds + 60).000"
        let cases: [(String, String, String?, String)] = [
            (
                "POST", "/api/v1/query_range", "query=grafana_sees&step=15&\(range)",
                #"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"grafana_sees","job":"test"},"values":[["#
            ),
            (
                "GET", "/api/v1/label/__name__/values?limit=40000&\(range)", nil,
                #""data":["grafana_sees"]"#
            ),
            ("POST", "/api/v1/labels", "limit=40000&\(range)", #""data":["__name__","job"]"#),
            (
                "GET", "/api/v1/label/job/values?limit=0&match[]=grafana_sees&\(range)", nil,
                #""data":["test"]"#
            ),
            (
                "POST", "/api/v1/series", "match%5B%5D=%7B__name__%21%3D%22%22%7D&\(range)",
                #""data":[{"__name__":"grafana_sees","job":"test"}]"#
            ),
            (
                "GET",
                "/api/v1/query_exemplars?query=test&start=\(now - 1000)&end=\(now)", nil,
                #"{"status":"success","data":[]}"#
            ),
            ("GET", "/api/v1/metadata?limit=10", nil, #""data":{"#),
            ("GET", "/prometheus/api/v1/query?query=1", nil, #""resultType":"scalar""#),
        ]
        for (method, target, body, text) in cases {
            let reply = try await server.send(
                method, target, headers: body == nil ? [] : [("Content-Type", form)],
                body: body.map { Array($0.utf8) })
            #expect(reply.status == 200 && reply.text.contains(text), "\(target): \(reply.text)")
        }
        let ruler = try await server.get("/api/v1/rules/test/test")
        #expect(ruler.status == 404 && ruler.text.contains("page not found"))
    }
}
