// SPDX-License-Identifier: Apache-2.0
// The log into heads, on several threads.

import Base
import Glibc
import Storage
import Synchronization
import Telemetry

extension MetricStore {
    /// Most threads of one replay.
    static let maxReplayLanes = 8
    /// Bytes of sections below which one thread does.
    static let minReplayBytes = 1 << 20

    private struct Replayed: Sendable {
        var batch: MetricBatch
        var routing: BatchRouting
        var head: Head
    }

    /// Decodes records side by side, then gives each thread some of the shards: every shard, and so
    /// every series, gets its samples in the order of the log.
    package func replay(
        _ sections: [ReplayedSection], generation: UInt64
    ) -> [(position: Int, error: any Error)] {
        let size = sections.reduce(0) { $0 + $1.range.count }
        let processors = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        let lanes =
            size < MetricStore.minReplayBytes
            ? 1 : max(1, min(processors, MetricStore.maxReplayLanes))
        let decoded = Mutex([Result<Replayed, any Error>?](repeating: nil, count: sections.count))
        spread(sections.count, lanes) { [self] position in
            let section = sections[position]
            let result = Result {
                let batch = try section.withBytes { try MetricBatch(decoding: $0) }
                return Replayed(
                    batch: batch, routing: BatchRouting(batch),
                    head: head(Tenant(section.tenant), generation))
            }
            decoded.withLock { $0[position] = result }
        }
        var failed: [(position: Int, error: any Error)] = []
        var all: [Replayed] = []
        for (position, result) in decoded.withLock({ $0 }).enumerated() {
            switch result {
            case .success(let one): all.append(one)
            case .failure(let error): failed.append((position, error))
            case nil: break
            }
        }
        for one in all where !one.batch.metadata.isEmpty {
            one.head.metadata.withLock { $0.add(one.batch) }
        }
        let work = all
        spread(lanes, lanes) { [self] lane in
            for one in work {
                count(one.head.append(one.batch, one.routing, known: nil, lane: lane, of: lanes))
            }
        }
        return failed
    }

    /// Calls `body` with 0..<count, each once, on up to `width` threads.
    private func spread(_ count: Int, _ width: Int, _ body: @escaping @Sendable (Int) -> Void) {
        let taken = Mutex(Set<Int>())
        @Sendable func once(_ index: Int) {
            if taken.withLock({ $0.insert(index).inserted }) { body(index) }
        }
        do throws(ThreadError) {
            try concurrently(count, width: width) { once($0) }
        } catch {
            // No threads to be had: this one does what is left.
            for index in 0..<count { once(index) }
        }
    }
}
