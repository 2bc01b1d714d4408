// SPDX-License-Identifier: Apache-2.0
// What fails on good days too.

import Telemetry

/// Tells failures that the baseline shows as often from new ones.
///
/// Large systems always fail somewhere: a lookup that finds no instance, a time-out, an order that is
/// not there. Where it happens changes from minute to minute, so that a single operation looks as if it
/// had begun to fail when the same sort of failure only moved there. An error message is of the same
/// sort as another one when both have the same words, but for numbers and names of services, and come
/// from the same place in the code. What part of a trace's failure is known is the part of the sort's
/// share of all traces that is not more than the baseline's.
struct KnownFailures {
    /// How much a finding loses all of whose traces fail in a known way. Something is left: the failures
    /// may have gathered where they hurt more.
    private static let discount = 0.7

    /// By trace, from 0, a new failure or none, to 1.
    private var known: [Double]
    private let traces: [Int32]

    init(_ observations: Observations) {
        let spans = observations.spans
        traces = spans.traces
        known = [Double](repeating: 0, count: spans.traceIDs.count)
        var tracesOfSort: [Int32: Set<Int32>] = [:]
        for (line, sort) in observations.lines.failures.enumerated() where sort >= 0 {
            let trace = spans.traces[Int(observations.lines.spans[line])]
            tracesOfSort[sort, default: []].insert(trace)
        }
        var totals = PerStretch(repeating: 0)
        var stretches = [Stretch?](repeating: nil, count: spans.traceIDs.count)
        for row in 0..<spans.count where stretches[Int(spans.traces[row])] == nil {
            stretches[Int(spans.traces[row])] = spans.stretches[row]
            totals[spans.stretches[row]] += 1
        }
        var isNew = [Bool](repeating: false, count: known.count)
        for traces in tracesOfSort.values {
            let hits = { stretch in traces.count { stretches[Int($0)] == stretch } }
            let window = Share(hits: hits(.window), total: totals.window)
            let baseline = Share(hits: hits(.baseline), total: totals.baseline)
            if window.hits == 0 { continue }
            let part =
                baseline.hits == 0 ? 0 : 1 - window.excess(over: baseline) / window.value
            for trace in traces {
                known[Int(trace)] = max(known[Int(trace)], part)
                if part == 0 { isNew[Int(trace)] = true }
            }
        }
        // Of two failures in a trace the new one counts.
        for trace in known.indices where isNew[trace] { known[trace] = 0 }
    }

    /// The finding as strong and as certain as its traces fail in new ways. Of what does not fail it is
    /// the same.
    func weighed(_ finding: Finding) -> Finding {
        guard finding.isBehaviour, !finding.rows.isEmpty else { return finding }
        let part = finding.rows.reduce(0) { $0 + known[Int(traces[Int($1)])] }
        var result = finding
        result.scale(by: 1 - KnownFailures.discount * part / Double(finding.rows.count))
        return result
    }
}
