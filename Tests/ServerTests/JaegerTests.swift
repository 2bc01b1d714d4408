// SPDX-License-Identifier: Apache-2.0
// Jaeger's query API over HTTP.

import TestKit
import Testing

@testable import Server

@Suite struct JaegerTests {
    private func expect(
        _ shape: JSONShape, _ reply: HTTPReply, status: Int = 200, _ target: String
    ) {
        #expect(reply.status == status, "\(target): \(reply.status) \(reply.text)")
        #expect(reply.headers["content-type"] == "application/json", "\(target)")
        #expect(shape.faults(reply.body) == [], "\(target): \(reply.text)")
    }

    @Test func listsOfServicesAndOperations() async throws {
        try await withTraces { server, _ in
            let services = try await server.get("/api/services")
            #expect(
                services.text
                    == #"{"data":["bank","shop","test-service"],"total":3,"limit":0,"offset":0,"#
                    + #""errors":null}"#)
            let names = try await server.get("/api/services/shop/operations")
            #expect(names.text.contains(#""data":["GET /cart","POST /order","charge"]"#))
            let servers = try await server.get(
                "/jaeger/api/operations?service=shop&spanKind=server")
            #expect(
                servers.text.contains(
                    #""data":[{"name":"GET /cart","spanKind":"server"},"#
                        + #"{"name":"POST /order","spanKind":"server"}],"total":2"#),
                "\(servers.text)")
            let none = try await server.get("/api/operations")
            expect(.jaeger(.null), none, status: 400, "operations")
            #expect(none.text.contains("parameter 'service' is required"))
            for target in ["/api/services", "/api/services/none/operations"] {
                expect(.jaeger(.array(.string)), try await server.get(target), target)
            }
        }
    }

