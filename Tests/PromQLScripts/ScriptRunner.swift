// SPDX-License-Identifier: Apache-2.0
// Runs test scripts.

import Base
import PromQL
import Telemetry

/// What one evaluation of a script came to.
package struct ScriptOutcome: Sendable {
    package var line: Int
    package var expression: String
    /// Nil when all expectations were met.
    package var failure: String?
}

/// Why an evaluation does not meet its expectations.
struct Mismatch: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// What scripts are run against: a store that loads go into, and queries over it.
package protocol ScriptTarget {
    /// Throws everything away.
    mutating func clear() throws
    mutating func load(_ load: Script.Load) throws
    func query(_ text: String, at millis: Int64) throws -> ScriptAnswer
    func queryRange(
        _ text: String, start: Int64, end: Int64, step: Int64
    ) throws -> ScriptAnswer
}

package struct ScriptRunner<Target: ScriptTarget> {
    private var target: Target
    /// Whether an instant evaluation is also run pinned to its time at other times, and each of
    /// these as a range query.
    private let hasExtraRuns: Bool
    /// Queries asked so far.
    package private(set) var queryCount = 0

    package init(_ target: Target, extraRuns: Bool = true) {
        self.target = target
        hasExtraRuns = extraRuns
    }

    /// Runs a script on an empty store.
    ///
    /// - Throws: what the target throws when it cannot load.
    package mutating func run(_ script: Script) throws -> [ScriptOutcome] {
        var outcomes: [ScriptOutcome] = []
        try target.clear()
        for command in script.commands {
            switch command {
            case .clear: try target.clear()
            case .load(let load): try target.load(load)
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

    private mutating func query(_ text: String, at millis: Int64) throws -> ScriptAnswer {
        queryCount += 1
        return try target.query(text, at: millis)
    }

    private mutating func queryRange(
        _ text: String, _ start: Int64, _ end: Int64, _ step: Int64
    ) throws -> ScriptAnswer {
        queryCount += 1
        return try target.queryRange(text, start: start, end: end, step: step)
    }

    private mutating func check(_ evaluation: Script.Evaluation) throws {
        let expression = try parseExpression(evaluation.expression)
        switch evaluation.time {
        case .range(let start, let end, let step):
            let answer = Result { try queryRange(evaluation.expression, start, end, step) }
            guard let result = try evaluation.checkFailure(answer) else { return }
            try evaluation.checkAnnotations(result)
            guard case .matrix(let matrix) = result.value else {
                throw Mismatch("a range query must answer a matrix")
            }
            try evaluation.compare(matrix, start: start, step: step)
        case .instant(let given):
            let time = evaluation.matrixGrid?.end ?? given
            var runs = [(text: evaluation.expression, time: time)]
            if hasExtraRuns, !expression.dependsOnEvaluationTime {
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

    private mutating func checkInstant(
        _ evaluation: Script.Evaluation, _ text: String, _ time: Int64, _ expression: Expression
    ) throws {
        let answer = Result { try query(text, at: time) }
        guard let result = try evaluation.checkFailure(answer) else { return }
        try evaluation.checkAnnotations(result)
        try evaluation.compare(result.value)
        guard hasExtraRuns, evaluation.string == nil, evaluation.matrixGrid == nil,
            !expression.namesQueryTimes
        else { return }
        let range = try queryRange(text, time - 60_000, time + 60_000, 60_000)
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

func checkSorted(_ matrix: [ScriptAnswer.Series]) throws {
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
