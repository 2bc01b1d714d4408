// SPDX-License-Identifier: Apache-2.0
// The section `correlation`, and what a reload of it changes in answers.

import Base
import Correlation
import FoundationEssentials
import HTTPTypes
import Logging
import Telemetry
import TestKit
import Testing

@testable import Server

private struct IdentityRow: Decodable, Equatable {
    var alias: String
    var source: String
    var rule: String
    var foundBy: String?
}

private struct ExplainedService: Decodable {
    var name: String
    var namespace: String
    var spanNames: [String]
    var identity: [IdentityRow]
}

@Suite struct IdentityOverrideConfigurationTests {
    private func parsed(_ yaml: String) throws -> Configuration {
        try Configuration.parse("correlation:\n  identities:\n" + yaml)
    }

    @Test func theSectionIsRead() throws {
        let configuration = try parsed(
            """
                - name: checkout
                  namespace: shop
                  aliases: [checkout-svc, ecommerce/checkout]
                - name: batch
                  match: ['{job="node", team=~"batch|night"}', 'up{job="x"}']

            """)
        let entries = try #require(configuration.identities).entries
        #expect(entries.map(\.name) == ["checkout", "batch"])
        #expect(entries[0].namespace == "shop")
        #expect(entries[0].aliases == ["checkout-svc", "ecommerce/checkout"])
        #expect(
            entries[1].selectors == [
                [
                    LabelMatcher(equal: "job", "node"),
                    try LabelMatcher("team", .matches, "batch|night"),
                ],
                [LabelMatcher(equal: "job", "x"), LabelMatcher(equal: "__name__", "up")],
            ])
        #expect(try Configuration.parse("correlation: {identities: []}\n").identities == nil)
    }

    /// What the coverage report proposes is an entry as it stands.
    @Test func proposalsCanBePasted() async throws {
        try await withTemporaryDirectory { path in
            try await CorrelateServer.run(path + "/data") { server in
                let now = SystemClock().wallNanos
                try await server.post(
                    "/loki/api/v1/push",
                    #"{"streams":[{"stream":{"service_name":"Shop \"1\": cart"},"values":"#
                        + #"[["\#(now)","x"]]}]}"#)
                try await server.post(
                    "/v1/traces",
                    #"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","#
                        + #""value":{"stringValue":"cart-shop-1"}}]},"scopeSpans":[{"spans":["#
                        + #"{"traceId":"0000000000000000000000000000000a","#
                        + #""spanId":"0000000000000001","name":"pay","kind":2,"#
                        + #""startTimeUnixNano":"\#(now)","endTimeUnixNano":"\#(now)"}]}]}]}"#)
                let names = try await server.get(
                    "coverage?end=\(now + 1)", as: CoverageAnswerData.self
                ).data.unmatched
                #expect(names.map(\.name) == [#"Shop "1": cart"#, "cart-shop-1"])
                for name in names {
                    let entry = try #require(name.proposedIdentity)
                    #expect(
                        try parsed("    \(entry)\n").identities?.entries == [
                            IdentityOverride(
                                name: "cart-shop-1", aliases: [#"Shop "1": cart"#])
                        ])
                }
            }
        }
    }

    @Test(arguments: [
        ("[{name: a}, {name: A}]", #"line 4: correlation: identity 2 ("A"): name "A""#),
        (
            "[{name: a, aliases: [x]}, {name: b, aliases: [X]}]",
            #"identity 2 ("b"): alias "X" means the same as an alias of identity "a""#
        ),
        (
            "[{name: a, aliases: [b]}, {name: b}]",
            #"identity 1 ("a"): alias "b" means the same as the name of identity "b""#
        ),
        (#"[{name: ""}]"#, #"identity 1 (""): empty name"#),
        ("[{namespace: a}]", "identity 1: name is needed"),
        (
            #"[{name: a, match: ['{job="x"']}]"#,
            #"identity 1 ("a"): match "{job=\"x\"": 1:"#
        ),
        (#"[{name: a, match: ['rate(x[5m])']}]"#, "expected a series selector"),
        (#"[{name: a, match: ['{job=~"("}']}]"#, #"identity 1 ("a"): match"#),
        ("[{name: a, alias: [b]}]", "field alias not found in identities: did you mean aliases?"),
        ("[{name: a, aliases: b}]", "aliases must be a list"),
        ("[null]", "empty or null identity"),
    ])
    func faultsNameTheEntry(_ entries: String, _ message: String) throws {
        // One entry a line, so that the line tells which.
        let lines = entries.replacing("}, {", with: "},\n {")
        do {
            _ = try Configuration.parse("correlation:\n  identities:\n   \(lines)\n")
            Issue.record("accepted: \(entries)")
        } catch {
            #expect("\(error)".contains(message), "\(error)")
            #expect("\(error)".hasPrefix("line "), "\(error)")
        }
    }

    /// Through `/-/reload`, without a restart: to one name, refused, and back.
    @Test func aReloadChangesAnswers() async throws {
        try await withTemporaryDirectory { path in
            try await CorrelateServer.run(path + "/data") { server in
                let file = path + "/tern.yml"
                let clock = SystemClock()
                var options = ServerOptions()
                options.configurationFile = file
                options.enableLifecycle = true
                let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
                let index = server.core.correlation
                let scraping = Scraping(options, nil, logger, clock) {
                    index.setOverrides($0.identities)
                }
                func reload(_ text: String) async throws -> Int {
                    try Data(text.utf8).write(to: URL(filePath: file))
                    let route = try #require(
                        ScrapingEndpoints(scraping: scraping).routes().first {
                            $0.path == "/-/reload"
                        })
                    let request = APIRequest(method: .post, path: "/-/reload", parameters: [])
                    do { return try await route.handler(request).status.code } catch let error
                        as APIError
                    { return route.shape.response(error, to: request).status.code }
                }
                func names() async throws -> [String] {
                    try await server.get("services", as: [ServiceRowData].self).data.map(\.name)
                }
                let now = clock.wallNanos - 1_000_000_000
                for (number, name) in ["checkout", "checkout-svc"].enumerated() {
                    try await server.post(
                        "/v1/traces",
                        """
                        {"resourceSpans":[{"resource":{"attributes":[
                        {"key":"service.name","value":{"stringValue":"\(name)"}}]},
                        "scopeSpans":[{"spans":[{"traceId":"0000000000000000000000000000000a",
                        "spanId":"000000000000000\(number + 1)","name":"pay","kind":2,
                        "parentSpanId":"\(number == 0 ? "" : "0000000000000001")",
                        "startTimeUnixNano":"\(now)","endTimeUnixNano":"\(now + 1000)"}]}]}]}
                        """)
                }
                #expect(try await names() == ["checkout", "checkout-svc"])

                let entry =
                    "correlation:\n  identities:\n"
                    + "    - {name: Checkout, namespace: shop, aliases: [checkout-svc]}\n"
                #expect(try await reload(entry) == 200)
                #expect(try await names() == ["Checkout"])
                let found = try await server.get(
                    "service/checkout-svc?explain=1", as: ExplainedService.self
                ).data
                #expect(found.name == "Checkout")
                #expect(found.namespace == "shop")
                #expect(found.spanNames == ["checkout", "checkout-svc"])
                #expect(
                    found.identity == [
                        IdentityRow(
                            alias: "checkout", source: "configuration", rule: "override",
                            foundBy: "aliases"),
                        IdentityRow(
                            alias: "checkout", source: "traces", rule: "override",
                            foundBy: "service.name"),
                        IdentityRow(
                            alias: "checkout-svc", source: "configuration", rule: "override",
                            foundBy: "aliases"),
                        IdentityRow(
                            alias: "checkout-svc", source: "traces", rule: "override",
                            foundBy: "service.name"),
                    ])
                let trace = try await server.get("trace/a", as: TraceData.self).data
                #expect(trace.rootService == "Checkout")
                #expect(trace.services == ["Checkout"])
                let detail = try await server.get("service/Checkout", as: ServiceData.self).data
                #expect(detail.recentTraces.map(\.rootService) == ["Checkout"])
                #expect(detail.spanCount == 2)

                // What is wrong changes nothing.
                #expect(try await reload(entry + "    - {name: checkout}\n") == 500)
                #expect(try await names() == ["Checkout"])
                #expect(try await reload("correlation: {identities: []}\n") == 200)
                #expect(try await names() == ["checkout", "checkout-svc"])
            }
        }
    }
}
