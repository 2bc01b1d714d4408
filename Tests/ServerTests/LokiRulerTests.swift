// SPDX-License-Identifier: Apache-2.0
// Rule groups that are posted.

import Base
import Logging
import Storage
import Telemetry
import TestKit
import Testing

@testable import Rules
@testable import Server

@Suite struct LokiRulerTests {
    private static let path = "/loki/api/v1/rules"
    private static let group = """
        name: declined
        interval: 30s
        rules:
          - alert: Declined
            expr: 'sum(count_over_time({app="shop"} |= "declined" [5m])) > 0'
            labels: {severity: page}
          - record: lines
            expr: 'sum(count_over_time({app="shop"}[5m]))'
        """

    private func post(
        _ server: TestServer, _ namespace: String, _ text: String, path: String = path
    ) async throws -> HTTPReply {
        try await server.post("\(path)/\(namespace)", "application/yaml", Array(text.utf8))
    }

    /// A server with a rule file of one group `filed`.
    private func withRuler(
        _ body: (TestServer, Configuration, OutgoingHTTP) async throws -> Void
    ) async throws {
        try await withServer { server in
            var configuration = Configuration()
            configuration.ruleGroups = try RuleFile.parse(
                "groups: [{name: filed, rules: [{record: x, expr: vector(1)}]}]", path: "r.yml"
            ).groups
            let client = OutgoingHTTP()
            open(server, configuration, client)
            try await body(server, configuration, client)
            await server.scraping.rules.shutDown()
            await client.shutdown()
        }
    }

    private func open(_ server: TestServer, _ configuration: Configuration, _ client: OutgoingHTTP)
    {
        let rules = server.scraping.rules
        rules.open(
            server.core.queries, server.core.pipeline,
            StoredRules(server.core.settings.kernel.path))
        rules.apply(
            configuration, ListenAddress(host: "127.0.0.1", port: 4100),
            .live(client, SystemClock(), Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }))
    }

    @Test func postedGroupsAreEvaluatedShownAndKept() async throws {
        try await withRuler { server, configuration, client in
            #expect(try await server.get(Self.path).status == 404)
            let posted = try await post(server, "my%20team", Self.group)
            #expect(posted.status == 202)
            #expect(
                posted.text == #"{"status":"success","data":null,"errorType":"","error":""}"#)
            #expect(
                try await post(server, "other", "{name: b, rules: []}", path: "/api/prom/rules")
                    .status == 202)
            let all = try await server.get(Self.path)
            #expect(all.headers["content-type"] == "application/yaml")
            #expect(all.text.contains("my team:\n- name: declined"), "\(all.text)")
            #expect(all.text.contains("other:"))
            let one = try await server.get(Self.path + "/my%20team/declined")
            #expect(one.text.hasPrefix("name: declined\ninterval: 30s\n"), "\(one.text)")
            #expect(try await server.get(Self.path + "/my%20team/none").status == 404)

            let now = SystemClock().wallNanos
            let body =
                "{\"streams\":[{\"stream\":{\"app\":\"shop\"},\"values\":[[\"\(now - 1_000_000_000)\",\"card declined\"]]}]}"
            _ = try await server.post("/loki/api/v1/push", "application/json", Array(body.utf8))
            let ruler = server.scraping.rules.ruler
            let group = try #require(ruler.groups.first { $0.definition.name == "declined" })
            #expect(group.definition.language == .logql)
            await group.restore(atNanos: now)
            await group.evaluate(atNanos: now)
            let shown = try await server.get("/prometheus/api/v1/rules?file[]=my%20team")
            #expect(shown.text.contains(#""name":"declined","file":"my team""#), "\(shown.text)")
            #expect(shown.text.contains(#""state":"firing""#))
            let alerts = try await server.get("/prometheus/api/v1/alerts")
            #expect(alerts.text.contains(#""severity":"page""#))
            let series = try await server.get("/api/v1/query?query=lines")
            #expect(series.text.contains("\"1\"]"), "\(series.text)")

            // The next start has them again.
            open(server, configuration, client)
            #expect(
                ruler.groups.map(\.definition.name).sorted() == ["b", "declined", "filed"])
            #expect(
                try await server.send("DELETE", Self.path + "/my%20team/declined").status == 202)
            #expect(
                try await server.send("DELETE", Self.path + "/my%20team/declined").status == 404)
            #expect(try await server.send("DELETE", Self.path + "/other").status == 202)
            #expect(ruler.groups.map(\.definition.name) == ["filed"])
            #expect(StoredRules(server.core.settings.kernel.path).groups.isEmpty)
        }
    }

    @Test func faultyGroupsAreRefused() async throws {
        try await withRuler { server, _, _ in
            for (text, fault) in [
                ("name: a\nrules: [{record: x, expr: 'sum('}]", "could not parse expression"),
                ("rules: []", "Groupname must not be empty"),
                ("name: a\nrulez: []", "rulez"),
                ("[", "not valid YAML"),
                ("name: filed\nrules: []", "is in the rule file r.yml"),
                ("name: a\ntenant: other\nrules: []", "tenant"),
            ] {
                let reply = try await post(server, "ns", text)
                let json = try CorpusJSON(parsing: reply.body)
                #expect(reply.status == 400 && json["status"]?.string == "error")
                #expect(json["errorType"]?.string == "bad_data")
                #expect(json["error"]?.string?.contains(fault) == true, "\(reply.text)")
            }
            #expect(try await server.get(Self.path + "/ns").status == 404)
        }
    }

    @Test func damagedFilesAreRefused() async throws {
        let groups = [
            StoredGroup(tenant: "t", namespace: "n", name: "g", text: "name: g\nrules: []")
        ]
        let bytes = StoredRules.encoded(groups)
        #expect(try bytes.withUnsafeBytes { try StoredRules.decoded($0) } == groups)
        for index in bytes.indices {
            #expect(throws: MalformedBytes.self) {
                _ = try Array(bytes[..<index]).withUnsafeBytes { try StoredRules.decoded($0) }
            }
            var damaged = bytes
            damaged[index] ^= 1
            _ = try? damaged.withUnsafeBytes { try StoredRules.decoded($0) }
        }
        try await withTemporaryDirectory { path in
            try LocalFileSystem().replace(
                path + "/" + StoredRules.name, in: path, with: Array(bytes.dropLast()))
            let stored = StoredRules(path)
            #expect(stored.fault != nil)
            #expect(throws: APIError.self) { try stored.put(groups[0]) }
            let kept = try LocalFileSystem().readAll(path + "/" + StoredRules.name)
            #expect(kept == Array(bytes.dropLast()))
        }
    }
}
