// SPDX-License-Identifier: Apache-2.0
// Samples of many series in columns.

/// What one request or scrape brings: series once, samples in columns that point at them.
@usableFromInline package struct MetricBatch: Sendable {
    /// Metadata of a metric family, as sent.
    package struct Metadata: Sendable, BitwiseCopyable {
        package var family: ByteSlice
        package var type: MetricType
        package var help: ByteSlice
        package var unit: ByteSlice
        package init(family: ByteSlice, type: MetricType, help: ByteSlice, unit: ByteSlice) {
            self.family = family
            self.type = type
            self.help = help
            self.unit = unit
        }
    }

    /// Label bytes, encoded histograms, exemplar labels, metadata text.
    package var arena: [UInt8] = []
    /// Distinct series; a series may appear twice, stores resolve it by its bytes.
    package var series: [LabelsRef] = []

    // Float samples, one entry per sample in each column.
    /// Index into `series`.
    @usableFromInline package var sampleSeries: [UInt32] = []
    @usableFromInline package var sampleMillis: [Int64] = []
    @usableFromInline package var sampleValues: [Double] = []
    /// Start ("created") timestamps, 0 = unknown; empty when no sample has one.
    @usableFromInline package var sampleStartMillis: [Int64] = []

    // Native histogram samples.
    package var histogramSeries: [UInt32] = []
    package var histogramMillis: [Int64] = []
    /// Start timestamps, 0 = unknown; empty when none has one.
    package var histogramStartMillis: [Int64] = []
    /// `NativeHistogram.encode` bytes in the arena.
    package var histograms: [ByteSlice] = []

    // Exemplars.
    package var exemplarSeries: [UInt32] = []
    package var exemplarMillis: [Int64] = []
    package var exemplarValues: [Double] = []
    /// Canonical label bytes in the arena.
    package var exemplarLabels: [ByteSlice] = []

    package var metadata: [Metadata] = []

    package init() {}

    package var isEmpty: Bool {
        sampleSeries.isEmpty && histogramSeries.isEmpty && exemplarSeries.isEmpty
            && metadata.isEmpty
    }

    /// Adds a series from canonical labels and returns its index.
    package mutating func addSeries(_ labels: Labels) -> UInt32 {
        let slice = labels.bytes.withUnsafeBytes { arena.keep($0) }
        series.append(LabelsRef(slice: slice, hash: labels.hash))
        return UInt32(series.count - 1)
    }

    @inlinable package mutating func addSample(
        series: UInt32, millis: Int64, value: Double, startMillis: Int64 = 0
    ) {
        if startMillis != 0, sampleStartMillis.isEmpty {
            sampleStartMillis = [Int64](repeating: 0, count: sampleSeries.count)
        }
        sampleSeries.append(series)
        sampleMillis.append(millis)
        sampleValues.append(value)
        if startMillis != 0 || !sampleStartMillis.isEmpty { sampleStartMillis.append(startMillis) }
    }
}

/// Type of a metric family. Raw values are those of remote write 2.0's `MetricType`.
package enum MetricType: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case unknown = 0, counter, gauge, histogram, gaugeHistogram, summary, info, stateSet

    /// As Prometheus' metadata API and exposition formats spell it.
    package var text: String {
        switch self {
        case .unknown: "unknown"
        case .counter: "counter"
        case .gauge: "gauge"
        case .histogram: "histogram"
        case .gaugeHistogram: "gaugehistogram"
        case .summary: "summary"
        case .info: "info"
        case .stateSet: "stateset"
        }
    }
}
