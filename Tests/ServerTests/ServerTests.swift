// SPDX-License-Identifier: Apache-2.0
// Requests as values, before any socket.

import Scrape
import Testing

@testable import Server

@Test func familyPrefixesComeOffAndOwnPathsStay() {
    #expect(HTTPEndpoint.split("/prometheus/api/v1/query") == ("/api/v1/query", "prometheus"))
    #expect(HTTPEndpoint.split("/tempo/api/traces/ab") == ("/api/traces/ab", "tempo"))
    #expect(HTTPEndpoint.split("/loki/api/v1/push") == ("/loki/api/v1/push", ""))
    #expect(HTTPEndpoint.split("/loki/loki/api/v1/push") == ("/loki/api/v1/push", "loki"))
    #expect(HTTPEndpoint.split("/api/v1/query") == ("/api/v1/query", ""))
}

@Test func formsAreDecodedAsBrowsersWriteThem() {
    let pairs = decodeForm("query=a%2Bb+c&match%5B%5D=x&bad=%zz&empty")
    #expect(pairs.map(\.name) == ["query", "match[]", "bad", "empty"])
    #expect(pairs.map(\.value) == ["a+b c", "x", "%zz", ""])
}

@Test func configurationNamesTheLineAndTheNearestKey() throws {
    let good = """
        scrape_configs:
          - job_name: a
            static_configs: [{targets: ["h:1"]}]
        """
    #expect(try Configuration.parse(good).scrapes.count == 1)
    let bad = "scrape_configs:\n  - job_name: a\n    static_config: []\n"
    #expect(
        throws: ConfigurationError(
            "field static_config not found in scrape_configs: did you mean static_configs?",
            line: 3)
    ) { try Configuration.parse(bad) }
}

@Test func aURLAsTargetIsForRelabellingAlone() throws {
    let plain = """
        scrape_configs:
          - job_name: a
            static_configs: [{targets: ["http://example.org/x"]}]
        """
    let fault = #""http://example.org/x" is not a valid hostname"#
    #expect(throws: ConfigurationError(fault, line: 3)) { try Configuration.parse(plain) }
    let relabelled =
        plain + "\n    relabel_configs:\n"
        + "      - {source_labels: [__address__], target_label: __param_target}\n"
        + "      - {target_label: __address__, replacement: \"h:1\"}\n"
    #expect(
        try Configuration.parse(relabelled).scrapes[0].groups[0].targets
            == [[NamedText("__address__", "http://example.org/x")]])
    func alertmanagers(_ more: String) -> String {
        "alerting: {alertmanagers: [{static_configs: [{targets: [\"http://h\"]}]\(more)}]}\n"
    }
    #expect(throws: ConfigurationError.self) { try Configuration.parse(alertmanagers("")) }
    let rule = ", relabel_configs: [{target_label: __address__, replacement: \"h:1\"}]"
    #expect(try Configuration.parse(alertmanagers(rule)).alerting.alertmanagers.count == 1)
}

@Test func lokiTimesAreSecondsOrNanoseconds() throws {
    #expect(try lokiTime("1700000000") == 1_700_000_000_000_000_000)
    #expect(try lokiTime("1700000000123456789") == 1_700_000_000_123_456_789)
    #expect(try lokiTime("1700000000.5") == 1_700_000_000_500_000_000)
    #expect(try lokiTime("2023-11-14T22:13:20Z") == 1_700_000_000_000_000_000)
    #expect(throws: APIError.self) { try lokiTime("yesterday") }
}
