// SPDX-License-Identifier: Apache-2.0
// The table of a crash run.

import Base
import TestKit

struct CrashReport: Sendable {
    let kills: Int
    /// Restarts, from start to readiness.
    var readySeconds: [Double] = []
    /// Faults over all checks: something that is lost stays lost and is counted each time.
    var faults = CrashFindings()
    /// The last check, of everything.
    var final = CrashFindings()
    var faultyChecks: [String] = []
    var checkPassed = false
    var checkOutput = ""
    /// Batches sent and acknowledged, by signal.
    var batches: [(sent: Int, acknowledged: Int)] = []
    var items: [Int] = []

    init(kills: Int) { self.kills = kills }

    var isSound: Bool { faults.isSound && final.isSound && checkPassed }

    mutating func take(_ findings: CrashFindings, when: String) {
        faults.add(findings)
        guard !findings.isSound else { return }
        faultyChecks.append(when)
        say("\(when):")
        for note in findings.notes { say("  " + note) }
    }

    var text: String {
        let ready = readySeconds.sorted()
        func milliseconds(_ seconds: Double?) -> String {
            fixedText((seconds ?? 0) * 1000, decimals: 0) + " ms"
        }
        var lines = [
            "| signal | batches sent | acknowledged | items acknowledged | lost | phantom | torn |",
            "|---|---|---|---|---|---|---|",
        ]
        for signal in CrashSignal.allCases {
            let verdict = faults.signals[signal.rawValue]
            lines.append(
                "| \(signal.item) | \(batches[signal.rawValue].sent) "
                    + "| \(batches[signal.rawValue].acknowledged) "
                    + "| \(items[signal.rawValue]) | \(verdict.lost) | \(verdict.phantom) "
                    + "| \(verdict.torn) |")
        }
        lines += [
            "",
            "| kills | restarts | ready p50 | ready max | traces correlated | wrongly "
                + "| `tern check data` |",
            "|---|---|---|---|---|---|---|",
            "| \(kills) | \(ready.count) "
                + "| \(milliseconds(ready.isEmpty ? nil : ready[ready.count / 2])) "
                + "| \(milliseconds(ready.last)) | \(final.tracesLinked) "
                + "| \(faults.tracesMislinked) | \(checkPassed ? "passed" : "failed") |",
        ]
        let whole = final.signals.reduce(0) { $0 + $1.unacknowledgedPresent }
        lines.append("")
        lines.append(
            "\(whole) batches are there whole whose answer the kill swallowed. "
                + (isSound
                    ? "Nothing acknowledged was lost."
                    : "Faults: " + faultyChecks.joined(separator: ", ") + "."))
        if !checkPassed { lines.append(String(checkOutput.suffix(2000))) }
        return lines.joined(separator: "\n")
    }
}
