// SPDX-License-Identifier: Apache-2.0
// Which entries of a batch go to which shard.

import Telemetry

/// The entries of a batch in order of shard, so that each shard's lock is taken once. Within a
/// shard the order of the batch is kept.
struct BatchRouting {
    static let shardCount = 16

    /// Indices grouped by shard.
    struct Group {
        fileprivate(set) var order: [UInt32] = []
        fileprivate(set) var starts = [Int](repeating: 0, count: shardCount + 1)

        func members(_ shard: Int) -> ArraySlice<UInt32> {
            order[starts[shard]..<starts[shard + 1]]
        }
        func isEmpty(_ shard: Int) -> Bool { starts[shard] == starts[shard + 1] }
    }

    /// Series that a sample, histogram or exemplar refers to.
    let series: Group
    let samples: Group
    let histograms: Group
    let exemplars: Group

    static func shard(of hash: UInt64) -> Int { Int(truncatingIfNeeded: hash &>> 60) }

    init(_ batch: MetricBatch) {
        let shards = batch.series.map {
            UInt8(truncatingIfNeeded: BatchRouting.shard(of: $0.hash))
        }
        if batch.histogramSeries.isEmpty, batch.exemplarSeries.isEmpty,
            BatchRouting.isOneEach(batch.sampleSeries, shards.count)
        {
            // What most senders send: the n-th sample is that of the n-th series.
            series = BatchRouting.group(shards.count) { shards[$0] }
            samples = series
            histograms = Group()
            exemplars = Group()
            return
        }
        var isUsed = [Bool](repeating: false, count: shards.count)
        func group(_ column: [UInt32]) -> Group {
            if column.isEmpty { return Group() }
            for index in column { isUsed[Int(index)] = true }
            return BatchRouting.group(column.count) { shards[Int(column[$0])] }
        }
        samples = group(batch.sampleSeries)
        histograms = group(batch.histogramSeries)
        exemplars = group(batch.exemplarSeries)
        // A series that nothing refers to is not created: it goes to a group past the last.
        series = BatchRouting.group(shards.count) {
            isUsed[$0] ? shards[$0] : UInt8(BatchRouting.shardCount)
        }
    }

    /// Whether a batch has as many entries as the one that this was made of.
    func isOf(_ batch: MetricBatch) -> Bool {
        series.order.count == batch.series.count
            && samples.order.count == batch.sampleSeries.count
            && histograms.order.count == batch.histogramSeries.count
            && exemplars.order.count == batch.exemplarSeries.count
    }

    private static func isOneEach(_ column: [UInt32], _ count: Int) -> Bool {
        guard column.count == count else { return false }
        var differences: UInt32 = 0
        for i in column.indices {
            differences |= column[i] ^ UInt32(truncatingIfNeeded: i)
        }
        return differences == 0
    }

    /// Counting sort of `0..<count` by shard.
    @inline(__always)
    private static func group(_ count: Int, _ shard: (Int) -> UInt8) -> Group {
        var group = Group()
        var starts = [Int](repeating: 0, count: shardCount + 2)
        for i in 0..<count { starts[Int(shard(i)) &+ 1] &+= 1 }
        for s in 1..<starts.count { starts[s] += starts[s - 1] }
        group.starts = Array(starts[0...shardCount])
        var next = starts
        // Its own variable: a field that is written to is looked at anew for each entry.
        var order = [UInt32](repeating: 0, count: count)
        for i in 0..<count {
            let s = Int(shard(i))
            order[next[s]] = UInt32(truncatingIfNeeded: i)
            next[s] &+= 1
        }
        group.order = order
        return group
    }

    func isEmpty(_ shard: Int) -> Bool { series.isEmpty(shard) }
}
