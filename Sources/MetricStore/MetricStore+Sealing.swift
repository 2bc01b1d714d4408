// SPDX-License-Identifier: Apache-2.0
// From heads to parts, and from parts to fewer parts.

import Base
import Storage
import Synchronization
import Telemetry

/// Why parts could not be built.
package enum MetricStoreError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Merged, the parts would exceed what one part file may hold.
    case partTooLarge(bytes: Int)
    /// A part carries as many deletions as it may.
    case tooManyDeletions(part: String)

    package var description: String {
        switch self {
        case .partTooLarge(let bytes):
            "merged part would hold more than \(bytes) bytes of samples: merge fewer parts at once"
        case .tooManyDeletions(let part):
            "part \(part) carries as many deletions as it may: clean the tombstones first"
        }
    }
}

extension MetricStore {
    /// Bytes of samples at which a merge gives up, below `PartFormat.maxPlainCount`.
    static let maxDataBytes = PartFormat.maxPlainCount - (64 << 20)

    package func seal(generation: UInt64) throws -> [PartDraft] {
        try heads(generation: generation).flatMap { try seal($0) }
    }

    private func seal(_ head: Head) throws -> [PartDraft] {
        // The head is complete, so these copies are never written to and cost nothing.
        let shards = head.shards.map { $0.state.withLock { $0 } }
        let order = SeriesOrder(shards)
        var days = DayBuilders()
        let classes = retentionClasses
        var dropped = SampleRuns.Dropped()
        var columns = SampleColumns()
        for position in 0..<order.count {
            let (shard, ref) = (order[position].shard, order[position].ref)
            let piece = HeadPiece(shards[shard], ref)
            columns.removeAll()
            var taken = SampleColumns()
            swap(&taken, &columns)
            var runs = SampleRuns(taken)
            _ = piece.read(.all, into: &runs)
            let sorted = runs.finish()
            columns = sorted.columns
            dropped += sorted.dropped
            try shards[shard].labels.withBytes(ref) {
                try days.add(
                    $0, classes.number(of: $0), columns, piece.extras?.exemplars ?? [])
            }
        }
        var drafts = days.finish(
            tenant: head.tenant, metadata: head.metadata.withLock { $0 }, level: 1)
        if !drafts.isEmpty {
            drafts[0].duplicates = dropped.duplicates
            drafts[0].conflicts = dropped.conflicts
        }
        return drafts
    }

    /// Parts with a down-sampled one among them make a down-sampled one.
    package func merge(_ parts: [PartHandle], shouldStop: () -> Bool) throws -> [PartDraft] {
        try rewrite(parts, resolutionMillis: 0, shouldStop: shouldStop)
    }

    package func downsample(
        _ parts: [PartHandle], resolutionMillis: Int64, shouldStop: () -> Bool
    ) throws -> [PartDraft] {
        precondition(
            resolutionMillis > 0
                && MetricPartFormat.millisPerDay.isMultiple(of: resolutionMillis),
            "buckets divide a day")
        return try rewrite(parts, resolutionMillis: resolutionMillis, shouldStop: shouldStop)
    }

    package func resolutionMillis(_ part: PartHandle) throws -> Int64? {
        try MetricPart(part).resolutionMillis
    }

