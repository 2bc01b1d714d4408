// SPDX-License-Identifier: Apache-2.0
// What a query answers.

import Telemetry

/// A value of one series at the time of the query.
package struct VectorSample: Sendable, Equatable {
    package var labels: Labels
    package var millis: Int64
    package var value: SampleValue
}

/// Values of one series, floats and histograms apart, each ascending in time.
package struct MatrixSeries: Sendable, Equatable {
    package var labels: Labels
    package var floatMillis: [Int64] = []
    package var floats: [Double] = []
    package var histogramMillis: [Int64] = []
    package var histograms: [NativeHistogram] = []

    package init(labels: Labels) { self.labels = labels }

    package var isEmpty: Bool { floats.isEmpty && histograms.isEmpty }

    mutating func append(_ millis: Int64, _ value: SampleValue) {
        switch value {
        case .float(let float):
            floatMillis.append(millis)
            floats.append(float)
        case .histogram(let histogram):
            histogramMillis.append(millis)
            histograms.append(histogram)
        }
    }
}

package enum QueryValue: Sendable, Equatable {
    case scalar(millis: Int64, Double)
    case string(millis: Int64, String)
    /// In the order the query asks for.
    case vector([VectorSample])
    /// Sorted by labels.
    case matrix([MatrixSeries])
}

package struct QueryResult: Sendable {
    package var value: QueryValue
    /// With prefix and position, as the HTTP API prints them.
    package var warnings: [String]
    package var infos: [String]
}
