// SPDX-License-Identifier: Apache-2.0
// What a query says more than once.

import Telemetry

/// Finds the vectors that an expression contains more than once, wherever they stand in its text.
///
/// Two expressions are the same when they differ in nothing but position, blanks and parentheses.
/// Expects resolved times. Costs a dictionary entry per node.
struct SharedExpressions {
    /// Where a vector stands; no two vectors of one expression have the same place, but for
    /// parentheses.
    private struct Place: Hashable {
        var start: Int
        var end: Int

        init(_ expression: Expression) {
            let range = expression.range
            (start, end) = (range.start, range.end)
        }
    }
    private let ids: [Place: Int]

    init(_ expression: Expression) {
        var census = Census()
        _ = census.add(expression)
        ids = census.places.filter { census.counts[$0.value] > 1 }
    }

    /// The same number for the same expressions; nil for one that occurs once.
    func id(_ expression: Expression) -> Int? {
        if ids.isEmpty { return nil }
        // What is in parentheses is asked for next.
        if case .parenthesized = expression { return nil }
        return ids[Place(expression)]
    }

    /// Numbers expressions so that equal ones have one number.
    private struct Census {
        private struct Signature: Hashable {
            var head: String
            var children: [Int]
        }
        private var known: [Signature: Int] = [:]
        var counts: [Int] = []
        var places: [Place: Int] = [:]

        mutating func add(_ expression: Expression) -> Int {
            if case .parenthesized(let node) = expression { return add(node.expression) }
            var children: [Int] = []
            for child in expression.children { children.append(add(child)) }
            let signature = Signature(head: expression.head, children: children)
            let id = known[signature] ?? counts.count
            if id == counts.count {
                known[signature] = id
                counts.append(0)
            }
            if expression.kind == .vector {
                counts[id] += 1
                places[Place(expression)] = id
            }
            return id
        }
    }
}

extension Expression {
    /// All that a node says besides its children.
    fileprivate var head: String {
        switch self {
        case .number(let node): node.text
        case .string(let node): node.text
        case .selector(let node): node.text + (node.skipsBuckets ? " without buckets" : "")
        case .matrix(let node): node.text
        case .subquery(let node): node.suffix
        case .call(let node): node.name
        case .aggregation(let node): node.head
        case .binary(let node): node.operatorText
        case .unary(let node): node.isNegation ? "-" : "+"
        case .parenthesized: "()"
        case .duration(let node): node.text
        }
    }
}
