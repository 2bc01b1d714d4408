// SPDX-License-Identifier: Apache-2.0
// The spans of one tenant and generation that are not in parts yet.

import Base
import Synchronization
import Telemetry

/// A head: shards by trace id, each under a lock of its own.
final class TraceHead: Sendable {
    let shards: [HeadShard]
    private let bytes = Atomic<Int>(0)

    init() { shards = (0..<Limits.shardCount).map { _ in HeadShard() } }

    var byteCount: Int { bytes.load(ordering: .relaxed) }

    func shard(_ id: TraceID) -> HeadShard { shards[TraceHead.shardIndex(id)] }

    /// The table inside a shard uses the low bits of the tag, so the shard comes from the high.
    static func shardIndex(_ id: TraceID) -> Int {
        Int(id.tag >> 24) & (Limits.shardCount - 1)
    }

    /// Adds the rows that neither this head nor `older` (the head of the generation being sealed)
    /// holds; takes each shard's lock once. Returns the rows left out.
    func append(_ batch: SpanBatch, older: [TraceHead]) -> [Int] {
        var duplicates: [Int] = []
        var rows = [[Int]](repeating: [], count: Limits.shardCount)
        for row in 0..<batch.rowCount {
            let id = batch.traceIDs[row]
            if !older.isEmpty, older.contains(where: { $0.shard(id).contains(batch.key(row)) }) {
                duplicates.append(row)
                continue
            }
            rows[TraceHead.shardIndex(id)].append(row)
        }
        for (index, rows) in rows.enumerated() where !rows.isEmpty {
            let grown = shards[index].append(batch, rows: rows, duplicates: &duplicates)
            bytes.wrappingAdd(grown, ordering: .relaxed)
        }
        duplicates.sort()
        return duplicates
    }

    func segments() -> [HeadSegment] { shards.flatMap { $0.segments() } }
}
