// SPDX-License-Identifier: Apache-2.0
// Log queries of several tenants at once.

import Base
import Ingest
import Telemetry
import TestKit
import Testing

@testable import Server

/// A memory for each tenant.
private struct TenantLogs: LogReading {
    var byTenant: [String: InMemoryLogs] = [:]

    private func logs(_ tenant: Tenant) -> InMemoryLogs { byTenant[tenant.name] ?? InMemoryLogs() }

    func read(
        _ request: LogRequest, _ context: ReadContext, _ body: (LogBatch) throws -> Bool
    ) throws { try logs(request.tenant).read(request, context, body) }
    func streams(_ request: LogRequest, _ context: ReadContext) throws -> [Labels] {
        try logs(request.tenant).streams(request, context)
    }
    func labelNames(_ request: LogRequest, _ context: ReadContext) throws -> [String] {
        try logs(request.tenant).labelNames(request, context)
    }
    func labelValues(
        _ name: String, _ request: LogRequest, _ context: ReadContext
    ) throws -> [String] { try logs(request.tenant).labelValues(name, request, context) }
    func rows(
        tenant: Tenant, streamHash: UInt64, range: NanosRange, _ context: ReadContext
    ) throws -> LogBatch {
        try logs(tenant).rows(tenant: tenant, streamHash: streamHash, range: range, context)
    }
}

@Suite struct JoinedTenantsTests {
    private struct Row: Equatable {
        var nanos: Int64
        var stream: String
        var line: String
    }

    private func rows(
        _ logs: some LogReading, _ tenant: String, _ order: LogRequest.Order,
        matchers: [LabelMatcher] = [], range: NanosRange = .all, first limit: Int = .max
    ) throws -> [Row] {
        var found: [Row] = []
        let request = LogRequest(
            tenant: Tenant(tenant), matchers: matchers, range: range, order: order)
        try JoinedTenants(reader: logs, mostRows: 200).read(request, ReadContext()) { batch in
            for row in 0..<batch.rowCount where found.count < limit {
                let stream = batch.arena.labels(batch.streams[Int(batch.rowStreams[row])])
                guard matchers.match(stream) else { continue }
                found.append(
                    Row(
                        nanos: batch.nanos[row], stream: stream.description,
                        line: batch.arena.text(batch.lines[row])))
            }
            return found.count < limit
        }
        return found
    }

