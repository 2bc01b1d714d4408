// SPDX-License-Identifier: Apache-2.0
// The newest sample of a series in one source, with as little decoded as tells it.

import Base
import Storage
import Telemetry

/// Time of a sample, and whether it is a stale marker.
struct NewestSample: Equatable {
    var millis: Int64
    var isStale: Bool
}

extension OpenChunk {
    /// The newest sample in a range with its bits; nothing is unpacked when it is the last of all.
    @inline(__always)
    func newest(_ range: MillisRange) -> (millis: Int64, bits: UInt64)? {
        guard overlaps(range) else { return nil }
        if lastMillis <= range.last.rawValue { return (lastMillis, lastBits) }
        var found: (millis: Int64, bits: UInt64)?
        forEach { millis, bits in
            if millis > range.last.rawValue { return false }
            found = (millis, bits)
            return true
        }
        guard let found, found.millis >= range.first.rawValue else { return nil }
        return found
    }
}

extension HeadSeries {
    /// The newest sample that came in order, with its bits.
    @inline(__always)
    func newestFloat(_ range: MillisRange) -> (millis: Int64, bits: UInt64)? {
        guard hasFloats, lastMillis >= range.first.rawValue else { return nil }
        if lastMillis <= range.last.rawValue { return (lastMillis, open.lastBits) }
        if open.firstMillis <= range.last.rawValue { return open.newest(range) }
        // The last chunk that begins in time.
        let next = lowerBound(closed.count) { closed[$0].firstMillis <= range.last.rawValue }
        return next > 0 ? closed[next - 1].newest(range) : nil
    }

    /// The newest sample of all. Of equal times the one that is read first counts.
    ///
    /// - Parameter all: extras of the shard's series.
    @inline(__always)
    func newest(_ range: MillisRange, among all: [HeadExtras]) -> NewestSample? {
        let float = newestFloat(range).map {
            NewestSample(millis: $0.millis, isStale: $0.bits == StaleMarker.bits)
        }
        return extras == .max ? float : all[Int(extras)].newest(range, after: float)
    }
}

extension HeadExtras {
    /// Whether floats came out of order.
    var hasLateSamples: Bool { !sideMillis.isEmpty || !sideChunks.isEmpty }

    /// The newest of a sample and those here.
    @inline(never)
    fileprivate func newest(_ range: MillisRange, after float: NewestSample?) -> NewestSample? {
        var newest = float
        func add(_ millis: Int64, _ isStale: Bool) {
            if let known = newest, known.millis >= millis { return }
            newest = NewestSample(millis: millis, isStale: isStale)
        }
        for chunk in sideChunks {
            if let found = chunk.samples.newest(range) {
                add(found.millis, found.bits == StaleMarker.bits)
            }
        }
        if let last = HeadExtras.last(sideMillis, range) {
            add(sideMillis[last], sideBits[last] == StaleMarker.bits)
        }
        if let last = HeadExtras.last(histogramMillis, range) {
            add(histogramMillis[last], histogram(last).isStale)
        }
        return newest
    }

    /// Index of the last time in the range.
    private static func last(_ times: [Int64], _ range: MillisRange) -> Int? {
        let end = lowerBound(times.count) { times[$0] <= range.last.rawValue }
        return end > 0 && times[end - 1] >= range.first.rawValue ? end - 1 : nil
    }
}

extension HeadPiece {
    /// The newest sample as a float without a start timestamp; nil when it has to be looked for
    /// among others.
    func newestFloat(_ range: MillisRange) -> (millis: Int64, value: Double)? {
        if let extras {
            guard extras.startRuns.isEmpty, !extras.hasLateSamples,
                extras.histogramMillis.isEmpty
            else { return nil }
        }
        return series.newestFloat(range).map { ($0.millis, Double(bitPattern: $0.bits)) }
    }
}

extension MetricPart {
    /// Where the newest sample of a series is, deletions aside.
    private struct NewestPlace {
        var chunk: PartIndex.Chunk
        var position: Int
        var count: Int
        var millis: Int64
    }

    /// The newest sample of a series. Only as much of its chunk is decoded as tells a stale marker,
    /// unless times of the series are deleted or something cannot be read.
    ///
    /// - Parameter skipping: told of each chunk that cannot be read, which then does not count.
    func newest(
        _ series: Int, _ range: MillisRange, _ index: PartIndex, _ cache: TimeColumnCache,
        source: Int, skipping: @escaping (PartCorruption) -> Void
    ) -> NewestSample? {
        do throws(PartCorruption) {
            if deletions.ranges(of: series).isEmpty {
                guard let place = try newestPlace(series, range, index, cache, source) else {
                    return nil
                }
                let isStale = try decode(place.chunk.bytes) { bytes throws(MalformedBytes) in
                    try ChunkCoding.isStale(bytes, at: place.position, count: place.count)
                }
                return NewestSample(millis: place.millis, isStale: isStale)
            }
        } catch {
            // Reading all says what is damaged and goes on with the rest.
        }
        var runs = SampleRuns(SampleColumns())
        do throws(PartCorruption) {
            _ = try read(
                series, range, index, cache, source: source, into: &runs, skipping: skipping)
        } catch { skipping(error) }
        let all = runs.finish().columns
        guard let last = all.millis.last else { return nil }
        return NewestSample(millis: last, isStale: all.isStale(all.count - 1))
    }

    /// The newest sample of a series as a float without a start timestamp; nil when it is none, or
    /// has to be looked for among others.
    ///
    /// - Throws: `PartCorruption` when the chunk cannot be read.
    func newestFloat(
        _ series: Int, _ range: MillisRange, _ index: PartIndex, _ cache: TimeColumnCache,
        source: Int
    ) throws(PartCorruption) -> (millis: Int64, value: Double)? {
        guard deletions.ranges(of: series).isEmpty,
            let place = try newestPlace(series, range, index, cache, source)
        else { return nil }
        let bits = try decode(place.chunk.bytes) { bytes throws(MalformedBytes) in
            try ChunkCoding.plainFloat(bytes, at: place.position, count: place.count)
        }
        return bits.map { (place.millis, Double(bitPattern: $0)) }
    }

    /// Looks at the times of the chunks that overlap the range, and checks the checksum of the one
    /// that it tells. Of equal times that of the first chunk counts.
    private func newestPlace(
        _ series: Int, _ range: MillisRange, _ index: PartIndex, _ cache: TimeColumnCache,
        _ source: Int
    ) throws(PartCorruption) -> NewestPlace? {
        var newest: NewestPlace?
        var cursor = index.chunks(series)
        while let chunk = index.next(&cursor, dataCount: dataSection.storedCount) {
            let column = index.times[chunk.timeColumn]
            guard range.overlaps(first: column.first, last: column.last) else { continue }
            var place = NewestPlace(
                chunk: chunk, position: column.count - 1, count: column.count, millis: column.last)
            if place.millis > range.last.rawValue {
                let times = try times(chunk.timeColumn, index, cache, source)
                place.position =
                    lowerBound(times.count) { times[$0] <= range.last.rawValue } - 1
                guard place.position >= 0, times[place.position] >= range.first.rawValue else {
                    continue
                }
                place.millis = times[place.position]
            }
            if let known = newest, known.millis >= place.millis { continue }
            newest = place
        }
        if let newest { try check(newest.chunk.bytes, index) }
        return newest
    }
}
