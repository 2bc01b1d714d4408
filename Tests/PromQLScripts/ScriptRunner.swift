// SPDX-License-Identifier: Apache-2.0
// Runs test scripts against the engine.

import Base
import PromQL
import Telemetry
import TestKit

/// What one evaluation of a script came to.
struct ScriptOutcome {
    var line: Int
    var expression: String
    /// Nil when all expectations were met.
    var failure: String?
}

/// Why an evaluation does not meet its expectations.
struct Mismatch: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

struct ScriptRunner {
    private var store = InMemorySeries()
    private let options: PromQLOptions

    init() {
        var options = PromQLOptions()
        options.delayedNameRemoval = true
        options.useStartTimestamps = true
        self.options = options
    }

    mutating func run(_ script: Script) -> [ScriptOutcome] {
        var outcomes: [ScriptOutcome] = []
        for command in script.commands {
            switch command {
            case .clear: store.removeAll()
            case .load(let load): store.load(load)
            case .evaluate(let evaluation):
                var outcome = ScriptOutcome(
                    line: evaluation.line, expression: evaluation.expression)
                do {
                    try check(evaluation)
                } catch {
                    outcome.failure = "\(error)"
                }
                outcomes.append(outcome)
            }
        }
        return outcomes
    }

    private var engine: PromQLEngine { PromQLEngine(reader: store, options: options) }

    private func check(_ evaluation: Script.Evaluation) throws {
        let expression = try parseExpression(evaluation.expression)
        switch evaluation.time {
        case .range(let start, let end, let step):
            let answer = attempt {
                try engine.queryRange(
                    evaluation.expression, start: Millis(start), end: Millis(end),
                    stepMillis: step, context: ReadContext())
            }
            guard let result = try evaluation.checkFailure(answer) else { return }
            try evaluation.checkAnnotations(result)
            guard case .matrix(let matrix) = result.value else {
                throw Mismatch("a range query must answer a matrix")
            }
            try evaluation.compare(matrix, start: start, step: step)
        case .instant(let given):
            let time = evaluation.matrixGrid?.end ?? given
            var runs = [(text: evaluation.expression, time: time)]
            if !expression.dependsOnEvaluationTime {
                let pinned = expression.pinned(at: time).description
                let times =
                    time == 0
                    ? [-1000, 0, 1000] : [-10 * time, 0, time / 5, time, 10 * time]
                runs += times.map { (pinned, $0) }
            }
            for run in runs {
                do {
                    try checkInstant(evaluation, run.text, run.time, expression)
                } catch {
                    throw run == runs[0]
                        ? error : Mismatch("as \(run.text) at \(run.time): \(error)")
                }
            }
        }
    }

    private func attempt(_ query: () throws -> QueryResult) -> Result<QueryResult, any Error> {
        Result(catching: query)
    }

    private func checkInstant(
        _ evaluation: Script.Evaluation, _ text: String, _ time: Int64, _ expression: Expression
    ) throws {
        let answer = attempt {
            try engine.query(text, at: Millis(time), context: ReadContext())
        }
        guard let result = try evaluation.checkFailure(answer) else { return }
        try evaluation.checkAnnotations(result)
        try evaluation.compare(result.value)
        guard evaluation.string == nil, evaluation.matrixGrid == nil,
            !expression.namesQueryTimes
        else { return }
        let range = try engine.queryRange(
            text, start: Millis(time - 60_000), end: Millis(time + 60_000), stepMillis: 60_000,
            context: ReadContext())
        guard case .matrix(let matrix) = range.value else {
            throw Mismatch("a range query must answer a matrix")
        }
        try checkSorted(matrix)
        if evaluation.isOrdered { return }
        do {
            try evaluation.compareMiddle(matrix, at: time)
        } catch {
            throw Mismatch("as a range query: \(error)")
        }
    }
}

func checkSorted(_ matrix: [MatrixSeries]) throws {
    for (a, b) in zip(matrix, matrix.dropFirst()) where !(a.labels < b.labels) {
        throw Mismatch("not sorted: \(a.labels) before \(b.labels)")
    }
}

// MARK: - Expressions

extension Expression {
    private func contains(_ test: (Expression) -> Bool) -> Bool {
        test(self) || children.contains { $0.contains(test) }
    }

    private func calls(_ names: Set<String>) -> Bool {
        contains { node in
            if case .call(let call) = node { return names.contains(call.name) }
            return false
        }
    }

    var dependsOnEvaluationTime: Bool {
        calls([
            "time", "timestamp", "predict_linear", "days_in_month", "day_of_month", "day_of_week",
            "day_of_year", "hour", "minute", "month", "year", "start", "end", "range", "step",
        ])
    }

    var namesQueryTimes: Bool {
        if calls(["start", "end", "range", "step"]) { return true }
        let text = description
        return ["start()", "end()", "range()", "step()"].contains { text.contains($0) }
    }

    /// The expression with `@ millis` on every selector and subquery that has none.
    func pinned(at millis: Int64) -> Expression {
        let anchor = TimeAnchor.millis(millis)
        switch self {
        case .number, .string, .duration: return self
        case .selector(var node):
            if node.anchor == nil { node.anchor = anchor }
            return .selector(node)
        case .matrix(var node):
            if node.selector.anchor == nil { node.selector.anchor = anchor }
            return .matrix(node)
        case .subquery(var node):
            // What is inside sees the times of the subquery.
            if node.anchor == nil { node.anchor = anchor }
            return .subquery(node)
        case .call(var node):
            node.arguments = node.arguments.map { $0.pinned(at: millis) }
            return .call(node)
        case .aggregation(var node):
            node.expression = node.expression.pinned(at: millis)
            node.parameter = node.parameter?.pinned(at: millis)
            return .aggregation(node)
        case .binary(var node):
            node.left = node.left.pinned(at: millis)
            node.right = node.right.pinned(at: millis)
            return .binary(node)
        case .unary(var node):
            node.operand = node.operand.pinned(at: millis)
            return .unary(node)
        case .parenthesized(var node):
            node.expression = node.expression.pinned(at: millis)
            return .parenthesized(node)
        }
    }
}
