// SPDX-License-Identifier: Apache-2.0
// What metric queries answer.

import PromQL
import Telemetry

/// A series with its values at the steps of the query.
///
/// `labels` may hold labels with an empty value, which LogQL tells apart from absent ones.
package struct MetricSeries: Sendable {
    package var labels: Labels
    package var column: StepColumn
    package init(labels: Labels, column: StepColumn) {
        self.labels = labels
        self.column = column
    }
}

/// What a metric query answers.
package struct MetricResult: Sendable {
    package enum Value: Sendable {
        /// A query of numbers alone: the same at each step.
        case scalar(Double)
        /// Ascending by labels, except where the query sorts. Without series that have no point.
        case series([MetricSeries])
    }
    package var value: Value
    package var steps: EvaluationSteps
    package var statistics: LogQLStatistics
}
