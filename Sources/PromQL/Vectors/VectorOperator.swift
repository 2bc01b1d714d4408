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

    package init(
        context: ReadContext, annotations: Annotations, delayedNameRemoval: Bool = false
    ) {
        self.context = context
        self.annotations = annotations
        self.delayedNameRemoval = delayedNameRemoval
    }

    /// The series a function yields whose result is another metric than its input.
    package func renamed(_ series: OutputSeries) -> OutputSeries {
        OutputSeries(
            delayedNameRemoval ? series.labels : series.labels.withoutName, dropName: true)
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

extension Labels {
    static let metricName = "__name__"

    /// The set without the metric name.
    package var withoutName: Labels { without([Labels.metricName]) }

    /// The set without the named labels.
    package func without(_ names: [String]) -> Labels {
        filtered { name in !names.contains { equalUTF8($0, name) } }
    }

    /// The set of only the named labels.
    package func keeping(_ names: [String]) -> Labels {
        filtered { name in names.contains { equalUTF8($0, name) } }
    }

    private func filtered(_ isKept: (UnsafeRawBufferPointer) -> Bool) -> Labels {
        var writer = ByteWriter()
        forEachBytes { name, value in
            if isKept(name) {
                writer.lengthPrefixed(name)
                writer.lengthPrefixed(value)
            }
        }
        return writer.bytes.count == bytes.count ? self : Labels(canonical: writer.bytes)
    }

    /// The set with a label set, or removed when the value is empty.
    package func setting(_ name: String, _ value: String) -> Labels {
        var builder = LabelsBuilder(self)
        builder.set(name, value)
        return builder.labels()
    }
}

private func equalUTF8(_ text: String, _ bytes: UnsafeRawBufferPointer) -> Bool {
    text.utf8.count == bytes.count && text.utf8.elementsEqual(bytes)
}
