// SPDX-License-Identifier: Apache-2.0
// One shard of a head: series whose label hash falls into it, under one lock.

import Base
import Storage
import Synchronization
import Telemetry

/// What `append` did with a batch.
package struct AppendCounts: Sendable, Equatable {
    /// Samples and histograms that are new.
    package var appended = 0
    /// The same series, time and value again: dropped.
    package var duplicates = 0
    /// Another value for a time that has one: dropped, the first stays.
    package var conflicts = 0
    /// Of `appended`, those that came out of order.
    package var outOfOrder = 0
    package var exemplars = 0
    /// Indices into the batch's `series` of those that were not in the head before.
    package var newSeries: [UInt32] = []

    package init() {}
}

/// The mutable state of a shard.
struct ShardState: Sendable {
    var labels = InternTable()
    var series: [HeadSeries] = []
    var extras: [HeadExtras] = []
    var index = HeadIndex()
    /// Bytes of memory held, about; kept as things are added.
    var byteCount = 0
    /// Span of all samples, inclusive; empty while min > max.
    var minMillis = Int64.max
    var maxMillis = Int64.min

    /// Fixed cost of a series besides its bytes: its record, hash slot and smallest chunk.
    private static let seriesOverhead = MemoryLayout<HeadSeries>.stride + 120

    /// Borrowing: as an ordinary method it would copy the whole state for each series of a batch.
    borrowing func find(_ bytes: UnsafeRawBufferPointer, hash: UInt64) -> UInt32? {
        labels.find(bytes, hash: hash).map { UInt32(truncatingIfNeeded: $0) }
    }

    mutating func add(_ bytes: UnsafeRawBufferPointer, hash: UInt64) -> UInt32 {
        let ref = UInt32(truncatingIfNeeded: labels.add(bytes, hash: hash))
        series.append(HeadSeries())
        byteCount += bytes.count + ShardState.seriesOverhead + index.add(ref, labels: bytes)
        return ref
    }

    /// Index of the series' extras, made when it has none.
    private mutating func extras(of ref: Int) -> Int {
        if series[ref].extras != .max { return Int(series[ref].extras) }
        series[ref].extras = UInt32(truncatingIfNeeded: extras.count)
        extras.append(HeadExtras())
        byteCount += MemoryLayout<HeadExtras>.stride
        return extras.count - 1
    }

    @inline(never)
    mutating func appendUncommon(
        _ ref: Int, millis: Int64, bits: UInt64, start: Int64, _ counts: inout AppendCounts
    ) {
        switch existing(ref, at: millis) {
        case .float(let stored):
            if stored == bits { counts.duplicates += 1 } else { counts.conflicts += 1 }
            return
        case .histogram:
            counts.conflicts += 1
            return
        case nil: break
        }
        counts.appended += 1
        if series[ref].hasFloats, millis < series[ref].lastMillis {
            counts.outOfOrder += 1
            let index = extras(of: ref)
            byteCount += extras[index].addSide(millis: millis, bits: bits, start: start)
            return
        }
        byteCount += series[ref].append(millis: millis, bits: bits)
        let known =
            series[ref].extras == .max ? nil : extras[Int(series[ref].extras)].startRuns.last
        if start != known?.start ?? 0 {
            let index = extras(of: ref)
            extras[index].startRuns.append((from: millis, start: start))
            byteCount += 16
        }
    }

    mutating func append(
        _ ref: Int, millis: Int64, histogram: UnsafeRawBufferPointer, start: Int64,
        _ counts: inout AppendCounts
    ) {
        switch existing(ref, at: millis) {
        case .histogram(let stored):
            let isSame = stored.withUnsafeBytes { equalBytes($0, histogram) }
            if isSame { counts.duplicates += 1 } else { counts.conflicts += 1 }
            return
        case .float:
            counts.conflicts += 1
            return
        case nil: break
        }
        let index = extras(of: ref)
        if let last = extras[index].histogramMillis.last, millis < last { counts.outOfOrder += 1 }
        byteCount += extras[index].add(
            histogram: [UInt8](histogram), millis: millis, start: start)
        counts.appended += 1
    }

