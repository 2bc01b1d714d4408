// SPDX-License-Identifier: Apache-2.0
// `count` and `group` of a selector at one time, without reading values.

import Telemetry

/// What the store says about which series have a value, as an aggregation.
final class PresenceOperator: VectorOperator {
    private let groups: [PresentGroup]
    private let isCount: Bool
    private let scope: EvaluationScope
    private var next = 0

    init(_ groups: [PresentGroup], isCount: Bool, scope: EvaluationScope) {
        self.groups = groups
        self.isCount = isCount
        self.scope = scope
    }

    func series() throws -> [OutputSeries] {
        try scope.reserveLabels(
            groups.reduce(0) { $0 + $1.labels.bytes.count + OutputSeries.overheadBytes })
        return groups.map { OutputSeries($0.labels) }
    }

    func next(into column: inout StepColumn) throws {
        column.clear()
        column.set(0, isCount ? Double(groups[next].count) : 1)
        next += 1
    }
}

extension Evaluator {
    /// An aggregation that asks only which series have a value at one time; nil for others.
    ///
    /// A selector's sample is the newest in its lookback, if that is no stale marker: what
    /// `SeriesReading.present` tells of a range that ends at the time looked up.
    func presence(_ node: Aggregation, _ grid: StepGrid) throws -> (any VectorOperator)? {
        guard node.operation == .count || node.operation == .group, grid.count == 1, slice == nil,
            // Samples are counted where they are read.
            scope.counts == nil,
            case .selector(let selector) = node.expression.unwrapped, !selector.anchored,
            !selector.smoothed
        else { return nil }
        let lookup = SampleLookup(
            grid: grid, offset: selector.offsetMillis, anchor: selector.anchorMillis,
            lookback: options.lookbackMillis)
        // Samples of down-sampled days count for longer, which takes a look at each.
        guard reader.coarseRanges(tenant, lookup.range).isEmpty else { return nil }
        let isCount = node.operation == .count
        let groups = try reader.present(
            SeriesRequest(tenant: tenant, matchers: selector.matchers, range: lookup.range),
            by: Grouping(labels: node.grouping, without: node.without).names, isCounted: isCount,
            scope.context)
        recorder?.note("from the index: which series have a value, without reading it")
        return PresenceOperator(groups, isCount: isCount, scope: scope)
    }
}
