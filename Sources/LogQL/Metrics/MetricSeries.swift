// SPDX-License-Identifier: Apache-2.0
// What metric queries compute with.

import Telemetry

/// A series with one value per evaluation step.
///
/// `labels` may hold labels with an empty value, which LogQL tells apart from absent ones.
package struct MetricSeries: Sendable {
    package var labels: Labels
    /// `Double.absent` where the series has no point.
    package var values: [Double]
    package init(labels: Labels, values: [Double]) {
        self.labels = labels
        self.values = values
    }
}

extension Double {
    /// Marks a step without a point: a NaN that no arithmetic makes. Source: the bit pattern with
    /// which Prometheus marks staleness.
    package static let absent = Double(bitPattern: 0x7ff0_0000_0000_0002)
    @inlinable package var isAbsent: Bool { bitPattern == 0x7ff0_0000_0000_0002 }
}

/// What a metric query answers.
package enum MetricResult: Sendable {
    /// A query without any selector or `vector()`: one number per step.
    case scalar([Double])
    /// Ascending by labels, except where the query's outermost operation sorts.
    case series([MetricSeries])
}
