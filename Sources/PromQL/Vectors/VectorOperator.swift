// SPDX-License-Identifier: Apache-2.0
// The shape of every step of an evaluation: labels first, then one series at a time.

import Base
import Telemetry

/// Labels of one output series.
package struct OutputSeries: Sendable {
    package var labels: Labels
    /// The metric name goes at the end of the evaluation (delayed removal of names).
    package var dropName: Bool
    package init(_ labels: Labels, dropName: Bool = false) {
        self.labels = labels
        self.dropName = dropName
    }

    /// Bytes a series takes besides those of its labels: this entry and the head of an array.
    package static let overheadBytes = 56
}

/// A node of a running query. Peak memory is what a node must hold, not what it passes on.
///
/// `series()` is called once, before anything else; then `next` exactly as often as there are
/// series, in their order. A series may turn out to be empty at all steps.
package protocol VectorOperator: AnyObject {
    func series() throws -> [OutputSeries]
    /// Fills the column, which comes in with the right number of steps and any content.
    func next(into column: inout StepColumn) throws
}

/// A fault of a query that is not one of its text.
package struct QueryError: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
    static let sameLabelset = QueryError(
        "vector cannot contain metrics with the same labelset")
}

/// What the nodes of one evaluation share. Used by one thread.
package final class EvaluationScope {
    package let context: ReadContext
    package let annotations: Annotations
    /// Names are kept until the end of the evaluation (`promql-delayed-name-removal`).
    package let delayedNameRemoval: Bool
    /// Where samples are counted by step; nil when nobody asks.
    var counts: SampleCounts?
    /// Bytes of labels that were made for this evaluation, held until it ends.
    private var labelBytes = 0

    package init(
        context: ReadContext, annotations: Annotations, delayedNameRemoval: Bool = false
    ) {
        self.context = context
        self.annotations = annotations
        self.delayedNameRemoval = delayedNameRemoval
    }

    deinit { giveBack() }

    /// Gives back what labels took: the evaluation has ended.
    func giveBack() {
        context.release(labelBytes)
        labelBytes = 0
    }

    /// Takes bytes for labels, which live until the evaluation ends.
    package func reserveLabels(_ byteCount: Int) throws(QueryInterruption) {
        labelBytes += byteCount
        try context.reserve(byteCount)
    }

    /// The series a function yields whose result is another metric than its input.
    package func renamed(_ series: [OutputSeries]) throws -> [OutputSeries] {
        var result = series
        var bytes = 0
        for index in result.indices {
            if index & 1023 == 1023 {
                try context.check()
                try reserveLabels(bytes)
                bytes = 0
            }
            result[index].dropName = true
            if delayedNameRemoval { continue }
            let labels = series[index].labels.withoutName
            bytes += labels.bytes.count + OutputSeries.overheadBytes
            result[index].labels = labels
        }
        try reserveLabels(bytes)
        return result
    }
}

/// An operator whose outputs need several inputs: pulls inputs until the next output is complete.
///
/// Subclasses fill `outputs` in `prepare` and say for each how many inputs it needs.
package class GatheringOperator: VectorOperator {
    package struct Output {
        package var series: OutputSeries
        /// Inputs `0..<inputsNeeded` must have been consumed before the output is complete.
        package var inputsNeeded: Int
    }
    package let input: any VectorOperator
    package let steps: Int
    package let scope: EvaluationScope
    package var outputs: [Output] = []
    /// Each output is the input of the same number as it is: columns pass through untouched.
    package var passesThrough = false
    private var consumed = 0
    private var produced = 0
    private var scratch: StepColumn

    package init(_ input: any VectorOperator, steps: Int, scope: EvaluationScope) {
        self.input = input
        self.steps = steps
        self.scope = scope
        scratch = StepColumn(steps: steps)
    }

    package func series() throws -> [OutputSeries] {
        try prepare(try input.series())
        return outputs.map(\.series)
    }

    package func next(into column: inout StepColumn) throws {
        if passesThrough { return try input.next(into: &column) }
        let index = produced
        produced += 1
        while consumed < outputs[index].inputsNeeded {
            try scope.context.check()
            try input.next(into: &scratch)
            try consume(consumed, scratch)
            consumed += 1
        }
        try produce(index, into: &column)
    }

    func prepare(_ series: [OutputSeries]) throws {}
    func consume(_ index: Int, _ column: StepColumn) throws {}
    func produce(_ index: Int, into column: inout StepColumn) throws {}
}
