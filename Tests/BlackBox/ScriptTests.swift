// SPDX-License-Identifier: Apache-2.0
// The public PromQL scripts over remote write and the HTTP API.

import FoundationEssentials
import PromQLScripts
import TestKit
import Testing

@Suite struct ScriptTests {
    /// Evaluations that cannot be met, docs/decisions/0007-counter-reset-hints-are-those-sent.md.
    private static let exceptions: Set<String> = [
        "native_histograms.test: histogram_count(sum_over_time(mixed[2m]))",
        "native_histograms.test: histogram_count(avg_over_time(mixed[2m]))",
    ]

    /// Every evaluation of every script, asked of the real binary. `TERN_SCRIPT` picks scripts by
    /// the start of their names; `TERN_SCRIPT_RUNS=all` also makes the extra runs.
    @Test func everyScriptPassesOverHTTP() async throws {
        let environment = ProcessInfo.processInfo.environment
        let scripts = scriptCorpus(only: environment["TERN_SCRIPT"])
        guard !scripts.isEmpty else { return }
        let extraRuns = environment["TERN_SCRIPT_RUNS"] == "all"
        try await withTemporaryDirectory { folder in
            // Samples of the scripts are of the first of January 1970.
            let server = try await ServerProcess.start(
                folder + "/data", in: folder,
                flags: [
                    "--tenancy", "header", "--storage.retention.time", "100y",
                    "--enable-feature", "promql-experimental-functions,use-start-timestamps",
                    "--enable-feature", "promql-delayed-name-removal,promql-binop-fill-modifiers",
                    "--enable-feature", "promql-extended-range-selectors",
                ])
            let port = server.port
            let tally = try await onThread {
                var tally = ScriptTally()
                for script in scripts {
                    let target = HTTPTarget(port: port, name: script.name)
                    try tally.run(
                        script, with: ScriptRunner(target, extraRuns: extraRuns),
                        exceptions: Self.exceptions)
                }
                return tally
            }
            print(
                "scripts over HTTP: \(tally.evaluations) evaluations by \(tally.queries) queries, "
                    + "\(tally.excepted) excepted")
            #expect(tally.failures.isEmpty, "\(tally.failures.joined(separator: "\n"))")
            #expect(try await server.stop().code == 0)
        }
    }
}
