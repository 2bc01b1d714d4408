// SPDX-License-Identifier: Apache-2.0
// Where spans go on differently than they did.

import Telemetry

/// Finds the places from which spans take another path through the code, by their log lines.
///
/// Of the spans of one operation that come to a line, the part is counted that goes on with each
/// other line, or ends. A change of that part points to the code between the two lines. Since it is
/// counted of those that come to the line, only the first place where a path departs shows: what
/// comes after is a consequence. Each span counts once, however often it loops, so that another mix
/// of requests does not show.
struct PathSignals {
    private struct Group: Hashable {
        var service: Int32
        var operation: Int32
    }
    /// Statement numbers; -1 is the start, -2 the end.
    private struct Step: Hashable {
        var last: Int32
        var next: Int32
    }
    private static let start: Int32 = -1
    private static let end: Int32 = -2
    /// Weakest difference that is looked at.
    static let floor = 0.08
    /// Most spans of a group and stretch that are looked at.
    private static let spanLimit = 20_000

    private let spans: SpanTable
    private let statements: [[Int32]]
    /// Of each statement, whether its lines are errors.
    private let isError: [Bool]

    init(_ observations: Observations) {
        spans = observations.spans
        isError = observations.lines.statements.map(\.isError)
        statements = observations.lines.statementsBySpan(count: observations.spans.count)
    }

    func findings() -> [Finding] {
        var groups: [Group: [Int32]] = [:]
        var hasLines: Set<Group> = []
        for row in 0..<spans.count {
            let group = Group(service: spans.services[row], operation: spans.operations[row])
            groups[group, default: []].append(Int32(row))
            if !statements[row].isEmpty { hasLines.insert(group) }
        }
        var result: [Finding] = []
        for group in hasLines {
            result += findings(group, groups[group] ?? [])
        }
        return result
    }

    private func steps(_ row: Int32) -> Set<Step> {
        var result: Set<Step> = []
        var last = PathSignals.start
        for statement in statements[Int(row)] {
            result.insert(Step(last: last, next: statement))
            last = statement
        }
        result.insert(Step(last: last, next: PathSignals.end))
        return result
    }

    private func findings(_ group: Group, _ rows: [Int32]) -> [Finding] {
        var counts: [Step: PerStretch<Int>] = [:]
        var reached: [Int32: PerStretch<Int>] = [:]
        var looked = PerStretch(repeating: 0)
        var traces = [Set<Int32>](repeating: [], count: Stretch.allCases.count)
        for row in rows {
            let stretch = spans.stretches[Int(row)]
            if looked[stretch] >= PathSignals.spanLimit { continue }
            looked[stretch] += 1
            traces[stretch.rawValue].insert(spans.traces[Int(row)])
            let steps = steps(row)
            for step in steps { counts[step, default: PerStretch(repeating: 0)][stretch] += 1 }
            for last in Set(steps.map(\.last)) {
                reached[last, default: PerStretch(repeating: 0)][stretch] += 1
            }
        }
        guard looked.baseline + looked.before > 0, looked.window > 0 else { return [] }
        var byLast: [Int32: [(next: Int32, gain: Change, loss: Change)]] = [:]
        for (step, count) in counts {
            guard let total = reached[step.last] else { continue }
            var shares = PerStretch(repeating: Share()), worth = shares
            for stretch in Stretch.allCases {
                shares[stretch] = Share(hits: count[stretch], total: total[stretch])
                worth[stretch] = shares[stretch].clustered(
                    traces[stretch.rawValue].count, of: looked[stretch])
            }
            let gain = Change(shares, worth: worth, .more)
            let loss = Change(shares, worth: worth, .less)
            if max(gain.strength, loss.strength) >= PathSignals.floor {
                byLast[step.last, default: []].append((step.next, gain, loss))
            }
        }
        return byLast.compactMap { last, changes in
            finding(group, last, changes, counts, reached[last] ?? PerStretch(repeating: 0), rows)
        }
    }

    /// How likely a change of paths is a fault. Faults end spans early or lead to errors; a span that
    /// goes further than it did, or no longer writes an error, has recovered.
    static func weight(from vanished: Int32?, to appeared: Int32?, isError: [Bool]) -> Double {
        func fails(_ next: Int32?) -> Bool {
            next.map { $0 >= 0 && isError[Int($0)] } ?? false
        }
        if fails(appeared) || appeared == end { return fails(vanished) ? 0.5 : 1 }
        if fails(vanished) { return 0.25 }
        if vanished == end { return 0.4 }
        return 0.8
    }

    private func finding(
        _ group: Group, _ last: Int32, _ changes: [(next: Int32, gain: Change, loss: Change)],
        _ counts: [Step: PerStretch<Int>], _ reached: PerStretch<Int>, _ rows: [Int32]
    ) -> Finding? {
        // Ties by number, so that answers do not depend on hashing.
        let vanished = changes.filter { $0.loss.strength >= PathSignals.floor }
            .max { ($0.loss.strength, $1.next) < ($1.loss.strength, $0.next) }
        let appeared = changes.filter { $0.gain.strength >= PathSignals.floor }
            .max { ($0.gain.strength, $1.next) < ($1.gain.strength, $0.next) }
        let isVanished = (vanished?.loss.strength ?? 0) >= (appeared?.gain.strength ?? 0)
        guard let main = isVanished ? vanished : appeared else { return nil }
        let step = Step(last: last, next: main.next)
        let count = counts[step] ?? PerStretch(repeating: 0)
        func named(_ statement: Int32?) -> Int32? {
            statement.flatMap { $0 >= 0 ? $0 : nil }
        }
        // What nearly always followed, whether or not its loss alone would show.
        let usual = counts.filter {
            $0.key.last == last && $0.key.next >= 0
                && 2 * ($0.value.baseline + $0.value.before) > reached.baseline + reached.before
        }.max { ($0.value.baseline, $1.key.next) < ($1.value.baseline, $0.key.next) }?.key.next
        var result = Finding(
            service: group.service, operation: group.operation,
            kind: .path(
                Finding.Divergence(
                    last: named(last), vanished: named(vanished?.next), usual: usual,
                    appeared: named(appeared?.next), isVanished: isVanished,
                    baseline: Share(hits: count.baseline, total: reached.baseline),
                    window: Share(hits: count.window, total: reached.window))),
            strength: max(main.gain.strength, main.loss.strength),
            certainty: max(main.gain.certainty, main.loss.certainty))
        result.scale(
            by: PathSignals.weight(from: vanished?.next, to: appeared?.next, isError: isError))
        for row in rows where spans.stretches[Int(row)] == .window {
            let steps = steps(row)
            guard steps.contains(where: { $0.last == last }) else { continue }
            let shows =
                appeared.map { steps.contains(Step(last: last, next: $0.next)) }
                ?? !steps.contains(step)
            if shows { result.rows.append(row) }
            if result.rows.count >= PathSignals.spanLimit { break }
        }
        return result
    }
}
