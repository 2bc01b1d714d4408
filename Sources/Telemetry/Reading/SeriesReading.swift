// SPDX-License-Identifier: Apache-2.0
// How engines read metrics.

/// What of the selected series is going to be read.
package enum SamplesNeeded: Sendable {
    case all
    /// At most the newest sample of each: only `readNewest` is called. Stores need not hold more.
    case newest
}

/// What is going to be made of the samples. It decides which figures of a bucket are read where data
/// is down-sampled; raw samples are the same for all.
package enum SampleAggregate: Sendable, Equatable {
    /// The last sample of each bucket, as it was.
    case last
    /// The last samples, and those around each fall of the value inside a bucket: what is needed to
    /// follow a counter.
    case counter
    /// The least, or the greatest, value of each bucket in place of the last.
    case min, max
    /// The sum of each bucket in place of the last, and how many samples it is of
    /// (`SampleColumns.counts`).
    case sum
}

/// Days whose samples are down-sampled.
package struct CoarseRange: Sendable, Equatable {
    package var range: MillisRange
    /// Length of a bucket.
    package var resolutionMillis: Int64
    package init(range: MillisRange, resolutionMillis: Int64) {
        self.range = range
        self.resolutionMillis = resolutionMillis
    }
}

/// A selection of series and a stretch of time.
package struct SeriesRequest: Sendable {
    package var tenant: Tenant
    package var matchers: [LabelMatcher]
    /// Both ends inclusive.
    package var range: MillisRange
    package var samples: SamplesNeeded
    package var aggregate = SampleAggregate.last

    package init(
        tenant: Tenant, matchers: [LabelMatcher], range: MillisRange,
        samples: SamplesNeeded = .all, aggregate: SampleAggregate = .last
    ) {
        self.aggregate = aggregate
        self.tenant = tenant
        self.matchers = matchers
        self.range = range
        self.samples = samples
    }
}

/// Samples of one series in ascending time, one entry per sample in each column.
package struct SampleColumns: Sendable {
    package var millis: [Int64] = []
    /// Float values; where the sample is a histogram the value is 0 and must not be used.
    package var values: [Double] = []
    /// Empty when all samples are floats; else nil marks a float.
    package var histograms: [NativeHistogram?] = []
    /// Start timestamps, 0 = unknown; empty when none is known.
    package var startMillis: [Int64] = []
    /// How many samples each value is the sum of (`SampleAggregate.sum`), 0 for a stale marker;
    /// empty when each is one sample.
    package var counts: [Double] = []

    package init() {}

    package var count: Int { millis.count }

    /// Empties the columns and keeps their memory.
    package mutating func removeAll() {
        millis.removeAll(keepingCapacity: true)
        values.removeAll(keepingCapacity: true)
        histograms.removeAll(keepingCapacity: true)
        startMillis.removeAll(keepingCapacity: true)
        counts.removeAll(keepingCapacity: true)
    }

    /// Whether a sample is a stale marker.
    package func isStale(_ index: Int) -> Bool {
        let histogram = histograms.isEmpty ? nil : histograms[index]
        return histogram?.isStale ?? StaleMarker.isStale(values[index])
    }

    /// Takes out what is before the last sample from `start` on.
    package mutating func keepNewest(from start: Int) {
        let last = count - 1
        guard start < last else { return }
        millis.removeSubrange(start..<last)
        values.removeSubrange(start..<last)
        if !histograms.isEmpty { histograms.removeSubrange(start..<last) }
        if !startMillis.isEmpty { startMillis.removeSubrange(start..<last) }
        if !counts.isEmpty { counts.removeSubrange(start..<last) }
    }

    package mutating func append(millis t: Int64, value: Double, startMillis start: Int64 = 0) {
        millis.append(t)
        values.append(value)
        if !histograms.isEmpty { histograms.append(nil) }
        if !counts.isEmpty { counts.append(1) }
        appendStart(start)
    }

    package mutating func append(
        millis t: Int64, histogram: NativeHistogram, startMillis start: Int64 = 0
    ) {
        if histograms.isEmpty {
            histograms = [NativeHistogram?](repeating: nil, count: millis.count)
        }
        millis.append(t)
        values.append(0)
        histograms.append(histogram)
        if !counts.isEmpty { counts.append(1) }
        appendStart(start)
    }

    private mutating func appendStart(_ start: Int64) {
        if start != 0, startMillis.isEmpty, millis.count > 1 {
            startMillis = [Int64](repeating: 0, count: millis.count - 1)
        }
        if start != 0 || !startMillis.isEmpty { startMillis.append(start) }
    }
}

