// SPDX-License-Identifier: Apache-2.0
// Expressions that treat each of their series on its own.

import Telemetry

extension Expression {
    /// The only selector of an expression whose series each depend on the samples of one series,
    /// and come in the same order; nil for all others.
    ///
    /// What such an expression yields for some series does not depend on which others there are,
    /// except that names may go and make series the same (`VectorSelector.hasOneName`).
    var seriesWiseSelector: VectorSelector? {
        switch self {
        case .selector(let node): return node
        case .matrix(let node): return node.selector
        case .subquery(let node): return node.expression.seriesWiseSelector
        case .parenthesized(let node): return node.expression.seriesWiseSelector
        case .unary(let node): return node.operand.seriesWiseSelector
        case .binary(let node):
            guard !node.operation.isSet, node.matching == nil else { return nil }
            let isLeft = node.right.kind == .scalar
            let other = isLeft ? node.right : node.left
            guard other.kind == .scalar, !other.hasSelector else { return nil }
            return (isLeft ? node.left : node.right).seriesWiseSelector
        case .call(let node): return node.seriesWiseSelector
        case .aggregation, .number, .string, .duration: return nil
        }
    }

    /// Whether series are selected anywhere in it.
    fileprivate var hasSelector: Bool {
        if case .selector = self { return true }
        return children.contains(where: \.hasSelector)
    }
}

/// Functions of one vector, besides those of the tables, that look at one series at a time.
private let seriesWiseFunctions: Set<String> = [
    "clamp", "clamp_max", "clamp_min", "round", "start_timestamp", "timestamp",
]

extension Call {
    fileprivate var seriesWiseSelector: VectorSelector? {
        let isSeriesWise =
            RangeFunction(rawValue: name).map { $0 != .absent }
            ?? (floatFunctions[name] != nil || dateFunctions[name] != nil
                || histogramFunctions[name] != nil || seriesWiseFunctions.contains(name))
        guard isSeriesWise else { return nil }
        var found: VectorSelector?
        for argument in arguments {
            if argument.kind == .vector || argument.kind == .matrix {
                guard found == nil, let selector = argument.seriesWiseSelector else { return nil }
                found = selector
            } else if argument.hasSelector {
                return nil
            }
        }
        return found
    }
}

extension VectorSelector {
    /// Whether all its series have one name, so that they differ without it.
    var hasOneName: Bool {
        matchers.contains {
            $0.operation == .equal && $0.name == Labels.metricName && !$0.value.isEmpty
        }
    }
}
