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
    private let memory = HeadMemory()
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
            let made = TenantHead(
                tenant, generation: generation, shardCount: shardCount, memory)
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
    init(_ tenant: Tenant, generation: UInt64, shardCount: Int, _ memory: HeadMemory) {
        self.tenant = tenant
        self.generation = generation
        shards = (0..<shardCount).map { _ in HeadShard(memory) }
    }

    private func shardIndex(_ hash: UInt64) -> Int {
        Int(truncatingIfNeeded: hash >> 48) & (shards.count - 1)
    }

    /// Adds the rows of a batch; each shard's lock is taken once, and each stream looked up once.
    ///
    /// - Returns: bytes of memory taken.
    func append(_ batch: LogBatch, sequence: UInt64, _ counts: inout LogAppendCounts) -> Int {
        let rows = CountingSort(batch.rowStreams, below: batch.streams.count)
        let streams = CountingSort(
            batch.streams.map { UInt32(truncatingIfNeeded: shardIndex($0.hash)) },
            below: shards.count)
        var grown = 0
        for (index, shard) in shards.enumerated() {
            let ofShard = streams[index].filter { !rows[Int($0)].isEmpty }
            if ofShard.isEmpty { continue }
            shard.append(batch, ofShard, rows, sequence: sequence, &counts, &grown)
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
    private let memory: HeadMemory

    init(_ memory: HeadMemory) { self.memory = memory }

    /// Adds the rows of some streams of a batch.
    func append(
        _ batch: LogBatch, _ streams: [UInt32], _ rows: CountingSort, sequence: UInt64,
        _ counts: inout LogAppendCounts, _ grown: inout Int
    ) {
        state.withLock { state in
            for number in streams {
                let index = Int(number)
                let ref = batch.streams[index]
                let found = batch.arena.withSlice(ref.slice) {
                    HeadShard.find(ref.hash, $0, in: state)
                }
                let stream = found ?? add(batch.arena.labels(ref), to: &state)
                if found == nil {
                    counts.newStreams.append(index)
                    grown += stream.baseBytes
                }
                stream.append(rows[index], of: batch, sequence: sequence, &counts, &grown)
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

    private func add(_ labels: Labels, to state: inout State) -> HeadStream {
        let stream = HeadStream(labels, memory)
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

/// Indices in order of a small number that each has, keeping their order where it is the same.
struct CountingSort {
    /// Where each number begins, and the end.
    private var starts: [Int]
    private var order: [UInt32]

    /// - Parameter bound: all numbers are below it.
    init(_ numbers: [UInt32], below bound: Int) {
        starts = [Int](repeating: 0, count: bound + 1)
        for number in numbers { starts[Int(number) + 1] += 1 }
        for number in 0..<bound { starts[number + 1] += starts[number] }
        var next = starts
        order = [UInt32](repeating: 0, count: numbers.count)
        for (index, number) in numbers.enumerated() {
            order[next[Int(number)]] = UInt32(truncatingIfNeeded: index)
            next[Int(number)] += 1
        }
    }

    /// The indices that have a number, ascending.
    subscript(number: Int) -> ArraySlice<UInt32> { order[starts[number]..<starts[number + 1]] }
}
