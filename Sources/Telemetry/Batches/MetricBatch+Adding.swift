// SPDX-License-Identifier: Apache-2.0
// Adding histograms, exemplars and metadata to a batch.

import Base

extension MetricBatch {
    /// Adds a histogram whose encoding is in the arena.
    package mutating func addHistogram(
        series: UInt32, millis: Int64, slice: ByteSlice, startMillis: Int64 = 0
    ) {
        if startMillis != 0, histogramStartMillis.isEmpty {
            histogramStartMillis = [Int64](repeating: 0, count: histogramSeries.count)
        }
        histogramSeries.append(series)
        histogramMillis.append(millis)
        histograms.append(slice)
        if startMillis != 0 || !histogramStartMillis.isEmpty {
            histogramStartMillis.append(startMillis)
        }
    }

    /// Encodes a histogram into the arena and adds it.
    package mutating func addHistogram(
        series: UInt32, millis: Int64, _ histogram: NativeHistogram, startMillis: Int64 = 0
    ) {
        addHistogram(
            series: series, millis: millis, slice: arena.keep(histogram), startMillis: startMillis)
    }

    /// Adds an exemplar.
    ///
    /// - Parameter labels: canonical label bytes.
    package mutating func addExemplar(
        series: UInt32, millis: Int64, value: Double, labels: UnsafeRawBufferPointer
    ) {
        exemplarSeries.append(series)
        exemplarMillis.append(millis)
        exemplarValues.append(value)
        exemplarLabels.append(arena.keep(labels))
    }

    /// Adds a family's metadata, copying its texts.
    package mutating func addMetadata(
        family: UnsafeRawBufferPointer, type: MetricType, help: UnsafeRawBufferPointer,
        unit: UnsafeRawBufferPointer
    ) {
        metadata.append(
            Metadata(
                family: arena.keep(family), type: type, help: arena.keep(help),
                unit: arena.keep(unit)))
    }
}

extension Array where Element == UInt8 {
    /// Appends a histogram's encoding and says where it lies.
    package mutating func keep(_ histogram: NativeHistogram) -> ByteSlice {
        let start = count
        var writer = ByteWriter()
        swap(&writer.bytes, &self)
        histogram.encode(into: &writer)
        swap(&writer.bytes, &self)
        return ByteSlice(offset: start, count: count - start)
    }
}
