// SPDX-License-Identifier: Apache-2.0
// Zipkin's query API over HTTP.

import TestKit
import Testing

@testable import Server

@Suite struct ZipkinTests {
    @Test func namesAndGraph() async throws {
        try await withTraces { server, now in
            let end = now / 1_000_000
            for (target, text) in [
                ("/api/v2/services", #"["bank","shop","test-service"]"#),
                ("/zipkin/api/v2/spans?serviceName=shop", #"["GET /cart","POST /order","charge"]"#),
                ("/api/v2/remoteServices?serviceName=shop", #"["bank"]"#),
                ("/api/v2/autocompleteValues?key=region", #"["eu"]"#),
                ("/api/v2/autocompleteValues?key=none", "[]"),
                (
                    "/api/v2/dependencies?endTs=\(end)&lookback=3600000",
                    #"[{"parent":"shop","child":"bank","callCount":1}]"#
                ),
            ] {
                let reply = try await server.get(target)
                #expect(reply.status == 200 && reply.text == text, "\(target): \(reply.text)")
            }
            let keys = try await server.get("/api/v2/autocompleteKeys")
            #expect(keys.text.contains("http.status_code") && keys.text.contains("host.name"))
        }
    }

    @Test func searches() async throws {
        try await withTraces { server, now in
            let (order, cart) = (ShopTraces.order, ShopTraces.cart)
            for (parameters, found) in [
                ("", [cart, order]),
                // The order has the newest span, by the clock that is ahead.
                ("limit=1", [order]), ("serviceName=bank", [order]),
                ("serviceName=shop&spanName=charge", [order]),
                ("remoteServiceName=bank", [order]), ("minDuration=50000", [order]),
                ("serviceName=shop&minDuration=1000&maxDuration=10000", [cart]),
                ("annotationQuery=" + escaped("http.status_code=500 and picked"), [order]),
                ("annotationQuery=" + escaped("region"), [order]),
                ("annotationQuery=" + escaped("error"), []),
                ("annotationQuery=" + escaped("error=true"), [order]),
                ("endTs=\(now / 1_000_000 - 60_000)", []), ("lookback=1", []),
            ] {
                let target = "/api/v2/traces?" + parameters
                let reply = try await server.get(target)
                #expect(reply.status == 200, "\(target): \(reply.text)")
                #expect(JSONShape.array(.zipkinTrace).faults(reply.body) == [], "\(reply.text)")
                let ids = try CorpusJSON(parsing: reply.body).array
                    .compactMap { $0.array.first?["traceId"]?.string }
                #expect(ids == found, "\(target)")
            }
        }
    }

    @Test func tracesByID() async throws {
        try await withTraces { server, _ in
            let one = try await server.get("/api/v2/trace/\(ShopTraces.order)")
            #expect(JSONShape.zipkinTrace.faults(one.body) == [], "\(one.text)")
            #expect(try CorpusJSON(parsing: one.body).array.count == 3)
            let short = try await server.get("/api/v2/trace/0000000000abc123")
            #expect(short.text.contains(ShopTraces.old))
            let many = try await server.get(
                "/api/v2/traceMany?traceIds=\(ShopTraces.order),\(ShopTraces.cart),ffff")
            #expect(try CorpusJSON(parsing: many.body).array.count == 2, "\(many.text)")
            for (target, status) in [
                ("/api/v2/trace/ffff", 404), ("/api/v2/trace/zz", 400),
                ("/api/v2/traceMany?traceIds=1", 400), ("/api/v2/traceMany?traceIds=1,1", 400),
                ("/api/v2/traceMany?traceIds=1,zz", 400), ("/api/v2/spans", 400),
                ("/api/v2/dependencies", 400), ("/api/v2/autocompleteValues", 400),
                ("/api/v2/traces?limit=0", 400),
                ("/api/v2/traces?minDuration=2&maxDuration=1", 400),
            ] {
                let reply = try await server.get(target)
                #expect(reply.status == status, "\(target): \(reply.text)")
            }
        }
    }
}