/// The series of one selection: labels known at once, samples on demand.
///
/// Holds a snapshot: what is appended, sealed or expired later does not change it. Safe to read
/// from several threads, each with columns of its own.
package protocol SeriesSet: Sendable {
    var count: Int { get }
    /// Labels of series `index`; the set is sorted by labels (`Labels.<`) and has no duplicates.
    func labels(_ index: Int) -> Labels
    /// Appends the series' samples inside the requested range to `columns`, ascending, one per
    /// timestamp, stale markers included, and counts them in `context`.
    func read(_ index: Int, into columns: inout SampleColumns, _ context: ReadContext) throws
    /// Appends the newest sample inside the requested range, stale marker or not, if there is one.
    /// Leaves it to the caller to ask `context` whether to go on.
    func readNewest(
        _ index: Int, into columns: inout SampleColumns, _ context: ReadContext) throws
}

extension SeriesSet {
    /// Reads all and keeps the newest; sets that find it for less have their own.
    package func readNewest(
        _ index: Int, into columns: inout SampleColumns, _ context: ReadContext
    ) throws {
        let start = columns.count
        try read(index, into: &columns, context)
        columns.keepNewest(from: start)
    }
}

/// A group of series, and how many of them have a value.
package struct PresentGroup: Sendable, Equatable {
    /// What the series have in common.
    package var labels: Labels
    package var count: Int
    package init(labels: Labels, count: Int) {
        self.labels = labels
        self.count = count
    }
}

/// An exemplar with the labels of its series.
package struct Exemplar: Sendable, Equatable {
    package var series: Labels
    package var labels: Labels
    package var millis: Int64
    package var value: Double
    package init(series: Labels, labels: Labels, millis: Int64, value: Double) {
        self.series = series
        self.labels = labels
        self.millis = millis
        self.value = value
    }
}

/// Metadata of a metric family.
package struct MetricMetadata: Sendable, Hashable {
    package var type: MetricType
    package var help: String
    package var unit: String
    package init(type: MetricType, help: String, unit: String) {
        self.type = type
        self.help = help
        self.unit = unit
    }
}

/// What a metric store answers.
package protocol SeriesReading: Sendable {
    /// Series with at least one sample in a part or head that overlaps the range; may return
    /// series whose samples all lie outside it.
    func select(_ request: SeriesRequest, _ context: ReadContext) throws -> any SeriesSet
    /// How many of the selected series have a value at the end of the range: the newest sample in it
    /// is no stale marker. By what `names` leaves of their labels, ascending by it; groups without
    /// any are left out.
    ///
    /// - Parameter isCounted: without it the counts may be any above zero, which is less work.
    func present(
        _ request: SeriesRequest, by names: LabelNameSet, isCounted: Bool, _ context: ReadContext
    ) throws -> [PresentGroup]
    /// Names of labels on the selected series, ascending. Empty matchers select everything.
    func labelNames(_ request: SeriesRequest, _ context: ReadContext) throws -> [String]
    /// Values of one label on the selected series, ascending.
    func labelValues(
        _ name: String, _ request: SeriesRequest, _ context: ReadContext
    ) throws
        -> [String]
    /// Days in the range that a store holds down-sampled, ascending; none of them overlap.
    func coarseRanges(_ tenant: Tenant, _ range: MillisRange) -> [CoarseRange]
    /// Exemplars of the selected series, by series and then time.
    func exemplars(_ request: SeriesRequest, _ context: ReadContext) throws -> [Exemplar]
    /// Metadata by family name.
    func metadata(_ tenant: Tenant, family: String?) throws -> [(String, [MetricMetadata])]
}

extension SeriesReading {
    /// Stores that only have raw samples need not say so.
    package func coarseRanges(_ tenant: Tenant, _ range: MillisRange) -> [CoarseRange] { [] }

    /// Reads every series; stores that know better have their own.
    package func present(
        _ request: SeriesRequest, by names: LabelNameSet, isCounted: Bool, _ context: ReadContext
    ) throws -> [PresentGroup] {
        var request = request
        request.samples = .newest
        let set = try select(request, context)
        var counts: [Labels: Int] = [:]
        var newest = SampleColumns()
        for index in 0..<set.count {
            newest.removeAll()
            try set.readNewest(index, into: &newest, context)
            if newest.count > 0, !newest.isStale(0) {
                counts[names.apply(set.labels(index)), default: 0] += 1
            }
        }
        return counts.map { PresentGroup(labels: $0.key, count: $0.value) }
            .sorted { $0.labels < $1.labels }
    }
}
