// SPDX-License-Identifier: Apache-2.0
// Tempo's API over HTTP and gRPC, as strict clients read it.

import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Telemetry
import TestKit
import Testing
import Wire

@testable import Server

@Suite struct TempoTests {
    private let protobufAccept = [("Accept", "application/protobuf")]

    /// Grafana's requests in the order of its plug-in, each at the root and under `/tempo`.
    @Test func grafanasRequests() async throws {
        try await withTraces { server, now in
            let seconds = now / 1_000_000_000
            let range = "start=\(seconds - 3600)&end=\(seconds)"
            let query = escaped(#"{ resource.service.name = "shop" }"#)
            let cases: [(String, JSONShape, String)] = [
                (
                    "/api/search?q=\(query)&limit=20&spss=3&\(range)", .tempoSearch,
                    #""rootTraceName":"POST /order""#
                ),
                (
                    "/api/search?q=\(escaped("{} | by(resource.service.name) | count() > 1"))",
                    .tempoSearch, #""attributes":[{"key":"by(resource.service.name)""#
                ),
                ("/api/search?tags=service.name%3Dbank", .tempoSearch, #""serviceStats":{"bank""#),
                (
                    "/api/v2/search/tags?limit=5000&\(range)", .tempoTagsV2,
                    #""scopes":[{"name":"resource","tags":["host.name","service.name"]},{"name":"span""#
                ),
                ("/api/v2/search/tags?scope=intrinsic", .tempoTagsV2, #""trace:rootName""#),
                ("/api/v2/search/tags?scope=span&limit=1", .tempoTagsV2, #""tags":["cached"]"#),
                ("/api/search/tags?\(range)", .tempoTags, #""tagNames":["cached","host.name""#),
                ("/api/search/tags?scope=intrinsic", .tempoTags, #""tagNames":["duration""#),
                (
                    "/api/v2/search/tag/resource.service.name/values?\(range)", .tempoTagValuesV2,
                    #"{"type":"string","value":"shop"}"#
                ),
                (
                    "/api/v2/search/tag/span.http.status_code/values", .tempoTagValuesV2,
                    #"{"type":"int","value":"500"}"#
                ),
                (
                    "/api/v2/search/tag/span.load/values", .tempoTagValuesV2,
                    #"{"type":"float","value":"0.5"}"#
                ),
                (
                    "/api/v2/search/tag/status/values", .tempoTagValuesV2,
                    #"{"type":"keyword","value":"error"}"#
                ),
                (
                    "/api/v2/search/tag/name/values?limit=1&q="
                        + escaped(#"{ resource.service.name = "bank" && name = }"#),
                    .tempoTagValuesV2, #""tagValues":[{"type":"string","value":"debit"}]"#
                ),
                ("/api/search/tag/service.name/values", .tempoTagValues, #"["bank","shop""#),
            ]
            for (target, shape, text) in cases {
                for prefix in ["", "/tempo"] {
                    let reply = try await server.get(prefix + target)
                    #expect(reply.status == 200, "\(target): \(reply.text)")
                    #expect(shape.faults(reply.body) == [], "\(target): \(reply.text)")
                    #expect(reply.text.contains(text), "\(target): \(reply.text)")
                }
                let wire = try await server.send(
                    "GET", target, headers: [("Accept", "application/protobuf")])
                #expect(wire.headers["content-type"] == "application/protobuf", "\(target)")
                #expect(wire.body.first == 0x0a, "\(target)")
            }
            let echo = try await server.get("/tempo/api/echo")
            #expect(echo.status == 200 && echo.text == "echo")
        }
    }

    @Test func metricsOfSpans() async throws {
        try await withTraces { server, now in
            let seconds = now / 1_000_000_000
            let range = "start=\(seconds - 600)&end=\(seconds + 1)"
            func series(_ reply: HTTPReply) throws -> [CorpusJSON] {
                try CorpusJSON(parsing: reply.body)["series"]?.array ?? []
            }
            for (query, count, text) in [
                ("{} | rate()", 1, #"{"key":"__name__","value":{"stringValue":"rate"}}"#),
                (
                    "{} | count_over_time() by (resource.service.name)", 2,
                    #"{"key":"resource.service.name","value":{"stringValue":"shop"}}"#
                ),
                ("{ kind = server } | quantile_over_time(duration, .5, .9)", 2, #""key":"p""#),
                ("{} | histogram_over_time(duration)", nil, #""key":"__bucket""#),
                ("{} | compare({ status = error })", nil, #""key":"__meta_type""#),
                ("{ nestedSetParent < 0 } | max_over_time(duration) with (sample=true)", 1, ""),
            ] as [(String, Int?, String)] {
                for prefix in ["", "/tempo"] {
                    let target =
                        "\(prefix)/api/metrics/query_range?q=\(escaped(query))&\(range)"
                        + "&step=60s&exemplars=5"
                    let reply = try await server.get(target)
                    #expect(reply.status == 200, "\(query): \(reply.text)")
                    #expect(JSONShape.tempoRange.faults(reply.body) == [], "\(reply.text)")
                    #expect(reply.text.contains(text), "\(query): \(reply.text)")
                    if let count { #expect(try series(reply).count == count, "\(reply.text)") }
                }
                let instant = try await server.get(
                    "/api/metrics/query?q=\(escaped(query))&\(range)")
                #expect(instant.status == 200, "\(query): \(instant.text)")
                #expect(JSONShape.tempoInstant.faults(instant.body) == [], "\(instant.text)")
            }
            let counted = try await server.get(
                "/api/metrics/query?since=10m&q=" + escaped("{ kind = client } | count_over_time()")
            )
            #expect(try series(counted).first?["value"]?.double == 1, "\(counted.text)")
            let exemplars = try await server.get(
                "/api/metrics/query_range?\(range)&q=" + escaped("{ status = error } | rate()"))
            #expect(
                exemplars.text.contains(
                    #"{"key":"trace:id","value":{"stringValue":"\#(ShopTraces.order)"}}"#),
                "\(exemplars.text)")
            let few = try await server.get(
                "/api/metrics/query_range?\(range)&maxSeries=1&q="
                    + escaped("{} | rate() by (name)"))
            #expect(few.text.contains(#""status":"PARTIAL","message":"#), "\(few.text)")
            for (target, text) in [
                ("query_range?q=%7B%7D", "not a metrics query"),
                ("query_range", "q must not be empty"),
                ("query_range?q=%7B%7D%20%7C%20rate()&step=0", "invalid step"),
                ("query?q=%7B%7D%20%7C%20rate()&start=5&end=4", "end must be greater than start"),
                ("query?q=%7B", "invalid TraceQL query"),
            ] {
                let reply = try await server.get("/api/metrics/" + target)
                #expect(
                    reply.status == 400 && reply.text.contains(text), "\(target): \(reply.text)")
            }
        }
    }

    @Test func statisticsAreReal() async throws {
        try await withTraces { server, _ in
            let reply = try await server.get("/api/search?q=\(escaped("{ status = error }"))")
            let metrics = try CorpusJSON(parsing: reply.body)["metrics"]
            #expect(metrics?["inspectedTraces"]?.int == 1, "\(reply.text)")
            #expect((Int(metrics?["inspectedSpans"]?.string ?? "") ?? 0) >= 4, "\(reply.text)")
            #expect(metrics?["completedJobs"]?.int == metrics?["totalJobs"]?.int)
        }
    }

    @Test func tracesByID() async throws {
        try await withTraces { server, now in
            let id = ShopTraces.order
            let v2 = try await server.send(
                "GET", "/api/v2/traces/\(id)", headers: protobufAccept)
            #expect(v2.status == 200 && v2.headers["content-type"] == "application/protobuf")
            let v1 = try await server.send("GET", "/api/traces/\(id)", headers: protobufAccept)
            #expect(v1.headers["content-type"] == "application/protobuf")
            #expect(v2.body.starts(with: [0x0a]) && v2.body.count > v1.body.count)
            let decoded = try v1.body.withUnsafeBytes { try OTLPTraces.decodeProtobuf($0).batch }
            #expect(decoded.rowCount == 3)
            let json = try await server.get("/tempo/api/traces/\(id)")
            #expect(json.text.hasPrefix(#"{"batches":[{"resource":"#))
            #expect(json.text.contains(#""kind":"SPAN_KIND_SERVER""#))
            let jsonV2 = try await server.get("/api/v2/traces/\(id)")
            #expect(jsonV2.text.hasPrefix(#"{"trace":{"resourceSpans":["#))
            #expect(jsonV2.text.hasSuffix(#""status":"COMPLETE"}"#))
            let seconds = now / 1_000_000_000
            let inside = try await server.get(
                "/api/v2/traces/\(id)?start=\(seconds - 60)&end=\(seconds)")
            #expect(inside.status == 200)
            let outside = try await server.get("/api/v2/traces/\(id)?start=1&end=2")
            #expect(outside.status == 404)
            for (target, status) in [
                ("/api/v2/traces/ffff", 404), ("/tempo/api/traces/ffff", 404),
                ("/api/v2/traces/xyz", 400), ("/api/v2/traces/1?start=2&end=1", 400),
            ] {
                let reply = try await server.get(target)
                #expect(reply.status == status, "\(target): \(reply.text)")
                #expect(reply.headers["content-type"]?.hasPrefix("text/plain") == true)
            }
            let missing = try await server.send(
                "GET", "/api/traces/ffff", headers: protobufAccept)
            #expect(missing.status == 404 && missing.text.contains("not found"))
        }
    }

    @Test func spansAreSelected() async throws {
        try await withTraces { server, _ in
            func names(_ parameters: String) async throws -> Set<String> {
                let reply = try await server.get("/api/v2/traces/\(ShopTraces.order)?\(parameters)")
                #expect(reply.status == 200, "\(parameters): \(reply.text)")
                let resources = try CorpusJSON(parsing: reply.body)["trace"]?["resourceSpans"]?
                    .array
                let scopes = (resources ?? []).flatMap { $0["scopeSpans"]?.array ?? [] }
                return Set(
                    scopes.flatMap { $0["spans"]?.array ?? [] }.compactMap { $0["name"]?.string })
            }
            let all: Set<String> = ["POST /order", "charge", "debit"]
            let debit = "q=" + escaped(#"{ name = "debit" }"#)
            #expect(try await names("q=" + escaped("{}")) == all)
            #expect(try await names("q=" + escaped("{ true }")) == all)
            #expect(try await names(debit) == all)
            #expect(try await names(debit + "&keep_hierarchy=false") == ["debit"])
            #expect(try await names(debit + "&ancestor_depth=1") == ["charge", "debit"])
            #expect(
                try await names("q=" + escaped("{ kind = client }")) == ["POST /order", "charge"])
            #expect(try await names("q=" + escaped(#"{ name = "}" }"#)) == [])
            for query in [
                "{ .a = 1 } && { .b = 2 }", "{ .a = 1 } | count() > 1", "{ .a = 1 } | { .b = 1 }",
                "{ .a = }", "x", "{} | rate()",
            ] {
                let reply = try await server.get(
                    "/api/v2/traces/\(ShopTraces.order)?q=\(escaped(query))")
                #expect(reply.status == 400, "\(query): \(reply.text)")
            }
        }
    }

    @Test func whatIsWrongIsSaidInWords() async throws {
        try await withTraces { server, _ in
            for (target, text) in [
                ("/api/search?q=%7B", "invalid TraceQL query: "),
                ("/api/search?limit=0", "invalid limit: must be a positive number"),
                ("/api/search?limit=x", "invalid limit"), ("/api/search?spss=-1", "invalid spss"),
                ("/api/search?start=5&end=4", "http parameter start must be before end"),
                ("/api/search?minDuration=5", "invalid minDuration"),
                ("/api/search/tags?scope=x", "invalid scope: x"),
                ("/api/v2/search/tags?start=x", "invalid start"),
            ] {
                let reply = try await server.get(target)
                #expect(
                    reply.status == 400 && reply.text.contains(text), "\(target): \(reply.text)")
            }
        }
    }

    @Test func statusPages() async throws {
        try await withServer { server in
            for (path, text) in [
                ("/status", "tern, version"), ("/status/version", "tern, version"),
                ("/status/services", "Running"),
                ("/status/endpoints", "GET /api/v2/traces/{id}"),
            ] {
                let reply = try await server.get(path)
                #expect(reply.status == 200 && reply.text.contains(text), "\(path): \(reply.text)")
            }
        }
    }

    // MARK: streaming

    /// Messages of one call's stream, or the code of its failure.
    private func call(
        _ port: Int, _ method: String, _ body: [UInt8]
    ) async throws -> (messages: [[UInt8]], code: RPCError.Code?) {
        let transport = try HTTP2ClientTransport.Posix(
            target: .ipv4(address: "127.0.0.1", port: port), transportSecurity: .plaintext)
        return try await withGRPCClient(transport: transport) { client in
            do {
                return try await client.serverStreaming(
                    request: ClientRequest(message: body),
                    descriptor: MethodDescriptor(
                        fullyQualifiedService: "tempopb.StreamingQuerier", method: method),
                    serializer: RawBytes(), deserializer: RawBytes(), options: .defaults
                ) { response in
                    var messages: [[UInt8]] = []
                    for try await message in response.messages { messages.append(message) }
                    return (messages, nil)
                }
            } catch let error as RPCError {
                return ([], error.code)
            }
        }
    }

    @Test func searchesAsStreams() async throws {
        try await withTraces { server, _ in
            func text(_ messages: [[UInt8]]) -> String {
                messages.map { String(decoding: $0, as: UTF8.self) }.joined()
            }
            var request = ProtobufWriter()
            request.uint32(4, 5)
            request.string(8, "{ status = error }")
            let search = try await call(server.grpcPort, "Search", request.bytes)
            #expect(search.messages.count == 1)
            #expect(text(search.messages).contains(ShopTraces.order))
            #expect(!text(search.messages).contains(ShopTraces.cart))

            request = ProtobufWriter()
            request.message(1) { tag in
                tag.string(1, "service.name")
                tag.string(2, "BANK")
            }
            let older = try await call(server.grpcPort, "Search", request.bytes)
            #expect(text(older.messages).contains(ShopTraces.order))

            request = ProtobufWriter()
            request.string(1, "resource")
            for method in ["SearchTags", "SearchTagsV2"] {
                let tags = try await call(server.grpcPort, method, request.bytes)
                #expect(text(tags.messages).contains("service.name"), "\(method)")
            }
            request = ProtobufWriter()
            request.string(1, "resource.service.name")
            for method in ["SearchTagValues", "SearchTagValuesV2"] {
                let values = try await call(server.grpcPort, method, request.bytes)
                #expect(text(values.messages).contains("test-service"), "\(method)")
            }
            request = ProtobufWriter()
            request.string(1, "{} | rate() by (resource.service.name)")
            for method in ["MetricsQueryRange", "MetricsQueryInstant"] {
                let metrics = try await call(server.grpcPort, method, request.bytes)
                #expect(text(metrics.messages).contains("resource.service.name"), "\(method)")
            }
            request = ProtobufWriter()
            request.string(8, "{")
            #expect(
                try await call(server.grpcPort, "Search", request.bytes).code == .invalidArgument)
            #expect(
                try await call(server.grpcPort, "Search", [0xff]).code == .invalidArgument)
            #expect(try await call(server.grpcPort, "Other", []).code == .unimplemented)
            // The port of HTTP takes gRPC too: Grafana knows no other.
            request = ProtobufWriter()
            request.string(8, "{ status = error }")
            let shared = try await call(server.port, "Search", request.bytes)
            #expect(text(shared.messages).contains(ShopTraces.order))
            #expect(try await call(server.port, "Other", []).code == .unimplemented)
        }
    }
}
