// SPDX-License-Identifier: Apache-2.0
// Arithmetic on two numbers.

import Glibc

extension BinaryOperation {
    /// The operation on two numbers; comparisons give 1 or 0. Division by zero is NaN, unlike in
    /// PromQL. Source: Loki's binary operations.
    func scalar(_ x: Double, _ y: Double) -> Double {
        switch self {
        case .add: x + y
        case .subtract: x - y
        case .multiply: x * y
        case .divide: y == 0 ? .nan : x / y
        case .modulo: y == 0 ? .nan : fmod(x, y)
        case .power: pow(x, y)
        case .equal, .notEqual, .lessOrEqual, .less, .greaterOrEqual, .greater:
            holds(x, y) ? 1 : 0
        case .or, .and, .unless: .nan
        }
    }

    /// Whether a comparison is true.
    func holds(_ x: Double, _ y: Double) -> Bool {
        switch self {
        case .equal: x == y
        case .notEqual: x != y
        case .lessOrEqual: x <= y
        case .less: x < y
        case .greaterOrEqual: x >= y
        case .greater: x > y
        default: false
        }
    }
}
