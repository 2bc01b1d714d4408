// SPDX-License-Identifier: Apache-2.0
// Reading `storage.retention`.

import MetricStore
import Storage
import Telemetry
import Testing

@testable import Server

struct RetentionConfigurationTests {
    private func rules(_ text: String) throws -> [MetricRetention] {
        try Configuration.parse("storage:\n  retention:\n" + text).storage.retentionRules
    }

    @Test func rulesAreReadInOrder() throws {
        let found = try rules(
            """
                - match: ['{job="debug"}', 'up{env=~"dev|test"}']
                  time: 2d
                - match: ['{__name__=~"slo:.*"}']
                  time: 1y

            """)
        #expect(found.map(\.seconds) == [2 * 86_400, 365 * 86_400])
        #expect(
            found.map(\.rule.name) == [
                #"metrics {__name__="up",env=~"dev|test"} {job="debug"}"#,
                #"metrics {__name__=~"slo:.*"}"#,
            ])
        let both = try Configuration.parse(
            "storage:\n  tsdb:\n    retention:\n      time: 30d\n"
                + "  retention:\n    - match: ['{a=\"b\"}']\n      time: 1h\n")
        #expect(both.storage.retentionSeconds == 2_592_000)
        #expect(both.storage.retentionRules.map(\.seconds) == [3600])
    }

    @Test(
        arguments: [
            ("    - time: 2d\n", "match in a rule"),
            ("    - match: []\n      time: 2d\n", "match in a rule"),
            ("    - match: ['{a=\"b\"}']\n", "needs a time above 0"),
            ("    - match: ['{a=\"b\"}']\n      time: 0s\n", "needs a time above 0"),
            ("    - match: ['{a=']\n      time: 2d\n", "match '{a=' in storage.retention"),
            ("    - match: ['sum(a)']\n      time: 2d\n", "expected a series selector"),
            ("    - match: ['{}']\n      time: 2d\n", "non-empty matcher"),
            ("    - match: ['{a=\"b\"}']\n      time: 2d\n      tiem: 3d\n", "did you mean time"),
            (
                "    - match: ['{a=\"b\"}']\n      time: 2d\n"
                    + "    - match: ['{a = \"b\"}']\n      time: 3d\n", "two rules for the same"
            ),
        ])
    func badRulesAreRefused(_ text: String, _ expected: String) throws {
        let error = #expect(throws: ConfigurationError.self) { _ = try rules(text) }
        #expect(error?.description.contains(expected) == true, "\(error?.description ?? "")")
    }
}
