// SPDX-License-Identifier: Apache-2.0
// Series in plain arrays, for engines to read.

import Base

/// A small metric store in memory: rules that are tried out write to it, tests fill it. Nothing is
/// durable and nothing expires. A query costs a look at every series and takes a reference to what
/// is there, so that later changes do not show in it.
package struct InMemorySeries: SeriesReading {
    private var columns: [Labels: SampleColumns] = [:]

    package init() {}

    package var seriesCount: Int { columns.count }

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
            for i in 0..<kept.count where kept.millis[i] < first { merged.append(i, of: kept) }
        }
        for i in 0..<new.count { merged.append(i, of: new) }
        columns[labels] = merged
    }

    /// Adds one sample of a series, at whatever time.
    ///
    /// - Parameter sample: columns that hold just it.
    /// - Returns: false when there is another sample at its time, which stays.
    package mutating func insert(_ labels: Labels, _ sample: SampleColumns) -> Bool {
        guard let millis = sample.millis.first else { return true }
        var all = columns.removeValue(forKey: labels) ?? SampleColumns()
        defer { columns[labels] = all }
        let place = all.index(from: millis)
        if place < all.count, all.millis[place] == millis { return all.isSame(place, sample) }
        // Nearly always at the end: senders write in ascending time.
        var later = SampleColumns()
        for i in place..<all.count { later.append(i, of: all) }
        if place < all.count {
            let earlier = all
            all.removeAll()
            for i in 0..<place { all.append(i, of: earlier) }
        }
        all.append(0, of: sample)
        for i in 0..<later.count { all.append(i, of: later) }
        return true
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

    /// Places of the samples inside the range.
    private func places(_ source: SampleColumns) -> Range<Int> {
        let first = source.index(from: range.first.rawValue)
        let last = range.last.rawValue
        let end = last == .max ? source.count : source.index(from: last + 1)
        return first..<max(first, end)
    }

    func read(
        _ index: Int, into columns: inout SampleColumns, _ context: ReadContext
    ) throws {
        let source = series[index].1
        let places = places(source)
        for i in places { columns.append(i, of: source) }
        try context.count(samples: places.count)
    }
}

extension SampleColumns {
    /// Place of the first sample at or after a time. The times must ascend.
    fileprivate func index(from time: Int64) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if millis[middle] < time { low = middle + 1 } else { high = middle }
        }
        return low
    }

    fileprivate mutating func append(_ index: Int, of other: SampleColumns) {
        let start = other.startMillis.isEmpty ? 0 : other.startMillis[index]
        if !other.histograms.isEmpty, let histogram = other.histograms[index] {
            append(millis: other.millis[index], histogram: histogram, startMillis: start)
        } else {
            append(millis: other.millis[index], value: other.values[index], startMillis: start)
        }
    }

    /// Whether a sample has the value, bit for bit, of the only one of `other`.
    fileprivate func isSame(_ index: Int, _ other: SampleColumns) -> Bool {
        let mine = histograms.isEmpty ? nil : histograms[index]
        let theirs = other.histograms.isEmpty ? nil : other.histograms[0]
        if mine != nil || theirs != nil { return mine == theirs }
        return values[index].bitPattern == other.values[0].bitPattern
    }
}
