// SPDX-License-Identifier: Apache-2.0
// `count_values`.

import Base
import Telemetry

/// Counts how many series of a group have each value; the value becomes a label.
package final class CountValuesOperator: VectorOperator {
    private let input: any VectorOperator
    private let label: String
    private let grouping: Grouping
    private let steps: Int
    private let scope: EvaluationScope
    private var columns: [StepColumn] = []
    private var next = 0

    package init(
        _ input: any VectorOperator, label: String, by grouping: Grouping, steps: Int,
        scope: EvaluationScope
    ) {
        self.input = input
        self.label = label
        self.grouping = grouping
        self.steps = steps
        self.scope = scope
    }

    package func series() throws -> [OutputSeries] {
        let series = try input.series()
        var grouping = grouping
        if !grouping.without { grouping.labels.append(label) }
        var known: [Labels: Int] = [:]
        var result: [OutputSeries] = []
        var scratch = StepColumn(steps: steps)
        for item in series {
            try scope.context.check()
            try input.next(into: &scratch)
            // Most series hold one value for a while.
            var last: (value: UInt64, output: Int)?
            for step in 0..<steps {
                guard let value = scratch[step] else { continue }
                let output: Int
                if case .float(let float) = value, let last, last.value == float.bitPattern {
                    output = last.output
                } else {
                    let key = grouping.key(item.labels.setting(label, text(value)))
                    if let existing = known[key] {
                        output = existing
                    } else {
                        try scope.context.check()
                        output = result.count
                        known[key] = output
                        result.append(OutputSeries(key))
                        try scope.context.reserve(StepColumn.byteCount(steps: steps))
                        columns.append(StepColumn(steps: steps))
                    }
                    if case .float(let float) = value { last = (float.bitPattern, output) }
                }
                let count = columns[output].kinds[step] == .float ? columns[output].values[step] : 0
                columns[output].set(step, count + 1)
            }
        }
        return result
    }

    private func text(_ value: SampleValue) -> String {
        switch value {
        case .float(let float): floatPlainText(float)
        case .histogram(let histogram): histogram.text
        }
    }

    package func next(into column: inout StepColumn) {
        column = columns[next]
        columns[next] = StepColumn(steps: 0)
        next += 1
        scope.context.release(StepColumn.byteCount(steps: steps))
    }
}
