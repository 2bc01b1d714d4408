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
    /// The last check, of everything; its numbers are in the table.
    var final = CrashFindings()
    var faultyChecks: [String] = []
    var fateFaults = FateVerdict()
    var finalFates: [FateVerdict] = []
    /// What the second server has.
    var forwarded = (machines: CrashFindings(), fates: [FateVerdict]())
    /// Background work that was seen.
    var work: [(shown: String, count: Int)] = []
    var checkPassed = false
    var checkOutput = ""
    /// Batches sent and acknowledged, by signal.
    var batches: [(sent: Int, acknowledged: Int)] = []
    var items: [Int] = []
    /// Samples acknowledged by fate, then lines, then spans.
    var fateItems: [Int] = []

    init(kills: Int) { self.kills = kills }

    var isSound: Bool {
        faults.isSound && final.isSound && fateFaults.isSound && checkPassed
    }

    mutating func take(_ findings: CrashFindings, _ fates: [FateVerdict], when: String) {
        faults.add(findings)
        for verdict in fates { fateFaults.add(verdict) }
        guard !findings.isSound || !fates.allSatisfy(\.isSound) else { return }
        faultyChecks.append(when)
        say("\(when):")
        for note in findings.notes { say("  " + note) }
    }

    var text: String {
        let ready = readySeconds.sorted()
        func milliseconds(_ seconds: Double?) -> String {
            fixedText((seconds ?? 0) * 1000, decimals: 0) + " ms"
        }
        var table = MarkdownTable(
            "signal", "batches sent", "acknowledged", "items acknowledged", "lost", "phantom",
            "torn")
        for signal in CrashSignal.allCases {
            let verdict = final.signals[signal.rawValue]
            let counts = batches[signal.rawValue]
            table.row(
                signal.item, String(counts.sent), String(counts.acknowledged),
                String(items[signal.rawValue]), String(verdict.lost), String(verdict.phantom),
                String(verdict.torn))
        }
        var restarts = MarkdownTable(
            "kills", "restarts", "ready p50", "ready max", "traces correlated", "wrongly",
            "traces searched", "`tern check data`")
        restarts.row(
            String(kills), String(ready.count),
            milliseconds(ready.isEmpty ? nil : ready[ready.count / 2]), milliseconds(ready.last),
            String(final.tracesLinked), String(final.tracesMislinked),
            String(final.tracesSearched), checkPassed ? "passed" : "failed")
        var fates = MarkdownTable(
            "items that are", "acknowledged", "there", "gone", "lost", "phantom", "torn",
            "back again", "at the second server", "lost there")
        func row(_ name: String, _ number: Int, there: FateVerdict?) {
            let verdict = finalFates[number]
            fates.row(
                [name]
                    + [
                        fateItems[number], verdict.present, verdict.gone, verdict.lost,
                        verdict.phantom, verdict.torn, verdict.revived,
                    ].map(String.init)
                    + [there?.present, there?.lost].map { $0.map(String.init) ?? "–" })
        }
        for (fate, name) in [
            (Fate.coarse, "samples, down-sampled"), (.short, "samples, kept for 15 s"),
            (.deleted, "samples, half of them deleted"),
        ] { row(name, fate.rawValue, there: forwarded.fates[fate.rawValue]) }
        for (fate, name) in [
            (LogFate.short, "lines, kept for 15 s"), (.deleted, "lines, half of them deleted"),
        ] { row(name, Fate.allCases.count + fate.rawValue, there: nil) }
        row("spans, late and some twice", finalFates.count - 1, there: nil)
        var done = MarkdownTable(work.map(\.shown))
        done.row(work.map { String($0.count) })
        let machines = forwarded.machines.signals[CrashSignal.metrics.rawValue]
        var lines = [
            table.text, restarts.text, fates.text, done.text,
            "The second server has \(machines.present) samples of machines, \(machines.lost) "
                + "are lost there.",
        ]
        let whole = final.signals.reduce(0) { $0 + $1.unacknowledgedPresent }
        lines.append(
            "\(whole) batches are there whole whose answer the kill swallowed. "
                + (isSound
                    ? "Nothing acknowledged was lost."
                    : "Faults: " + faultyChecks.joined(separator: ", ") + "."))
        if !checkPassed { lines.append(String(checkOutput.suffix(2000))) }
        return lines.joined(separator: "\n")
    }
}
