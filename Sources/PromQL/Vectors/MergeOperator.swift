// SPDX-License-Identifier: Apache-2.0
// Joins series that ended up with the same labels.

import Telemetry

/// Makes one series of those with equal labels, which must not have values at the same step.
package final class MergeOperator: GatheringOperator {
    /// Two non-empty series with the same labels are an error even when they never meet.
    private let strict: Bool
    private var outputOfInput: [Int] = []
    private var sources: [Int] = []
    private var pending: [StepColumn?] = []

    package init(
        _ input: any VectorOperator, steps: Int, scope: EvaluationScope, strict: Bool = false
    ) {
        self.strict = strict
        super.init(input, steps: steps, scope: scope)
    }

    override func prepare(_ series: [OutputSeries]) throws {
        let bytes = LabelsTable.byteCount(series.count)
        try scope.context.reserve(bytes)
        defer { scope.context.release(bytes) }
        var known = LabelsTable(minimumCapacity: series.count)
        outputOfInput.reserveCapacity(series.count)
        outputs.reserveCapacity(series.count)
        for (index, item) in series.enumerated() {
            if index & 1023 == 1023 { try scope.context.check() }
            let output = known.number(of: item.labels)
            outputOfInput.append(output)
            if output < outputs.count {
                outputs[output].inputsNeeded = index + 1
                outputs[output].series.dropName = outputs[output].series.dropName || item.dropName
                sources[output] += 1
            } else {
                outputs.append(Output(series: item, inputsNeeded: index + 1))
                sources.append(1)
            }
        }
        // The rule: nothing became the same.
        passesThrough = outputs.count == series.count
        if !passesThrough { pending = [StepColumn?](repeating: nil, count: outputs.count) }
    }

    override func consume(_ index: Int, _ column: StepColumn) throws {
        let output = outputOfInput[index]
        guard var merged = pending[output] else {
            if sources[output] == 1 || !column.isEmpty { pending[output] = column }
            return
        }
        if column.isEmpty { return }
        if strict { throw QueryError.sameLabelset }
        pending[output] = nil
        for step in 0..<steps {
            guard let value = column[step] else { continue }
            if merged.kinds[step] != .none { throw QueryError.sameLabelset }
            merged.set(step, value)
        }
        pending[output] = merged
    }

    override func produce(_ index: Int, into column: inout StepColumn) {
        if let merged = pending[index] {
            column = merged
            pending[index] = nil
        } else {
            column.clear()
        }
    }
}

/// Gives each series other labels; the number and order of series stay.
package final class RelabelOperator: VectorOperator {
    private let input: any VectorOperator
    private let scope: EvaluationScope
    private let change: (OutputSeries) throws -> OutputSeries

    package init(
        _ input: any VectorOperator, scope: EvaluationScope,
        _ change: @escaping (OutputSeries) throws -> OutputSeries
    ) {
        self.input = input
        self.scope = scope
        self.change = change
    }

    package func series() throws -> [OutputSeries] {
        var series = try input.series()
        for index in series.indices {
            if index & 127 == 127 { try scope.context.check() }
            let before = series[index].labels.bytes.count
            series[index] = try change(series[index])
            let after = series[index].labels.bytes.count
            if after != before { try scope.reserveLabels(after + OutputSeries.overheadBytes) }
        }
        return series
    }
    package func next(into column: inout StepColumn) throws { try input.next(into: &column) }
}
