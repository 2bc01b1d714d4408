// SPDX-License-Identifier: Apache-2.0
// Arithmetic on constants and values of spans.

import Glibc

enum Arithmetic {
    /// Number of a value that is one, durations in nanoseconds.
    static func number(_ value: Static) -> Double? {
        switch value {
        case .int(let number), .duration(let number): Double(number)
        case .float(let number): number
        default: nil
        }
    }

    /// The operation on two numbers; nil when a side is none, a whole number does not fit or is
    /// divided by zero. Only whole numbers stay whole: durations become nanoseconds as a fraction, so
    /// that the ratio of two is one.
    static func apply(_ operation: FieldOperator, _ x: Static, _ y: Static) -> Static? {
        if case .int(let a) = x, case .int(let b) = y {
            return whole(operation, a, b).map(Static.int)
        }
        guard let a = number(x), let b = number(y) else { return nil }
        return .float(real(operation, a, b))
    }

    private static func whole(_ operation: FieldOperator, _ a: Int64, _ b: Int64) -> Int64? {
        let result: (partialValue: Int64, overflow: Bool)
        switch operation {
        case .add: result = a.addingReportingOverflow(b)
        case .subtract: result = a.subtractingReportingOverflow(b)
        case .multiply: result = a.multipliedReportingOverflow(by: b)
        case .divide: result = a.dividedReportingOverflow(by: b)
        case .modulo: result = a.remainderReportingOverflow(dividingBy: b)
        case .power: return Int64(exactly: pow(Double(a), Double(b)).rounded(.towardZero))
        default: return nil
        }
        return result.overflow ? nil : result.partialValue
    }

    private static func real(_ operation: FieldOperator, _ a: Double, _ b: Double) -> Double {
        switch operation {
        case .add: a + b
        case .subtract: a - b
        case .multiply: a * b
        case .divide: a / b
        case .modulo: fmod(a, b)
        case .power: pow(a, b)
        default: .nan
        }
    }
}
