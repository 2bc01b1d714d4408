// SPDX-License-Identifier: Apache-2.0
// The newest sample of a series, where it can be told without reading the others.

import Base
import Storage
import Telemetry

/// What a source knows about the newest sample of a series in a range.
enum NewestSample: Equatable {
    /// There is none.
    case absent
    /// Its time, and whether it is a stale marker.
    case known(millis: Int64, isStale: Bool)
    /// All samples have to be read.
    case unknown
}

extension HeadSeries {
    /// The newest sample that came in order, with its bits; at most the packed bits of one chunk are
    /// read, and none when it is the last of all.
    func newestFloat(_ range: MillisRange) -> (millis: Int64, bits: UInt64)? {
        guard hasFloats, lastMillis >= range.first.rawValue else { return nil }
        let end = range.last.rawValue
        if lastMillis <= end { return (lastMillis, open.lastBits) }
        // The last chunk that begins in time.
        var chunk = open
        if open.firstMillis > end {
            let next = lowerBound(closed.count) { closed[$0].firstMillis <= end }
            guard next > 0 else { return nil }
            chunk = closed[next - 1]
        }
        guard chunk.lastMillis >= range.first.rawValue else { return nil }
        if chunk.lastMillis <= end { return (chunk.lastMillis, chunk.lastBits) }
        var newest: (millis: Int64, bits: UInt64)?
        chunk.forEach { millis, bits in
            if millis <= end { newest = (millis, bits) }
            return millis < end
        }
        guard let newest, newest.millis >= range.first.rawValue else { return nil }
        return newest
    }

    /// - Parameter extras: of the series, if it has some.
    func newest(_ range: MillisRange, _ extras: HeadExtras?) -> NewestSample {
        if let extras, extras.hasLateSamples || !extras.histogramMillis.isEmpty { return .unknown }
        guard let newest = newestFloat(range) else { return .absent }
        return .known(millis: newest.millis, isStale: newest.bits == StaleMarker.bits)
    }

    /// - Parameter extras: of all series of the shard.
    @inline(__always)
    func newest(_ range: MillisRange, among all: [HeadExtras]) -> NewestSample {
        if extras == .max, hasFloats, lastMillis <= range.last.rawValue {
            if lastMillis < range.first.rawValue { return .absent }
            return .known(millis: lastMillis, isStale: open.lastBits == StaleMarker.bits)
        }
        return newest(range, extras == .max ? nil : all[Int(extras)])
    }
}

extension HeadExtras {
    /// Whether floats came out of order.
    var hasLateSamples: Bool { !sideMillis.isEmpty || !sideChunks.isEmpty }
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

/// Where in a part the newest sample of a series is.
private enum NewestPlace {
    case absent
    case at(PartIndex.Chunk, position: Int, count: Int, millis: Int64)
    /// All samples have to be read.
    case unknown
}

extension MetricPart {
    /// Whether the newest sample of a series is a stale marker. Where one chunk overlaps the range,
    /// only as much of it is decoded as tells that.
    ///
    /// - Throws: `PartCorruption` when the chunk cannot be read.
    func newest(
        _ series: Int, _ range: MillisRange, _ index: PartIndex, _ cache: TimeColumnCache,
        source: Int
    ) throws(PartCorruption) -> NewestSample {
        switch try newestPlace(series, range, index, cache, source) {
        case .absent: return .absent
        case .unknown: return .unknown
        case .at(let chunk, let position, let count, let millis):
            let isStale = try decode(chunk.bytes) { bytes throws(MalformedBytes) in
                try ChunkCoding.isStale(bytes, at: position, count: count)
            }
            return .known(millis: millis, isStale: isStale)
        }
    }

    /// The newest sample of a series as a float without a start timestamp; nil when it is none, or
    /// has to be looked for among others.
    ///
    /// - Throws: `PartCorruption` when the chunk cannot be read.
    func newestFloat(
        _ series: Int, _ range: MillisRange, _ index: PartIndex, _ cache: TimeColumnCache,
        source: Int
    ) throws(PartCorruption) -> (millis: Int64, value: Double)? {
        guard
            case .at(let chunk, let position, let count, let millis) = try newestPlace(
                series, range, index, cache, source)
        else { return nil }
        let bits = try decode(chunk.bytes) { bytes throws(MalformedBytes) in
            try ChunkCoding.plainFloat(bytes, at: position, count: count)
        }
        return bits.map { (millis, Double(bitPattern: $0)) }
    }

    /// The place is told where one chunk overlaps the range and nothing of the series is deleted.
    /// The chunk's checksum is checked.
    private func newestPlace(
        _ series: Int, _ range: MillisRange, _ index: PartIndex, _ cache: TimeColumnCache,
        _ source: Int
    ) throws(PartCorruption) -> NewestPlace {
        if !deletions.ranges(of: series).isEmpty { return .unknown }
        var found: PartIndex.Chunk?
        var isOnly = true
        var cursor = index.chunks(series)
        while let chunk = index.next(&cursor, dataCount: dataSection.storedCount) {
            let column = index.times[chunk.timeColumn]
            guard range.overlaps(first: column.first, last: column.last) else { continue }
            isOnly = found == nil
            found = chunk
        }
        guard let found else { return .absent }
        guard isOnly else { return .unknown }
        let column = index.times[found.timeColumn]
        var position = column.count - 1
        var millis = column.last
        if millis > range.last.rawValue {
            let times = try times(found.timeColumn, index, cache, source)
            position = lowerBound(times.count) { times[$0] <= range.last.rawValue } - 1
            guard position >= 0, times[position] >= range.first.rawValue else { return .absent }
            millis = times[position]
        }
        try check(found.bytes, index)
        return .at(found, position: position, count: column.count, millis: millis)
    }
}
