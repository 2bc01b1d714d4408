// SPDX-License-Identifier: Apache-2.0
// Snapshots and deletions over HTTP.

import Base
import FoundationEssentials
import Storage
import TestKit
import Testing
import Wire

@testable import Server

private func form(_ pairs: [(String, String)]) -> [UInt8] {
    Array(pairs.map { $0.0 + "=" + percentEncoded($0.1) }.joined(separator: "&").utf8)
}

extension TestServer {
    fileprivate func admin(
        _ verb: String, _ parameters: [(String, String)] = [], tenant: String? = nil
    ) async throws -> HTTPReply {
        try await post(
            "/api/v1/admin/tsdb/" + verb, "application/x-www-form-urlencoded", form(parameters),
            headers: tenant.map { [("X-Scope-OrgID", $0)] } ?? [])
    }

    fileprivate func write(
        _ series: [TestSeries], tenant: String? = nil
    ) async throws {
        let reply = try await post(
            "/api/v1/write", protobuf, Snappy.compress(remoteWriteMessage(series)),
            headers: tenant.map { [("X-Scope-OrgID", $0)] } ?? [])
        #expect(reply.status == 204, "\(reply.text)")
    }

    /// Values of the last hour, as the API shows them.
    fileprivate func values(_ query: String, tenant: String? = nil) async throws -> String {
        let reply = try await get(
            "/api/v1/query?query=" + percentEncoded(query + "[1h]"), tenant: tenant)
        let text = reply.text
        guard let start = text.firstRange(of: "\"values\":") else { return "none" }
        return text[start.upperBound...].split(separator: "]]").first.map { $0 + "]]" } ?? "none"
    }
}

struct AdminTests {
    @Test func withoutTheFlagNothingIsDone() async throws {
        try await withServer { server in
            for verb in ["snapshot", "delete_series", "clean_tombstones"] {
                let reply = try await server.admin(verb)
                // As Prometheus 2.42 answers it.
                #expect(reply.status == 500)
                #expect(
                    reply.text
                        == #"{"status":"error","errorType":"unavailable","#
                        + #""error":"admin APIs disabled"}"#)
                let get = try await server.get("/api/v1/admin/tsdb/" + verb)
                #expect(get.status == 405 || get.status == 404, "\(get.status)")
            }
        }
    }

    @Test func wrongParametersAreNamed() async throws {
        try await withServer({ $0.enableAdminAPI = true }) { server in
            let cases: [(String, [(String, String)], String)] = [
                ("delete_series", [], "no match[] parameter provided"),
                (
                    "delete_series", [("match[]", "up"), ("start", "soon")],
                    "invalid parameter \\\"start\\\": invalid time value for 'start': cannot parse "
                        + "\\\"soon\\\" to a valid timestamp"
                ),
                ("delete_series", [("match[]", "up{")], "invalid parameter \\\"match[]\\\""),
                (
                    "snapshot", [("skip_head", "maybe")],
                    "invalid parameter \\\"skip_head\\\": unable to parse boolean: "
                        + "strconv.ParseBool: parsing \\\"maybe\\\": invalid syntax"
                ),
            ]
            for (verb, parameters, text) in cases {
                let reply = try await server.admin(verb, parameters)
                #expect(reply.status == 400, "\(reply.text)")
                #expect(reply.text.contains(text), "\(reply.text)")
                #expect(reply.text.contains("\"errorType\":\"bad_data\""))
            }
        }
    }

