// SPDX-License-Identifier: Apache-2.0
// Findings in one sentence.

import Correlation
import Telemetry

struct FindingWords {
    let observations: Observations

    init(_ observations: Observations) { self.observations = observations }

    /// What is wrong, by the strongest finding.
    func summary(_ finding: Finding, _ suspect: Suspect) -> String {
        (finding.isLate ? "in the second half of the window " : "") + words(finding, suspect)
    }

    private func words(_ finding: Finding, _ suspect: Suspect) -> String {
        let service = suspect.service
        let operation = finding.operation.map { observations.spans.operationNames[$0] } ?? ""
        switch finding.kind {
        case .path(let path): return self.path(path, operation, service)
        case .errors(let before, let after):
            return "\(operation) of \(service) fails in \(of(after)) spans, \(of(before)) before"
        case .errorLines(let statement, let shares):
            return
                "\(service) writes error lines at \(name(statement)): \(shares[2].hits) of "
                + "\(shares[2].total) lines, \(of(shares[0])) before"
        case .calls(let callee, let other, let before, let after):
            let called = observations.spans.operationNames[callee]
            let where_ = other == finding.service ? "" : " of \(observations.services[other])"
            let verb = after.value < before.value ? "calls less often" : "calls more often"
            return
                "\(operation) of \(service) \(verb) \(called)\(where_): in \(of(after)) spans, "
                + "\(of(before)) before"
        case .slow(let slow):
            return
                "\(operation) of \(service) takes \(timeText(slow.typicalNanos)) by itself in "
                + "\(of(slow.window)) spans, usually \(timeText(slow.usualNanos))"
        case .gap(let slow):
            let other = finding.peer.map { observations.services[$0] } ?? ""
            let isCallee = finding.rows.first.map {
                observations.spans.services[Int($0)] != finding.service
            }
            let way =
                isCallee ?? false ? "from \(other) to \(service)" : "from \(service) to \(other)"
            return
                "calls \(way) lose \(timeText(slow.typicalNanos)) between client and server in "
                + "\(of(slow.window)) calls, usually \(timeText(slow.usualNanos))"
        case .resource(let number):
            let series = observations.series[number]
            let past = series.history.sorted()
            let level = ResourceSignals.level(series.window)
            return
                "\(series.labels["__name__"] ?? "") of \(service) is at \(numberText(level)), "
                + "usually \(numberText(quantile(past, 0.5)))"
        case .version(let number):
            return "\(service) runs version \(observations.versions[number].version), which is new"
        }
    }

    private func path(_ path: Finding.Divergence, _ operation: String, _ service: String) -> String
    {
        let from = path.last.map { "after \(name($0))" } ?? "from its start"
        let share = "\(of(path.window)) spans, \(of(path.baseline)) before"
        if path.isVanished {
            let what = path.vanished.map { "goes on to \(name($0))" } ?? "ends"
            let now = path.appeared.map { "; now \(name($0)) follows" } ?? ""
            return "\(operation) of \(service) \(from) \(what) in only \(share)\(now)"
        }
        let what = path.appeared.map { "goes on to \(name($0))" } ?? "ends early"
        return "\(operation) of \(service) \(from) \(what) in \(share)"
    }

    private func name(_ statement: Int32) -> String {
        let statement = observations.lines.statements[Int(statement)]
        return statement.site?.raw ?? "“\(statement.literal)”"
    }

    private func of(_ share: Share) -> String { "\(share.hits) of \(share.total)" }
}
