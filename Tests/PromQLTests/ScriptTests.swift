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
        var tally = ScriptTally()
        for script in scriptCorpus(only: only) {
            try tally.run(script, with: ScriptRunner(MemoryTarget()))
        }
        #expect(tally.failures.isEmpty, "\(tally.failures.joined(separator: "\n"))")
        print(
            "scripts in process: \(tally.evaluations) evaluations by \(tally.queries) queries")
    }
}
