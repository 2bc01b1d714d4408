// SPDX-License-Identifier: Apache-2.0
// What a run of many scripts came to.

/// Counts evaluations and queries and collects what did not pass, over any target.
package struct ScriptTally: Sendable {
    package private(set) var evaluations = 0
    package private(set) var queries = 0
    package private(set) var excepted = 0
    package private(set) var failures: [String] = []

    package init() {}

    /// Runs a script to its end; that fewer or more evaluations ran than it holds is a failure.
    ///
    /// - Parameter exceptions: evaluations that may fail, as `SCRIPT: EXPRESSION`.
    package mutating func run(
        _ script: CorpusScript, with runner: ScriptRunner<some ScriptTarget>,
        exceptions: Set<String> = []
    ) throws {
        var runner = runner
        let outcomes = try runner.run(try Script(script.text))
        evaluations += outcomes.count
        queries += runner.queryCount
        if outcomes.count != script.evaluationCount {
            failures.append("\(script.name): \(outcomes.count) of \(script.evaluationCount) ran")
        }
        for outcome in outcomes {
            guard let failure = outcome.failure else { continue }
            if exceptions.contains("\(script.name): \(outcome.expression)") {
                excepted += 1
                continue
            }
            failures.append(
                "\(script.name):\(outcome.line): \(outcome.expression)\n    \(failure)")
        }
    }
}
