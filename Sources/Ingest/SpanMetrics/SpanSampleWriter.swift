// SPDX-License-Identifier: Apache-2.0
// Counters of spans as samples.

import Base
import Telemetry

/// One round of writing: samples of all series at one time, in batches of bounded size, each of which
/// has a number of its own.
///
/// A series that is written for the first time begins with 0 at the time of the round before, so
/// that a rate has what it grew by; all its samples carry that time as their start.
struct SpanSampleWriter {
    /// Samples of a batch, about.
    private static let batchSamples = 20_000

    /// Number of the batch at hand.
    private(set) var round: UInt64
    let nowMillis: Int64
    /// Time of the round before: no series of this process has a sample between.
    let previousMillis: Int64
    let exemplarLabel: String
    private(set) var batches: [(round: UInt64, batch: MetricBatch)] = []
    private var batch = MetricBatch()

    init(round: UInt64, nowMillis: Int64, previousMillis: Int64, exemplarLabel: String) {
        self.round = round
        self.nowMillis = nowMillis
        self.previousMillis = min(previousMillis, nowMillis - 1)
        self.exemplarLabel = exemplarLabel
    }

    /// Ends the last batch, so that `batches` has them all; none of them is empty.
    mutating func finish() {
        if !batch.isEmpty { next() }
    }

    /// Writes what a table holds and ends series that had nothing since `staleBefore`.
    mutating func write(_ table: inout SpanSeriesTable, staleBefore: Int64) {
        let shape = table.shape
        for number in table.cells.indices {
            guard let touched = table.cells[number]?.touchedMillis else { continue }
            let isStale = touched < staleBefore
            table.update(number) { cell, isOverflow in
                let labels = isStale || cell.isNamed ? [] : pairs(cell.key.bytes, shape, isOverflow)
                if isStale {
                    end(cell, shape)
                } else {
                    for index in shape.counters.indices where cell.counters[index].value > 0 {
                        write(&cell.counters[index], shape.counters[index].name, labels)
                    }
                    for index in shape.histograms.indices where !cell.histograms[index].isEmpty {
                        write(
                            &cell.histograms[index], shape.histograms[index].name, labels, shape)
                    }
                }
            }
            if isStale { table.remove(number) }
            if batch.sampleSeries.count >= Self.batchSamples { next() }
        }
    }

    /// Writes a gauge of value 1.
    mutating func write(info labels: Labels, isStale: Bool) {
        batch.addSample(
            series: batch.addSeries(labels), millis: nowMillis,
            value: isStale ? StaleMarker.value : 1)
        if batch.sampleSeries.count >= Self.batchSamples { next() }
    }

    /// Says what kind of metric a name is.
    mutating func describe(_ family: SpanSeriesShape.Family, _ type: MetricType) {
        batch.metadata.append(
            MetricBatch.Metadata(
                family: batch.arena.keep(family.name), type: type,
                help: batch.arena.keep(family.help), unit: .empty))
    }

    private mutating func next() {
        batches.append((round, batch))
        batch = MetricBatch()
        round += 1
    }

    // MARK: samples

    private mutating func write(
        _ counter: inout SpanSeriesTable.Counter, _ name: String,
        _ pairs: [(name: String, value: String)]
    ) {
        let labels = counter.labels ?? Labels(pairs + [("__name__", name)])
        counter.labels = labels
        let isFirst = begin(&counter.first)
        add(labels, counter.value, counter.first.startMillis, isFirst: isFirst)
    }

    private mutating func write(
        _ histogram: inout SpanSeriesTable.Histogram, _ name: String,
        _ pairs: [(name: String, value: String)], _ shape: SpanSeriesShape
    ) {
        if histogram.labels.isEmpty { histogram.labels = labels(name, pairs, shape) }
        let isFirst = begin(&histogram.first)
        let start = histogram.first.startMillis
        let total = histogram.counts.reduce(0, +)
        if shape.kind != .native {
            var cumulative = 0.0
            for bucket in histogram.counts.indices {
                cumulative += histogram.counts[bucket]
                let series = add(
                    histogram.labels[bucket], cumulative, start, isFirst: isFirst)
                if let exemplar = histogram.exemplars[bucket] { add(exemplar, series) }
            }
            let n = histogram.counts.count
            add(histogram.labels[n], histogram.sum, start, isFirst: isFirst)
            add(histogram.labels[n + 1], total, start, isFirst: isFirst)
        }
        if let native = histogram.native, let labels = histogram.labels.last {
            addNative(native, labels, start, isFirst: isFirst)
            if shape.kind == .native {
                let series = UInt32(batch.series.count - 1)
                for case .some(let exemplar) in histogram.exemplars { add(exemplar, series) }
            }
        }
        for bucket in histogram.exemplars.indices { histogram.exemplars[bucket] = nil }
    }

