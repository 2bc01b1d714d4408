// SPDX-License-Identifier: Apache-2.0
// From samples to buckets.

import Telemetry

/// The samples of one series in one stretch of time, or a stale marker (count 0, all figures the
/// marker) that ended the series there.
struct Bucket: Sendable {
    /// Time of the last sample.
    var millis: Int64
    /// Its value, bit for bit.
    var last: Double
    /// As `min_over_time` and `max_over_time` choose: NaN only where all are.
    var least: Double
    var greatest: Double
    var sum: Double
    var count: Double
    /// Start timestamp of the last sample, 0 = unknown.
    var start: Int64

    init(
        millis: Int64, last: Double, least: Double, greatest: Double, sum: Double, count: Double,
        start: Int64
    ) {
        self.millis = millis
        self.last = last
        self.least = least
        self.greatest = greatest
        self.sum = sum
        self.count = count
        self.start = start
    }

    /// One sample.
    init(millis: Int64, _ value: Double, start: Int64) {
        let count = StaleMarker.isStale(value) ? 0.0 : 1
        self.init(
            millis: millis, last: value, least: value, greatest: value, sum: value, count: count,
            start: start)
    }

    var isStale: Bool { count == 0 }
}

/// What is kept of a series.
struct Downsampled {
    /// Ascending by time.
    var buckets: [Bucket] = []
    /// The last histogram of each bucket, and stale markers.
    var histograms = SampleColumns()
    /// The first sample, and those on both sides of each fall of the value, but those that are last
    /// in a bucket: ascending. With them a counter's resets and increases are as they were.
    var fallMillis: [Int64] = []
    var fallValues: [Double] = []

    var isEmpty: Bool { buckets.isEmpty && histograms.count == 0 }
}

/// Collects what there is of one series, raw or in buckets already, and makes one bucket of what is
/// in the same `resolutionMillis` since 1970. Of equal times that which is added first counts.
/// Memory: about 64 bytes per sample of the series.
struct Downsampler {
    private enum Kind { case figures, fall }
    private struct Entry {
        var kind: Kind
        var bucket: Bucket
    }
    let resolutionMillis: Int64
    private var entries: [Entry] = []
    private var histograms: [(millis: Int64, start: Int64, value: NativeHistogram)] = []
    private var isAscending = true

    init(resolutionMillis: Int64) { self.resolutionMillis = max(1, resolutionMillis) }

    mutating func removeAll() {
        entries.removeAll(keepingCapacity: true)
        histograms.removeAll(keepingCapacity: true)
        isAscending = true
    }

    mutating func add(_ bucket: Bucket) { add(Entry(kind: .figures, bucket: bucket)) }

    /// A sample that only tells where the value fell.
    mutating func add(fallAt millis: Int64, _ value: Double) {
        add(Entry(kind: .fall, bucket: Bucket(millis: millis, value, start: 0)))
    }

    private mutating func add(_ entry: Entry) {
        if let last = entries.last, entry.bucket.millis <= last.bucket.millis {
            isAscending = false
        }
        entries.append(entry)
    }

    mutating func add(_ histogram: NativeHistogram, millis: Int64, start: Int64) {
        histograms.append((millis, start, histogram))
    }

    /// Raw samples.
    mutating func add(_ columns: SampleColumns) {
        for i in 0..<columns.count {
            let start = columns.startMillis.isEmpty ? 0 : columns.startMillis[i]
            if !columns.histograms.isEmpty, let histogram = columns.histograms[i] {
                add(histogram, millis: columns.millis[i], start: start)
            } else {
                add(Bucket(millis: columns.millis[i], columns.values[i], start: start))
            }
        }
    }

    /// Number of the bucket of a time, rounding towards the past.
    private func number(_ millis: Int64) -> Int64 {
        let quotient = millis / resolutionMillis
        return millis % resolutionMillis < 0 ? quotient - 1 : quotient
    }

