// SPDX-License-Identifier: Apache-2.0
// A vector and a scalar.

import Telemetry

/// Applies a binary operator between each series and the scalar of its step.
package final class ScalarOperandOperator: VectorOperator {
    private let input: any VectorOperator
    private let arithmetic: SampleArithmetic
    private let scalar: [Double]
    private let scalarIsLeft: Bool
    private let returnBool: Bool
    private let scope: EvaluationScope

    package init(
        _ input: any VectorOperator, _ operation: BinaryOperator, scalar: [Double],
        scalarIsLeft: Bool, returnBool: Bool, scope: EvaluationScope,
        at position: SourceRange = SourceRange(0, 0)
    ) {
        self.input = input
        arithmetic = SampleArithmetic(
            operation: operation, annotations: scope.annotations, position: position)
        self.scalar = scalar
        self.scalarIsLeft = scalarIsLeft
        self.returnBool = returnBool
        self.scope = scope
    }

    package func series() throws -> [OutputSeries] {
        let series = try input.series()
        return arithmetic.operation.changesMetric || returnBool
            ? series.map(scope.renamed) : series
    }

    package func next(into column: inout StepColumn) throws {
        try scope.context.check()
        try input.next(into: &column)
        let operation = arithmetic.operation
        for step in column.kinds.indices {
            guard let sample = column[step] else { continue }
            let other = SampleValue.float(scalar[step])
            let result =
                scalarIsLeft ? arithmetic.apply(other, sample) : arithmetic.apply(sample, other)
            guard let result else {
                column.remove(step)
                continue
            }
            if returnBool {
                column.set(step, result.keep ? 1 : 0)
            } else if !result.keep {
                column.remove(step)
            } else if !operation.isComparison {
                // A comparison keeps the sample of the vector, whichever side it is on.
                column.set(step, result.value)
            }
        }
    }
}
