// SPDX-License-Identifier: Apache-2.0
// `absent` and `absent_over_time`.

import Base
import Telemetry

/// 1 at the steps at which the input has no sample at all.
final class AbsentOperator: VectorOperator {
    private let input: any VectorOperator
    private let labels: Labels
    private let steps: Int
    private let scope: EvaluationScope

    init(
        _ input: any VectorOperator, labels: Labels, steps: Int, scope: EvaluationScope
    ) {
        self.input = input
        self.labels = labels
        self.steps = steps
        self.scope = scope
    }

    func series() -> [OutputSeries] { [OutputSeries(labels, dropName: true)] }

    func next(into column: inout StepColumn) throws {
        var present = [Bool](repeating: false, count: steps)
        var missing = steps
        for _ in try input.series() {
            try scope.context.check()
            try input.next(into: &column)
            for step in 0..<steps where column.kinds[step] != .none && !present[step] {
                present[step] = true
                missing -= 1
            }
            // The rest of the input cannot change anything.
            if missing == 0, scope.counts == nil { break }
        }
        column.clear()
        for step in 0..<steps where !present[step] { column.set(step, 1) }
    }
}

extension Expression {
    /// The labels a selector requires by equality, which is what an absent series would have.
    var labelsWhenAbsent: Labels {
        let matchers: [LabelMatcher]
        switch self {
        case .selector(let node): matchers = node.matchers
        case .matrix(let node): matchers = node.selector.matchers
        default: return .empty
        }
        var builder = LabelsBuilder()
        var seen: Set<String> = []
        for matcher in matchers where matcher.name != Labels.metricName {
            if matcher.operation == .equal, seen.insert(matcher.name).inserted {
                builder.set(matcher.name, matcher.value)
            } else {
                builder.remove(matcher.name)
            }
        }
        return builder.labels()
    }
}
