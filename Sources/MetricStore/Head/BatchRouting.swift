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

    /// Counting sort of `0..<count` by shard.
    private static func group(_ count: Int, _ shard: (Int) -> UInt8) -> Group {
        var group = Group()
        var starts = [Int](repeating: 0, count: shardCount + 2)
        for i in 0..<count { starts[Int(shard(i)) + 1] += 1 }
        for s in 1..<starts.count { starts[s] += starts[s - 1] }
        group.starts = Array(starts[0...shardCount])
        var next = starts
        group.order = [UInt32](repeating: 0, count: count)
        for i in 0..<count {
            let s = Int(shard(i))
            group.order[next[s]] = UInt32(truncatingIfNeeded: i)
            next[s] += 1
        }
        return group
    }

    func isEmpty(_ shard: Int) -> Bool { series.isEmpty(shard) }
}
