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
    /// The count of output `k` at step `s` is at `k * steps + s`, 0 where no series has the value:
    /// one piece of memory, which is gone at once when the query ends early.
    private var counts: [Double] = []
    private var reservedBytes = 0
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

    deinit { scope.context.release(reservedBytes) }

    package func series() throws -> [OutputSeries] {
        let series = try input.series()
        var grouping = grouping
        if !grouping.without { grouping.labels.append(label) }
        let names = grouping.names
        var known = LabelsTable()
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
                    output = known.number(of: item.labels.setting(label, text(value)), names)
                    if known.count * steps > counts.count { try addOutput() }
                    if case .float(let float) = value { last = (float.bitPattern, output) }
                }
                counts[output * steps + step] += 1
            }
        }
        return known.keys.map { OutputSeries($0) }
    }

    private func addOutput() throws {
        try scope.context.check()
        let needed = counts.count + steps
        if needed > counts.capacity {
            let capacity = max(needed, 2 * counts.capacity)
            let bytes = (capacity - counts.capacity) * MemoryLayout<Double>.stride
            reservedBytes += bytes
            try scope.context.reserve(bytes)
            counts.reserveCapacity(capacity)
        }
        counts.append(contentsOf: repeatElement(0, count: steps))
    }

    private func text(_ value: SampleValue) -> String {
        switch value {
        case .float(let float): floatPlainText(float)
        case .histogram(let histogram): histogram.text
        }
    }

    package func next(into column: inout StepColumn) {
        column.clear()
        for step in 0..<steps where counts[next * steps + step] > 0 {
            column.set(step, counts[next * steps + step])
        }
        next += 1
    }
}
