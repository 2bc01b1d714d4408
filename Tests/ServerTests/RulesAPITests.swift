// SPDX-License-Identifier: Apache-2.0
// Rules and alerts as clients see them.

import Base
import FoundationEssentials
import Logging
import Scrape
import Storage
import Telemetry
import TestKit
import Testing

@testable import Rules
@testable import Server

private let file = """
    groups:
      - name: first
        interval: 30s
        limit: 10
        rules:
          - {record: one, expr: "vector( 1 )", labels: {team: blue}}
          - alert: Always
            expr: vector(2.5)
            labels: {severity: page, who: "{{ $value }}"}
            annotations: {summary: "is {{ $value }}"}
          - {alert: Waiting, expr: vector(1), for: 5m, keep_firing_for: 1m}
      - name: second
        rules:
          - {record: two, expr: one + one}
          - {record: bad, expr: "one + on () (two or vector(1))"}
      - name: lines
        language: logql
        rules: [{record: lines, expr: 'sum(count_over_time({app="x"}[5m]))'}]
    """

/// A server whose rules were evaluated twice, the last time at `now`.
private func withRules(_ body: (TestServer, _ now: Int64) async throws -> Void) async throws {
    try await withServer { server in
        var configuration = Configuration()
        configuration.global.externalLabels = [("cluster", "eu")]
        var entry = AlertmanagerSettings()
        entry.groups = [TargetGroup(targets: ["127.0.0.1:1", "127.0.0.1:2"])]
        entry.pathPrefix = "/am"
        configuration.alerting.alertmanagers = [entry]
        configuration.ruleGroups = try RuleFile.parse(file, path: "r.yml").groups
        let rules = server.scraping.rules
        let client = OutgoingHTTP()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        rules.open(
            server.core.queries, server.core.pipeline, StoredRules(server.core.settings.kernel.path)
        )
        rules.apply(
            configuration, ListenAddress(host: "127.0.0.1", port: 4100),
            .live(client, SystemClock(), logger))
        let now = SystemClock().wallNanos
        for group in rules.ruler.groups {
            await group.evaluate(atNanos: now - 60_000_000_000)
            // `ALERTS` are written once it is known that there is no earlier state.
            await group.restore(atNanos: now)
            await group.evaluate(atNanos: now)
        }
        try await body(server, now)
        await rules.shutDown()
        await client.shutdown()
    }
}

private func json(_ reply: HTTPReply) throws -> CorpusJSON { try CorpusJSON(parsing: reply.body) }

private func names(_ server: TestServer, _ query: String) async throws -> [String] {
    let data = try json(try await server.get("/api/v1/rules" + query))["data"]
    return (data?["groups"]?.array ?? []).flatMap { group in
        (group["rules"]?.array ?? []).map {
            (group["name"]?.string ?? "") + "/" + ($0["name"]?.string ?? "")
        }
    }
}

private func result(_ server: TestServer, _ query: String) async throws -> [CorpusJSON] {
    try json(try await server.get("/api/v1/query?query=" + query))["data"]?["result"]?.array ?? []
}

@Test func rulesAreShownAsPrometheusShowsThem() async throws {
    try await withRules { server, _ in
        let groups = try json(try await server.get("/api/v1/rules"))["data"]?["groups"]?.array ?? []
        // By file, then name.
        #expect(groups.map { $0["name"]?.string } == ["first", "lines", "second"])
        let first = try #require(groups.first)
        #expect(first["file"]?.string == "r.yml")
        #expect(first["interval"]?.double == 30)
        #expect(first["limit"]?.double == 10)
        let rules = first["rules"]?.array ?? []
        #expect(rules[0]["type"]?.string == "recording")
        #expect(rules[0]["query"]?.string == "vector(1)")
        #expect(rules[0]["labels"]?["team"]?.string == "blue")
        #expect(rules[0]["health"]?.string == "ok")
        #expect(rules[1]["type"]?.string == "alerting")
        #expect(rules[1]["state"]?.string == "firing")
        #expect(rules[1]["duration"]?.double == 0)
        let alert = try #require(rules[1]["alerts"]?.array.first)
        #expect(alert["labels"]?["who"]?.string == "2.5")
        #expect(alert["annotations"]?["summary"]?.string == "is 2.5")
        #expect(alert["value"]?.string == "2.5e+00")
        #expect(rules[2]["state"]?.string == "pending")
        #expect(rules[2]["keepFiringFor"]?.double == 60)
        #expect(groups[1]["language"]?.string == "logql")
        let second = groups[2]["rules"]?.array ?? []
        #expect(second[0]["health"]?.string == "ok")
        #expect(second[1]["health"]?.string == "err")
        #expect(second[1]["lastError"]?.string?.contains("duplicate series") == true)
    }
}

