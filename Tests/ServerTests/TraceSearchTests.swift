// SPDX-License-Identifier: Apache-2.0
// Tempo's search and completion over HTTP.

import TestKit
import Testing

@testable import Server

@Suite struct TraceSearchTests {
    /// One trace: a failed call of `shop` with an array and two events, and a good one of `bank`.
    private func spans() -> String {
        let nanos = nowMillis * 1_000_000
        func attribute(_ key: String, _ value: String) -> String {
            #"{"key":"\#(key)","value":\#(value)}"#
        }
        func resource(_ service: String, _ span: String) -> String {
            let name = attribute("service.name", #"{"stringValue":"\#(service)"}"#)
            return #"{"resource":{"attributes":[\#(name)]},"scopeSpans":[{"spans":[\#(span)]}]}"#
        }
        let list = attribute(
            "list", #"{"arrayValue":{"values":[{"stringValue":"x"},{"intValue":"7"}]}}"#)
        let warehouse = attribute("warehouse", #"{"stringValue":"north"}"#)
        let time = #""startTimeUnixNano":"\#(nanos)","endTimeUnixNano":"\#(nanos + 20_000_000)""#
        let failed =
            #"{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","#
            + #""name":"POST /order","kind":2,\#(time),"status":{"code":2},"#
            + #""attributes":[\#(list)],"events":[{"timeUnixNano":"\#(nanos)","name":"picked","#
            + #""attributes":[\#(warehouse)]},{"timeUnixNano":"\#(nanos)","name":"sent"}]}"#
        let good =
            #"{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203332","#
            + #""parentSpanId":"b7ad6b7169203331","name":"charge","kind":3,\#(time)}"#
        return #"{"resourceSpans":[\#(resource("shop", failed)),\#(resource("bank", good))]}"#
    }

    private func withSpans(_ body: (TestServer) async throws -> Void) async throws {
        try await withServer { server in
            let reply = try await server.post("/v1/traces", "application/json", Array(spans().utf8))
            #expect(reply.status == 200, "\(reply.text)")
            try await body(server)
        }
    }

    private func search(_ server: TestServer, _ parameters: String) async throws -> HTTPReply {
        try await server.get("/api/search?" + parameters)
    }

    @Test func answersHoldValuesOfEveryType() async throws {
        try await withSpans { server in
            let array = try await search(server, "q=%7B%20span.list%20%3D%20%22x%22%20%7D")
            #expect(
                array.text.contains(
                    #"{"key":"list","value":{"arrayValue":{"values":[{"stringValue":"x"},"#
                        + #"{"intValue":"7"}]}}}"#), "\(array.text)")
            let event = try await search(
                server, "q=%7B%20event.warehouse%20%3D%20%22north%22%20%7D")
            #expect(
                event.text.contains(#"{"key":"warehouse","value":{"stringValue":"north"}}"#),
                "\(event.text)")
        }
    }

    @Test func olderParametersAreEvaluated() async throws {
        try await withSpans { server in
            let id = "af7651916cd43dd8448eb211c80319c"
            for (parameters, isFound) in [
                ("tags=service.name%3DSHO", true), ("tags=service.name%3Dnothere", false),
                ("tags=service.name%3Dshop%20name%3Dcharge", true),
                ("minDuration=10ms&maxDuration=1s", true), ("minDuration=1s", false),
            ] {
                let reply = try await search(server, parameters)
                #expect(reply.status == 200, "\(reply.text)")
                #expect(reply.text.contains(id) == isFound, "\(parameters): \(reply.text)")
            }
            let both = try await search(server, "q=%7B%7D&tags=a%3Db")
            #expect(both.status == 400)
            #expect(both.text.contains("q cannot be combined with tags"), "\(both.text)")
        }
    }

    @Test func completionFollowsWhatIsCompleteOfTheQuery() async throws {
        try await withSpans { server in
            let path = "/api/v2/search/tag/name/values"
            let all = try await server.get(path)
            #expect(all.text.contains("POST /order") && all.text.contains("charge"), "\(all.text)")
            let failed = try await server.get(
                path + "?q=%7B%20status%20%3D%20error%20%26%26%20name%20%3D%20%7D")
            #expect(failed.text.contains("POST /order"), "\(failed.text)")
            #expect(!failed.text.contains("charge"), "\(failed.text)")
            let kinds = try await server.get("/api/v2/search/tag/kind/values")
            #expect(kinds.text.contains(#"{"type":"keyword","value":"server"}"#), "\(kinds.text)")
            let tags = try await server.get(
                "/api/v2/search/tags?q=%7B%20resource.service.name%20%3D%20%22bank%22%20%7D")
            #expect(tags.text.contains("service.name"), "\(tags.text)")
            #expect(!tags.text.contains("warehouse"), "\(tags.text)")
        }
    }
}