    /// - Parameter least: length of a bucket, unless an input has longer ones; 0 = samples as they
    ///   came, unless an input has buckets.
    private func rewrite(
        _ parts: [PartHandle], resolutionMillis least: Int64, shouldStop: () -> Bool
    ) throws -> [PartDraft] {
        guard let first = parts.first?.descriptor else { return [] }
        let sources = try parts.sorted(by: MetricPart.isOlder).map { handle in
            let part = try MetricPart(handle)
            return MergeSource(
                part: part, index: try part.index(), exemplars: try part.exemplars())
        }
        var metadata = MetadataTable()
        for source in sources { metadata.merge(try source.part.metadata()) }

        let resolution = sources.reduce(least) { max($0, $1.part.resolutionMillis) }
        var days = DayBuilders(resolutionMillis: resolution)
        var sampler = Downsampler(resolutionMillis: resolution)
        let classes = retentionClasses
        let times = TimeColumnCache()
        var cursors = sources.map { MergeCursor($0) }
        var dropped = SampleRuns.Dropped()
        var columns = SampleColumns()
        var sinceCheck = 0
        while let next = cursors.compactMap(\.labels).min() {
            if resolution > 0 {
                sampler.removeAll()
                var exemplars: [HeadExtras.Exemplar] = []
                for i in cursors.indices where cursors[i].labels == next {
                    sinceCheck += try cursors[i].read(
                        times, number: i, into: &sampler, &exemplars)
                }
                exemplars.sort { $0.millis < $1.millis }
                let sampled = sampler.finish()
                try next.bytes.withUnsafeBytes {
                    try days.add(
                        $0, classes.number(of: $0), day: Int64(first.day), sampled, exemplars)
                }
                if sinceCheck > 100_000 {
                    sinceCheck = 0
                    if shouldStop() { throw CancellationError() }
                }
                continue
            }
            columns.removeAll()
            var taken = SampleColumns()
            swap(&taken, &columns)
            var runs = SampleRuns(taken)
            var exemplars: [HeadExtras.Exemplar] = []
            for i in cursors.indices where cursors[i].labels == next {
                try cursors[i].read(times, number: i, into: &runs, &exemplars)
            }
            let merged = runs.finish()
            columns = merged.columns
            dropped += merged.dropped
            exemplars.sort { $0.millis < $1.millis }
            try next.bytes.withUnsafeBytes {
                try days.add($0, classes.number(of: $0), columns, exemplars)
            }
            sinceCheck += columns.count + 100
            if sinceCheck > 100_000 {
                sinceCheck = 0
                if shouldStop() { throw CancellationError() }
            }
        }
        let home = DayBuilders.Key(day: Int64(first.day), retentionClass: first.retentionClass)
        var drafts = days.finish(
            tenant: Tenant(first.tenant), metadata: metadata, metadataIn: home, level: 3)
        if !drafts.isEmpty {
            drafts[0].duplicates = dropped.duplicates
            drafts[0].conflicts = dropped.conflicts
        }
        for index in drafts.indices where drafts[index].retentionClass == first.retentionClass {
            drafts[index].cover(parts.map(\.descriptor))
        }
        return drafts
    }
}

extension PartDraft {
    /// Makes metadata live as long as it would have in the input that it comes from.
    fileprivate mutating func cover(_ inputs: [PartDescriptor]) {
        minNanos = inputs.reduce(minNanos) { min($0, $1.minNanos) }
        maxNanos = inputs.reduce(maxNanos) { max($0, $1.maxNanos) }
    }
}

/// One part of a merge.
private struct MergeSource {
    let part: MetricPart
    let index: PartIndex
    let exemplars: [(series: Int, list: [HeadExtras.Exemplar])]
}

/// A position in the sorted series of one part.
private struct MergeCursor {
    private let source: MergeSource
    private var series = 0
    private var exemplar = 0
    /// Labels of the current series, nil at the end.
    private(set) var labels: Labels?

    init(_ source: MergeSource) {
        self.source = source
        load()
    }

    private mutating func load() {
        labels =
            series < source.index.seriesCount
            ? source.index.labels(series) : nil
    }

    /// Appends the current series and steps to the next.
    mutating func read(
        _ times: TimeColumnCache, number: Int, into runs: inout SampleRuns,
        _ exemplars: inout [HeadExtras.Exemplar]
    ) throws {
        _ = try source.part.read(
            series, .all, source.index, times, source: number, into: &runs)
        step(&exemplars)
    }

    /// Adds the current series to buckets and steps to the next. Returns about how many samples it
    /// was.
    mutating func read(
        _ times: TimeColumnCache, number: Int, into sampler: inout Downsampler,
        _ exemplars: inout [HeadExtras.Exemplar]
    ) throws -> Int {
        defer { step(&exemplars) }
        if source.part.resolutionMillis > 0 {
            try source.part.readBuckets(
                series, source.index, times, source: number, into: &sampler)
            return 1000
        }
        var runs = SampleRuns(SampleColumns())
        _ = try source.part.read(
            series, .all, source.index, times, source: number, into: &runs)
        let columns = runs.finish().columns
        sampler.add(columns)
        return columns.count + 100
    }

    private mutating func step(_ exemplars: inout [HeadExtras.Exemplar]) {
        if exemplar < source.exemplars.count, source.exemplars[exemplar].series == series {
            for one in source.exemplars[exemplar].list where !exemplars.contains(one) {
                exemplars.append(one)
            }
            exemplar += 1
        }
        series += 1
        load()
    }
}

