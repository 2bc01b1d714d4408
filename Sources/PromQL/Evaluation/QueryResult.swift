// SPDX-License-Identifier: Apache-2.0
// What a query answers.

import Telemetry

/// A value of one series at the time of the query.
package struct VectorSample: Sendable, Equatable {
    package var labels: Labels
    package var millis: Int64
    package var value: SampleValue

    /// Bytes the sample takes, about.
    package var byteCount: Int {
        let histogram = if case .histogram(let histogram) = value { histogram.byteCount } else { 0 }
        return MemoryLayout<VectorSample>.stride + labels.bytes.count + histogram
    }
}

/// Values of one series, floats and histograms apart, each ascending in time.
package struct MatrixSeries: Sendable, Equatable {
    package var labels: Labels
    package var floatMillis: [Int64] = []
    package var floats: [Double] = []
    package var histogramMillis: [Int64] = []
    package var histograms: [NativeHistogram] = []
    /// Whether `floatMillis` lies in memory that other series use too.
    private var sharesMillis = false

    package init(labels: Labels) { self.labels = labels }

    /// The values of a column at the steps of a grid.
    ///
    /// - Parameter gridMillis: the times of all steps; a series without gaps shares them.
    init(labels: Labels, _ column: StepColumn, _ gridMillis: [Int64]) {
        self.labels = labels
        if column.isFullOfFloats {
            floatMillis = gridMillis
            floats = column.values
            sharesMillis = true
            return
        }
        var floatCount = 0
        for kind in column.kinds where kind == .float { floatCount += 1 }
        floatMillis.reserveCapacity(floatCount)
        floats.reserveCapacity(floatCount)
        for step in column.kinds.indices {
            switch column.kinds[step] {
            case .none: continue
            case .float:
                floatMillis.append(gridMillis[step])
                floats.append(column.values[step])
            case .histogram:
                guard let histogram = column.histogram(step) else { continue }
                histogramMillis.append(gridMillis[step])
                histograms.append(histogram)
            }
        }
    }

    package var isEmpty: Bool { floats.isEmpty && histograms.isEmpty }

    /// Bytes the series takes, about, without times it shares.
    package var byteCount: Int {
        labels.bytes.count + OutputSeries.overheadBytes
            + floats.count * (sharesMillis ? 8 : 16)
            + histograms.reduce(0) { $0 + $1.byteCount + 16 }
    }

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

    /// Samples or series; 0 of a single value.
    package var count: Int {
        switch self {
        case .scalar, .string: 0
        case .vector(let samples): samples.count
        case .matrix(let series): series.count
        }
    }

    /// Bytes the value takes, about.
    package var byteCount: Int {
        switch self {
        case .scalar: 0
        case .string(_, let text): text.utf8.count
        case .vector(let samples): samples.reduce(0) { $0 + $1.byteCount }
        case .matrix(let series): series.reduce(0) { $0 + $1.byteCount }
        }
    }
}

package struct QueryResult: Sendable {
    package var value: QueryValue
    /// With prefix and position, as the HTTP API prints them.
    package var warnings: [String]
    package var infos: [String]
    /// Samples by step, where they were asked for.
    package var samples: QuerySamples?
}

extension NativeHistogram {
    /// Bytes the histogram takes, about.
    fileprivate var byteCount: Int {
        MemoryLayout<NativeHistogram>.stride + (positiveBuckets.count + negativeBuckets.count) * 8
    }
}
