// SPDX-License-Identifier: Apache-2.0
// Samples in memory, for rules that are tried out.

import Base
import Ingest
import Synchronization
import Telemetry

/// A small store of series: what rules write is there for the next query. Nothing is durable and
/// nothing expires; a query costs a look at every series.
package final class SampleMemory: SeriesReading, RuleSink {
    private let series = Mutex<[Labels: SampleColumns]>([:])

    package init() {}

    package var seriesCount: Int { series.withLock { $0.count } }

    /// Takes a batch; of two values for one time the first stays, as in Prometheus' storage.
    package func write(
        metrics batch: MetricBatch, tenant: Tenant
    ) async throws(IngestError) -> MetricWriteReport {
        add(batch)
    }

    /// See `write`.
    @discardableResult
    package func add(_ batch: MetricBatch) -> MetricWriteReport {
        var report = MetricWriteReport()
        series.withLock { series in
            for (index, place) in batch.sampleSeries.enumerated() {
                let labels = batch.arena.labels(batch.series[Int(place)])
                let value = batch.sampleValues[index]
                if let refusal = series[labels, default: SampleColumns()].insert(
                    batch.sampleMillis[index], .float(value))
                {
                    report.refusals.add(refusal)
                } else {
                    report.samples += 1
                }
            }
            for (index, place) in batch.histogramSeries.enumerated() {
                let labels = batch.arena.labels(batch.series[Int(place)])
                let decoded = batch.arena.withSlice(batch.histograms[index]) {
                    try? NativeHistogram(decoding: $0)
                }
                guard let decoded else {
                    report.refusals.add("malformed histogram")
                    continue
                }
                if let refusal = series[labels, default: SampleColumns()].insert(
                    batch.histogramMillis[index], .histogram(decoded))
                {
                    report.refusals.add(refusal)
                } else {
                    report.histograms += 1
                }
            }
        }
        return report
    }

    // MARK: reading

    private func selected(_ request: SeriesRequest) -> [(Labels, SampleColumns)] {
        series.withLock { $0.filter { request.matchers.match($0.key) } }
            .sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    package func select(
        _ request: SeriesRequest, _ context: ReadContext
    ) throws -> any SeriesSet {
        Selection(series: selected(request), range: request.range)
    }

    package func labelNames(_ request: SeriesRequest, _ context: ReadContext) throws -> [String] {
        Set(selected(request).flatMap { $0.0.pairs.map(\.name) }).sorted()
    }

    package func labelValues(
        _ name: String, _ request: SeriesRequest, _ context: ReadContext
    ) throws -> [String] {
        Set(selected(request).compactMap { $0.0[name] }).sorted()
    }

    package func exemplars(
        _ request: SeriesRequest, _ context: ReadContext
    ) throws -> [Exemplar] { [] }

    package func metadata(
        _ tenant: Tenant, family: String?
    ) throws -> [(String, [MetricMetadata])] { [] }

    private struct Selection: SeriesSet {
        let series: [(Labels, SampleColumns)]
        let range: MillisRange

        var count: Int { series.count }
        func labels(_ index: Int) -> Labels { series[index].0 }

        func read(
            _ index: Int, into columns: inout SampleColumns, _ context: ReadContext
        ) throws {
            let source = series[index].1
            let first = source.index(from: range.first.rawValue)
            var place = first
            while place < source.count, source.millis[place] <= range.last.rawValue {
                columns.append(source, place)
                place += 1
            }
            try context.count(samples: place - first)
        }

        func readNewest(
            _ index: Int, into columns: inout SampleColumns, _ context: ReadContext
        ) throws {
            let source = series[index].1
            let last = range.last.rawValue
            let end = last == .max ? source.count : source.index(from: last + 1)
            guard end > 0, source.millis[end - 1] >= range.first.rawValue else { return }
            columns.append(source, end - 1)
            try context.count(samples: 1)
        }
    }
}

extension SampleColumns {
    /// Place of the first sample at or after a time.
    fileprivate func index(from time: Int64) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if millis[middle] < time { low = middle + 1 } else { high = middle }
        }
        return low
    }

    fileprivate mutating func append(_ source: SampleColumns, _ place: Int) {
        if !source.histograms.isEmpty, let histogram = source.histograms[place] {
            append(millis: source.millis[place], histogram: histogram)
        } else {
            append(millis: source.millis[place], value: source.values[place])
        }
    }

    private func value(_ place: Int) -> SeriesItemValue {
        if !histograms.isEmpty, let histogram = histograms[place] { return .histogram(histogram) }
        return .float(values[place])
    }

    /// - Returns: why the sample is refused, or nil.
    fileprivate mutating func insert(_ time: Int64, _ value: SeriesItemValue) -> String? {
        let place = index(from: time)
        if place < count, millis[place] == time {
            return self.value(place).isSame(value)
                ? nil : "duplicate sample for timestamp \(time); overrides not allowed"
        }
        guard place < count else {
            append(time, value)
            return nil
        }
        // Rare: rules write in ascending time.
        let all = self
        removeAll()
        for i in 0..<place { append(all, i) }
        append(time, value)
        for i in place..<all.count { append(all, i) }
        return nil
    }

    private mutating func append(_ time: Int64, _ value: SeriesItemValue) {
        switch value {
        case .float(let number): append(millis: time, value: number)
        case .histogram(let histogram): append(millis: time, histogram: histogram)
        }
    }
}

private enum SeriesItemValue {
    case float(Double)
    case histogram(NativeHistogram)

    func isSame(_ other: SeriesItemValue) -> Bool {
        switch (self, other) {
        case (.float(let a), .float(let b)): a.bitPattern == b.bitPattern
        case (.histogram(let a), .histogram(let b)): a == b
        default: false
        }
    }
}
