// SPDX-License-Identifier: Apache-2.0
// A batch without some of its series.

import Base
import Telemetry

extension MetricBatch {
    /// A batch of its own with the series that `keep` wants and everything of theirs; metadata
    /// stays. Nothing of the others is left in its bytes. O(bytes kept).
    func keeping(_ keep: (UInt32) -> Bool) -> MetricBatch {
        var result = MetricBatch()
        var places = [UInt32?](repeating: nil, count: series.count)
        for (index, ref) in series.enumerated() where keep(UInt32(index)) {
            let slice = arena.withSlice(ref.slice) { result.arena.keep($0) }
            places[index] = UInt32(result.series.count)
            result.series.append(LabelsRef(slice: slice, hash: ref.hash))
        }
        for i in sampleSeries.indices {
            guard let place = places[Int(sampleSeries[i])] else { continue }
            result.addSample(
                series: place, millis: sampleMillis[i], value: sampleValues[i],
                startMillis: sampleStartMillis.isEmpty ? 0 : sampleStartMillis[i])
        }
        for i in histogramSeries.indices {
            guard let place = places[Int(histogramSeries[i])] else { continue }
            let slice = arena.withSlice(histograms[i]) { result.arena.keep($0) }
            result.addHistogram(
                series: place, millis: histogramMillis[i], slice: slice,
                startMillis: histogramStartMillis.isEmpty ? 0 : histogramStartMillis[i])
        }
        for i in exemplarSeries.indices {
            guard let place = places[Int(exemplarSeries[i])] else { continue }
            arena.withSlice(exemplarLabels[i]) { labels in
                result.addExemplar(
                    series: place, millis: exemplarMillis[i], value: exemplarValues[i],
                    labels: labels)
            }
        }
        for entry in metadata {
            arena.withSlice(entry.family) { family in
                arena.withSlice(entry.help) { help in
                    arena.withSlice(entry.unit) { unit in
                        result.addMetadata(
                            family: family, type: entry.type, help: help, unit: unit)
                    }
                }
            }
        }
        return result
    }
}
