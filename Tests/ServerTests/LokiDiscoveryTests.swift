// SPDX-License-Identifier: Apache-2.0
// What Grafana's log views and Logs Drilldown ask.

import Base
import TestKit
import Testing

@testable import Server

@Suite struct LokiDiscoveryTests {
    /// A minute ago, at a multiple of ten seconds.
    private static let start = SystemClock().wallNanos / 10_000_000_000 * 10 - 60

    /// Ten lines, one a second, of one stream and two patterns.
    private func push(_ server: TestServer) async throws {
        var values: [String] = []
        for i in 0..<10 {
            let line =
                i % 2 == 0
                ? "level=info msg=paid order=\(i) took=\(i)ms" : "level=error msg=refused card=\(i)"
            let nanos = "\(LokiDiscoveryTests.start + Int64(i))000000000"
            values.append("[\"\(nanos)\",\"\(line)\",{\"trace_id\":\"t\(i)\"}]")
        }
        let body =
            "{\"streams\":[{\"stream\":{\"app\":\"shop\",\"uid\":\"17\"},\"values\":[\(values.joined(separator: ","))]}]}"
        let reply = try await server.post(
            "/loki/api/v1/push", "application/json", Array(body.utf8))
        #expect(reply.status == 204)
    }

    private func get(
        _ server: TestServer, _ path: String, _ more: String = ""
    ) async throws -> String {
        let query = "query=%7Bapp%3D%22shop%22%7D&start=\(LokiDiscoveryTests.start)"
        let reply = try await server.get(
            "/loki/api/v1/\(path)?\(query)&end=\(LokiDiscoveryTests.start + 20)\(more)")
        #expect(reply.status == 200, "\(path): \(reply.text)")
        return reply.text
    }

    @Test func drilldownIsAnswered() async throws {
        let start = LokiDiscoveryTests.start
        try await withServer { server in
            try await push(server)
            let fields = try await get(server, "detected_fields")
            #expect(
                fields.contains(
                    #"{"label":"took","type":"duration","cardinality":5,"parsers":["logfmt"]}"#))
            #expect(
                fields.contains(
                    #"{"label":"trace_id","type":"string","cardinality":10,"parsers":null}"#))
            #expect(fields.hasSuffix("\"limit\":1000}"))
            let values = try await get(server, "detected_field/msg/values")
            #expect(values == #"{"values":["paid","refused"],"limit":1000}"#)
            let labels = try await get(server, "detected_labels")
            #expect(
                labels
                    == #"{"detectedLabels":[{"label":"app","cardinality":1},{"label":"service_name","cardinality":1}]}"#
            )
            let patterns = try await get(server, "patterns", "&step=5")
            #expect(
                patterns.contains(#""pattern":"level=error msg=refused card=<_>","level":"error""#))
            #expect(patterns.contains("\"samples\":[[\(start),2],[\(start + 5),3]]"))
            let volume = try await get(server, "index/volume_range", "&step=10&targetLabels=app")
            #expect(volume.contains(#""metric":{"app":"shop"},"values":[["#))
            let total = try await get(
                server, "index/volume", "&aggregateBy=labels&targetLabels=app")
            #expect(total.contains(#""metric":{"app":""}"#))
            let limits = try await server.get("/loki/api/v1/drilldown-limits")
            #expect(limits.text.contains("\"volume_enabled\":true"))
            let few = try await get(server, "query_range", "&interval=4s&direction=forward")
            #expect(few.contains("order=0") && few.contains("order=4") && few.contains("order=8"))
            #expect(!few.contains("order=2") && !few.contains("card="))
        }
    }
}