    @Test func samplesAreDeletedWrittenAgainAndCleanedUp() async throws {
        try await withServer({ $0.enableAdminAPI = true }) { server in
            let now = nowMillis / 1000 * 1000
            let times = (1...4).map { now - Int64($0) * 10_000 }
            func series(_ name: String, _ value: Double) -> TestSeries {
                TestSeries(
                    [("__name__", name), ("job", "test")],
                    times.reversed().map { (value: value, millis: $0) })
            }
            try await server.write([series("a", 1), series("b", 1)])
            func seconds(_ millis: Int64) -> String { "\(millis / 1000)" }
            let deleted = try await server.admin(
                "delete_series",
                [
                    ("match[]", #"{__name__="a"}"#), ("match[]", "none"),
                    ("start", seconds(times[2])), ("end", seconds(times[1])),
                ])
            #expect(deleted.status == 204)
            #expect(deleted.text == "")
            #expect(
                try await server.values("a")
                    == "[[\(seconds(times[3])),\"1\"],[\(seconds(times[0])),\"1\"]]")
            #expect(try await server.values("b").split(separator: "],[").count == 4)
            // The same times again, with another value.
            try await server.write([
                TestSeries([("__name__", "a"), ("job", "test")], [(value: 2, millis: times[1])])
            ])
            let expected =
                "[[\(seconds(times[3])),\"1\"],[\(seconds(times[1])),\"2\"],"
                + "[\(seconds(times[0])),\"1\"]]"
            #expect(try await server.values("a") == expected)
            #expect(try await server.admin("clean_tombstones").status == 204)
            #expect(try await server.values("a") == expected)
            #expect(try await server.admin("delete_series", [("match[]", "a")]).status == 204)
            #expect(try await server.values("a") == "none")
            #expect(try await server.get("/api/v1/label/__name__/values").text.contains("[\"b\"]"))
            #expect(
                try await !server.get("/api/v1/series?match[]=a").text.contains("__name__"))
            // PUT, and an end before the start: nothing to do.
            let put = try await server.send(
                "PUT", "/api/v1/admin/tsdb/delete_series?match[]=b&start=20&end=10")
            #expect(put.status == 204)
            #expect(try await server.values("b").split(separator: "],[").count == 4)
            let metrics = try await server.get("/metrics")
            #expect(metrics.text.contains("\ntern_storage_deletions_total 2\n"))
        }
    }

    @Test func tenantsDeleteTheirOwn() async throws {
        try await withServer({
            $0.enableAdminAPI = true
            $0.tenancy = .header
        }) { server in
            let one = [TestSeries([("__name__", "a")], [(value: 1, millis: nowMillis)])]
            for tenant in ["alpha", "beta"] { try await server.write(one, tenant: tenant) }
            #expect(try await server.admin("delete_series", [("match[]", "a")]).status == 401)
            let reply = try await server.admin(
                "delete_series", [("match[]", "a")], tenant: "alpha")
            #expect(reply.status == 204)
            #expect(try await server.values("a", tenant: "alpha") == "none")
            #expect(try await server.values("a", tenant: "beta") != "none")
            #expect(try await server.admin("clean_tombstones", tenant: "beta").status == 204)
            #expect(try await server.admin("clean_tombstones", tenant: "alpha").status == 204)
        }
    }

    @Test func aSnapshotIsADataDirectory() async throws {
        try await withServer({ $0.enableAdminAPI = true }) { server in
            try await server.write([
                TestSeries([("__name__", "kept")], [(value: 7, millis: nowMillis)])
            ])
            let pushed = try await server.post(
                "/loki/api/v1/push", "application/json", lokiBody("shop", "a line"))
            #expect(pushed.status == 204)
            let reply = try await server.admin("snapshot")
            #expect(reply.status == 200, "\(reply.text)")
            let prefix = #"{"status":"success","data":{"name":""#
            #expect(reply.text.hasPrefix(prefix))
            let name = String(reply.text.dropFirst(prefix.count).prefix { $0 != "\"" })
            let parts = name.split(separator: "-")
            #expect(parts.count == 2 && parts[0].count == 16 && parts[1].count == 16, "\(name)")
            #expect(parts[0].hasSuffix("Z") && parts[0].contains("T"))
            let path = server.core.settings.kernel.path + "/snapshots/" + name
            let check = try checkData(path)
            #expect(check.isSound, "\(check.text)")
            #expect(check.text.contains("metrics: 1 parts") && check.text.contains("logs: 1 parts"))
            let empty = try await server.admin("snapshot", [("skip_head", "1")])
            #expect(empty.status == 200)
            // Later changes do not reach it.
            #expect(try await server.admin("delete_series", [("match[]", "kept")]).status == 204)
            #expect(try await server.admin("clean_tombstones").status == 204)
            #expect(try checkData(path).isSound)
        }
    }
}
