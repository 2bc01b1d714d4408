// SPDX-License-Identifier: Apache-2.0
// A vector and a scalar.

import Telemetry

/// Applies a binary operator between each series and the scalar of its step.
package final class ScalarOperandOperator: VectorOperator {
    private let input: any VectorOperator
    private let operation: ScalarOperation
    private let scope: EvaluationScope

    package init(
        _ input: any VectorOperator, _ operation: BinaryOperator, scalar: [Double],
        scalarIsLeft: Bool, returnBool: Bool, scope: EvaluationScope,
        at position: SourceRange = SourceRange(0, 0)
    ) {
        self.input = input
        self.operation = ScalarOperation(
            operation: operation, position: position, scalar: scalar, scalarIsLeft: scalarIsLeft,
            returnBool: returnBool)
        self.scope = scope
    }

    package func series() throws -> [OutputSeries] {
        let series = try input.series()
        return operation.operation.changesMetric || operation.returnBool
            ? try scope.renamed(series) : series
    }

    package func next(into column: inout StepColumn) throws {
        try scope.context.check()
        try input.next(into: &column)
        operation.apply(to: &column, scope.annotations)
    }
}

/// What is done to each column.
private struct ScalarOperation {
    let operation: BinaryOperator
    let position: SourceRange
    let scalar: [Double]
    let scalarIsLeft: Bool
    let returnBool: Bool

    func apply(to column: inout StepColumn, _ annotations: Annotations) {
        if column.histograms.isEmpty, operation != .trimLower, operation != .trimUpper {
            applyToFloats(&column)
            return
        }
        let arithmetic = SampleArithmetic(
            operation: operation, annotations: annotations, position: position)
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

    /// The common case, without a detour over sample values.
    private func applyToFloats(_ column: inout StepColumn) {
        let steps = column.count
        scalar.withUnsafeBufferPointer { scalar in
            column.withFloats { values, kinds in
                if operation.isComparison {
                    for step in 0..<steps where kinds[step] == .float {
                        let value = values[step]
                        let holds = compare(
                            operation, scalarIsLeft ? scalar[step] : value,
                            scalarIsLeft ? value : scalar[step])
                        if returnBool {
                            values[step] = holds ? 1 : 0
                        } else if !holds {
                            kinds[step] = .none
                        }
                    }
                    return
                }
                // Values at empty steps are computed along and mean nothing.
                if scalarIsLeft {
                    applyArithmetic(
                        operation, scalar.baseAddress ?? UnsafePointer(values),
                        UnsafePointer(values), values, steps)
                } else {
                    applyArithmetic(
                        operation, UnsafePointer(values),
                        scalar.baseAddress ?? UnsafePointer(values), values, steps)
                }
            }
        }
    }
}
