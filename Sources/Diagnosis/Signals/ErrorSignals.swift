// SPDX-License-Identifier: Apache-2.0
// What fails that did not.

import Telemetry

/// Finds operations whose spans fail, statements whose error lines are new or more frequent, and
/// calls that are no longer made or newly made.
struct ErrorSignals {
    private struct Operation: Hashable {
        var service: Int32
        var operation: Int32
    }
    private static let floor = 0.05

    private let observations: Observations
    private var spans: SpanTable { observations.spans }

    init(_ observations: Observations) { self.observations = observations }

    func findings() -> [Finding] {
        let totals = totals()
        return failedSpans(totals) + errorLines() + calls(totals)
    }

    /// Spans of an operation, and the traces that they are in.
    private struct Totals {
        var spans = PerStretch(repeating: 0)
        var traces = [Set<Int32>](repeating: [], count: Stretch.allCases.count)

        func worth(_ shares: PerStretch<Share>) -> PerStretch<Share> {
            var result = shares
            for stretch in Stretch.allCases {
                result[stretch] = shares[stretch].clustered(
                    traces[stretch.rawValue].count, of: spans[stretch])
            }
            return result
        }
    }

    private func totals() -> [Operation: Totals] {
        var result: [Operation: Totals] = [:]
        for row in 0..<spans.count {
            let key = Operation(service: spans.services[row], operation: spans.operations[row])
            result[key, default: Totals()].spans[spans.stretches[row]] += 1
            result[key]?.traces[spans.stretches[row].rawValue].insert(spans.traces[row])
        }
        return result
    }

    private func failedSpans(_ totals: [Operation: Totals]) -> [Finding] {
        var failed: [Operation: PerStretch<Int>] = [:]
        for row in 0..<spans.count where spans.isError[row] {
            let key = Operation(service: spans.services[row], operation: spans.operations[row])
            failed[key, default: PerStretch(repeating: 0)][spans.stretches[row]] += 1
        }
        var result: [Operation: Finding] = [:]
        for (key, hits) in failed where hits.window > 0 {
            guard let total = totals[key] else { continue }
            var share = PerStretch(repeating: Share())
            for stretch in Stretch.allCases {
                share[stretch] = Share(hits: hits[stretch], total: total.spans[stretch])
            }
            let change = Change(share, worth: total.worth(share), .more)
            guard change.strength >= ErrorSignals.floor else { continue }
            result[key] = Finding(
                service: key.service, operation: key.operation,
                kind: .errors(share.baseline, share.window), strength: change.strength,
                certainty: change.certainty)
        }
        for row in 0..<spans.count where spans.isError[row] && spans.stretches[row] == .window {
            let key = Operation(service: spans.services[row], operation: spans.operations[row])
            result[key]?.rows.append(Int32(row))
        }
        return Array(result.values)
    }

    /// Error lines against all lines of the service: also for lines that belong to no span.
    private func errorLines() -> [Finding] {
        var rows: [Int32: [Int32]] = [:]
        for line in observations.lines.spans.indices {
            let statement = observations.lines.statementOf[line]
            let span = observations.lines.spans[line]
            if observations.lines.statements[Int(statement)].isError,
                spans.stretches[Int(span)] == .window
            {
                rows[statement, default: []].append(span)
            }
        }
        var result: [Finding] = []
        for (number, statement) in observations.lines.statements.enumerated()
        where statement.isError && statement.counts.window > 0 {
            let all = observations.lines.lineCounts[statement.service]
            var shares = PerStretch(repeating: Share())
            for stretch in Stretch.allCases {
                // Lines come in bursts, so they count as fewer than they are.
                let total = all?[stretch] ?? 0
                shares[stretch] = Share(hits: statement.counts[stretch], total: total)
            }
            // A service without lines in the past was silent, not absent.
            let isSilent = shares.baseline.total == 0 && shares.before.total == 0
            if isSilent { shares.baseline.total = max(4, shares.window.total) }
            let base = shares.baseline.value
            let change = Change(shares, .more)
            // A doubling matters even where errors are few among many lines.
            let ratio = shares.window.value / max(base, 1 / Double(max(1, shares.baseline.total)))
            let rare = min(1, max(0, (ratio - 1) / 4)) * min(0.4, Double(shares.window.hits) / 20)
            let total = max(change.strength, change.strength > 0 ? rare : 0)
            let certainty = max(change.certainty, change.certainty > 0 ? rare : 0)
            guard total >= ErrorSignals.floor else { continue }
            result.append(
                Finding(
                    service: statement.service, operation: nil,
                    kind: .errorLines(
                        statement: Int32(number),
                        perStretch: Stretch.allCases.map { shares[$0] }),
                    strength: total * 0.8, certainty: certainty * 0.8,
                    rows: Array(Set(rows[Int32(number)] ?? [])).sorted()))
        }
        return result
    }

    /// Children of the spans of an operation in other operations, of its own service or another.
    private func calls(_ totals: [Operation: Totals]) -> [Finding] {
        struct Call: Hashable {
            var caller: Operation
            var callee: Operation
        }
        var callers: [Call: [Set<Int32>]] = [:]
        let none = [Set<Int32>](repeating: [], count: Stretch.allCases.count)
        for row in 0..<spans.count where spans.parents[row] >= 0 {
            let parent = spans.parents[row]
            let call = Call(
                caller: Operation(
                    service: spans.services[Int(parent)],
                    operation: spans.operations[Int(parent)]),
                callee: Operation(service: spans.services[row], operation: spans.operations[row]))
            callers[call, default: none][spans.stretches[row].rawValue].insert(parent)
        }
        var result: [Finding] = []
        for (call, sets) in callers {
            let rows = PerStretch(sets, none: [])
            guard let total = totals[call.caller] else { continue }
            var shares = PerStretch(repeating: Share())
            for stretch in Stretch.allCases {
                shares[stretch] = Share(hits: rows[stretch].count, total: total.spans[stretch])
            }
            let worth = total.worth(shares)
            let loss = Change(shares, worth: worth, .less)
            let gain = Change(shares, worth: worth, .more)
            let isGain = gain.strength > loss.strength
            let change = isGain ? gain : loss
            guard change.strength >= 0.1 else { continue }
            var finding = Finding(
                service: call.caller.service, operation: call.caller.operation,
                kind: .calls(
                    operation: call.callee.operation, service: call.callee.service,
                    before: shares.baseline, after: shares.window),
                strength: change.strength, certainty: change.certainty)
            finding.peer = call.callee.service == call.caller.service ? nil : call.callee.service
            finding.rows =
                isGain
                ? rows.window.sorted()
                : missing(call.caller.service, call.caller.operation, rows.window)
            result.append(finding)
        }
        return result
    }

    /// Spans of an operation in the window that are not among those that call.
    private func missing(_ service: Int32, _ operation: Int32, _ calling: Set<Int32>) -> [Int32] {
        (0..<Int32(spans.count)).filter {
            spans.stretches[Int($0)] == .window && spans.services[Int($0)] == service
                && spans.operations[Int($0)] == operation && !calling.contains($0)
        }
    }
}
