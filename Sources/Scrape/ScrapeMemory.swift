// SPDX-License-Identifier: Apache-2.0
// What a loop remembers of its target between scrapes.

import Base
import Telemetry

/// Series texts already seen with the labels they stand for, and which series the last scrapes
/// brought.
///
/// A sample whose text is known costs a hash, a look-up and a copy of its label bytes. Scrapes are
/// bracketed: `begin`, then `read` or `fail`, then `finish`.
///
/// Source of the rules: prometheus/prometheus `scrape/scrape.go`, `scrapeCache` and `append`. One
/// difference: a scrape that fails half-way marks all series of the one before as stale at once,
/// where upstream forgets those it had read.
struct ScrapeMemory: Sendable {
    /// A series as written by the target.
    struct Text: Sendable {
        /// Index into `series`, or `dropped`.
        var series: UInt32
        /// The scrape that brought it last.
        var seenIn: UInt64
        /// Whether it was counted as added.
        var isAdded = false

        static let dropped = UInt32.max
    }

    /// A series as stored.
    struct Series: Sendable {
        /// Bit 0: in the current scrape; bit 1: in the one before.
        var history: UInt8 = 0
        /// Place in the current scrape's batch, valid in the scrape `batchOf`.
        var batchIndex: UInt32 = 0
        var batchOf: UInt64 = 0
    }

    static let inCurrent: UInt8 = 1
    static let inPrevious: UInt8 = 2

    var texts = ByteTable()
    var textStates: [Text] = []
    var labels = ByteTable()
    var series: [Series] = []
    var metadata = MetadataMemory()
    /// Number of the current scrape.
    private(set) var scrape: UInt64 = 0
    /// Texts there were after the last good scrape.
    private var goodCount = 0
    /// Number of the last scrape whose answer could be read and had series.
    private(set) var lastGood: UInt64 = 0

    init() {}

    /// Starts the next scrape.
    mutating func begin() {
        scrape += 1
        for index in series.indices {
            series[index].history = (series[index].history & Self.inCurrent) << 1
        }
    }

    /// Number of a stored series, added when new.
    mutating func number(_ bytes: UnsafeRawBufferPointer, hash: UInt64) -> Int {
        if let known = labels.find(bytes, hash: hash) { return known }
        series.append(Series())
        return labels.add(bytes, hash: hash)
    }

    /// Takes back what the current scrape brought: it failed.
    mutating func fail() {
        for index in series.indices { series[index].history &= Self.inPrevious }
    }

    /// Adds a marker for each series that the scrape before brought and this one did not.
    ///
    /// - Returns: how many.
    func addStaleMarkers(
        to batch: inout MetricBatch, millis: Int64, except isLive: (Labels) -> Bool = { _ in false }
    ) -> Int {
        var count = 0
        for (index, state) in series.enumerated() where state.history == Self.inPrevious {
            let key = labels.keys[index]
            let known = labels.arena.labels(key)
            if isLive(known) { continue }
            batch.addSample(
                series: batch.addSeries(known), millis: millis, value: StaleMarker.value)
            count += 1
        }
        return count
    }

    /// Whether the last scrape brought a series.
    func isCurrent(_ wanted: Labels) -> Bool {
        wanted.bytes.withUnsafeBytes { bytes in
            labels.find(bytes, hash: wanted.hash).map {
                series[$0].history & Self.inCurrent != 0
            } ?? false
        }
    }

    /// Ends a scrape.
    ///
    /// - Parameters:
    ///   - isGood: the answer could be read.
    ///   - isStored: its batch was committed; else the series of the scrape before still wait for
    ///     their markers.
    mutating func finish(isGood: Bool, isStored: Bool) {
        if isStored {
            metadata.sent()
        } else {
            for index in series.indices where series[index].history == Self.inPrevious {
                series[index].history |= Self.inCurrent
            }
        }
        if isGood {
            let live = textStates.count { $0.seenIn == scrape }
            goodCount = live
            if live > 0 { lastGood = scrape }
            metadata.forget()
            if textStates.count > 2 * live + 256 { compact() }
        } else if textStates.count > 2 * goodCount + 1000 {
            // Labels that vary in answers that fail would grow the memory for ever.
            compact()
        }
    }

    /// Keeps only what the current scrape brought and what waits for a marker.
    private mutating func compact() {
        var kept = ScrapeMemory()
        var moved = [UInt32](repeating: Text.dropped, count: series.count)
        for (index, state) in series.enumerated() where state.history != 0 {
            moved[index] = kept.adopt(self, index, state)
        }
        for (index, state) in textStates.enumerated() where state.seenIn == scrape {
            var state = state
            if state.series != Text.dropped {
                let old = Int(state.series)
                if moved[old] == Text.dropped {
                    moved[old] = kept.adopt(self, old, series[old])
                }
                state.series = moved[old]
            }
            texts.withKey(index) { key in
                _ = kept.texts.add(key, hash: texts.keys[index].hash)
            }
            kept.textStates.append(state)
        }
        kept.metadata = metadata
        kept.scrape = scrape
        kept.goodCount = goodCount
        kept.lastGood = lastGood
        self = kept
    }

    private mutating func adopt(_ old: ScrapeMemory, _ index: Int, _ state: Series) -> UInt32 {
        let number = old.labels.withKey(index) { labels.add($0, hash: old.labels.keys[index].hash) }
        series.append(state)
        return UInt32(truncatingIfNeeded: number)
    }

    /// What a successor takes over whose texts may stand for other labels: the series alone.
    func withoutTexts() -> ScrapeMemory {
        var kept = self
        kept.texts = ByteTable()
        kept.textStates = []
        kept.goodCount = 0
        return kept
    }
}