@Test func rulesAreChosen() async throws {
    try await withRules { server, _ in
        #expect(try await names(server, "?type=alert") == ["first/Always", "first/Waiting"])
        #expect(
            try await names(server, "?type=record")
                == ["first/one", "lines/lines", "second/two", "second/bad"])
        #expect(
            try await names(server, "?rule_name[]=two&rule_name[]=one")
                == ["first/one", "second/two"])
        #expect(try await names(server, "?rule_group[]=second") == ["second/two", "second/bad"])
        #expect(try await names(server, "?file[]=other.yml").isEmpty)
        #expect(try await names(server, "?match[]={team=%22blue%22}") == ["first/one"])
        #expect(
            try await names(server, "?match[]={team=%22blue%22}&match[]={severity=~%22p.*%22}")
                == ["first/one", "first/Always"])
        let reply = try await server.get("/api/v1/rules?exclude_alerts=true&rule_name[]=Always")
        #expect(String(decoding: reply.body, as: UTF8.self).contains("\"alerts\":null"))
        for bad in [
            "type=x", "match[]=x{", "exclude_alerts=maybe", "group_next_token=x",
            "group_limit=x", "group_limit=0", "group_limit=1&group_next_token=gone",
        ] {
            #expect(try await server.get("/api/v1/rules?" + bad).status == 400, "\(bad)")
        }
    }
}

@Test func groupsComeInPages() async throws {
    try await withRules { server, _ in
        var seen: [String] = []
        var token: String?
        repeat {
            let query = "?group_limit=1" + (token.map { "&group_next_token=" + $0 } ?? "")
            let data = try json(try await server.get("/api/v1/rules" + query))["data"]
            seen += (data?["groups"]?.array ?? []).compactMap { $0["name"]?.string }
            token = data?["groupNextToken"]?.string
        } while token != nil && seen.count < 9
        #expect(seen == ["first", "lines", "second"])
    }
}

@Test func alertsAndAlertmanagers() async throws {
    try await withRules { server, now in
        let alerts =
            try json(try await server.get("/api/v1/alerts"))["data"]?["alerts"]?.array ?? []
        #expect(alerts.map { $0["labels"]?["alertname"]?.string } == ["Always", "Waiting"])
        #expect(
            alerts.map { $0["activeAt"]?.string }.allSatisfy {
                $0 == rfc3339Text(nanos: now - 60_000_000_000)
            })
        let data = try json(try await server.get("/api/v1/alertmanagers"))["data"]
        #expect(
            data?["activeAlertmanagers"]?.array.map { $0["url"]?.string } == [
                "http://127.0.0.1:1/am/api/v2/alerts", "http://127.0.0.1:2/am/api/v2/alerts",
            ])
        #expect(data?["droppedAlertmanagers"]?.array.isEmpty == true)
    }
}

@Test func rulesAndAlertsAreShownToTheirTenant() async throws {
    try await withServer({ $0.tenancy = .header }) { server in
        var configuration = Configuration()
        configuration.ruleGroups = try RuleFile.parse(
            """
            groups:
              - {name: r, tenant: red, rules: [{alert: Red, expr: vector(1)}]}
              - {name: n, rules: [{alert: Nobody, expr: vector(1)}]}
            """, path: "r.yml"
        ).groups
        let rules = server.scraping.rules
        let client = OutgoingHTTP()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        rules.open(
            server.core.queries, server.core.pipeline, StoredRules(server.core.settings.kernel.path)
        )
        rules.apply(
            configuration, ListenAddress(host: "127.0.0.1", port: 4100),
            .live(client, SystemClock(), logger))
        let now = SystemClock().wallNanos
        for group in rules.ruler.groups {
            await group.restore(atNanos: now)
            await group.evaluate(atNanos: now)
        }
        for (tenant, name, other) in [
            ("red", "Red", "Nobody"), ("anonymous", "Nobody", "Red"),
        ] {
            for path in ["/api/v1/rules", "/api/v1/alerts", "/api/v1/query?query=ALERTS"] {
                let reply = try await server.get(path, tenant: tenant)
                #expect(reply.text.contains(name) && !reply.text.contains(other), "\(reply.text)")
            }
        }
        let blue = try await server.get("/api/v1/alerts", tenant: "blue")
        #expect(blue.text.contains("\"alerts\":[]"))
        await rules.shutDown()
        await client.shutdown()
    }
}

@Test func recordedSeriesAreQueried() async throws {
    try await withRules { server, _ in
        let two = try await result(server, "two")
        #expect(two.first?["value"]?.array.last?.string == "2")
        let alerts = try await result(server, "ALERTS")
        #expect(alerts.count == 2)
        let lines = try await result(server, "lines")
        #expect(lines.isEmpty)
    }
}

