// SPDX-License-Identifier: Apache-2.0
// Conditions that one side of an operation puts on the other.

import Telemetry

/// Carries matchers across operations between vectors, so that fewer series are read.
///
/// What matches must agree in the labels of `on`, or in all but those of `ignoring`. If one side
/// only has series with `job="a"`, those of the other side with another job never matter.
///
/// They do matter where an operation has to fail or to warn because of them. Series of the "one"
/// side of arithmetic must differ in what is compared, at every step at which the other side has
/// any series at all: so matchers go to the "many" side only, and only where the "one" side is an
/// aggregation whose results differ by construction. In an operand they go only through what can
/// neither fail nor warn. Costs a visit per node.
enum MatcherPropagation {
    /// Most conditions that are carried along, and most nodes they are carried through: beyond
    /// that they would cost more than they save.
    private static let maxMatchers = 16
    private static let maxDepth = 16

    /// Expects resolved times.
    static func apply(_ expression: Expression) -> Expression { visit(expression).expression }

    /// The expression with its matchers carried across, and conditions that all its series fulfil.
    private static func visit(
        _ expression: Expression
    ) -> (expression: Expression, guarantees: [LabelMatcher]) {
        switch expression {
        case .number, .string, .duration: return (expression, [])
        case .selector(let node): return (expression, node.guarantees)
        case .matrix(let node): return (expression, node.selector.guarantees)
        case .subquery(var node):
            let inner = visit(node.expression)
            node.expression = inner.expression
            return (.subquery(node), inner.guarantees)
        case .parenthesized(var node):
            let inner = visit(node.expression)
            node.expression = inner.expression
            return (.parenthesized(node), inner.guarantees)
        case .unary(var node):
            let inner = visit(node.operand)
            node.operand = inner.expression
            return (.unary(node), inner.guarantees)
        case .aggregation(var node):
            node.parameter = node.parameter.map { visit($0).expression }
            let inner = visit(node.expression)
            node.expression = inner.expression
            return (.aggregation(node), node.guarantees(of: inner.guarantees))
        case .call(var node):
            var guarantees: [LabelMatcher] = []
            for index in node.arguments.indices {
                let kind = node.arguments[index].kind
                let inner = visit(node.arguments[index])
                node.arguments[index] = inner.expression
                if kind == .vector || kind == .matrix, node.keepsLabels {
                    guarantees = inner.guarantees
                }
            }
            return (.call(node), guarantees)
        case .binary(let node): return visit(node)
        }
    }

    private static func visit(
        _ node: BinaryExpression
    ) -> (expression: Expression, guarantees: [LabelMatcher]) {
        var node = node
        let leftIsScalar = node.left.kind == .scalar, rightIsScalar = node.right.kind == .scalar
        let (left, fromLeft) = visit(node.left)
        let (right, fromRight) = visit(node.right)
        (node.left, node.right) = (left, right)
        if leftIsScalar { return (.binary(node), fromRight) }
        if rightIsScalar { return (.binary(node), fromLeft) }
        guard let matching = node.matching, matching.fillLeft == nil, matching.fillRight == nil
        else { return (.binary(node), []) }
        let sharedLeft = fromLeft.filter { matching.compares($0.name) }
        let sharedRight = fromRight.filter { matching.compares($0.name) }
        switch node.operation {
        case .or: return (.binary(node), [])
        case .and:
            node.left = narrow(left, by: sharedRight)
            node.right = narrow(right, by: sharedLeft)
            return (.binary(node), Array((fromLeft + sharedRight).prefix(maxMatchers)))
        case .unless:
            node.right = narrow(right, by: sharedLeft)
            return (.binary(node), fromLeft)
        default:
            if matching.cardinality == .oneToMany {
                if left.differs(by: matching) { node.right = narrow(right, by: sharedLeft) }
            } else if right.differs(by: matching) {
                node.left = narrow(left, by: sharedRight)
            }
            // Results have the labels that both sides agree in, unless others are put in their
            // place.
            let kept = (sharedLeft + sharedRight).filter { !matching.include.contains($0.name) }
            return (.binary(node), Array(kept.prefix(maxMatchers)))
        }
    }

    /// A vector without series that do not fulfil conditions, as far as leaving them out changes
    /// nothing but that.
    private static func narrow(
        _ expression: Expression, by matchers: [LabelMatcher], depth: Int = 0
    ) -> Expression {
        if matchers.isEmpty || depth > maxDepth { return expression }
        switch expression {
        case .selector(var node):
            for matcher in matchers where !node.matchers.contains(matcher) {
                node.matchers.append(matcher)
            }
            return .selector(node)
        case .parenthesized(var node):
            node.expression = narrow(node.expression, by: matchers, depth: depth + 1)
            return .parenthesized(node)
        case .aggregation(var node) where node.operation == .count || node.operation == .group:
            node.expression = narrow(
                node.expression, by: matchers.filter { node.keeps($0.name) }, depth: depth + 1)
            return .aggregation(node)
        case .binary(var node) where node.operation == .and || node.operation == .unless:
            node.left = narrow(node.left, by: matchers, depth: depth + 1)
            return .binary(node)
        default: return expression
        }
    }
}

extension VectorMatching {
    /// Whether what matches agrees in a label.
    fileprivate func compares(_ label: String) -> Bool {
        isOn ? labels.contains(label) : label != Labels.metricName && !labels.contains(label)
    }
}

extension Expression {
    /// Whether no two series of a vector agree in all that is compared, whatever the data.
    fileprivate func differs(by matching: VectorMatching) -> Bool {
        switch self {
        case .parenthesized(let node): return node.expression.differs(by: matching)
        case .aggregation(let node):
            switch node.operation {
            // They keep the labels of their inputs or add one.
            case .topk, .bottomk, .limitk, .limitRatio, .countValues: return false
            default: return !node.without && node.grouping.allSatisfy(matching.compares)
            }
        case .binary(let node):
            // A scalar changes no label, but for the name.
            if node.left.kind == .scalar { return node.right.differs(by: matching) }
            return node.right.kind == .scalar && node.left.differs(by: matching)
        default: return false
        }
    }
}

extension VectorSelector {
    fileprivate var guarantees: [LabelMatcher] {
        matchers.filter { $0.name != Labels.metricName }
    }
}

extension Aggregation {
    /// Whether groups agree in a label, which the results then have.
    fileprivate func keeps(_ label: String) -> Bool {
        without
            ? label != Labels.metricName && !grouping.contains(label) : grouping.contains(label)
    }

    /// What the results fulfil when all inputs fulfil `inner`.
    fileprivate func guarantees(of inner: [LabelMatcher]) -> [LabelMatcher] {
        switch operation {
        case .topk, .bottomk, .limitk, .limitRatio: inner
        // It sets a label of its own, which may be one of these.
        case .countValues: []
        default: inner.filter { keeps($0.name) }
        }
    }
}

/// Functions, besides those of the tables, whose results have the labels of their vector.
private let labelKeepingFunctions: Set<String> = [
    "clamp", "clamp_max", "clamp_min", "round", "sort", "sort_desc", "sort_by_label",
    "sort_by_label_desc", "start_timestamp", "timestamp",
]

extension Call {
    /// Whether the results have the labels of the only vector, but for its name.
    fileprivate var keepsLabels: Bool {
        RangeFunction(rawValue: name).map { $0 != .absent }
            ?? (floatFunctions[name] != nil || dateFunctions[name] != nil
                || histogramFunctions[name] != nil || labelKeepingFunctions.contains(name))
    }
}
