// SPDX-License-Identifier: Apache-2.0
// Binary operators on two samples.

import Glibc
import Telemetry

/// The outcome of an operator on two samples.
package struct ElementResult {
    package var value: SampleValue
    /// False when a comparison filters the sample out.
    package var keep: Bool
}

/// The two scalars' result; comparisons yield 0 or 1.
package func scalarResult(_ operation: BinaryOperator, _ a: Double, _ b: Double) -> Double {
    if operation.isComparison { return compare(operation, a, b) ? 1 : 0 }
    return floatArithmetic(operation, a, b)
}

func compare(_ operation: BinaryOperator, _ a: Double, _ b: Double) -> Bool {
    switch operation {
    case .equal: a == b
    case .notEqual: a != b
    case .greater: a > b
    case .less: a < b
    case .greaterOrEqual: a >= b
    default: a <= b
    }
}

func floatArithmetic(_ operation: BinaryOperator, _ a: Double, _ b: Double) -> Double {
    switch operation {
    case .add: a + b
    case .subtract: a - b
    case .multiply: a * b
    case .divide: a / b
    case .modulo: fmod(a, b)
    case .power: pow(a, b)
    case .atan2: atan2(a, b)
    default: .nan
    }
}

/// `out[i] = a[i] op b[i]` for `count` floats; the operator is looked at once. `out` may be one of the
/// operands. Not for comparisons.
@inline(__always)
func applyArithmetic(
    _ operation: BinaryOperator, _ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>,
    _ out: UnsafeMutablePointer<Double>, _ count: Int
) {
    switch operation {
    case .add: for i in 0..<count { out[i] = a[i] + b[i] }
    case .subtract: for i in 0..<count { out[i] = a[i] - b[i] }
    case .multiply: for i in 0..<count { out[i] = a[i] * b[i] }
    case .divide: for i in 0..<count { out[i] = a[i] / b[i] }
    default: for i in 0..<count { out[i] = floatArithmetic(operation, a[i], b[i]) }
    }
}

/// Applies operators to samples and says what it finds on the way.
struct SampleArithmetic {
    let operation: BinaryOperator
    let annotations: Annotations
    let position: SourceRange

    private func incompatible(_ left: String, _ right: String) -> ElementResult? {
        annotations.inform(
            MessageText.incompatibleTypes(left, operation.rawValue, right), at: position)
        return nil
    }

    /// Nil when the operator is not defined for the types of the samples.
    func apply(_ left: SampleValue, _ right: SampleValue) -> ElementResult? {
        switch (left, right) {
        case (.float(let a), .float(let b)):
            if operation.isComparison {
                return ElementResult(value: left, keep: compare(operation, a, b))
            }
            if operation == .trimLower || operation == .trimUpper {
                return incompatible("float", "float")
            }
            return ElementResult(value: .float(floatArithmetic(operation, a, b)), keep: true)
        case (.float(let a), .histogram(let b)):
            guard operation == .multiply else { return incompatible("float", "histogram") }
            return ElementResult(value: .histogram(b.multiplied(by: a).compacted()), keep: true)
        case (.histogram(let a), .float(let b)): return apply(a, b)
        case (.histogram(let a), .histogram(let b)): return apply(a, b)
        }
    }

    private func apply(_ a: NativeHistogram, _ b: Double) -> ElementResult? {
        switch operation {
        case .multiply:
            ElementResult(value: .histogram(a.multiplied(by: b).compacted()), keep: true)
        case .divide:
            ElementResult(value: .histogram(a.divided(by: b).compacted()), keep: true)
        case .trimUpper: ElementResult(value: .histogram(a.trimmed(upper: b)), keep: true)
        case .trimLower: ElementResult(value: .histogram(a.trimmed(lower: b)), keep: true)
        default: incompatible("histogram", "float")
        }
    }

    private func apply(_ a: NativeHistogram, _ b: NativeHistogram) -> ElementResult? {
        switch operation {
        case .equal, .notEqual:
            return ElementResult(
                value: .histogram(a), keep: a.isEqual(to: b) == (operation == .equal))
        case .add, .subtract:
            var result = a
            do throws(IncompatibleHistograms) {
                let isAddition = operation == .add
                let outcome = isAddition ? try result.add(b) : try result.subtract(b)
                if !isAddition { result.counterReset = .gauge }
                let name = isAddition ? "addition" : "subtraction"
                if outcome.resetCollision {
                    annotations.warn(MessageText.resetCollision(name), at: position)
                }
                if outcome.reconciledBounds {
                    annotations.inform(MessageText.reconciled(name), at: position)
                }
                return ElementResult(value: .histogram(result.compacted()), keep: true)
            } catch {
                annotations.warn(
                    MessageText.incompatibleBuckets(operation.rawValue), at: position)
                return nil
            }
        default: return incompatible("histogram", "histogram")
        }
    }
}