    private mutating func begin(_ first: inout SpanSeriesTable.FirstWrite) -> Bool {
        if first.round != 0 { return false }
        first = SpanSeriesTable.FirstWrite(round: round, startMillis: previousMillis)
        return true
    }

    @discardableResult
    private mutating func add(
        _ labels: Labels, _ value: Double, _ start: Int64, isFirst: Bool
    ) -> UInt32 {
        let series = batch.addSeries(labels)
        if isFirst {
            batch.addSample(series: series, millis: start, value: 0, startMillis: start)
        }
        batch.addSample(series: series, millis: nowMillis, value: value, startMillis: start)
        return series
    }

    private mutating func addNative(
        _ histogram: SparseHistogram, _ labels: Labels, _ start: Int64, isFirst: Bool
    ) {
        let series = batch.addSeries(labels)
        func add(_ value: NativeHistogram, _ millis: Int64) {
            if batch.histogramStartMillis.isEmpty {
                batch.histogramStartMillis = [Int64](
                    repeating: 0, count: batch.histogramSeries.count)
            }
            batch.histogramSeries.append(series)
            batch.histogramMillis.append(millis)
            batch.histogramStartMillis.append(start)
            batch.histograms.append(batch.arena.keep(value))
        }
        if isFirst { add(SparseHistogram(schema: histogram.schema).native, start) }
        add(histogram.native, nowMillis)
    }

    private mutating func add(_ exemplar: SpanExemplar, _ series: UInt32) {
        let labels = Labels([(exemplarLabel, exemplar.traceID.description)])
        batch.exemplarSeries.append(series)
        batch.exemplarMillis.append(min(exemplar.millis, nowMillis))
        batch.exemplarValues.append(exemplar.seconds)
        batch.exemplarLabels.append(labels.bytes.withUnsafeBytes { batch.arena.keep($0) })
    }

    /// Ends all series of a cell that have been written.
    private mutating func end(_ cell: SpanSeriesTable.Cell, _ shape: SpanSeriesShape) {
        func end(_ labels: Labels) {
            batch.addSample(
                series: batch.addSeries(labels), millis: nowMillis, value: StaleMarker.value)
        }
        for counter in cell.counters where counter.first.round != 0 {
            if let labels = counter.labels { end(labels) }
        }
        for histogram in cell.histograms where histogram.first.round != 0 {
            for labels in histogram.labels { end(labels) }
        }
    }

    // MARK: labels

    /// The labels that a key's values are of.
    private func pairs(
        _ key: [UInt8], _ shape: SpanSeriesShape, _ isOverflow: Bool
    ) -> [(name: String, value: String)] {
        if isOverflow { return [("metric_overflow", "true")] }
        return key.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            var pairs: [(name: String, value: String)] = []
            for name in shape.labelNames {
                // The key was written by us.
                guard let value = try? reader.lengthPrefixed() else { break }
                if value.isEmpty || pairs.contains(where: { $0.name == name }) { continue }
                pairs.append((name, String(decoding: value, as: UTF8.self)))
            }
            return pairs
        }
    }

    private func labels(
        _ name: String, _ pairs: [(name: String, value: String)], _ shape: SpanSeriesShape
    ) -> [Labels] {
        var result: [Labels] = []
        if shape.kind != .native {
            for bound in shape.bounds {
                result.append(
                    Labels(pairs + [("__name__", name + "_bucket"), ("le", floatText(bound))]))
            }
            result.append(Labels(pairs + [("__name__", name + "_bucket"), ("le", "+Inf")]))
            result.append(Labels(pairs + [("__name__", name + "_sum")]))
            result.append(Labels(pairs + [("__name__", name + "_count")]))
        }
        if shape.kind != .classic { result.append(Labels(pairs + [("__name__", name)])) }
        return result
    }
}

extension SpanSeriesTable.Cell {
    /// Whether all that has a value has its labels by now.
    fileprivate var isNamed: Bool {
        counters.allSatisfy { $0.value == 0 || $0.labels != nil }
            && histograms.allSatisfy { $0.isEmpty || !$0.labels.isEmpty }
    }
}

extension SpanSeriesTable {
    /// Forgets that series began with a batch that could not be stored: they begin with the next
    /// one.
    mutating func unwrite(round: UInt64) {
        for number in cells.indices {
            update(number) { cell, _ in
                for index in cell.counters.indices where cell.counters[index].first.round == round {
                    cell.counters[index].first = FirstWrite()
                }
                for index in cell.histograms.indices
                where cell.histograms[index].first.round == round {
                    cell.histograms[index].first = FirstWrite()
                }
            }
        }
    }
}
