// SPDX-License-Identifier: Apache-2.0
// The engine against the public test scripts.

import FoundationEssentials
import Testing
import TestKit

@testable import PromQL

@Suite struct ScriptTests {
    /// Evaluations each script must at least pass; more is better, fewer is a regression.
    static let floors: [String: Int] = [:]

    @Test func scriptsPassAtLeastAsOftenAsRecorded() throws {
        let names = Corpora.names(under: "promql").filter { $0.hasSuffix(".test") }
        let environment = ProcessInfo.processInfo.environment
        let only = environment["TERN_SCRIPT"]
        var total = 0, passed = 0
        for name in names where only == nil || name.hasPrefix(only ?? "") {
            guard let bytes = Corpora.file("promql/" + name) else { continue }
            var runner = ScriptRunner()
            let outcomes = runner.run(try Script(String(decoding: bytes, as: UTF8.self)))
            let good = outcomes.count { $0.failure == nil }
            total += outcomes.count
            passed += good
            print("\(name): \(good) of \(outcomes.count)")
            if only != nil {
                for outcome in outcomes {
                    guard let failure = outcome.failure else { continue }
                    print("  \(outcome.line): \(outcome.expression)\n      \(failure)")
                }
            }
            let floor = ScriptTests.floors[name] ?? 0
            #expect(good >= floor, "\(name): \(good) evaluations pass, \(floor) did before")
        }
        if total > 0 { print("all scripts: \(passed) of \(total)") }
    }
}
