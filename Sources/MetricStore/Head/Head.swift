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

    func append(_ batch: MetricBatch, _ routing: BatchRouting) -> AppendCounts {
        var counts = AppendCounts()
        var refs = [UInt32](repeating: 0, count: batch.series.count)
        for (number, shard) in shards.enumerated() where !routing.isEmpty(number) {
            let (growth, added) = shard.state.withLock { state in
                let before = (bytes: state.byteCount, series: state.series.count)
                Head.append(batch, routing, number, &refs, to: &state, &counts)
                return (state.byteCount - before.bytes, state.series.count - before.series)
            }
            held.wrappingAdd(growth, ordering: .relaxed)
            if added > 0 { seriesTotal.wrappingAdd(added, ordering: .relaxed) }
        }
        counts.newSeries.sort()
        return counts
    }

    private static func append(
        _ batch: MetricBatch, _ routing: BatchRouting, _ shard: Int, _ refs: inout [UInt32],
        to state: inout ShardState, _ counts: inout AppendCounts
    ) {
        batch.arena.withUnsafeBytes { arena in
            for index in routing.series.members(shard) {
                let ref = batch.series[Int(index)]
                let labels = UnsafeRawBufferPointer(rebasing: arena[ref.slice.range])
                if let known = state.find(labels, hash: ref.hash) {
                    refs[Int(index)] = known
                } else {
                    refs[Int(index)] = state.add(labels, hash: ref.hash)
                    counts.newSeries.append(index)
                }
            }
            let hasStarts = !batch.sampleStartMillis.isEmpty
            var least = state.minMillis
            var most = state.maxMillis
            for index in routing.samples.members(shard) {
                let i = Int(index)
                let millis = batch.sampleMillis[i]
                least = min(least, millis)
                most = max(most, millis)
                state.append(
                    Int(refs[Int(batch.sampleSeries[i])]), millis: millis,
                    bits: batch.sampleValues[i].bitPattern,
                    start: hasStarts ? batch.sampleStartMillis[i] : 0, &counts)
            }
            for index in routing.histograms.members(shard) {
                let i = Int(index)
                let millis = batch.histogramMillis[i]
                least = min(least, millis)
                most = max(most, millis)
                state.append(
                    Int(refs[Int(batch.histogramSeries[i])]), millis: millis,
                    histogram: UnsafeRawBufferPointer(rebasing: arena[batch.histograms[i].range]),
                    start: batch.histogramStartMillis.isEmpty ? 0 : batch.histogramStartMillis[i],
                    &counts)
            }
            state.minMillis = least
            state.maxMillis = most
            for index in routing.exemplars.members(shard) {
                let i = Int(index)
                let labels = arena[batch.exemplarLabels[i].range]
                state.append(
                    Int(refs[Int(batch.exemplarSeries[i])]),
                    exemplar: HeadExtras.Exemplar(
                        millis: batch.exemplarMillis[i], value: batch.exemplarValues[i].bitPattern,
                        labels: [UInt8](labels)), &counts)
            }
        }
    }
}
