// SPDX-License-Identifier: Apache-2.0
// A series of a head as a reader holds it.

import Telemetry

/// A copy of a head series: shares memory with the head until the head appends to it.
struct HeadPiece: Sendable {
    /// Few series have extras: the others need not be as large.
    private final class Extras: Sendable {
        let value: HeadExtras
        init(_ value: HeadExtras) { self.value = value }
    }
    let series: HeadSeries
    private let boxed: Extras?

    var extras: HeadExtras? { boxed?.value }

    init(_ state: borrowing ShardState, _ ref: Int) {
        series = state.series[ref]
        boxed = series.extras == .max ? nil : Extras(state.extras[Int(series.extras)])
    }

    /// Bytes of packed samples.
    var byteCount: Int {
        series.closed.reduce(series.open.bits.byteCount) { $0 + $1.bits.byteCount } + 64
    }

    /// Time of the newest sample; meaningful when there is one.
    var maxMillis: Int64 {
        var latest = series.hasFloats ? series.lastMillis : .min
        if let extras {
            latest = max(
                latest, extras.sideMillis.last ?? .min, extras.histogramMillis.last ?? .min)
            for chunk in extras.sideChunks { latest = max(latest, chunk.samples.lastMillis) }
        }
        return latest
    }

    func overlaps(_ range: MillisRange) -> Bool {
        if let first = series.closed.first?.firstMillis
            ?? (series.hasFloats ? series.open.firstMillis : nil),
            range.overlaps(first: first, last: series.lastMillis)
        {
            return true
        }
        return extras?.overlaps(range) ?? false
    }

    /// Appends the samples in the range: in-order floats, late floats, histograms.
    ///
    /// - Returns: bytes that were decoded.
    func read(_ range: MillisRange, into runs: inout SampleRuns) -> Int {
        var byteCount = 0
        var cursor = StartCursor(runs: extras?.startRuns ?? [])
        for chunk in series.closed where chunk.overlaps(range) {
            byteCount += chunk.read(range, into: &runs) { cursor.starts($0) }
        }
        if series.open.overlaps(range) {
            byteCount += series.open.read(range, into: &runs) { cursor.starts($0) }
        }
        guard let extras else { return byteCount }
        for chunk in extras.sideChunks where chunk.samples.overlaps(range) {
            byteCount += chunk.samples.read(range, into: &runs) { _ in chunk.starts }
        }
        if !extras.sideMillis.isEmpty {
            let start = runs.begin()
            runs.columns.millis.append(contentsOf: extras.sideMillis)
            for bits in extras.sideBits { runs.columns.values.append(Double(bitPattern: bits)) }
            let hasStarts = extras.sideStarts.contains { $0 != 0 }
            runs.end(from: start, starts: hasStarts ? extras.sideStarts : [], in: range)
            byteCount += extras.sideMillis.count * 16
        }
        return byteCount + extras.readHistograms(range, into: &runs)
    }
}

/// Walks the start timestamps along ascending times.
private struct StartCursor {
    let runs: [(from: Int64, start: Int64)]
    var next = 0
    var current: Int64 = 0

    /// Starts of ascending times, empty when there are none at all.
    mutating func starts(_ millis: ArraySlice<Int64>) -> [Int64] {
        if runs.isEmpty { return [] }
        return millis.map { time in
            while next < runs.count, runs[next].from <= time {
                current = runs[next].start
                next += 1
            }
            return current
        }
    }
}

extension OpenChunk {
    /// Appends the samples in the range as a run. Returns the bytes that were decoded.
    fileprivate func read(
        _ range: MillisRange, into runs: inout SampleRuns,
        starts: (ArraySlice<Int64>) -> [Int64]
    ) -> Int {
        let start = runs.begin()
        runs.columns.millis.reserveCapacity(start + Int(count))
        runs.columns.values.reserveCapacity(start + Int(count))
        forEach { millis, value in
            runs.columns.millis.append(millis)
            runs.columns.values.append(Double(bitPattern: value))
            return true
        }
        runs.end(from: start, starts: starts(runs.columns.millis[start...]), in: range)
        return bits.byteCount
    }
}

extension HeadExtras {
    func overlaps(_ range: MillisRange) -> Bool {
        if sideChunks.contains(where: { $0.samples.overlaps(range) }) { return true }
        for times in [sideMillis, histogramMillis] {
            if let first = times.first, let last = times.last,
                range.overlaps(first: first, last: last)
            {
                return true
            }
        }
        return false
    }

    func histogram(_ index: Int) -> NativeHistogram {
        do {
            return try histograms[index].withUnsafeBytes { try NativeHistogram(decoding: $0) }
        } catch {
            preconditionFailure("a histogram that was admitted cannot be read: \(error)")
        }
    }

    fileprivate func readHistograms(_ range: MillisRange, into runs: inout SampleRuns) -> Int {
        let first = lowerBound(histogramMillis.count) {
            histogramMillis[$0] < range.first.rawValue
        }
        let end = lowerBound(histogramMillis.count) {
            histogramMillis[$0] <= range.last.rawValue
        }
        guard first < end else { return 0 }
        let start = runs.begin()
        var byteCount = 0
        var decoded: [NativeHistogram] = []
        for index in first..<end {
            byteCount += histograms[index].count
            decoded.append(histogram(index))
        }
        runs.columns.millis.append(contentsOf: histogramMillis[first..<end])
        let slice = histogramStarts[first..<end]
        let starts = slice.contains { $0 != 0 } ? Array(slice) : []
        runs.end(from: start, histograms: decoded, starts: starts, in: range)
        return byteCount
    }
}
