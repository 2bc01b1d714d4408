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
            let failures = try await onThread {
                var failures: [String] = []
                var evaluations = 0, queries = 0, excepted = 0
                for script in scripts {
                    let target = HTTPTarget(port: port, name: script.name)
                    var runner = ScriptRunner(target, extraRuns: extraRuns)
                    let outcomes = try runner.run(try Script(script.text))
                    evaluations += outcomes.count
                    queries += runner.queryCount
                    if outcomes.count != script.evaluationCount {
                        failures.append(
                            "\(script.name): \(outcomes.count) of \(script.evaluationCount) ran")
                    }
                    for outcome in outcomes {
                        guard let failure = outcome.failure else { continue }
                        let name = "\(script.name): \(outcome.expression)"
                        if Self.exceptions.contains(name) {
                            excepted += 1
                            continue
                        }
                        failures.append(
                            "\(script.name):\(outcome.line): \(outcome.expression)\n    \(failure)")
                    }
                }
                print(
                    "scripts over HTTP: \(evaluations) evaluations by \(queries) queries, "
                        + "\(excepted) excepted")
                return failures
            }
            #expect(failures.isEmpty, "\(failures.joined(separator: "\n"))")
            #expect(try await server.stop().code == 0)
        }
    }
}