/// One part builder per UTC day and retention class, all fed in order of labels.
private struct DayBuilders {
    struct Key: Hashable, Comparable {
        var day: Int64
        var retentionClass: UInt8
        static func < (a: Key, b: Key) -> Bool {
            (a.day, a.retentionClass) < (b.day, b.retentionClass)
        }
    }
    private let resolutionMillis: Int64
    private var builders: [Key: PartBuilder] = [:]

    init(resolutionMillis: Int64 = 0) { self.resolutionMillis = resolutionMillis }

    /// Adds the buckets of a series, all of one day.
    mutating func add(
        _ labels: UnsafeRawBufferPointer, _ retentionClass: UInt8, day: Int64,
        _ sampled: Downsampled, _ exemplars: [HeadExtras.Exemplar]
    ) throws {
        if sampled.isEmpty, exemplars.isEmpty { return }
        let key = Key(day: day, retentionClass: retentionClass)
        builders[key, default: PartBuilder(resolutionMillis: resolutionMillis)].add(
            labels, sampled, exemplars: exemplars)
        if builders[key]?.dataCount ?? 0 > MetricStore.maxDataBytes {
            throw MetricStoreError.partTooLarge(bytes: MetricStore.maxDataBytes)
        }
    }

    /// Adds a series' samples, ascending, and exemplars, ascending, to their days.
    mutating func add(
        _ labels: UnsafeRawBufferPointer, _ retentionClass: UInt8, _ columns: SampleColumns,
        _ exemplars: [HeadExtras.Exemplar]
    ) throws {
        var start = 0
        var nextExemplar = 0
        while start < columns.count || nextExemplar < exemplars.count {
            var day = Int64.max
            if start < columns.count { day = utcDay(ofMillis: columns.millis[start]) }
            if nextExemplar < exemplars.count {
                day = min(day, utcDay(ofMillis: exemplars[nextExemplar].millis))
            }
            var end = start
            while end < columns.count, utcDay(ofMillis: columns.millis[end]) == day { end += 1 }
            let ofDay = exemplars[nextExemplar...].prefix { utcDay(ofMillis: $0.millis) == day }
            let key = Key(day: day, retentionClass: retentionClass)
            builders[key, default: PartBuilder()].add(
                labels, columns, start..<end, exemplars: Array(ofDay))
            if builders[key, default: PartBuilder()].dataCount > MetricStore.maxDataBytes {
                throw MetricStoreError.partTooLarge(bytes: MetricStore.maxDataBytes)
            }
            start = end
            nextExemplar += ofDay.count
        }
    }

    /// The parts, by day and class. Without `metadataIn` metadata gets a part of its own, without any
    /// series: in a part of samples it would share the age of the samples, which may be old.
    consuming func finish(
        tenant: Tenant, metadata: MetadataTable, metadataIn home: Key? = nil, level: Int32
    ) -> [PartDraft] {
        var timeless: PartBuilder?
        if !metadata.isEmpty {
            if let home {
                let new = PartBuilder(resolutionMillis: resolutionMillis)
                builders[home, default: new].setMetadata(metadata)
            } else {
                timeless = PartBuilder()
                timeless?.setMetadata(metadata)
            }
        }
        var parts = builders.sorted { $0.key < $1.key }.map { (key: $0.key, builder: $0.value) }
        if let timeless { parts.append((Key(day: 0, retentionClass: 0), timeless)) }
        return parts.enumerated().map { index, part in
            let (key, builder) = part
            var draft = PartDraft(
                tenant: tenant.name, day: Int32(clamping: key.day),
                minNanos: nanos(ofMillis: builder.minMillis),
                maxNanos: nanos(ofMillis: builder.maxMillis),
                rowCount: UInt64(builder.sampleCount), retentionClass: key.retentionClass,
                bytes: builder.finish(level: level))
            draft.isTimeless = timeless != nil && index == parts.count - 1
            return draft
        }
    }
}

/// Nanoseconds, clamped where the time is outside their range (years 1677 to 2262).
func nanos(ofMillis millis: Int64) -> Int64 {
    let (nanos, overflow) = millis.multipliedReportingOverflow(by: 1_000_000)
    return overflow ? (millis < 0 ? .min : .max) : nanos
}
