// SPDX-License-Identifier: Apache-2.0
// Leaving entries of a batch out.

extension MetricBatch {
    /// The batch without some samples and histograms, given by their places in the columns.
    /// Series, exemplars and metadata stay. O(entries).
    package func removing(samples: Set<Int>, histograms removed: Set<Int>) -> MetricBatch {
        var result = self
        if !samples.isEmpty {
            result.sampleSeries = sampleSeries.removing(samples)
            result.sampleMillis = sampleMillis.removing(samples)
            result.sampleValues = sampleValues.removing(samples)
            result.sampleStartMillis = sampleStartMillis.removing(samples)
        }
        if !removed.isEmpty {
            result.histogramSeries = histogramSeries.removing(removed)
            result.histogramMillis = histogramMillis.removing(removed)
            result.histogramStartMillis = histogramStartMillis.removing(removed)
            result.histograms = histograms.removing(removed)
        }
        return result
    }
}

extension Array {
    fileprivate func removing(_ indices: Set<Int>) -> [Element] {
        if isEmpty { return self }
        return enumerated().filter { !indices.contains($0.offset) }.map(\.element)
    }
}