    @Test func searches() async throws {
        try await withTraces { server, now in
            let (order, cart) = (ShopTraces.order, ShopTraces.cart)
            let micros = now / 1000
            for (parameters, found) in [
                ("service=shop", [cart, order]), ("service=shop&limit=1", [cart]),
                ("service=bank", [order]), ("service=none", []),
                ("service=shop&operation=charge", [order]),
                ("service=shop&minDuration=50ms", [order]),
                ("service=shop&maxDuration=10ms", [cart]),
                ("service=shop&minDuration=4ms&maxDuration=0.006s", [cart]),
                ("service=shop&tags=" + escaped(#"{"http.status_code":"500"}"#), [order]),
                ("service=shop&tags=" + escaped(#"{"http.status_code":"501"}"#), []),
                ("service=shop&tags=" + escaped(#"{"error":"true"}"#), [order]),
                ("service=shop&tags=" + escaped(#"{"error":"false"}"#), [cart, order]),
                ("service=shop&tags=" + escaped(#"{"span.kind":"client"}"#), [order]),
                ("service=shop&tags=" + escaped(#"{"load":"0.5","cached":"false"}"#), [order]),
                ("service=shop&tags=" + escaped(#"{"host.name":"a"}"#), [cart, order]),
                ("service=shop&tags=" + escaped(#"{"event":"picked"}"#), [order]),
                ("service=shop&tags=" + escaped(#"{"otel.status_code":"ERROR"}"#), [order]),
                ("service=shop&tags=" + escaped(#"{"otel.scope.name":"lib"}"#), [cart, order]),
                ("service=shop&tag=region:eu&tag=http.status_code:500", [order]),
                ("service=shop&tag=region:us", []),
                ("service=shop&start=\(micros - 25_000_000)&end=\(micros - 19_500_000)", [order]),
                ("service=shop&end=\(micros - 60_000_000)", []),
                ("service=test-service&lookback=1h", []),
                ("service=shop&lookback=custom", [cart, order]),
                ("traceID=abc12&traceID=\(order.uppercased())", [cart, order]),
            ] {
                let target = "/api/traces?" + parameters
                let reply = try await server.get(target)
                expect(.jaeger(.jaegerTraces), reply, target)
                let ids = try CorpusJSON(parsing: reply.body)["data"]?.array
                    .compactMap { $0["traceID"]?.string }
                #expect(ids == found, "\(target)")
            }
            let missing = try await server.get("/api/traces?traceID=abc12&traceID=ffff")
            expect(.jaeger(.jaegerTraces), missing, "missing")
            #expect(
                missing.text.contains(
                    #""errors":[{"msg":"trace not found","traceID":"0000000000000000000000000000ffff"}]"#
                ))
        }
    }

    @Test func whatIsWrongIsSaidInTheEnvelope() async throws {
        try await withTraces { server, _ in
            for (target, status, message) in [
                ("/api/traces", 400, "parameter 'service' is required"),
                ("/api/traces?service=a&limit=0", 400, "limit must be greater than 0"),
                ("/api/traces?service=a&start=x", 400, "unable to parse param 'start'"),
                ("/api/traces?service=a&start=5&end=4", 400, "start time must be before end time"),
                ("/api/traces?service=a&minDuration=5", 400, "missing unit in duration"),
                (
                    "/api/traces?service=a&minDuration=5s&maxDuration=4s", 400,
                    "'maxDuration' should be greater than 'minDuration'"
                ),
                ("/api/traces?service=a&tag=b", 400, "expecting key:value"),
                ("/api/traces?service=a&tags=b", 400, "malformed 'tags' parameter"),
                ("/api/traces?traceID=xyz", 400, "cannot parse traceID param"),
                ("/api/traces?service=a&raw=maybe", 400, "invalid raw"),
                ("/api/traces/xyz", 400, "not 1 to 32 hexadecimal digits"),
                ("/api/traces/ffff", 404, "not found"),
                ("/api/dependencies?endTs=x", 400, "unable to parse param 'endTs'"),
                ("/api/metrics/calls", 400, "please provide at least one service name"),
                ("/api/metrics/latencies?service=a", 400, "unable to parse param 'quantile'"),
                ("/api/metrics/calls?service=a&spanKind=x", 400, "unsupported span kind"),
            ] {
                let reply = try await server.get(target)
                expect(.jaeger(.null), reply, status: status, target)
                #expect(reply.text.contains(message), "\(target): \(reply.text)")
            }
        }
    }

    @Test func clocksAreAdjustedOnlyWhenAsked() async throws {
        try await withTraces { server, now in
            func starts(_ parameters: String) async throws -> (spans: [Int64], warnings: Int) {
                let reply = try await server.get("/api/traces/\(ShopTraces.order)\(parameters)")
                expect(.jaeger(.jaegerTraces), reply, parameters)
                let spans = try CorpusJSON(parsing: reply.body)["data"]?.array.first?["spans"]?
                    .array
                return (
                    (spans ?? []).compactMap { $0["startTime"]?.int }.sorted(),
                    (spans ?? []).flatMap { $0["warnings"]?.array ?? [] }.count
                )
            }
            let first = (now - 20_000_000_000) / 1000
            let stored = [first, first + 10_000, first + 5_000_000]
            for parameters in ["", "?raw=true", "?adjust=false", "?adjust=true&raw=true"] {
                let (spans, warnings) = try await starts(parameters)
                #expect(spans == stored && warnings == 0, "\(parameters): \(spans)")
            }
            let (spans, warnings) = try await starts("?adjust=true")
            #expect(spans == [first, first + 10_000, first + 20_000])
            #expect(warnings == 1)
            let text = try await server.get("/api/traces/\(ShopTraces.order)?adjust=true").text
            #expect(text.contains("This span's timestamps were adjusted by -4.98s"), "\(text)")
        }
    }

    @Test func dependenciesAndRates() async throws {
        try await withTraces { server, now in
            let graph = try await server.get("/api/dependencies?lookback=3600000")
            expect(.jaeger(.jaegerDependencies), graph, "dependencies")
            #expect(
                graph.text.contains(#""data":[{"parent":"shop","child":"bank","callCount":1}]"#),
                "\(graph.text)")
            let other = try await server.get("/api/dependencies?service=test-service")
            #expect(other.text.contains(#""data":[]"#), "\(other.text)")
            let common = "service=shop&endTs=\(now / 1_000_000)&lookback=60000&step=60000"
            for (path, name) in [
                ("latencies?quantile=0.95&", "service_latencies"), ("calls?", "service_call_rate"),
                ("errors?", "service_error_rate"),
            ] {
                let target = "/api/metrics/\(path)\(common)"
                let reply = try await server.get(target)
                expect(.jaegerMetrics, reply, target)
                let family = try CorpusJSON(parsing: reply.body)
                #expect(family["name"]?.string == name)
                let points = family["metrics"]?.array.first?["metricPoints"]?.array ?? []
                let value = points.last?["gaugeValue"]?["doubleValue"]?.double ?? -1
                switch name {
                // Two server spans, one of 100 ms that failed.
                case "service_latencies": #expect((99...101).contains(value), "\(reply.text)")
                case "service_call_rate": #expect(value > 0, "\(reply.text)")
                default: #expect(abs(value - 0.5) < 1e-9, "\(reply.text)")
                }
            }
            let operations = try await server.get(
                "/api/metrics/calls?\(common)&groupByOperation=true&spanKind=client")
            expect(.jaegerMetrics, operations, "operations")
            #expect(
                operations.text.contains(
                    #""labels":[{"name":"operation","value":"charge"},"#
                        + #"{"name":"service_name","value":"shop"}]"#), "\(operations.text)")
            let step = try await server.get("/api/metrics/minstep")
            #expect(step.text.hasPrefix(#"{"data":60000,"#))
        }
    }

    @Test func otlpIsTransformed() async throws {
        guard let input = Corpora.file("traceql/jaeger/otlp2jaeger-in.json"),
            let output = Corpora.file("traceql/jaeger/otlp2jaeger-out.json")
        else { return }
        try await withServer { server in
            let reply = try await server.post("/api/transform", "application/json", input)
            #expect(try CorpusJSON(parsing: reply.body) == CorpusJSON(parsing: output))
            let bad = try await server.post("/api/transform", "application/json", [0x7b])
            #expect(bad.status == 400, "\(bad.text)")
        }
    }

    // MARK: version 3

    @Test func thirdVersion() async throws {
        try await withTraces { server, now in
            #expect(
                try await server.get("/api/v3/services").text
                    == #"{"services":["bank","shop","test-service"]}"#)
            #expect(
                try await server.get("/api/v3/operations?service=bank").text
                    == #"{"operations":[{"name":"debit","spanKind":"server"}]}"#)
            let range = "2020-01-01T00:00:00Z", end = "2100-01-01T00:00:00.5Z"
            let graph = try await server.get(
                "/api/v3/dependencies?start_time=\(range)&endTime=\(end)")
            #expect(
                graph.text
                    == #"{"dependencies":[{"parent":"shop","child":"bank","callCount":"1"}]}"#)
            let wrapped = JSONShape.object(
                ["result": .object(["resourceSpans": .array(.any)])], required: ["result"])
            let trace = try await server.get("/api/v3/traces/abc12?start_time=\(range)")
            expect(wrapped, trace, "trace")
            #expect(trace.text.contains(#""traceId":"\#(ShopTraces.cart)""#), "\(trace.text)")
            for (parameters, count) in [
                ("query.service_name=shop", 2), ("query.serviceName=shop&query.searchDepth=1", 1),
                ("query.service_name=shop&query.num_traces=1", 1),
                ("query.serviceName=shop&query.durationMin=50ms", 1),
                ("query.attributes=" + escaped(#"{"http.status_code":"500"}"#), 1),
                ("query.operation_name=test-operation", 1),
            ] {
                let target =
                    "/api/v3/trace-summaries?\(parameters)&query.start_time_min=\(range)"
                    + "&query.startTimeMax=\(end)"
                let reply = try await server.get(target)
                let found = try CorpusJSON(parsing: reply.body)["summaries"]?.array ?? []
                #expect(found.count == count, "\(target): \(reply.text)")
            }
            let body =
                #"{"query":{"service_name":"shop","attributes":{"error":"true"},"#
                + #""start_time_min":"\#(range)","startTimeMax":"\#(end)","searchDepth":5}}"#
            let posted = try await server.post(
                "/api/v3/traces", "application/json", Array(body.utf8))
            expect(wrapped, posted, "posted")
            #expect(
                posted.text.contains(ShopTraces.order) && !posted.text.contains(ShopTraces.cart))
            let failure = JSONShape.object([
                "error": .object(
                    [
                        "grpcCode": .uint32, "httpCode": .uint32, "message": .string,
                        "httpStatus": .string,
                    ], required: ["httpCode", "message"])
            ])
            for (target, status) in [
                ("/api/v3/traces/ffff", 404), ("/api/v3/traces/zz", 400), ("/api/v3/traces", 400),
                ("/api/v3/operations", 400),
                (
                    "/api/v3/traces?query.service_name=none&query.start_time_min=\(range)"
                        + "&query.start_time_max=\(end)", 404
                ), ("/api/v3/trace-summaries?query.filter=%7B%7D", 400),
                ("/api/v3/trace-summaries?query.orderBy=x", 400),
            ] {
                expect(failure, try await server.get(target), status: status, target)
            }
        }
    }

    // MARK: Grafana

    /// Every request that Grafana's plug-in is recorded to send is answered as it reads answers.
    @Test func grafanasRecordedRequests() async throws {
        guard let file = Corpora.file("grafana/jaeger/requests.json") else { return }
        let cases = try CorpusJSON(parsing: file).array
        try await withTraces { server, _ in
            var count = 0
            for one in cases {
                let target: String
                let shape: JSONShape
                switch one["request"]?.string {
                case "Services": (target, shape) = ("/api/services", .jaeger(.array(.string)))
                case "Operations":
                    // The plug-in sends nothing for no service.
                    guard let name = one["service"]?.string, !name.isEmpty else { continue }
                    target = "/api/services/\(escaped(name))/operations"
                    shape = .jaeger(.array(.string))
                case let kind:
                    guard let url = one["expectedURL"]?.string, !url.isEmpty else { continue }
                    target = url.hasPrefix("/abc/") ? "/jaeger" + url.dropFirst(4) : url
                    shape = .jaeger(kind == "Dependencies" ? .jaegerDependencies : .jaegerTraces)
                }
                count += 1
                let reply = try await server.get(target)
                expect(shape, reply, target)
                if target.hasPrefix("/api/traces") || target.hasPrefix("/jaeger") {
                    #expect(reply.text.contains(ShopTraces.old), "\(target): \(reply.text)")
                }
            }
            #expect(count >= 20)
        }
    }

    // MARK: structured filters

    private func attribute(_ key: String, _ level: String = "") -> String {
        level.isEmpty
            ? #"{"attr":{"key":"\#(key)"}}"# : #"{"attr":{"key":"\#(key)","level":"\#(level)"}}"#
    }

    private func field(_ level: String, _ name: String) -> String {
        #"{"field":{"level":"\#(level)","name":"\#(name)"}}"#
    }

    private func scalar(_ value: String, _ type: String = "") -> String {
        #"{"scalar":{"value":"\#(value)","type":"\#(type)"}}"#
    }

    private func call(_ name: String, _ operands: String...) -> String {
        #"{"op":"\#(name)","args":[\#(operands.joined(separator: ","))]}"#
    }

    private func inner(_ call: String) -> String { #"{"call":\#(call)}"# }

    @Test func filtersSelectSpans() async throws {
        let service = field("resource", "service")
        let shop = call("eq", service, scalar("shop"))
        let code = attribute("http.status_code")
        try await withTraces { server, _ in
            let (order, cart) = (ShopTraces.order, ShopTraces.cart)
            let both = [order, cart]
            for (filter, found) in [
                (shop, both),
                (
                    call(
                        "and", inner(shop),
                        inner(call("eq", field("span", "name"), scalar("charge")))), [order]
                ),
                // Its own text, whatever the type that is stored.
                (call("eq", code, scalar("500")), [order]),
                (call("eq", code, scalar("500", "int")), [order]),
                (call("eq", code, scalar("500", "string")), []),
                (call("gte", code, scalar("400")), [order]),
                (call("lt", scalar("499"), code), [order]),
                (call("gt", attribute("load", "span"), scalar("0.4")), [order]),
                (call("gt", attribute("load", "resource"), scalar("0.4")), []),
                (call("gt", field("span", "duration"), scalar("50ms")), [order, ShopTraces.old]),
                (call("eq", field("span", "status"), scalar("error")), [order]),
                (call("eq", field("span", "kind"), scalar("client")), [order]),
                (call("regex", field("span", "name"), scalar("ca")), [cart]),
                (call("exists", attribute("region")), [order]),
                (call("exists", attribute("nothing")), []),
                // What is absent is not unequal; `not` turns that round.
                (call("ne", attribute("region"), scalar("us")), [order]),
                (call("ne", attribute("region"), scalar("eu")), []),
                (
                    call(
                        "and", inner(shop),
                        inner(call("not", inner(call("eq", attribute("region"), scalar("eu")))))),
                    both
                ),
                (call("in", attribute("region"), #"{"list":{"values":["us","eu"]}}"#), [order]),
                (call("not_in", attribute("region"), #"{"list":{"values":["us","eu"]}}"#), []),
                (
                    call(
                        "some", #"{"nested":{"level":"event"}}"#,
                        inner(call("eq", field("event", "name"), scalar("picked")))),
                    [order]
                ),
                (
                    call(
                        "or", inner(call("eq", field("span", "name"), scalar("GET /cart"))),
                        inner(call("eq", service, scalar("bank")))),
                    both
                ),
                (call("eq", field("span", "traceID"), scalar(order)), [order]),
            ] {
                let range =
                    "query.start_time_min=2020-01-01T00:00:00Z"
                    + "&query.start_time_max=2100-01-01T00:00:00Z"
                let target = "/api/v3/trace-summaries?\(range)&query.filter=\(escaped(filter))"
                let reply = try await server.get(target)
                #expect(reply.status == 200, "\(filter): \(reply.text)")
                let all = [order, cart, ShopTraces.old]
                #expect(
                    Set(all.filter { reply.text.contains("\"\($0)\"") }) == Set(found), "\(filter)")
            }
        }
    }

    @Test func filtersThatCannotBeAreRefused() async throws {
        let range =
            "query.startTimeMin=2026-01-01T00:00:00Z&query.startTimeMax=2026-01-02T00:00:00Z"
        let name = field("span", "name")
        let deep = (0..<30).reduce(call("exists", name)) { text, _ in call("not", inner(text)) }
        try await withServer { server in
            for filter in [
                "{}", "[]", "7", #"{"op":"eq"}"#, call("eq", name), call("like", name, scalar("x")),
                call("and", inner(call("exists", name))), call("not", name),
                call("eq", field("span", "startTime"), scalar("x")),
                call("eq", field("trace", "name"), scalar("x")),
                call("gt", field("span", "kind"), scalar("server")),
                call("eq", field("span", "kind"), scalar("nonsense")),
                call("gt", field("span", "duration"), scalar("soon")),
                call("eq", attribute("a", "trace"), scalar("x")),
                call("eq", attribute("a"), scalar("x", "int")),
                call("in", attribute("a"), #"{"list":{"values":[]}}"#),
                call("regex", attribute("a"), scalar("(")),
                call("phrase", attribute("a"), #"{"list":{"values":["x"]}}"#),
                call(
                    "some", #"{"nested":{"level":"event"}}"#,
                    inner(call("ne", field("event", "name"), scalar("x")))),
                call(
                    "some", #"{"nested":{"level":"link"}}"#,
                    inner(call("eq", field("event", "name"), scalar("x")))),
                deep,
            ] {
                let reply = try await server.get(
                    "/api/v3/traces?\(range)&query.filter=\(escaped(filter))")
                #expect(reply.status == 400, "\(filter): \(reply.status) \(reply.text)")
            }
            let mixed = try await server.get(
                "/api/v3/traces?\(range)&query.serviceName=a&query.filter="
                    + escaped(call("exists", name)))
            #expect(mixed.status == 400)
            #expect(mixed.text.contains("stands alone"))
        }
    }
}
