// SPDX-License-Identifier: Apache-2.0
// Watches a query while it runs.

import Telemetry

/// Builds the plan of one evaluation and charges its nodes with time and samples. Used by one
/// thread.
///
/// Operators call each other strictly nested, so one mark suffices: whoever takes over or gives
/// back first charges what passed since the mark to the node that ran until then.
final class PlanRecorder {
    final class Node {
        let operation: String
        let text: String
        let range: SourceRange
        var series = 0
        var samples = 0
        var steps: Int
        var nanos: Int64 = 0
        var facts: [String] = []
        var selections: [PlanNode.Selection] = []
        var children: [Node] = []

        init(_ expression: Expression, steps: Int, in query: String) {
            operation = expression.planOperation
            text = expression.planText(in: query)
            range = expression.range
            self.steps = steps
        }

        var plan: PlanNode {
            let children = children.map(\.plan)
            return PlanNode(
                operation: operation, text: text, series: series, samples: samples, steps: steps,
                ownNanos: nanos, totalNanos: children.reduce(nanos) { $0 + $1.totalNanos },
                facts: facts, selections: selections, children: children)
        }
    }

    private let context: ReadContext
    private let query: String
    private(set) var root: Node?
    /// The node that is built or runs.
    private var current: Node?
    private var markNanos: Int64 = 0
    private var markSamples = 0

    init(_ context: ReadContext, query: String) {
        self.context = context
        self.query = query
    }

    /// What the planner decided about the node that is being built.
    func note(_ fact: String) { current?.facts.append(fact) }

    /// What the node that is being built asked of the store.
    func note(_ request: SeriesRequest, series: Int) {
        current?.selections.append(
            PlanNode.Selection(
                matchers: request.matchers.planText,
                firstMillis: request.range.first.rawValue,
                lastMillis: request.range.last.rawValue, series: series))
    }

    // MARK: Nodes

    func vector(
        _ expression: Expression, _ grid: StepGrid, _ build: () throws -> any VectorOperator
    ) throws -> any VectorOperator {
        guard let node = open(expression, grid) else { return try build() }
        let built = try run(node, build)
        return ExplainedOperator(built, node, self)
    }

    func rangeVector(
        _ expression: Expression, _ grid: StepGrid, _ build: () throws -> RangeVector
    ) throws -> RangeVector {
        guard let node = open(expression, grid) else { return try build() }
        var built = try run(node, build)
        built.source = ExplainedRangeSource(built.source, node, self)
        return built
    }

    func scalar(
        _ expression: Expression, _ grid: StepGrid, _ compute: () throws -> [Double]
    ) throws -> [Double] {
        guard let node = open(expression, grid) else { return try compute() }
        node.series = 1
        return try run(node, compute)
    }

    /// The plan of a query, whose root is a literal when no operator has run.
    func plan(of query: PreparedQuery) -> PlanNode {
        if let root { return root.plan }
        let literal = Node(query.expression, steps: query.grid.count, in: query.text)
        literal.series = 1
        return literal.plan
    }

    /// A new node under the current one; nil for what is no operator of its own.
    private func open(_ expression: Expression, _ grid: StepGrid) -> Node? {
        switch expression {
        case .parenthesized: return nil
        case .unary(let node) where !node.isNegation: return nil
        default: if expression.isLiteral { return nil }
        }
        if let current, current.range == expression.range {
            // What is the same at every step comes by a second time, for one step.
            if grid.count < current.steps {
                current.facts.append("step-invariant: computed once for \(current.steps) steps")
                current.steps = grid.count
            }
            return nil
        }
        let node = Node(expression, steps: grid.count, in: query)
        if let current { current.children.append(node) } else if root == nil { root = node }
        return node
    }

    // MARK: Charging

    /// Runs a piece of work of a node.
    func run<T>(_ node: Node, _ work: () throws -> T) rethrows -> T {
        charge()
        let before = current
        current = node
        defer {
            charge()
            current = before
        }
        return try work()
    }

    /// Runs the part of a node that tells its series.
    func series(
        of node: Node, _ work: () throws -> [OutputSeries]
    ) rethrows -> [OutputSeries] {
        let series = try run(node, work)
        node.series = series.count
        return series
    }

    private func charge() {
        let nanos = context.elapsedNanos, samples = context.samplesRead
        current?.nanos += nanos - markNanos
        current?.samples += samples - markSamples
        markNanos = nanos
        markSamples = samples
    }
}

/// An operator whose work is charged to its node.
private final class ExplainedOperator: VectorOperator {
    private let input: any VectorOperator
    private let node: PlanRecorder.Node
    private let recorder: PlanRecorder

    init(_ input: any VectorOperator, _ node: PlanRecorder.Node, _ recorder: PlanRecorder) {
        self.input = input
        self.node = node
        self.recorder = recorder
    }

    func series() throws -> [OutputSeries] {
        try recorder.series(of: node) { try input.series() }
    }

    func next(into column: inout StepColumn) throws {
        try recorder.run(node) { try input.next(into: &column) }
    }
}

/// A range vector whose work is charged to its node.
private final class ExplainedRangeSource: RangeSource {
    private let input: any RangeSource
    private let node: PlanRecorder.Node
    private let recorder: PlanRecorder

    init(_ input: any RangeSource, _ node: PlanRecorder.Node, _ recorder: PlanRecorder) {
        self.input = input
        self.node = node
        self.recorder = recorder
    }

    func series() throws -> [OutputSeries] {
        try recorder.series(of: node) { try input.series() }
    }

    func next(into samples: RangeSamples) throws {
        try recorder.run(node) { try input.next(into: samples) }
    }
}