@Test func rulesAreCounted() async throws {
    try await withRules { server, _ in
        let page = String(decoding: try await server.get("/metrics").body, as: UTF8.self)
        for line in [
            "prometheus_rule_evaluations_total{rule_group=\"r.yml;first\"} ",
            "prometheus_rule_evaluation_failures_total{rule_group=\"r.yml;second\"} ",
            "prometheus_rule_group_interval_seconds{rule_group=\"r.yml;first\"} 30",
            "prometheus_rule_group_rules{rule_group=\"r.yml;first\"} 3",
            "prometheus_notifications_alertmanagers_discovered 2",
            "prometheus_notifications_queue_capacity 10000",
            "prometheus_rule_evaluation_duration_seconds_count 1",
            "prometheus_rule_evaluation_duration_seconds{quantile=\"0.99\"} ",
            "prometheus_rule_evaluation_duration_histogram_seconds_bucket{le=\"+Inf\"} 1",
            "prometheus_rule_group_duration_seconds{quantile=\"0.01\"} ",
        ] {
            #expect(page.contains(line), "\(line)")
        }
    }
}

@Test(
    arguments: [
        (0.0, "0e+00"), (1, "1e+00"), (-2.5, "-2.5e+00"), (1234.5, "1.2345e+03"),
        (0.00125, "1.25e-03"), (1e21, "1e+21"), (100, "1e+02"), (.infinity, "+Inf"), (.nan, "NaN"),
    ] as [(Double, String)])
func valuesOfAlertsHaveAnExponent(value: Double, text: String) {
    #expect(shortestScientificText(value) == text)
}

@Test func thePastIsFilledInOverHTTP() async throws {
    func query(_ start: Int64) -> String {
        "/api/v1/admin/rules/backfill?start=\(start)&end=\(start + 300)&eval_interval=60s"
    }
    let rules = Array("groups: [{name: g, rules: [{record: five, expr: vector(5)}]}]".utf8)
    try await withServer { server in
        let reply = try await server.post(query(0), "application/yaml", rules)
        #expect(reply.status == 500)
    }
    try await withServer {
        $0.enableAdminAPI = true
    } _: { server in
        let start = SystemClock().wallNanos / 1_000_000_000 - 3600
        let reply = try await server.post(query(start), "application/yaml", rules)
        #expect(reply.status == 200)
        #expect(try json(reply)["data"]?["samples"]?.double == 6)
        #expect(
            try await result(server, "five&time=\(start + 60)").first?["value"]?.array.last?
                .string == "5")
        let bad = Array("groups: [{name: g, rules: [{record: five, expr: '5 +'}]}]".utf8)
        #expect(try await server.post(query(start), "application/yaml", bad).status == 400)
        let failing = Array(
            ("groups: [{name: g, rules: [{record: s, expr: "
                + "'five + on () (five or label_replace(five, \"a\", \"b\", \"\", \"\"))'}]}]").utf8
        )
        #expect(try await server.post(query(start), "application/yaml", failing).status == 422)
    }
}

@Test func tracesOfThePastAreCountedWindowByWindow() async throws {
    try await withServer {
        $0.enableAdminAPI = true
    } _: { server in
        let start = SystemClock().wallNanos / 1_000_000_000 - 3600
        for (index, offset) in [10, 70, 80].enumerated() {
            var id = goodTraceID
            id[0] = UInt8(index + 1)
            let message = otlpTraceMessage(
                service: "old", name: "x", traceID: id, spanID: goodSpanID,
                startNanos: (start + Int64(offset)) * 1_000_000_000)
            #expect(try await server.post("/v1/traces", protobuf, message).status == 200)
        }
        let rules = """
            groups:
              - name: g
                interval: 1m
                language: traceql
                rules: [{record: traces, expr: '{ name = "x" }'}]
              - {name: other, tenant: red, rules: [{record: no, expr: vector(1)}]}
            """
        let reply = try await server.post(
            "/api/v1/admin/rules/backfill?start=\(start + 60)&end=\(start + 240)&eval_interval=60s",
            "application/yaml", Array(rules.utf8))
        #expect(reply.status == 200, "\(reply.text)")
        #expect(try json(reply)["data"]?["samples"]?.double == 2)
        #expect(reply.text.contains("group \\\"other\\\" passed over"), "\(reply.text)")
        for (offset, count) in [(60, "1"), (120, "2")] {
            let found = try await result(
                server, "traces{service=%22old%22}&time=\(start + Int64(offset))")
            #expect(found.first?["value"]?.array.last?.string == count)
        }
        #expect(try await result(server, "no&time=\(start + 60)").isEmpty)
    }
}