    mutating func append(_ ref: Int, exemplar: HeadExtras.Exemplar, _ counts: inout AppendCounts) {
        let index = extras(of: ref)
        if let growth = extras[index].add(exemplar: exemplar) {
            byteCount += growth
            counts.exemplars += 1
        }
    }

    enum Existing {
        case float(UInt64)
        case histogram([UInt8])
    }

    /// What the series has at a time.
    func existing(_ ref: Int, at millis: Int64) -> Existing? {
        if let bits = series[ref].bits(at: millis) { return .float(bits) }
        guard series[ref].extras != .max else { return nil }
        let extras = extras[Int(series[ref].extras)]
        if let bits = extras.sideBits(at: millis) { return .float(bits) }
        return extras.histogram(at: millis).map { .histogram($0) }
    }
}

extension ShardState: LabelIndex {
    var seriesCount: Int { series.count }
    var nameCount: Int { index.nameCount }
    func withName<R>(_ name: Int, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try index.withName(name, body)
    }
    func findName(_ name: UnsafeRawBufferPointer) -> Int? { index.findName(name) }
    func valueCount(_ name: Int) -> Int { index.valueCount(name) }
    func findValue(_ name: Int, _ value: UnsafeRawBufferPointer) -> Int? {
        index.findValue(name, value)
    }
    func values(_ name: Int, startingWith prefix: String) -> Range<Int> {
        0..<index.valueCount(name)
    }
    func withValue<R>(
        _ name: Int, _ value: Int, _ body: (UnsafeRawBufferPointer) throws -> R
    ) rethrows -> R {
        try index.withValue(name, value, body)
    }
    func postingCount(_ name: Int, _ value: Int) -> Int { index.postings(name, value).count }
    func postings(_ name: Int, _ value: Int) -> Postings { index.postings(name, value) }
    func forEachSeries(_ name: Int, _ value: Int, _ body: (UInt32) -> Bool) -> Bool {
        for series in index.postings(name, value).ids where !body(series) { return false }
        return true
    }
    func names(of series: Postings) -> [Int] {
        var found = PostingsBitmap(limit: index.nameCount)
        // Most series have the names of the one before, whose bytes are compared instead of hashed.
        var previous: [[UInt8]] = []
        for id in series.ids {
            labels.withBytes(Int(id)) { bytes in
                var position = 0
                forEachLabel(in: bytes) { name, _ in
                    defer { position += 1 }
                    if position < previous.count {
                        if previous[position].withUnsafeBytes({ equalBytes($0, name) }) { return }
                        previous[position] = [UInt8](name)
                    } else {
                        previous.append([UInt8](name))
                    }
                    if let number = index.findName(name) {
                        found.insert(UInt32(truncatingIfNeeded: number))
                    }
                }
            }
        }
        return found.postings.ids.map { Int($0) }
    }
    func insertValues(_ name: Int, of series: Postings, into values: inout PostingsBitmap) {
        index.withName(name) { wanted in
            for id in series.ids {
                labels.withBytes(Int(id)) { labels in
                    guard let text = labelValue(of: wanted, in: labels),
                        let value = index.findValue(name, text)
                    else { return }
                    values.insert(UInt32(truncatingIfNeeded: value))
                }
            }
        }
    }
    func filter(_ series: Postings, _ matcher: LabelMatcher) -> Postings {
        withBytes(of: matcher.name) { wanted in
            Postings(
                ascending: series.ids.filter { id in
                    labels.withBytes(Int(id)) { labels in
                        matcher.matches(
                            labelValue(of: wanted, in: labels)
                                ?? UnsafeRawBufferPointer(start: nil, count: 0))
                    }
                })
        }
    }
}

/// A shard: state and its lock.
final class HeadShard: Sendable {
    let state = Mutex(ShardState())
}
