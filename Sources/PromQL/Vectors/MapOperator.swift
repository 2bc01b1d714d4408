// SPDX-License-Identifier: Apache-2.0
// Operators that change one column at a time.

import Telemetry

/// Applies a change to every column; the series take the names of computed ones when `renames`.
package final class MapOperator: VectorOperator {
    private let input: any VectorOperator
    private let scope: EvaluationScope
    private let renames: Bool
    private let change: (inout StepColumn) throws -> Void

    package init(
        _ input: any VectorOperator, scope: EvaluationScope, renames: Bool,
        _ change: @escaping (inout StepColumn) throws -> Void
    ) {
        self.input = input
        self.scope = scope
        self.renames = renames
        self.change = change
    }

    package func series() throws -> [OutputSeries] {
        let series = try input.series()
        return renames ? try scope.renamed(series) : series
    }

    package func next(into column: inout StepColumn) throws {
        try scope.context.check()
        try input.next(into: &column)
        try change(&column)
    }
}

/// Columns that are there already.
package final class ColumnsOperator: VectorOperator {
    private let items: [OutputSeries]
    private var columns: [StepColumn]
    private var index = 0

    package init(_ items: [OutputSeries], _ columns: [StepColumn]) {
        self.items = items
        self.columns = columns
    }

    package func series() -> [OutputSeries] { items }
    package func next(into column: inout StepColumn) {
        column = columns[index]
        columns[index] = StepColumn(steps: 0)
        index += 1
    }
}

/// Repeats the result of a single step at all steps of a grid.
package final class BroadcastOperator: VectorOperator {
    private let input: any VectorOperator
    private let steps: Int
    private var single = StepColumn(steps: 1)

    package init(_ input: any VectorOperator, steps: Int) {
        self.input = input
        self.steps = steps
    }

    package func series() throws -> [OutputSeries] { try input.series() }

    package func next(into column: inout StepColumn) throws {
        try input.next(into: &single)
        column.clear()
        guard let value = single[0] else { return }
        for step in 0..<steps { column.set(step, value) }
    }
}
