// SPDX-License-Identifier: Apache-2.0
// Tenants never see each other.

import FoundationEssentials
import GRPCCore
import Rules
import Scrape
import Telemetry
import TestKit
import Testing
import Wire

@testable import Server

@Suite struct TenancyTests {
    @Test func withoutATenantNothingIsAnswered() async throws {
        try await withServer({ $0.tenancy = .header }) { server in
            var wrong: [String] = []
            for target in [
                "/api/v1/query?query=up", "/api/v1/labels", "/loki/api/v1/labels",
                "/api/search?q=%7B%7D", "/api/v1/correlate/services",
            ] {
                let reply = try await server.get(target)
                if reply.status != 401 || !reply.text.contains("no org id") {
                    wrong.append("\(target): \(reply.status) \(reply.text)")
                }
            }
            for (target, type) in [
                ("/api/v1/write", protobuf), ("/v1/traces", protobuf),
                ("/loki/api/v1/push", "application/json"),
            ] {
                let reply = try await server.post(target, type, remoteWriteBody("m"))
                if reply.status != 401 || !reply.text.contains("no org id") {
                    wrong.append("\(target): \(reply.status) \(reply.text)")
                }
            }
            #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
            let call = try await server.export(.metrics, otlpGaugeMessage(service: "s", name: "m"))
            #expect(call.code == .unauthenticated)
            #expect(call.message == "no org id")
            #expect(try await server.get("/ready").status == 200)
            #expect(try await server.get("/metrics").status == 200)
        }
    }

    @Test func dataNamesAndCorrelationStayWithTheirTenant() async throws {
        try await withServer({ $0.tenancy = .header }) { server in
            let tenant = [("X-Scope-OrgID", "alpha")]
            let writes = [
                try await server.post(
                    "/api/v1/write", protobuf, remoteWriteBody("alpha_metric"), headers: tenant),
                try await server.post(
                    "/loki/api/v1/push", "application/json", lokiBody("alpha_app", "alpha line"),
                    headers: tenant),
                try await server.post(
                    "/v1/traces", protobuf,
                    otlpTraceMessage(
                        service: "alpha_service", name: "alpha_span", traceID: goodTraceID,
                        spanID: goodSpanID), headers: tenant),
            ]
            #expect(writes.map(\.status) == [204, 204, 200])
            let call = try await server.export(
                .metrics, otlpGaugeMessage(service: "alpha_service", name: "alpha_gauge"),
                metadata: ["x-scope-orgid": "alpha"])
            #expect(call.answer != nil)

            let id = "0102030405060708090a0b0c0d0e0f10"
            let reads = [
                ("/api/v1/query?query=%7Bjob%3D~%22.%2B%22%7D", "alpha_metric"),
                ("/api/v1/label/__name__/values", "alpha_gauge"),
                ("/api/v1/series?match%5B%5D=%7Bjob%3D~%22.%2B%22%7D", "alpha_metric"),
                ("/api/v1/labels", "job"),
                ("/loki/api/v1/query_range?query=%7Bapp%3D~%22.%2B%22%7D", "alpha line"),
                ("/loki/api/v1/label/app/values", "alpha_app"),
                ("/loki/api/v1/labels", "app"),
                ("/loki/api/v1/series", "alpha_app"),
                ("/api/search?q=%7B%7D", "alpha_service"),
                ("/api/v2/search/tags", "service.name"),
                ("/api/v2/search/tag/resource.service.name/values", "alpha_service"),
                ("/api/traces/\(id)", "alpha_span"),
                ("/api/v1/correlate/services", "alpha_service"),
                ("/api/v1/correlate/trace/\(id)", "alpha_span"),
                ("/api/v1/correlate/service/alpha_service", "alpha_service"),
            ]
            var wrong: [String] = []
            for (target, secret) in reads {
                let own = try await server.get(target, tenant: "alpha")
                if own.status != 200 || !own.text.contains(secret) {
                    wrong.append("alpha \(target): \(own.status) \(own.text.prefix(200))")
                }
                let other = try await server.get(target, tenant: "beta")
                // A path of the request may come back in an error text; data may not.
                let isError = other.status == 404
                if !isError, other.text.contains(secret) || other.status != 200 {
                    wrong.append("beta \(target): \(other.status) \(other.text.prefix(200))")
                }
            }
            #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
        }
    }

    @Test func jobsAndRuleGroupsNameTheirTenant() async throws {
        let rules = """
            groups:
              - {name: plain, rules: [{record: a, expr: vector(1)}]}
              - {name: own, tenant: blue, rules: [{record: a, expr: vector(1)}]}
            """
        let text = """
            global: {tenant: red}
            rule_files: [rules.yml]
            scrape_configs:
              - {job_name: plain, static_configs: [{targets: ["h:1"]}]}
              - {job_name: own, tenant: blue, static_configs: [{targets: ["h:1"]}]}
            """
        try await withTemporaryDirectory { folder in
            let path = folder + "/tern.yml"
            try Data(rules.utf8).write(to: URL(filePath: folder + "/rules.yml"))
            try Data(text.utf8).write(to: URL(filePath: path))
            let loaded = try loadConfiguration(path, tenancy: .header)
            #expect(loaded.scrapes.map(\.tenant.name) == ["red", "blue"])
            #expect(loaded.ruleGroups.map(\.tenant.name) == ["red", "blue"])
            // Nobody could see what they write.
            let fault = "\(path): tenant red of job \"plain\": tenants need --tenancy header"
            #expect(throws: ConfigurationError(fault)) {
                try loadConfiguration(path, tenancy: .off)
            }
        }
        for bad in ["a/b", "..", String(repeating: "x", count: 151)] {
            #expect(throws: ConfigurationError.self) {
                try Configuration.parse("global: {tenant: '\(bad)'}")
            }
            #expect(throws: RuleFileError.self) {
                try RuleFile.parse("groups: [{name: g, tenant: '\(bad)'}]", path: "r")
            }
        }
    }

    @Test func anUnfitTenantNameIsRefused() async throws {
        try await withServer({ $0.tenancy = .header }) { server in
            for name in ["a/b", "../x", String(repeating: "x", count: 200)] {
                let reply = try await server.get("/api/v1/labels", tenant: name)
                #expect(reply.status == 400, "\(name): \(reply.text)")
                #expect(reply.text.contains("characters that are not allowed"))
            }
        }
    }
}
