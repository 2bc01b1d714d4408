// SPDX-License-Identifier: Apache-2.0
// What a metrics query asks and answers.

import Telemetry

/// A metrics query and its bounds.
package struct MetricsQuery: Sendable {
    package var query: TraceQLQuery
    package var tenant: Tenant
    package var grid: MetricsGrid
    /// Series at most in the answer; 0 = no limit. What exceeds it is left out and the answer says so.
    package var maxSeries: Int
    /// Exemplars at most in the answer; instant queries have none. `with(exemplars=n)` has precedence.
    package var maxExemplars: Int

    /// Most exemplars that may be asked for.
    package static let exemplarLimit = 10_000

    package init(
        _ query: TraceQLQuery, tenant: Tenant, grid: MetricsGrid, maxSeries: Int = 1000,
        maxExemplars: Int = 100
    ) {
        self.query = query
        self.tenant = tenant
        self.grid = grid
        self.maxSeries = maxSeries
        self.maxExemplars = maxExemplars
    }
}

package struct MetricsLabel: Sendable, Equatable {
    package var name: String
    package var value: AttributeValue

    package init(_ name: String, _ value: AttributeValue) {
        self.name = name
        self.value = value
    }

    static let metricName = "__name__"
}

/// A span behind a sample.
package struct MetricsExemplar: Sendable, Equatable {
    package var traceID: TraceID
    package var spanID: SpanID
    /// Start of the span.
    package var timestampMillis: Int64
    /// The span's own value where the query reads one, else that of the sample.
    package var value: Double

    /// As Tempo's clients look for them.
    package var labels: [MetricsLabel] {
        [
            MetricsLabel("trace:id", .string(traceID.description)),
            MetricsLabel("span:id", .string(spanID.description)),
        ]
    }
}

package struct MetricsSeries: Sendable {
    /// In order; values typed as the query's attributes are.
    package var labels: [MetricsLabel]
    /// One per interval of the grid; NaN where there is no sample.
    package var values: [Double]
    package var exemplars: [MetricsExemplar] = []
}

/// What was read for an answer.
package struct MetricsStatistics: Sendable, Equatable {
    package var inspectedSpans = 0
    package var inspectedBytes = 0
    /// Whole traces read, where spans alone do not decide the query.
    package var inspectedTraces = 0
    /// Spans that were counted.
    package var matchedSpans = 0
}

package struct MetricsAnswer: Sendable {
    package var grid: MetricsGrid
    /// Fewest labels first, then by label names and values.
    package var series: [MetricsSeries]
    /// Why the answer is not all; nil when it is.
    package var partialMessage: String?
    package var statistics: MetricsStatistics
}
