// SPDX-License-Identifier: Apache-2.0
// Tests of rules, in promtool's format.

import PromQL
import Telemetry

/// One element of `tests:`. Times in milliseconds. Source: prometheus/prometheus
/// `docs/configuration/unit_testing_rules.md`.
package struct RuleUnitTest: Sendable {
    package struct InputSeries: Sendable {
        package var series: String
        package var values: String
        package init(series: String, values: String) {
            self.series = series
            self.values = values
        }
    }

    package struct ExpectedAlert: Sendable {
        package var labels: [RuleText]
        package var annotations: [RuleText]
        package init(labels: [RuleText], annotations: [RuleText]) {
            self.labels = labels
            self.annotations = annotations
        }
    }

    package struct AlertCase: Sendable {
        package var evalMillis: Int64 = 0
        package var alert = ""
        package var expected: [ExpectedAlert] = []
        package init() {}
    }

    package struct ExpectedSample: Sendable {
        package var labels = ""
        package var value = 0.0
        /// In series notation; empty = a float.
        package var histogram = ""
        package init() {}
    }

    package struct ExpressionCase: Sendable {
        package var expression = ""
        package var evalMillis: Int64 = 0
        package var expected: [ExpectedSample] = []
        package init() {}
    }

    package var name = ""
    /// Between the values of input series.
    package var intervalMillis: Int64 = 60_000
    package var startMillis: Int64 = 0
    package var input: [InputSeries] = []
    package var alertCases: [AlertCase] = []
    package var expressionCases: [ExpressionCase] = []
    package var surroundings = AlertTemplate.Surroundings()

    package init() {}

    /// Offset of the last case from the start.
    var lastMillis: Int64 {
        (alertCases.map(\.evalMillis) + expressionCases.map(\.evalMillis)).max() ?? 0
    }
}

/// What all tests of a file have in common.
package struct RuleUnitTestSettings: Sendable {
    package var evaluationMillis: Int64 = 60_000
    /// Groups that are evaluated in this order.
    package var groupOrder: [String] = []
    /// Whether values may differ by the last digit of their representation.
    package var isFuzzy = false
    package var parser = ParserOptions()
    package var delayedNameRemoval = false

    package init() {}
}
