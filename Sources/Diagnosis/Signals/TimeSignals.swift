// SPDX-License-Identifier: Apache-2.0
// Where spans take longer than they did.

import Correlation
import Telemetry

/// Finds operations that take longer by themselves, and calls of which the time between client and
/// server grew.
///
/// A span's own time (`SpanTable.ownNanos`) says where a trace waited. Of each group of spans the
/// part is counted that took longer than nearly all did in the baseline; how much longer, compared
/// with the whole trace, says how much it matters.
struct TimeSignals {
    private struct Group: Hashable {
        var service: Int32
        var operation: Int32
        var kind: UInt8
        var peer: Int32
    }
    /// Own times below this do not matter to anybody, in nanoseconds.
    private static let smallest: Double = 1_000_000
    private static let floor = 0.05

    private let spans: SpanTable

    init(_ observations: Observations) { spans = observations.spans }

    func findings() -> [Finding] {
        var groups: [Group: [Int32]] = [:]
        for row in 0..<spans.count {
            let group = Group(
                service: spans.services[row], operation: spans.operations[row],
                kind: spans.kinds[row], peer: spans.peers[row])
            groups[group, default: []].append(Int32(row))
        }
        let lengths = traceLengths()
        return groups.compactMap { finding($0.key, $0.value, lengths) }
    }

    /// Nanoseconds from the first start to the last end of each trace.
    private func traceLengths() -> [Int64] {
        spans.rowsOfTrace.map { rows in
            guard let start = rows.map({ spans.starts[Int($0)] }).min(),
                let end = rows.map({ spans.ends[Int($0)] }).max()
            else { return 0 }
            return distance(start, end)
        }
    }

    private func finding(_ group: Group, _ rows: [Int32], _ lengths: [Int64]) -> Finding? {
        var own = [[Double]](repeating: [], count: Stretch.allCases.count)
        var seen = [Set<Int32>](repeating: [], count: Stretch.allCases.count)
        for row in rows {
            let stretch = spans.stretches[Int(row)].rawValue
            own[stretch].append(Double(spans.ownNanos[Int(row)]))
            seen[stretch].insert(spans.traces[Int(row)])
        }
        let times = PerStretch(own, none: [])
        let traces = PerStretch(seen, none: [])
        // Without a past there is nothing to compare with.
        let hasBaseline = times.baseline.count >= 2
        let past = (hasBaseline ? times.baseline : times.before).sorted()
        guard past.count >= 2, times.window.count >= 2, let most = past.last else { return nil }
        // With few observations even the largest is not far out.
        let usual = quantile(past, 0.5)
        let threshold = max(
            past.count < 20 ? most * 1.5 : quantile(past, 0.95) * 1.3,
            2 * usual, TimeSignals.smallest)
        func slow(_ values: [Double]) -> Share {
            Share(hits: values.count { $0 > threshold }, total: values.count)
        }
        let window = slow(times.window)
        guard window.hits >= 2 else { return nil }
        let typical = quantile(times.window.filter { $0 > threshold }.sorted(), 0.5)
        var baseline = slow(past)
        // A leap far beyond everything seen is no chance of a few observations.
        if typical > 4 * most { baseline.total += 8 }
        var sure = window.excess(over: baseline)
        func worth(_ share: Share, _ stretch: Stretch) -> Share {
            share.clustered(traces[stretch].count, of: times[stretch].count)
        }
        let now = worth(window, .window)
        let then = worth(baseline, hasBaseline ? .baseline : .before)
        var certain = now.excess(over: then, Change.strict)
        if hasBaseline, times.before.count >= 3 {
            let before = slow(times.before)
            sure = combined(sure, window.excess(over: before))
            certain = max(certain, (now + worth(before, .before)).excess(over: then, Change.strict))
        } else if !hasBaseline {
            sure *= 0.6
            certain *= 0.6
        }
        if sure < TimeSignals.floor { return nil }
        // What a trace loses here, against how long it usually takes.
        let lost =
            rows.filter { spans.stretches[Int($0)] == .window }
            .reduce(0) { $0 + max(0, Double(spans.ownNanos[Int($1)]) - usual) }
            / Double(max(1, traces.window.count))
        let pastTraces = hasBaseline ? traces.baseline : traces.before
        let length = quantile(pastTraces.map { Double(lengths[Int($0)]) }.sorted(), 0.5)
        let matters = lost / (lost + 0.5 * length + TimeSignals.smallest)
        let strength = sure * matters
        if strength < TimeSignals.floor { return nil }
        let slowness = Finding.Slowness(
            thresholdNanos: Int64(threshold), baseline: slow(past), window: window,
            typicalNanos: Int64(typical), usualNanos: Int64(usual))
        var result = Finding(
            service: group.service, operation: group.operation,
            kind: group.peer >= 0 ? .gap(slowness) : .slow(slowness), strength: strength,
            certainty: certain * matters)
        result.peer = group.peer >= 0 ? group.peer : nil
        result.spanKind = group.kind
        result.rows = rows.filter {
            spans.stretches[Int($0)] == .window && Double(spans.ownNanos[Int($0)]) > threshold
        }
        return result
    }
}
