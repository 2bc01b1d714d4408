// SPDX-License-Identifier: Apache-2.0
// What has the same value at every step need be computed once only.

/// Functions whose result depends on the time of evaluation also when all selectors are pinned.
private let timeDependentFunctions: Set<String> = [
    "days_in_month", "day_of_month", "day_of_week", "day_of_year", "hour", "minute", "month",
    "year", "predict_linear", "time", "timestamp",
]

extension Expression {
    /// Whether the expression has the same value at all steps. Expects resolved times.
    var isStepInvariant: Bool {
        switch self {
        case .number, .string, .duration: return true
        case .selector(let node): return node.anchor != nil
        case .matrix(let node): return node.selector.anchor != nil
        case .subquery(let node): return node.anchor != nil
        case .aggregation(let node):
            return node.expression.isStepInvariant && node.parameter?.isStepInvariant ?? true
        case .binary(let node):
            return node.left.isStepInvariant && node.right.isStepInvariant
        case .unary(let node): return node.operand.isStepInvariant
        case .parenthesized(let node): return node.expression.isStepInvariant
        case .call(let node):
            if node.name == "timestamp", case .selector(let selector)? = node.arguments.first {
                // The time of a sample, unlike that of a computed value, does not depend on steps.
                return selector.anchor != nil
            }
            return !timeDependentFunctions.contains(node.name)
                && node.arguments.allSatisfy(\.isStepInvariant)
        }
    }
}
