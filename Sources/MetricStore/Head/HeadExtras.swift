// SPDX-License-Identifier: Apache-2.0
// What few series have: late samples, histograms, start timestamps, exemplars.

import Telemetry

/// The rarer columns of a head series, beside its chunks so that ordinary series stay small.
struct HeadExtras: Sendable {
    /// Samples of the side buffer before it is packed into a chunk of its own.
    static let sideCount = 256
    /// Newest exemplars kept per series.
    static let maxExemplars = 64
    /// Packed side chunks that are searched for a duplicate; older ones are left to merging.
    static let searchedSideChunks = 8

    struct SideChunk: Sendable {
        var samples: OpenChunk
        /// Start timestamps, 0 = unknown; empty when none is known.
        var starts: [Int64]
    }

    struct Exemplar: Sendable, Equatable {
        var millis: Int64
        var value: UInt64
        /// Canonical labels.
        var labels: [UInt8]
    }

    /// Start timestamps of in-order floats: each holds from its time to the next entry's.
    var startRuns: [(from: Int64, start: Int64)] = []

    /// Floats that came out of order, sorted by time.
    private(set) var sideMillis: [Int64] = []
    private(set) var sideBits: [UInt64] = []
    private(set) var sideStarts: [Int64] = []
    private(set) var sideChunks: [SideChunk] = []

    /// Histograms, sorted by time.
    private(set) var histogramMillis: [Int64] = []
    private(set) var histogramStarts: [Int64] = []
    /// `NativeHistogram.encode` bytes.
    private(set) var histograms: [[UInt8]] = []

    /// Oldest first.
    private(set) var exemplars: [Exemplar] = []

    /// First index whose time is not below `millis`.
    private static func position(_ millis: Int64, in times: [Int64]) -> Int {
        if let last = times.last, last < millis { return times.count }
        var low = 0
        var high = times.count
        while low < high {
            let middle = (low + high) / 2
            if times[middle] < millis { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Bits of the late sample at a time, or nil.
    func sideBits(at millis: Int64) -> UInt64? {
        for chunk in sideChunks.suffix(HeadExtras.searchedSideChunks)
        where chunk.samples.firstMillis <= millis && millis <= chunk.samples.lastMillis {
            if let bits = chunk.samples.bits(at: millis) { return bits }
        }
        let index = HeadExtras.position(millis, in: sideMillis)
        return index < sideMillis.count && sideMillis[index] == millis ? sideBits[index] : nil
    }

    /// Adds a late sample at a time that has none. Returns the bytes by which memory grew.
    mutating func addSide(millis: Int64, bits: UInt64, start: Int64) -> Int {
        let index = HeadExtras.position(millis, in: sideMillis)
        sideMillis.insert(millis, at: index)
        sideBits.insert(bits, at: index)
        sideStarts.insert(start, at: index)
        guard sideMillis.count >= HeadExtras.sideCount else { return 24 }
        var chunk = OpenChunk()
        for i in sideMillis.indices { chunk.append(millis: sideMillis[i], bits: sideBits[i]) }
        let starts = sideStarts.contains { $0 != 0 } ? sideStarts : []
        sideChunks.append(SideChunk(samples: chunk, starts: starts))
        sideMillis.removeAll()
        sideBits.removeAll()
        sideStarts.removeAll()
        return (chunk.bits.words.count + starts.count) * 8 - (HeadExtras.sideCount - 1) * 24
    }

    func histogram(at millis: Int64) -> [UInt8]? {
        let index = HeadExtras.position(millis, in: histogramMillis)
        return index < histogramMillis.count && histogramMillis[index] == millis
            ? histograms[index] : nil
    }

    /// Adds a histogram at a time that has none. Returns the bytes by which memory grew.
    mutating func add(histogram: [UInt8], millis: Int64, start: Int64) -> Int {
        let index = HeadExtras.position(millis, in: histogramMillis)
        histogramMillis.insert(millis, at: index)
        histogramStarts.insert(start, at: index)
        histograms.insert(histogram, at: index)
        return histogram.count + 56
    }

    /// Adds an exemplar unless it is there; the oldest leaves when there are too many. Returns the
    /// bytes by which memory grew, nil when it was there.
    mutating func add(exemplar: Exemplar) -> Int? {
        if exemplars.contains(exemplar) { return nil }
        let index = exemplars.lastIndex { $0.millis <= exemplar.millis }.map { $0 + 1 } ?? 0
        exemplars.insert(exemplar, at: index)
        var growth = exemplar.labels.count + 72
        if exemplars.count > HeadExtras.maxExemplars {
            growth -= exemplars.removeFirst().labels.count + 72
        }
        return growth
    }
}
