// SPDX-License-Identifier: Apache-2.0
// Alerts with the first suspect, from telemetry in a running server.

import Base
import Logging
import Scrape
import Storage
import Telemetry
import TestKit
import Testing

@testable import Rules
@testable import Server

private let second: Int64 = 1_000_000_000

/// Spans of `front`, which calls `cart`; in the last minutes `cart` fails.
private func sendSpans(to server: TestServer, now: Int64) async throws {
    var spans: [(front: String, cart: String)] = []
    for i in 0..<120 {
        let at = now - 1200 * second + Int64(i) * 10 * second
        let fails = at > now - 250 * second
        let status = fails ? #","status":{"code":2}"# : ""
        func span(_ id: Int, _ parent: Int, _ name: String, _ kind: Int, _ millis: Int64) -> String
        {
            """
            {"traceId":"\(String(repeating: "0", count: 29))\(100 + i)","spanId":"000000000000000\(id)",
            "parentSpanId":"\(parent == 0 ? "" : "000000000000000\(parent)")","name":"\(name)",
            "kind":\(kind),"startTimeUnixNano":"\(at + Int64(id) * 1_000_000)",
            "endTimeUnixNano":"\(at + millis * 1_000_000)"\(status)}
            """
        }
        spans.append(
            (
                span(1, 0, "GET /buy", 2, 40) + "," + span(2, 1, "POST cart", 3, 35),
                span(3, 2, "POST /cart", 2, 30)
            ))
    }
    for (service, list) in [("front", spans.map(\.front)), ("cart", spans.map(\.cart))] {
        let body = """
            {"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":
            {"stringValue":"\(service)"}}]},"scopeSpans":[{"spans":[\(list.joined(separator: ","))]}]}]}
            """
        let reply = try await server.post("/v1/traces", "application/json", Array(body.utf8))
        #expect(reply.status == 200)
    }
}

@Test func aFiringAlertNamesItsFirstSuspect() async throws {
    try await withServer({ $0.rules.watches = true }) { server in
        let now = SystemClock().wallNanos
        try await sendSpans(to: server, now: now)
        var configuration = Configuration()
        configuration.ruleGroups = try RuleFile.parse(
            """
            groups:
              - name: g
                rules:
                  - alert: Asks
                    expr: label_replace(vector(1), "service", "front", "", "")
                    annotations: {tern_diagnose: "true", summary: front fails}
                  - alert: Elsewhere
                    expr: label_replace(vector(1), "service", "nobody", "", "")
                    annotations: {tern_diagnose: "true"}
                  - {alert: Silent, expr: vector(1)}
            """, path: "r.yml"
        ).groups
        let rules = server.scraping.rules
        let client = OutgoingHTTP()
        rules.open(
            server.core.queries, server.core.pipeline,
            StoredRules(server.core.settings.kernel.path), correlation: server.core.correlation)
        rules.apply(
            configuration, ListenAddress(host: "127.0.0.1", port: 4100),
            .live(client, SystemClock(), Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }))
        // The built-in group is one like the others.
        #expect(rules.ruler.groups.map(\.definition.name).contains("tern_watch"))
        for group in rules.ruler.groups {
            await group.restore(atNanos: now)
            await group.evaluate(atNanos: now)
            for rule in group.rules { #expect(rule.status.lastError == "", "\(rule.name)") }
        }
        let alerts = try CorpusJSON(parsing: try await server.get("/api/v1/alerts").body)
        let all = alerts["data"]?["alerts"]?.array ?? []
        #expect(all.count == 3)
        for alert in all {
            let annotations = alert["annotations"]
            if alert["labels"]?["alertname"]?.string == "Silent" {
                #expect(annotations?["suspect"] == nil)
                continue
            }
            #expect(annotations?["suspect"]?.string == "cart")
            let score = try #require(annotations?["suspect_score"]?.string.flatMap(Double.init))
            #expect(score > 0.5 && score <= 1)
            #expect(annotations?["suspect_evidence"]?.string?.contains("POST /cart") == true)
        }
        // Rules that are open are evaluated by the clock as well, so there may be more.
        #expect(rules.diagnoses(.suspect) >= 2)
        let page = try await server.get("/metrics").text
        #expect(page.contains("tern_alert_diagnoses_total{outcome=\"suspect\"} "))
        #expect(!page.contains("tern_alert_diagnoses_total{outcome=\"suspect\"} 0"))
        let shown = try await server.get("/api/v1/rules?rule_group[]=tern_watch").text
        #expect(shown.contains("\"file\":\"built-in\""))
        #expect(shown.contains("TernErrors"))
        // It found nothing to watch, so it is shown to those who ask for it only.
        let listed = try await server.get("/api/v1/rules").text
        #expect(listed.contains("\"r.yml\"") && !listed.contains("tern_watch"))
        await rules.shutDown()
        await client.shutdown()
    }
}

@Test func withoutTimeThereIsNoSuspectAndItIsCounted() async throws {
    try await withServer { server in
        let now = SystemClock().wallNanos
        try await sendSpans(to: server, now: now)
        let diagnoser = AlertDiagnoser(server.core.queries, server.core.correlation) { _ in }
        let symptom = AlertSymptom(
            tenant: .anonymous, labels: Labels([("alertname", "A"), ("service", "front")]),
            sinceNanos: now, nanos: now)
        #expect(await diagnoser.suspects(for: symptom, withinSeconds: 0) == nil)
        #expect(diagnoser.count(.busy) == 1)
        #expect(await diagnoser.suspects(for: symptom, withinSeconds: 1e-6) == [])
        #expect(diagnoser.count(.timeout) == 1)
        // Another tenant has no telemetry: nothing to suspect, and no failure.
        var foreign = symptom
        foreign.tenant = Tenant("other")
        #expect(await diagnoser.suspects(for: foreign, withinSeconds: 60) == [])
        #expect(diagnoser.count(.nothing) == 1)
        #expect(diagnoser.count(.failed) == 0)
    }
}
