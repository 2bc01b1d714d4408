// SPDX-License-Identifier: Apache-2.0
// The correlation API over HTTP: every field, every refusal.

import FoundationEssentials
import Telemetry
import TestKit
import Testing

@testable import Server

@Suite struct CorrelateTests {
    private func withShop<R: Sendable>(
        _ body: (CorrelateServer, Shop) async throws -> R
    ) async throws -> R {
        try await withTemporaryDirectory { path in
            try await CorrelateServer.run(path + "/data") { server in
                let shop = Shop()
                try await shop.sendAll(to: server)
                return try await body(server, shop)
            }
        }
    }

    @Test func aTraceHasItsSpansLinesAndExemplars() async throws {
        try await withShop { server, shop in
            let answer = try await server.get("trace/" + Shop.trace, as: TraceData.self)
            let trace = answer.data
            #expect(answer.warnings == nil)
            #expect(trace.traceID == Shop.trace)
            #expect(trace.startTimeUnixNano == String(shop.base))
            #expect(trace.endTimeUnixNano == String(shop.base + 100_000_000))
            #expect(trace.durationNanos == "100000000")
            #expect((trace.rootService, trace.rootName) == ("front", "GET /cart"))
            #expect((trace.spanCount, trace.errorCount) == (3, 1))
            #expect(trace.services == ["back", "front"])
            #expect(!trace.partial)

            let spans = try #require(trace.spans)
            #expect(spans.map(\.name) == ["GET /cart", "call", "Load"])
            #expect(spans.map(\.kind) == ["server", "client", "server"])
            #expect(spans.map(\.status) == ["unset", "unset", "error"])
            #expect(spans.map(\.parentSpanID) == ["", "00000000000000a1", "00000000000000a2"])
            #expect(spans.map(\.durationNanos) == ["100000000", "70000000", "50000000"])
            #expect(spans.map(\.selfTimeNanos) == ["30000000", "20000000", "50000000"])
            #expect(spans.map(\.criticalPathNanos) == ["30000000", "20000000", "50000000"])
            #expect(
                spans.map(\.code) == [
                    CodeData(
                        file: "cart.go", line: 12, function: "main.cart",
                        raw: "cart.go:12 main.cart"), nil,
                    CodeData(
                        file: "Db.java", line: 42, function: "shop.Db.load",
                        raw: "shop.Db.load(Db.java:42)"),
                ])

            let logs = try #require(trace.logs)
            #expect(logs.map(\.spanID) == ["00000000000000a1", "00000000000000b1"])
            #expect(logs.map { $0.labels["job"] } == ["shop/front", "shop/back"])
            #expect(logs.map { $0.structuredMetadata["detected_level"] } == ["info", "error"])
            #expect(
                logs[0].code
                    == CodeData(file: "cart.go", line: 30, function: nil, raw: "cart.go:30"))
            #expect(logs[1].code == nil)

