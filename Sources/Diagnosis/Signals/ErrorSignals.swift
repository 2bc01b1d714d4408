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

    func findings() -> [Finding] { failedSpans() + errorLines() + calls() }

    private func strength(
        _ shares: PerStretch<Share>, _ difference: (Share, Share) -> Double
    ) -> Double {
        if shares.baseline.total == 0 { return difference(shares.window, shares.before) * 0.6 }
        let main = difference(shares.window, shares.baseline)
        if shares.before.total < 3 { return main }
        let pooled =
            difference(shares.window, shares.baseline + shares.before)
            * (shares.baseline.total < 3 ? 0.7 : 1)
        return combined(
            max(main, pooled), difference(shares.window, shares.before))
    }

    private func failedSpans() -> [Finding] {
        var shares: [Operation: PerStretch<Share>] = [:]
        for row in 0..<spans.count {
            let key = Operation(service: spans.services[row], operation: spans.operations[row])
            let stretch = spans.stretches[row]
            shares[key, default: PerStretch(repeating: Share())][stretch].total += 1
            if spans.isError[row] { shares[key]?[stretch].hits += 1 }
        }
        var result: [Operation: Finding] = [:]
        for (key, share) in shares where share.window.hits > 0 {
            let strength = strength(share) { $0.excess(over: $1) }
            guard strength >= ErrorSignals.floor else { continue }
            result[key] = Finding(
                service: key.service, operation: key.operation,
                kind: .errors(share.baseline, share.window), strength: strength)
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
            let strength = strength(shares) { $0.excess(over: $1) }
            // A doubling matters even where errors are few among many lines.
            let ratio = shares.window.value / max(base, 1 / Double(max(1, shares.baseline.total)))
            let rare = min(1, max(0, (ratio - 1) / 4)) * min(0.4, Double(shares.window.hits) / 20)
            let total = max(strength, strength > 0 ? rare : 0)
            guard total >= ErrorSignals.floor else { continue }
            result.append(
                Finding(
                    service: statement.service, operation: nil,
                    kind: .errorLines(
                        statement: Int32(number),
                        perStretch: Stretch.allCases.map { shares[$0] }),
                    strength: total * 0.8, rows: Array(Set(rows[Int32(number)] ?? [])).sorted()))
        }
        return result
    }

    /// Children of the spans of an operation in other operations, of its own service or another.
    private func calls() -> [Finding] {
        struct Call: Hashable {
            var caller: Operation
            var callee: Operation
        }
        var totals: [Operation: PerStretch<Int>] = [:]
        for row in 0..<spans.count {
            let key = Operation(service: spans.services[row], operation: spans.operations[row])
            totals[key, default: PerStretch(repeating: 0)][spans.stretches[row]] += 1
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
                shares[stretch] = Share(hits: rows[stretch].count, total: total[stretch])
            }
            let loss = strength(shares) { $0.shortfall(under: $1) }
            let gain = strength(shares) { $0.excess(over: $1) }
            guard max(loss, gain) >= 0.1 else { continue }
            var finding = Finding(
                service: call.caller.service, operation: call.caller.operation,
                kind: .calls(
                    operation: call.callee.operation, service: call.callee.service,
                    before: shares.baseline, after: shares.window),
                strength: max(loss, gain))
            finding.peer = call.callee.service == call.caller.service ? nil : call.callee.service
            finding.rows =
                gain > loss
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
