// SPDX-License-Identifier: Apache-2.0
// The engine against the public test scripts.

import Base
import FoundationEssentials
import PromQL
import PromQLScripts
import TestKit
import Testing

@Suite struct ScriptTests {
    /// Every evaluation with its extra runs: pinned by `@` at other times, and as range queries.
    /// Once in one piece and once with every series a slice of its own.
    /// `TERN_SCRIPT` picks scripts by the start of their names.
    @Test(arguments: [Slicing(), .finest]) func everyScriptPasses(_ slicing: Slicing) throws {
        let only = ProcessInfo.processInfo.environment["TERN_SCRIPT"]
        var tally = ScriptTally()
        for script in scriptCorpus(only: only) {
            try tally.run(script, with: ScriptRunner(MemoryTarget(slicing: slicing)))
        }
        #expect(tally.failures.isEmpty, "\(tally.failures.joined(separator: "\n"))")
        print(
            "scripts in process: \(tally.evaluations) evaluations by \(tally.queries) queries")
    }
}

extension Slicing {
    /// Every series is a slice of its own, whatever it costs, and two threads help.
    static var finest: Slicing {
        var slicing = Slicing()
        slicing.helpers = WorkerPool(name: "helper", threads: 2, queueLimit: 2)
        slicing.leastWork = 0
        slicing.sliceWork = 0
        return slicing
    }
}
