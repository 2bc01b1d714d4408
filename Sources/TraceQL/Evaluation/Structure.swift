// SPDX-License-Identifier: Apache-2.0
// Structural operators between spans of one trace.

/// Computes which spans of two sides stand in a relation.
struct Structure {
    let shape: TraceShape

    /// Spans of an operator's answer: those of the right side that have (or, negated, do not have) a
    /// partner on the left, for union operators also the left ones that have a partner.
    ///
    /// - Complexity: O(spans of the trace).
    func apply(_ operation: SpansetOperator, _ left: [Int], _ right: [Int]) -> [Int] {
        let count = shape.order.count
        var inLeft = [Bool](repeating: false, count: count)
        var inRight = inLeft
        for row in left { inLeft[row] = true }
        for row in right { inRight[row] = true }
        let relation = operation.relation
        let partnered = related(relation, to: inLeft)
        if operation.isNegated { return right.filter { !partnered[$0] } }
        guard operation.isUnion else { return right.filter { partnered[$0] } }
        let back = related(relation.reversed, to: inRight)
        return shape.order.filter {
            (inRight[$0] && partnered[$0]) || (inLeft[$0] && back[$0])
        }
    }

    enum Relation {
        /// The span's parent, child, … is in the other set.
        case childOf, parentOf, descendantOf, ancestorOf, siblingOf

        var reversed: Relation {
            switch self {
            case .childOf: .parentOf
            case .parentOf: .childOf
            case .descendantOf: .ancestorOf
            case .ancestorOf: .descendantOf
            case .siblingOf: .siblingOf
            }
        }
    }

    /// For every span whether it stands in the relation to one of the set.
    private func related(_ relation: Relation, to set: [Bool]) -> [Bool] {
        var result = [Bool](repeating: false, count: set.count)
        switch relation {
        case .childOf:
            for row in set.indices {
                if let parent = shape.parent(row) { result[row] = set[parent] }
            }
        case .parentOf:
            for row in set.indices where set[row] {
                if let parent = shape.parent(row) { result[parent] = true }
            }
        case .descendantOf:
            for row in shape.topDown {
                if let parent = shape.parent(row) { result[row] = set[parent] || result[parent] }
            }
        case .ancestorOf:
            for row in shape.topDown.reversed() where set[row] || result[row] {
                if let parent = shape.parent(row) { result[parent] = true }
            }
        case .siblingOf:
            for parent in set.indices where shape.childCounts[parent] > 1 {
                var members = 0
                shape.forEachChild(parent) { if set[$0] { members += 1 } }
                shape.forEachChild(parent) { result[$0] = members > (set[$0] ? 1 : 0) }
            }
        }
        return result
    }
}

extension SpansetOperator {
    var isNegated: Bool { rawValue.hasPrefix("!") }
    var isUnion: Bool { rawValue.hasPrefix("&") && self != .and }
    /// Whether spans of the left side can be part of the answer.
    var answersBothSides: Bool { self == .and || self == .or || isUnion }

    fileprivate var relation: Structure.Relation {
        switch self {
        case .child, .notChild, .unionChild: .childOf
        case .parent, .notParent, .unionParent: .parentOf
        case .descendant, .notDescendant, .unionDescendant: .descendantOf
        case .ancestor, .notAncestor, .unionAncestor: .ancestorOf
        case .sibling, .notSibling, .unionSibling, .and, .or: .siblingOf
        }
    }
}