    mutating func finish() -> Downsampled {
        if !isAscending {
            let all = entries
            entries = all.indices.sorted {
                (all[$0].bucket.millis, $0) < (all[$1].bucket.millis, $1)
            }.map { all[$0] }
            var previous: Int64?
            entries.removeAll { entry in
                defer { previous = entry.bucket.millis }
                return entry.bucket.millis == previous
            }
        }
        var result = Downsampled()
        var mainTimes: Set<Int64> = []
        var first = 0
        while first < entries.count {
            let number = number(entries[first].bucket.millis)
            var end = first
            while end < entries.count, self.number(entries[end].bucket.millis) == number {
                end += 1
            }
            let start = result.buckets.count
            Downsampler.fold(
                entries[first..<end].lazy.filter { $0.kind == .figures }.map(\.bucket),
                into: &result.buckets)
            for bucket in result.buckets[start...] { mainTimes.insert(bucket.millis) }
            first = end
        }
        addFalls(mainTimes, to: &result)
        foldHistograms(into: &result)
        return result
    }

    /// Makes one bucket of several, and one more of the stale marker at their end.
    private static func fold(_ buckets: some Sequence<Bucket>, into result: inout [Bucket]) {
        var folded: Bucket?
        var rest = 0.0
        var marker: Bucket?
        for bucket in buckets {
            if bucket.isStale {
                marker = bucket
                continue
            }
            marker = nil
            guard var known = folded else {
                folded = bucket
                continue
            }
            known.millis = bucket.millis
            known.last = bucket.last
            known.start = bucket.start
            if bucket.least < known.least || known.least.isNaN { known.least = bucket.least }
            if bucket.greatest > known.greatest || known.greatest.isNaN {
                known.greatest = bucket.greatest
            }
            // Neumaier's sum, as `sum_over_time` adds.
            let sum = known.sum + bucket.sum
            if sum.isFinite {
                rest +=
                    known.sum.magnitude >= bucket.sum.magnitude
                    ? (known.sum - sum) + bucket.sum : (bucket.sum - sum) + known.sum
            }
            known.sum = sum
            known.count += bucket.count
            folded = known
        }
        if var folded {
            if folded.sum.isFinite { folded.sum += rest }
            result.append(folded)
        }
        if let marker { result.append(marker) }
    }

    /// Keeps the samples around falls, unless the value falls so often that it is no counter.
    private func addFalls(_ mainTimes: Set<Int64>, to result: inout Downsampled) {
        var isKept = [Bool](repeating: false, count: entries.count)
        var falls = 0
        var samples = 0.0
        var previous: Int?
        for index in entries.indices where !entries[index].bucket.isStale {
            let bucket = entries[index].bucket
            samples += entries[index].kind == .figures ? bucket.count : 0
            defer { previous = index }
            // The first of the day, so that what came since the day before is not lost.
            if previous == nil { isKept[index] = true }
            guard let before = previous, bucket.last < entries[before].bucket.last else { continue }
            falls += 1
            isKept[before] = true
            isKept[index] = true
        }
        guard Double(falls) <= Downsampler.mostFalls(samples: samples) else { return }
        for index in entries.indices where isKept[index] {
            let bucket = entries[index].bucket
            if mainTimes.contains(bucket.millis) { continue }
            result.fallMillis.append(bucket.millis)
            result.fallValues.append(bucket.last)
        }
    }

    /// Falls of a series that still counts as a counter: one in 16 samples, and some for short ones.
    static func mostFalls(samples: Double) -> Double { 8 + samples / 16 }

    private mutating func foldHistograms(into result: inout Downsampled) {
        histograms = histograms.enumerated().sorted {
            ($0.element.millis, $0.offset) < ($1.element.millis, $1.offset)
        }.map(\.element)
        var kept: [Int] = []
        var marker: Int?
        var last: Int?
        func close() {
            if let last { kept.append(last) }
            if let marker { kept.append(marker) }
        }
        for index in histograms.indices {
            if index > 0 {
                if histograms[index].millis == histograms[index - 1].millis { continue }
                if number(histograms[index].millis) != number(histograms[index - 1].millis) {
                    close()
                    (last, marker) = (nil, nil)
                }
            }
            if histograms[index].value.isStale {
                marker = index
            } else {
                (last, marker) = (index, nil)
            }
        }
        close()
        for index in kept {
            result.histograms.append(
                millis: histograms[index].millis, histogram: histograms[index].value,
                startMillis: histograms[index].start)
        }
    }
}
