// SPDX-License-Identifier: Apache-2.0
// The Model Context Protocol over HTTP.

import Base
import TestKit
import Testing

@testable import Server

@Suite struct ModelContextTests {
    private func ask(
        _ server: TestServer, _ method: String, _ parameters: String = "{}"
    ) async throws -> JSONValue {
        let reply = try await server.post(
            "/api/mcp", "application/json",
            Array(
                #"{"jsonrpc":"2.0","id":7,"method":"\#(method)","params":\#(parameters)}"#.utf8))
        #expect(reply.status == 200, "\(reply.text)")
        let answer = try JSONValue(parsing: reply.body)
        #expect(answer["jsonrpc"].text == "2.0" && answer["id"].int == 7)
        return answer
    }

    private func use(
        _ server: TestServer, _ tool: String, _ arguments: String
    ) async throws -> (text: String, isError: Bool) {
        let answer = try await ask(
            server, "tools/call", #"{"name":"\#(tool)","arguments":\#(arguments)}"#)
        let result = answer["result"]
        #expect(result["content"][0]["type"].text == "text", "\(answer)")
        return (result["content"][0]["text"].text, result["isError"] == .bool(true))
    }

    @Test func aSessionBegins() async throws {
        try await withServer { server in
            for (wanted, given) in [("2025-03-26", "2025-03-26"), ("1999-01-01", "2025-11-25")] {
                let answer = try await ask(
                    server, "initialize",
                    #"{"protocolVersion":"\#(wanted)","capabilities":{},"clientInfo":{"name":"t","version":"1"}}"#
                )
                #expect(answer["result"]["protocolVersion"].text == given)
                #expect(answer["result"]["serverInfo"]["name"].text == "tern")
                #expect(!answer["result"]["capabilities"]["tools"].isNull)
            }
            let note = try await server.post(
                "/api/mcp", "application/json",
                Array(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.utf8))
            #expect(note.status == 202 && note.body.isEmpty)
            let ping = try await ask(server, "ping")
            #expect(ping["result"] == .object([]))
            #expect(try await server.get("/api/mcp").status == 405)
        }
    }

    /// Each tool is described, and each leads to a route that knows its arguments.
    @Test func everyToolAnswers() async throws {
        try await withTraces { server, now in
            let listed = try await ask(server, "tools/list")["result"]["tools"].items
            #expect(listed.map { $0["name"].text } == ModelContextTool.all.map(\.name))
            for tool in listed {
                #expect(tool["inputSchema"]["type"].text == "object")
                #expect(!tool["description"].text.isEmpty)
            }
            let seconds = now / 1_000_000_000
            let window = #""start":\#(seconds - 600),"end":"\#(seconds + 60)""#
            let order = ShopTraces.order
            let cases: [(String, String, String)] = [
                ("diagnose", "{\(window)}", #""suspects""#),
                ("trace-context", #"{"id":"\#(order)"}"#, #""criticalPathNanos""#),
                ("services", "{\(window)}", #""shop""#),
                ("traceql-search", #"{"q":"{ name = \"charge\" }","limit":5,\#(window)}"#, order),
                (
                    "traceql-metrics-instant", #"{"q":"{ } | count_over_time()",\#(window)}"#,
                    #""series""#
                ),
                (
                    "traceql-metrics-range",
                    #"{"q":"{ } | rate() by (resource.service.name)","step":"60s",\#(window)}"#,
                    #""bank""#
                ),
                ("get-trace", #"{"id":"\#(order)","q":"{ name = \"debit\" }"}"#, #""debit""#),
                (
                    "trace-diff",
                    #"{"base":{"traceId":"\#(order)"},"compare":{"traceId":"\#(ShopTraces.cart)"}}"#,
                    #""removedSpans":3"#
                ),
                ("get-attribute-names", #"{"scope":"span",\#(window)}"#, #""peer.service""#),
                (
                    "get-attribute-values", #"{"name":"resource.service.name",\#(window)}"#,
                    #""bank""#
                ),
                ("promql-query", #"{"query":"1 + 1","time":5}"#, #""2""#),
                ("logql-query", #"{"query":"{app=\"shop\"}",\#(window)}"#, #""streams""#),
            ]
            #expect(cases.count == ModelContextTool.all.count)
            for (tool, arguments, part) in cases {
                let (text, isError) = try await use(server, tool, arguments)
                #expect(!isError && text.contains(part), "\(tool): \(text)")
            }
        }
    }

    @Test func whatIsWrongIsSaidInWords() async throws {
        try await withServer { server in
            let refused: [(String, String, Int64, String)] = [
                ("resources/list", "{}", -32601, "resources/list"),
                ("tools/call", #"{"name":"format-disk"}"#, -32602, "format-disk"),
                ("tools/call", #"{"name":"get-trace"}"#, -32602, #"needs "id""#),
                (
                    "tools/call", #"{"name":"services","arguments":{"color":"red"}}"#, -32602,
                    #"no argument "color""#
                ),
            ]
            for (method, parameters, code, part) in refused {
                let answer = try await ask(server, method, parameters)
                #expect(answer["error"]["code"].int == code, "\(answer)")
                #expect(answer["error"]["message"].text.contains(part), "\(answer)")
            }
            // What the route refuses, a model can mend.
            let (text, isError) = try await use(server, "traceql-search", #"{"q":"{ name = "}"#)
            #expect(isError && text.contains("invalid TraceQL query"), "\(text)")
            let bodies = [("{", -32700), ("[]", -32600), (#"{"id":1,"method":"ping"}"#, -32600)]
            for (body, code) in bodies {
                let reply = try await server.post(
                    "/api/mcp", "application/json", Array(body.utf8))
                #expect(reply.text.contains(#""code":\#(code)"#), "\(body): \(reply.text)")
            }
        }
    }

    @Test func pagesOfOtherSitesAreRefused() async throws {
        try await withServer { server in
            let ping = Array(#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.utf8)
            for (origin, status) in [
                ("https://example.org", 403), ("http://localhost.example.org", 403), ("null", 403),
                ("http://localhost:3000", 200), ("http://127.0.0.1", 200),
            ] {
                let reply = try await server.send(
                    "POST", "/api/mcp",
                    headers: [("Content-Type", "application/json"), ("Origin", origin)], body: ping)
                #expect(reply.status == status, "\(origin): \(reply.text)")
            }
            let version = try await server.send(
                "POST", "/api/mcp",
                headers: [
                    ("Content-Type", "application/json"), ("MCP-Protocol-Version", "1999-01-01"),
                ], body: ping)
            #expect(version.status == 400 && version.text.contains("2025-06-18"))
        }
    }
}
