// SPDX-License-Identifier: Apache-2.0
// `and`, `or` and `unless`.

import Telemetry

/// Set operations between vectors, step by step. Holds presence per match group, not samples.
package final class SetOperator: VectorOperator {
    private let left: any VectorOperator
    private let right: any VectorOperator
    private let operation: BinaryOperator
    private let matching: VectorMatching
    private let steps: Int
    private let scope: EvaluationScope
    private var leftGroups: [Int] = []
    private var rightGroups: [Int] = []
    /// Per group, whether the side that decides has a sample at a step.
    private var present: [[Bool]] = []
    private var next = 0

    package init(
        _ left: any VectorOperator, _ operation: BinaryOperator, _ right: any VectorOperator,
        matching: VectorMatching, steps: Int, scope: EvaluationScope
    ) {
        self.left = left
        self.right = right
        self.operation = operation
        self.matching = matching
        self.steps = steps
        self.scope = scope
    }

    package func series() throws -> [OutputSeries] {
        let leftSeries = try left.series()
        let rightSeries = try right.series()
        let names = matching.names
        var known = LabelsTable()
        var grouped = 0
        func group(_ series: OutputSeries) throws -> Int {
            grouped += 1
            if grouped & 1023 == 0 { try scope.context.check() }
            return known.number(of: series.labels, names)
        }
        leftGroups = try leftSeries.map(group)
        rightGroups = try rightSeries.map(group)
        present = [[Bool]](repeating: [], count: known.count)
        if operation == .or { return leftSeries + rightSeries }
        // The right side decides which samples of the left side stay.
        var scratch = StepColumn(steps: steps)
        for index in rightSeries.indices {
            try scope.context.check()
            try right.next(into: &scratch)
            try mark(rightGroups[index], scratch)
        }
        return leftSeries
    }

    private func mark(_ group: Int, _ column: StepColumn) throws {
        if present[group].isEmpty {
            try scope.context.reserve(steps)
            present[group] = [Bool](repeating: false, count: steps)
        }
        for step in 0..<steps where column.kinds[step] != .none { present[group][step] = true }
    }

    package func next(into column: inout StepColumn) throws {
        try scope.context.check()
        let index = next
        next += 1
        if index < leftGroups.count {
            try left.next(into: &column)
            let group = leftGroups[index]
            if operation == .or {
                try mark(group, column)
                return
            }
            let keepsMatched = operation == .and
            for step in 0..<steps where column.kinds[step] != .none {
                let isMatched = !present[group].isEmpty && present[group][step]
                if isMatched != keepsMatched { column.remove(step) }
            }
            return
        }
        try right.next(into: &column)
        let group = rightGroups[index - leftGroups.count]
        if present[group].isEmpty { return }
        for step in 0..<steps where present[group][step] { column.remove(step) }
    }
}

extension VectorMatching {
    /// The labels two series must share to match, which are also those that messages name.
    var names: LabelNameSet {
        isOn
            ? LabelNameSet(keeping: labels)
            : LabelNameSet(leavingOut: labels + [Labels.metricName])
    }

    func matchLabels(_ series: Labels) -> Labels { names.apply(series) }
}
