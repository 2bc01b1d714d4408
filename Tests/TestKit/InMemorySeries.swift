// SPDX-License-Identifier: Apache-2.0
// A metric store in memory.

import Base
import Telemetry

/// Series in plain arrays, for engines to read. Fill it, then share it: reading takes a copy.
package struct InMemorySeries: SeriesReading {
    private var columns: [Labels: SampleColumns] = [:]

    package init() {}

    package mutating func removeAll() { columns.removeAll() }

    /// Replaces the samples of a series from `columns`' first time on and keeps the earlier ones.
    package mutating func append(_ labels: Labels, _ new: SampleColumns) {
        guard var merged = columns[labels], let first = new.millis.first else {
            if new.count > 0 { columns[labels] = new }
            return
        }
        if let last = merged.millis.last, last >= first {
            let kept = merged
            merged.removeAll()
            for i in 0..<kept.count where kept.millis[i] < first {
                InMemorySeries.append(i, of: kept, to: &merged)
            }
        }
        for i in 0..<new.count { InMemorySeries.append(i, of: new, to: &merged) }
        columns[labels] = merged
    }

    private static func append(
        _ index: Int, of columns: SampleColumns, to target: inout SampleColumns
    ) {
        let start = columns.startMillis.isEmpty ? 0 : columns.startMillis[index]
        if !columns.histograms.isEmpty, let histogram = columns.histograms[index] {
            target.append(
                millis: columns.millis[index], histogram: histogram, startMillis: start)
        } else {
            target.append(
                millis: columns.millis[index], value: columns.values[index], startMillis: start)
        }
    }

    private func selected(_ request: SeriesRequest) -> [(Labels, SampleColumns)] {
        columns.filter { request.matchers.match($0.key) }.sorted { $0.key < $1.key }
            .map { ($0.key, $0.value) }
    }

    package func select(
        _ request: SeriesRequest, _ context: ReadContext
    ) throws -> any SeriesSet {
        InMemorySeriesSet(series: selected(request), range: request.range)
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
}

private struct InMemorySeriesSet: SeriesSet {
    let series: [(Labels, SampleColumns)]
    let range: MillisRange

    var count: Int { series.count }
    func labels(_ index: Int) -> Labels { series[index].0 }

    func read(
        _ index: Int, into columns: inout SampleColumns, _ context: ReadContext
    ) throws {
        let source = series[index].1
        let before = columns.count
        for i in 0..<source.count {
            let millis = source.millis[i]
            if millis < range.first.rawValue || millis > range.last.rawValue { continue }
            let start = source.startMillis.isEmpty ? 0 : source.startMillis[i]
            if !source.histograms.isEmpty, let histogram = source.histograms[i] {
                columns.append(millis: millis, histogram: histogram, startMillis: start)
            } else {
                columns.append(millis: millis, value: source.values[i], startMillis: start)
            }
        }
        try context.count(samples: columns.count - before)
    }
}