    @Test func rowsOfAllComeInOneOrder() throws {
        var chance = Chance(seed: 7, 0)
        var logs = TenantLogs()
        var all: [Row] = []
        for tenant in ["a", "b", "c"] {
            var memory = InMemoryLogs()
            memory.batchRows = 50
            // Times far apart, and so many at once that a slice of time has too many.
            var added: [Row] = []
            for number in 0..<400 {
                let isDense = number > 100
                let nanos =
                    isDense
                    ? 1_000_000_000_000 + Int64(chance.below(3_000_000_000))
                    : Int64(chance.below(2_000_000_000_000)) * 1000
                let app = "app\(chance.below(3))"
                memory.add(Labels([("app", app)]), nanos: nanos, "\(tenant) \(number)")
                added.append(
                    Row(
                        nanos: nanos, stream: "{__tenant_id__=\"\(tenant)\", app=\"\(app)\"}",
                        line: "\(tenant) \(number)"))
            }
            logs.byTenant[tenant] = memory
            all += added
        }
        // At equal times by stream, then as they came.
        let ascending = all.enumerated().sorted { a, b in
            (a.element.nanos, a.element.stream, a.offset)
                < (b.element.nanos, b.element.stream, b.offset)
        }.map(\.element)
        #expect(try rows(logs, "a|b|c", .oldestFirst) == ascending)
        #expect(try rows(logs, "a|b|c", .newestFirst) == Array(ascending.reversed()))
        #expect(
            try rows(logs, "a|b|c", .newestFirst, first: 10)
                == Array(ascending.reversed().prefix(10)))
        let any = try rows(logs, "a|b|c", .any)
        #expect(any.count == all.count)
        #expect(Set(any.map(\.line)).count == all.count)
        let wanted = try LabelMatcher(JoinedTenants.label, .matches, "a|c")
        let chosen = try rows(logs, "a|b|c", .oldestFirst, matchers: [wanted])
        #expect(chosen == ascending.filter { !$0.line.hasPrefix("b") })
        // One tenant is read as it stands.
        #expect(try rows(logs, "a", .any).allSatisfy { !$0.stream.contains("tenant") })
    }

    @Test func theEndsOfTimeEndTheReading() throws {
        var logs = TenantLogs()
        for tenant in ["a", "b"] {
            var memory = InMemoryLogs()
            memory.add(Labels([("app", "x")]), nanos: .max, "last")
            memory.add(Labels([("app", "x")]), nanos: .min, "first")
            logs.byTenant[tenant] = memory
        }
        for order in [LogRequest.Order.oldestFirst, .newestFirst] {
            let lines = try rows(logs, "a|b", order).map(\.line)
            #expect(
                lines
                    == (order == .oldestFirst
                        ? ["first", "first", "last", "last"] : ["last", "last", "first", "first"]))
        }
    }

    @Test func namesAreThoseOfAll() throws {
        var logs = TenantLogs()
        var memory = InMemoryLogs()
        memory.add(Labels([("app", "x"), ("__tenant_id__", "sent")]), nanos: 1, "l")
        logs.byTenant["a"] = memory
        memory = InMemoryLogs()
        memory.add(Labels([("env", "y")]), nanos: 1, "l")
        logs.byTenant["b"] = memory
        let joined = JoinedTenants(reader: logs)
        let request = LogRequest(tenant: Tenant("a|b"), matchers: [], range: .all)
        let context = ReadContext()
        #expect(
            try joined.labelNames(request, context)
                == ["__tenant_id__", "app", "env", "original___tenant_id__"])
        #expect(try joined.labelValues("__tenant_id__", request, context) == ["a", "b"])
        #expect(try joined.labelValues("original___tenant_id__", request, context) == ["sent"])
        #expect(
            try joined.streams(request, context).map(\.description) == [
                "{__tenant_id__=\"a\", app=\"x\", original___tenant_id__=\"sent\"}",
                "{__tenant_id__=\"b\", env=\"y\"}",
            ])
    }

    @Test func oneRequestAsksForSeveral() async throws {
        try await withServer({ $0.tenancy = .header }) { server in
            let now = SystemClock().wallNanos
            for (tenant, offset) in [("alpha", 0), ("beta", 1), ("gamma", 2)] {
                for number in 0..<3 {
                    let reply = try await server.post(
                        "/loki/api/v1/push", "application/json",
                        lokiBody(
                            "shop", "\(tenant) \(number)",
                            nanos: now - 60_000_000_000 + Int64(number * 10 + offset)),
                        headers: [("X-Scope-OrgID", tenant)])
                    #expect(reply.status == 204)
                }
            }
            let path = "/loki/api/v1/query_range?direction=forward&query=%7Bapp%3D%22shop%22"
            let both = try await server.get(path + "%7D", tenant: "beta|alpha|alpha")
            #expect(both.status == 200, "\(both.text)")
            for tenant in ["alpha", "beta"] {
                #expect(both.text.contains(#""__tenant_id__":"\#(tenant)""#), "\(both.text)")
                #expect(both.text.contains("\(tenant) 2"))
            }
            #expect(!both.text.contains("gamma"))
            // The oldest lines of both, not of one after the other.
            let first = try await server.get(path + "%7D&limit=2", tenant: "alpha|beta")
            #expect(first.text.contains("alpha 0") && first.text.contains("beta 0"))
            #expect(!first.text.contains("alpha 1"))
            let chosen = try await server.get(
                path + ",__tenant_id__%21%3D%22alpha%22%7D", tenant: "alpha|beta")
            #expect(!chosen.text.contains("alpha 0") && chosen.text.contains("beta 0"))
            let sums = try await server.get(
                "/loki/api/v1/query?query=sum%20by(__tenant_id__)(count_over_time("
                    + "%7Bapp%3D%22shop%22%7D%5B1h%5D))", tenant: "alpha|beta")
            #expect(sums.text.contains(#""metric":{"__tenant_id__":"alpha"}"#), "\(sums.text)")
            #expect(sums.text.contains(#""metric":{"__tenant_id__":"beta"}"#), "\(sums.text)")
            let names = try await server.get("/loki/api/v1/labels", tenant: "alpha|beta")
            #expect(names.text.contains("__tenant_id__"))
            // Nothing is written for, and nothing else is read of, several.
            for target in [
                "/api/v1/query?query=up", "/api/prom/labels", "/api/search?q=%7B%7D",
            ] {
                let reply = try await server.get(target, tenant: "alpha|beta")
                #expect(reply.status == 400 || reply.status == 404, "\(target): \(reply.status)")
            }
            let push = try await server.post(
                "/loki/api/v1/push", "application/json", lokiBody("shop", "x"),
                headers: [("X-Scope-OrgID", "alpha|beta")])
            #expect(push.status == 400)
            #expect(push.text.contains("multiple org IDs present"))
            for bad in ["alpha|", "|", "alpha||beta", "alpha|b/c"] {
                #expect(try await server.get(path + "%7D", tenant: bad).status == 400, "\(bad)")
            }
        }
    }

    @Test func theStrictestLimitHoldsForSeveral() {
        var one = LogTenantLimits()
        one.maxEntriesPerQuery = 10
        one.requiredLabels = ["a"]
        var other = LogTenantLimits()
        other.maxEntriesPerQuery = 0
        other.maxQueryLengthSeconds = 60
        other.requiredLabels = ["a", "b"]
        let both = LogTenantLimits.strictest([other, one])
        #expect(both.maxEntriesPerQuery == 10)
        #expect(both.maxQueryLengthSeconds == 60)
        #expect(both.requiredLabels == ["a", "b"])
    }
}
