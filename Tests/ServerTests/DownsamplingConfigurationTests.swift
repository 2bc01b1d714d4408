// SPDX-License-Identifier: Apache-2.0
// Reading `storage.downsampling`.

import Storage
import Testing

@testable import Server

struct DownsamplingConfigurationTests {
    private func rules(_ text: String) throws -> [DownsamplingRule] {
        try Configuration.parse("storage:\n  downsampling:\n" + text).storage.downsampling
    }

    @Test func rulesAreRead() throws {
        #expect(
            try rules(
                "    - {after: 30d, resolution: 5m}\n    - {after: 1y, resolution: 1h}\n") == [
                    DownsamplingRule(afterSeconds: 30 * 86_400, resolutionMillis: 300_000),
                    DownsamplingRule(afterSeconds: 365 * 86_400, resolutionMillis: 3_600_000),
                ])
    }

    @Test(
        arguments: [
            ("    - {resolution: 5m}\n", "age of at least 2d"),
            ("    - {after: 1h, resolution: 5m}\n", "age of at least 2d"),
            ("    - {after: 30d}\n", "divides a day"),
            ("    - {after: 30d, resolution: 7m}\n", "divides a day"),
            ("    - {after: 30d, resolution: 1s}\n", "divides a day"),
            ("    - {after: 30d, resolution: 2d}\n", "divides a day"),
            (
                "    - {after: 30d, resolution: 5m}\n    - {after: 20d, resolution: 1h}\n",
                "must ascend"
            ),
            (
                "    - {after: 30d, resolution: 1h}\n    - {after: 60d, resolution: 5m}\n",
                "must ascend"
            ),
            (
                "    - {after: 30d, resolution: 8m}\n    - {after: 60d, resolution: 1h}\n",
                "must be a multiple"
            ),
            ("    - {after: 30d, resolutoin: 5m}\n", "divides a day"),
            ("    - {after: 30d, resolution: 5m, match: x}\n", "field match not found"),
        ])
    func badRulesAreRefused(_ text: String, _ expected: String) throws {
        let error = #expect(throws: ConfigurationError.self) { _ = try rules(text) }
        #expect(error?.description.contains(expected) == true, "\(error?.description ?? "")")
    }
}