            let exemplars = try #require(trace.exemplars)
            #expect(exemplars.map(\.value) == ["0.1"])
            #expect(exemplars.map { $0.labels["__name__"] } == ["requests_total"])
            #expect(exemplars.map(\.exemplarLabels) == [["trace_id": Shop.trace]])
            #expect(exemplars.map(\.timestampUnixNano) == [String(shop.base + 50_000_000)])
        }
    }

    @Test func listsCanBeLeftOutAndAreCutHonestly() async throws {
        try await withShop { server, _ in
            let some = try await server.get(
                "trace/\(Shop.trace.uppercased())?include=logs,exemplars", as: TraceData.self)
            #expect(some.data.spans == nil)
            #expect(some.data.spanCount == 3)
            #expect(some.data.logs?.count == 2)
            #expect(!some.data.partial)
            let cut = try await server.get("trace/\(Shop.trace)?limit=1", as: TraceData.self)
            #expect(cut.data.partial)
            #expect((cut.data.spans?.count, cut.data.logs?.count) == (1, 1))
            #expect(
                cut.warnings == [
                    "spans: the first 1 of 3 are shown; raise limit",
                    "logs: the first 1 of 2 are shown; raise limit",
                ])
        }
    }

    @Test func aServiceHasAllThatIsKnownOfIt() async throws {
        try await withShop { server, shop in
            let rows = try await server.get("services", as: [ServiceRowData].self).data
            #expect(rows.map(\.name) == ["back", "front"])
            let row = rows[1]
            #expect((row.namespace, row.aliases) == ("shop", ["shop/front"]))
            #expect((row.spanCount, row.errorCount) == (2, 0))
            #expect((row.logLineCount, row.errorLogLineCount) == (1, 0))
            #expect(row.seriesCount == 1)
            #expect(row.lastSeenUnixNano == String(shop.base + 50_000_000))
            #expect(rows[0].errorLogLineCount == 1)

            let front = try await server.get("service/front?explain=1", as: ServiceData.self).data
            #expect(front.instances == ["f:80", "front-0"])
            #expect(front.metricNames == ["requests_total"])
            #expect(front.streams.map { $0.labels["pod"] } == ["front-0"])
            #expect(front.operations.map(\.name) == ["GET /cart", "call"])
            #expect(front.operations.map(\.kind) == ["server", "client"])
            #expect(front.operations.map(\.count) == [1, 1])
            #expect(front.upstream == [])
            #expect(front.downstream.map(\.service) == ["back"])
            #expect((front.downstream[0].callCount, front.downstream[0].errorCount) == (1, 1))
            let p95 = try #require(Int(front.downstream[0].p95Nanos))
            #expect(abs(p95 - 70_000_000) < 1_000_000)
            #expect(front.versions.map(\.version) == ["1.2"])
            #expect(front.versions.map(\.firstSeenUnixNano) == [String(shop.base)])
            #expect(front.recentTraces.map(\.traceID) == [Shop.trace])
            #expect(front.errorTraces == [])
            #expect(front.slowTraces == front.recentTraces)
            #expect(
                front.recentTraces[0]
                    == TraceSummaryData(
                        traceID: Shop.trace, rootService: "front", rootName: "GET /cart",
                        startTimeUnixNano: String(shop.base), durationNanos: "100000000",
                        spanCount: 3, errorCount: 1))
            #expect(
                front.identity?.map(\.rule) == ["service.name", "job", "job"])
            #expect(front.identity?.map(\.source) == ["traces", "logs", "metrics"])
            #expect(front.identity?.map(\.alias) == ["front", "shop/front", "shop/front"])

            let back = try await server.get("service/back", as: ServiceData.self).data
            #expect(back.identity == nil)
            #expect(back.upstream.map(\.service) == ["front"])
            #expect(back.errorTraces.map(\.traceID) == [Shop.trace])
            // Another name of the service leads to it.
            let other = try await server.get("service/shop%2Ffront", as: ServiceData.self).data
            #expect(other.name == "front")
        }
    }

    @Test func aSeriesLeadsToItsTracesAndStreams() async throws {
        try await withShop { server, shop in
            let query = "series?match%5B%5D=requests_total"
            let found = try await server.get(query, as: [SeriesData].self)
            #expect(found.warnings == nil)
            let series = try #require(found.data.first)
            #expect(found.data.count == 1)
            #expect(series.labels["instance"] == "f:80")
            #expect(series.service == "front")
            #expect(series.exemplars.map(\.exemplarLabels) == [["trace_id": Shop.trace]])
            #expect(series.streams.map { $0.labels["pod"] } == ["front-0"])
            #expect(series.traces.map(\.traceID) == [Shop.trace])
            // At another time there is nothing.
            let earlier = try await server.get(
                query + "&time=\(shop.base - 1)&window=1m", as: [SeriesData].self)
            #expect(earlier.data == [])
            #expect(earlier.warnings == ["no series matches in this window"])
            let exact = try await server.get(
                query + "&time=\(shop.base / 1_000_000_000).050&window=0", as: [SeriesData].self)
            #expect(exact.data.count == 1)
        }
    }

    @Test func aLogLineLeadsToItsSpanAndSeries() async throws {
        try await withShop { server, shop in
            let query = "logline?query=%7Bjob%3D%22shop%2Ffront%22%7D&time="
            let found = try await server.get(
                query + String(shop.base + 5_000_000), as: [LogLineData].self)
            let line = try #require(found.data.first)
            #expect(found.data.count == 1)
            #expect(found.warnings == nil)
            #expect(line.log.line.hasPrefix("level=info"))
            #expect(line.service == "front")
            #expect(line.trace?.traceID == Shop.trace)
            #expect(line.trace?.spanCount == 3)
            #expect(line.span?.name == "GET /cart")
            #expect(line.span?.selfTimeNanos == "30000000")
            #expect(line.series.map { $0.labels["__name__"] } == ["requests_total"])
            let beside = try await server.get(
                query + "\(shop.base)", as: [LogLineData].self)
            #expect(beside.data == [])
            #expect(beside.warnings?.count == 1)
            let near = try await server.get(
                query + "\(shop.base)&window=10ms", as: [LogLineData].self)
            #expect(near.data == found.data)
            // A line of a trace without spans.
            try await server.post(
                "/loki/api/v1/push",
                shop.push(
                    job: "lone", app: "lone", line: "trace_id=0000000000000000000000000000abcd",
                    at: 0))
            let lone = try await server.get(
                "logline?query=%7Bjob%3D%22lone%22%7D&time=\(shop.base)", as: [LogLineData].self)
            #expect(lone.data.first?.trace == nil)
            #expect(lone.data.first?.span == nil)
            #expect(
                lone.warnings == ["trace 0000000000000000000000000000abcd has no spans here"])
            // It is a trace all the same.
            let short = try await server.get("trace/abcd", as: TraceData.self).data
            #expect((short.spanCount, short.logs?.count) == (0, 1))
            #expect(short.startTimeUnixNano == String(shop.base))
        }
    }

    @Test func refusalsNameTheFault() async throws {
        try await withShop { server, _ in
            let selector = "query=%7Bjob%3D%22a%22%7D"
            let cases: [(target: String, status: Int, type: String)] = [
                ("trace/00000000000000000000000000000001", 404, "not_found"),
                ("trace/xyz", 400, "bad_data"),
                ("trace/\(Shop.trace)0", 400, "bad_data"),
                ("trace/\(Shop.trace)?limit=x", 400, "bad_data"),
                ("trace/\(Shop.trace)?limit=0", 400, "bad_data"),
                ("trace/\(Shop.trace)?include=span", 400, "bad_data"),
                ("service/nobody", 404, "not_found"),
                ("service/front?start=1&end=2", 404, "not_found"),
                ("service/front?explain=perhaps", 400, "bad_data"),
                ("services?start=2&end=1", 400, "bad_data"),
                ("services?start=yesterday", 400, "bad_data"),
                ("series", 400, "bad_data"),
                ("series?match%5B%5D=%7B", 400, "bad_data"),
                ("series?match%5B%5D=a&window=x", 400, "bad_data"),
                ("series?match%5B%5D=a&window=-1", 400, "bad_data"),
                ("series?match%5B%5D=a&time=x", 400, "bad_data"),
                ("logline?time=1", 400, "bad_data"),
                ("logline?\(selector)", 400, "bad_data"),
                ("logline?\(selector)%7C%3D%22x%22&time=1", 400, "bad_data"),
                ("logline?query=%7B%7D&time=1", 400, "bad_data"),
            ]
            struct Refusal: Decodable {
                var status: String
                var errorType: String
                var error: String
            }
            for (target, status, type) in cases {
                let answer = try await server.send("/api/v1/correlate/" + target)
                #expect(answer.status == status, "\(target)")
                let refusal = try JSONDecoder().decode(Refusal.self, from: Data(answer.body))
                #expect((refusal.status, refusal.errorType) == ("error", type), "\(target)")
                #expect(!refusal.error.isEmpty, "\(target)")
            }
        }
    }
}
