// SPDX-License-Identifier: Apache-2.0
// The engine against the public test scripts.

import FoundationEssentials
import PromQLScripts
import TestKit
import Testing

@Suite struct ScriptTests {
    /// Every evaluation with its extra runs: pinned by `@` at other times, and as range queries.
    /// `TERN_SCRIPT` picks scripts by the start of their names.
    @Test func everyScriptPasses() throws {
        let only = ProcessInfo.processInfo.environment["TERN_SCRIPT"]
        var evaluations = 0, queries = 0
        var failures: [String] = []
        for script in scriptCorpus(only: only) {
            var runner = ScriptRunner(MemoryTarget())
            let outcomes = try runner.run(try Script(script.text))
            evaluations += outcomes.count
            queries += runner.queryCount
            if outcomes.count != script.evaluationCount {
                failures.append(
                    "\(script.name): \(outcomes.count) of \(script.evaluationCount) ran")
            }
            for outcome in outcomes {
                guard let failure = outcome.failure else { continue }
                failures.append(
                    "\(script.name):\(outcome.line): \(outcome.expression)\n    \(failure)")
            }
        }
        #expect(failures.isEmpty, "\(failures.joined(separator: "\n"))")
        print("scripts in process: \(evaluations) evaluations by \(queries) queries")
    }
}
