// SPDX-License-Identifier: Apache-2.0
// Classic histograms of a text exposition as native ones.

import Base
import Telemetry
import Wire

/// Turns the classic histograms of an exposition into native ones with custom bounds.
///
/// Source: prometheus/prometheus `model/textparse/nhcbparse.go`. A histogram whose counts contradict
/// each other stays as it is.
struct ClassicConversion {
    private struct Group {
        var histogram = ClassicHistogram()
        var isBroken = false
        /// Samples that are the histogram's.
        var samples: [Int] = []
        var labels: Labels
        var hasBucket = false
    }
    private enum Part { case bucket, count, sum }

    private let source: ExpositionBatch
    private let keepsClassic: Bool
    private let families: Set<String>

    init(_ source: ExpositionBatch, keepsClassic: Bool) {
        self.source = source
        self.keepsClassic = keepsClassic
        var families: Set<String> = []
        for entry in source.batch.metadata where entry.type == .histogram {
            families.insert(
                source.batch.arena.withSlice(entry.family) { String(decoding: $0, as: UTF8.self) })
        }
        self.families = families
    }

    func converted() -> ExpositionBatch {
        if families.isEmpty { return source }
        var groups: [Labels: Group] = [:]
        var order: [Labels] = []
        for sample in source.batch.sampleSeries.indices {
            let series = Int(source.batch.sampleSeries[sample])
            let labels = source.batch.arena.labels(source.batch.series[series])
            guard let (family, part) = part(labels["__name__"] ?? "") else { continue }
            var builder = LabelsBuilder(labels)
            let bound = labels["le"].flatMap { parseFloat($0) }
            if part == .bucket, bound == nil { continue }
            builder.set("__name__", family)
            if part == .bucket { builder.remove("le") }
            let key = builder.labels()
            if groups[key] == nil {
                groups[key] = Group(labels: key)
                order.append(key)
            }
            add(sample, part, bound ?? 0, to: &groups[key, default: Group(labels: key)])
        }
        return result(order.compactMap { groups[$0] })
    }

    private func part(_ name: String) -> (family: String, part: Part)? {
        for (suffix, part) in [("_bucket", Part.bucket), ("_count", .count), ("_sum", .sum)]
        where name.hasSuffix(suffix) {
            let family = String(name.dropLast(suffix.utf8.count))
            if families.contains(family) { return (family, part) }
        }
        return nil
    }

    private func add(_ sample: Int, _ part: Part, _ bound: Double, to group: inout Group) {
        let value = source.batch.sampleValues[sample]
        group.samples.append(sample)
        switch part {
        case .sum: group.histogram.sum = value
        case .count: group.histogram.count = value
        case .bucket:
            group.hasBucket = true
            do throws(InvalidHistogram) {
                try group.histogram.add(bound: bound, cumulative: value)
            } catch { group.isBroken = true }
        }
    }

    private func result(_ groups: [Group]) -> ExpositionBatch {
        var natives: [(group: Group, histogram: NativeHistogram)] = []
        for group in groups where group.hasBucket && !group.isBroken {
            do throws(InvalidHistogram) {
                natives.append((group, try group.histogram.native()))
            } catch {
                // Kept as classic buckets.
                continue
            }
        }
        var result = source
        var owner: [Int: UInt32] = [:]
        for (group, histogram) in natives {
            let first = group.samples[0]
            let series = result.batch.addSeries(group.labels)
            let starts = source.batch.sampleStartMillis
            result.batch.addHistogram(
                series: series, millis: source.batch.sampleMillis[first], histogram,
                startMillis: starts.isEmpty ? 0 : starts[first])
            result.isHistogramExplicit.append(source.isExplicit[first])
            for sample in group.samples {
                owner[Int(source.batch.sampleSeries[sample])] = series
            }
        }
        // Exemplars of the buckets become the histogram's, as long as they state their time.
        for index in result.batch.exemplarSeries.indices {
            if let series = owner[Int(result.batch.exemplarSeries[index])] {
                result.batch.exemplarSeries[index] = series
            }
        }
        if !keepsClassic { result.dropSamples { owner[$0] != nil } }
        return result
    }
}

extension ExpositionBatch {
    /// Takes out the float samples of some series.
    fileprivate mutating func dropSamples(of isDropped: (Int) -> Bool) {
        let kept = batch.sampleSeries.indices.filter { !isDropped(Int(batch.sampleSeries[$0])) }
        isExplicit = kept.map { isExplicit[$0] }
        batch.sampleMillis = kept.map { batch.sampleMillis[$0] }
        batch.sampleValues = kept.map { batch.sampleValues[$0] }
        if !batch.sampleStartMillis.isEmpty {
            batch.sampleStartMillis = kept.map { batch.sampleStartMillis[$0] }
        }
        batch.sampleSeries = kept.map { batch.sampleSeries[$0] }
    }
}
