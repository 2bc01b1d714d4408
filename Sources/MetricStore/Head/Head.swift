// SPDX-License-Identifier: Apache-2.0
// The in-memory data of one tenant and generation.

import Base
import Storage
import Synchronization
import Telemetry

/// Samples of one tenant since one rotation of the log, queryable at once.
///
/// Appending takes each shard's lock once per batch. Reading copies what it selected out of a shard
/// under its lock: the copies share memory with the head until the head appends to it, so a
/// snapshot costs a reference per chunk list, and later appends never show in it.
final class Head: Sendable {
    let tenant: Tenant
    let generation: UInt64
    let shards: [HeadShard]
    /// Families whose metadata came with this head.
    let metadata = Mutex(MetadataTable())
    private let held = Atomic<Int>(0)
    private let seriesTotal = Atomic<Int>(0)

    init(tenant: Tenant, generation: UInt64) {
        self.tenant = tenant
        self.generation = generation
        shards = (0..<BatchRouting.shardCount).map { _ in HeadShard() }
    }

    /// Bytes of memory held, about.
    var byteCount: Int { held.load(ordering: .relaxed) }
    var seriesCount: Int { seriesTotal.load(ordering: .relaxed) }

    /// - Parameters:
    ///   - known: refs that `MetricStore.admit` found, in this head or another.
    ///   - lane: takes only every `lanes`-th shard, beginning with this one.
    func append(
        _ batch: MetricBatch, _ routing: BatchRouting, known: KnownSeries?, lane: Int = 0,
        of lanes: Int = 1
    ) -> AppendCounts {
        var counts = AppendCounts()
        var refs: [UInt32]
        if let known, known.head == ObjectIdentifier(self), known.refs.count == batch.series.count {
            refs = known.refs
        } else {
            refs = [UInt32](repeating: .max, count: batch.series.count)
        }
        batch.arena.withUnsafeBytes { arena in
            for number in stride(from: lane, to: shards.count, by: lanes)
            where !routing.isEmpty(number) {
                let (growth, added) = shards[number].state.withLock { state in
                    let before = (bytes: state.byteCount, series: state.series.count)
                    state.append(batch, arena, routing, number, &refs, &counts)
                    return (state.byteCount - before.bytes, state.series.count - before.series)
                }
                held.wrappingAdd(growth, ordering: .relaxed)
                if added > 0 { seriesTotal.wrappingAdd(added, ordering: .relaxed) }
            }
        }
        counts.newSeries.sort()
        return counts
    }
}

/// Where one head has the series of a batch. A head keeps its series as long as it lives, so what
/// was found once stays true for it.
package struct KnownSeries: Sendable, Equatable {
    /// The head; it is held by whoever holds this, so that no other takes its place in memory.
    let owner: Head
    var head: ObjectIdentifier { ObjectIdentifier(owner) }
    /// By the batch's series: number within its shard, or `.max`.
    var refs: [UInt32]
    let routing: BatchRouting

    /// The routing of the batch that was looked up, unless entries of it were left out since.
    func routing(of batch: MetricBatch) -> BatchRouting? { routing.isOf(batch) ? routing : nil }

    package static func == (a: KnownSeries, b: KnownSeries) -> Bool {
        a.owner === b.owner && a.refs == b.refs
    }
}

extension ShardState {
    /// Appends what of a batch belongs to this shard.
    ///
    /// - Parameters:
    ///   - arena: the batch's.
    ///   - refs: by the batch's series; `.max` where unknown, filled in for this shard.
    mutating func append(
        _ batch: MetricBatch, _ arena: UnsafeRawBufferPointer, _ routing: BatchRouting,
        _ shard: Int, _ refs: inout [UInt32], _ counts: inout AppendCounts
    ) {
        for index in routing.series.members(shard) where refs[Int(index)] == .max {
            let series = batch.series[Int(index)]
            let bytes = UnsafeRawBufferPointer(rebasing: arena[series.slice.range])
            if let known = find(bytes, hash: series.hash) {
                refs[Int(index)] = known
            } else {
                refs[Int(index)] = add(bytes, hash: series.hash)
                counts.newSeries.append(index)
            }
        }
        appendFloats(batch, routing.samples.members(shard), refs, &counts)
        var least = minMillis
        var most = maxMillis
        for index in routing.histograms.members(shard) {
            let i = Int(index)
            let millis = batch.histogramMillis[i]
            least = min(least, millis)
            most = max(most, millis)
            append(
                Int(refs[Int(batch.histogramSeries[i])]), millis: millis,
                histogram: UnsafeRawBufferPointer(rebasing: arena[batch.histograms[i].range]),
                start: batch.histogramStartMillis.isEmpty ? 0 : batch.histogramStartMillis[i],
                &counts)
        }
        minMillis = least
        maxMillis = most
        for index in routing.exemplars.members(shard) {
            let i = Int(index)
            let labels = arena[batch.exemplarLabels[i].range]
            append(
                Int(refs[Int(batch.exemplarSeries[i])]),
                exemplar: HeadExtras.Exemplar(
                    millis: batch.exemplarMillis[i], value: batch.exemplarValues[i].bitPattern,
                    labels: [UInt8](labels)), &counts)
        }
    }

    private mutating func appendFloats(
        _ batch: MetricBatch, _ members: ArraySlice<UInt32>, _ refs: [UInt32],
        _ counts: inout AppendCounts
    ) {
        let hasStarts = !batch.sampleStartMillis.isEmpty
        var least = minMillis
        var most = maxMillis
        for index in members {
            let millis = batch.sampleMillis[Int(index)]
            least = min(least, millis)
            most = max(most, millis)
        }
        minMillis = least
        maxMillis = most
        var next = members.startIndex
        while next < members.endIndex {
            next = appendPlain(batch, members[next...], refs, &counts)
            if next == members.endIndex { return }
            let i = Int(members[next])
            appendUncommon(
                Int(refs[Int(batch.sampleSeries[i])]), millis: batch.sampleMillis[i],
                bits: batch.sampleValues[i].bitPattern,
                start: hasStarts ? batch.sampleStartMillis[i] : 0, &counts)
            next += 1
        }
    }

    /// Series whose memory is asked for ahead of its turn.
    private static let prefetchAhead = 4

    /// Appends samples as long as they are later than all of series that have nothing but chunks.
    ///
    /// - Returns: where the first of `members` lies that is not so.
    private mutating func appendPlain(
        _ batch: MetricBatch, _ members: ArraySlice<UInt32>, _ refs: [UInt32],
        _ counts: inout AppendCounts
    ) -> Int {
        let starts = batch.sampleStartMillis
        let ahead = members.endIndex &- ShardState.prefetchAhead
        var growth = 0
        let end = series.withUnsafeMutableBufferPointer { series in
            var next = members.startIndex
            while next < members.endIndex {
                if next < ahead {
                    let later = Int(members[next &+ ShardState.prefetchAhead])
                    series[Int(refs[Int(batch.sampleSeries[later])])].prefetchEnd()
                }
                let i = Int(members[next])
                let ref = Int(refs[Int(batch.sampleSeries[i])])
                let millis = batch.sampleMillis[i]
                guard series[ref].extras == .max,
                    !series[ref].hasFloats || millis > series[ref].lastMillis,
                    starts.isEmpty || starts[i] == 0
                else { break }
                growth &+= series[ref].append(
                    millis: millis, bits: batch.sampleValues[i].bitPattern)
                next &+= 1
            }
            return next
        }
        byteCount &+= growth
        counts.appended &+= end &- members.startIndex
        return end
    }
}
