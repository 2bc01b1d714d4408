// SPDX-License-Identifier: Apache-2.0
// Cuts an expression into slices of series.

import Telemetry

extension Evaluator {
    /// The selector over whose series the expression may be cut.
    func sliceable(_ expression: Expression, _ grid: StepGrid) -> VectorSelector? {
        guard slice == nil, grid.count <= options.slicing.maxSteps,
            let selector = expression.seriesWiseSelector
        else { return nil }
        if case .selector = expression.unwrapped { return selector }
        return options.delayedNameRemoval || selector.hasOneName ? selector : nil
    }

    /// The operator of a series-wise expression: over many series one that computes slices of
    /// them side by side.
    func sliced(
        _ expression: Expression, _ selector: VectorSelector, _ grid: StepGrid
    ) throws -> any VectorOperator {
        selected = nil
        let piece = try whole(expression, grid)
        guard let set = selected,
            let size = options.slicing.sliceSize(series: set.count, steps: grid.count)
        else { return piece }
        var slices: [Slice] = []
        var start = 0
        while start < set.count {
            let range = start..<min(set.count, start + size)
            let scope = EvaluationScope(
                context: scope.context, annotations: Annotations(),
                delayedNameRemoval: options.delayedNameRemoval)
            if self.scope.counts != nil {
                scope.counts = try SampleCounts(grid, scope.context)
            }
            let evaluator = Evaluator(
                reader: reader, tenant: tenant, options: options, scope: scope,
                slice: SeriesSlice(set: set, range: range))
            slices.append(
                Slice(try evaluator.whole(expression, grid), steps: grid.count, scope: scope))
            start = range.upperBound
        }
        return SlicedOperator(
            slices, series: set.count, helpers: options.slicing.helpers, scope: scope)
    }
}

/// Some neighbouring series of a set.
private struct SeriesSlice: SeriesSet {
    let set: any SeriesSet
    let range: Range<Int>

    var count: Int { range.count }
    func labels(_ index: Int) -> Labels { set.labels(range.lowerBound + index) }
    func read(
        _ index: Int, into columns: inout SampleColumns, _ context: ReadContext
    ) throws {
        try set.read(range.lowerBound + index, into: &columns, context)
    }
    func readNewest(
        _ index: Int, into columns: inout SampleColumns, _ context: ReadContext
    ) throws {
        try set.readNewest(range.lowerBound + index, into: &columns, context)
    }
}
