// SPDX-License-Identifier: Apache-2.0
// What is in memory of one generation.

import Base
import Synchronization
import Telemetry

/// What became of a batch.
package struct LogAppendCounts: Sendable, Equatable {
    /// Rows added.
    package var accepted = 0
    /// Rows dropped because the same stream, time, line and metadata were there already, ascending:
    /// they must not be counted again elsewhere.
    package var duplicateRows: [Int] = []
    package var duplicates: Int { duplicateRows.count }
    /// Indices into the batch's `streams` of those that this head had not seen before.
    package var newStreams: [Int] = []

    package init() {}
}

/// The heads of all tenants in one generation.
final class Head: Sendable {
    let generation: UInt64
    private let shardCount: Int
    private let tenants = Mutex<[String: TenantHead]>([:])
    /// Bytes of memory held.
    let byteCount = Atomic<Int>(0)

    init(generation: UInt64, shardCount: Int) {
        self.generation = generation
        self.shardCount = shardCount
    }

    func existing(_ tenant: Tenant) -> TenantHead? { tenants.withLock { $0[tenant.name] } }

    func tenant(_ tenant: Tenant) -> TenantHead {
        tenants.withLock { all in
            if let found = all[tenant.name] { return found }
            let made = TenantHead(tenant, generation: generation, shardCount: shardCount)
            all[tenant.name] = made
            return made
        }
    }

    /// Ascending by name.
    func allTenants() -> [TenantHead] {
        tenants.withLock { Array($0.values) }.sorted { $0.tenant < $1.tenant }
    }
}

/// The streams of one tenant in one generation, sharded by label hash.
final class TenantHead: Sendable {
    let tenant: Tenant
    let generation: UInt64
    private let shards: [HeadShard]

    /// - Parameter shardCount: a power of two.
    init(_ tenant: Tenant, generation: UInt64, shardCount: Int) {
        self.tenant = tenant
        self.generation = generation
        shards = (0..<shardCount).map { _ in HeadShard() }
    }

    private func shardIndex(_ hash: UInt64) -> Int {
        Int(truncatingIfNeeded: hash >> 48) & (shards.count - 1)
    }

    /// Adds the rows of a batch; each shard's lock is taken once.
    ///
    /// - Returns: bytes of memory taken.
    func append(_ batch: LogBatch, sequence: UInt64, _ counts: inout LogAppendCounts) -> Int {
        let shardOf = batch.streams.map { UInt16(truncatingIfNeeded: shardIndex($0.hash)) }
        // Rows in order of shard, keeping their order inside one (a counting sort).
        var starts = [Int](repeating: 0, count: shards.count + 1)
        for stream in batch.rowStreams { starts[Int(shardOf[Int(stream)]) + 1] += 1 }
        for index in 0..<shards.count { starts[index + 1] += starts[index] }
        var next = starts
        var order = [UInt32](repeating: 0, count: batch.rowCount)
        for (row, stream) in batch.rowStreams.enumerated() {
            let shard = Int(shardOf[Int(stream)])
            order[next[shard]] = UInt32(row)
            next[shard] += 1
        }
        var resolved = [HeadStream?](repeating: nil, count: batch.streams.count)
        var grown = 0
        for (index, shard) in shards.enumerated() where starts[index] < starts[index + 1] {
            shard.append(
                batch, order[starts[index]..<starts[index + 1]], sequence: sequence, &resolved,
                &counts, &grown)
        }
        return grown
    }

    /// Streams that satisfy the matchers and overlap the range, as they are now.
    func views(_ matchers: [LabelMatcher], _ range: NanosRange) -> [StreamView] {
        var result: [StreamView] = []
        for shard in shards { shard.views(matchers, range, into: &result) }
        return result
    }

    /// Streams with this label hash that overlap the range.
    func views(hash: UInt64, _ range: NanosRange) -> [StreamView] {
        shards[shardIndex(hash)].views(hash: hash, range)
    }

    /// Labels of streams that satisfy the matchers and overlap the range.
    func labels(_ matchers: [LabelMatcher], _ range: NanosRange) -> [Labels] {
        shards.flatMap { $0.labels(matchers, range) }
    }
}

/// A share of a tenant's streams behind one lock.
final class HeadShard: Sendable {
    private struct State {
        var streams: [HeadStream] = []
        var byHash: [UInt64: HeadStream] = [:]
    }
    private let state = Mutex(State())

    func append(
        _ batch: LogBatch, _ rows: ArraySlice<UInt32>, sequence: UInt64,
        _ resolved: inout [HeadStream?], _ counts: inout LogAppendCounts, _ grown: inout Int
    ) {
        state.withLock { state in
            batch.arena.withUnsafeBytes { arena in
                func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
                    UnsafeRawBufferPointer(rebasing: arena[slice.range])
                }
                for row in rows {
                    let row = Int(row)
                    let index = Int(batch.rowStreams[row])
                    let stream: HeadStream
                    if let known = resolved[index] {
                        stream = known
                    } else {
                        let ref = batch.streams[index]
                        let found = HeadShard.find(ref.hash, bytes(ref.slice), in: state)
                        stream = found ?? HeadShard.add(batch.arena.labels(ref), to: &state)
                        if found == nil {
                            counts.newStreams.append(index)
                            grown += stream.baseBytes
                        }
                        resolved[index] = stream
                    }
                    let added = stream.append(
                        nanos: batch.nanos[row], sequence: sequence, line: bytes(batch.lines[row]),
                        metadata: bytes(batch.metadata[row]),
                        ids: RowIDs(batch.traceIDs[row], batch.spanIDs[row]), grown: &grown)
                    if added { counts.accepted += 1 } else { counts.duplicateRows.append(row) }
                }
            }
        }
    }

    private static func find(
        _ hash: UInt64, _ labels: UnsafeRawBufferPointer, in state: State
    ) -> HeadStream? {
        var candidate = state.byHash[hash]
        while let stream = candidate {
            if stream.labels.bytes.withUnsafeBytes({ sameBytes($0, labels) }) { return stream }
            candidate = stream.next
        }
        return nil
    }

    private static func add(_ labels: Labels, to state: inout State) -> HeadStream {
        let stream = HeadStream(labels)
        stream.next = state.byHash[labels.hash]
        state.byHash[labels.hash] = stream
        state.streams.append(stream)
        return stream
    }

    /// Matching runs on a copy of the list, outside the lock: labels never change.
    private func matching(_ matchers: [LabelMatcher]) -> [HeadStream] {
        let all = state.withLock { $0.streams }
        return matchers.isEmpty ? all : all.filter { matchers.match($0.labels) }
    }

    func views(_ matchers: [LabelMatcher], _ range: NanosRange, into result: inout [StreamView]) {
        let found = matching(matchers)
        if found.isEmpty { return }
        state.withLock { _ in
            for stream in found {
                if let view = stream.view(range) { result.append(view) }
            }
        }
    }

    func views(hash: UInt64, _ range: NanosRange) -> [StreamView] {
        state.withLock { state in
            var result: [StreamView] = []
            var candidate = state.byHash[hash]
            while let stream = candidate {
                if let view = stream.view(range) { result.append(view) }
                candidate = stream.next
            }
            return result
        }
    }

    func labels(_ matchers: [LabelMatcher], _ range: NanosRange) -> [Labels] {
        let found = matching(matchers)
        return state.withLock { _ in
            found.compactMap { $0.overlaps(range) ? $0.labels : nil }
        }
    }
}
