// SPDX-License-Identifier: Apache-2.0
// Recording, looking up, sealing and merging at once.

import Base
import Correlation
import Storage
import Synchronization
import Telemetry
import Testing

/// Writers that are not done yet.
private final class Writers: Sendable {
    private let count: Atomic<Int>
    init(_ count: Int) { self.count = Atomic(count) }
    var areThere: Bool { count.load(ordering: .relaxed) > 0 }
    func leave() { count.wrappingSubtract(1, ordering: .relaxed) }
}

@Suite struct ConcurrencyTests {
    fileprivate struct Progress {
        var shelf = Shelf()
        var parts: [PartHandle] = []
        var generation: UInt64 = 1
        var recorded = 0
    }

    private final class Shared: Sendable { let progress = Mutex(Progress()) }

    @Test(.timeLimit(.minutes(2)))
    func lookUpsSeeEveryLineWhileItMoves() async throws {
        let index = Correlation()
        let shared = Shared()
        let writers = 2
        let writing = Writers(writers)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<writers {
                group.addTask {
                    for round in 0..<60 {
                        // Each in a window of its own.
                        let nanos = noon + Int64(writer * 1_000 + round) << 25
                        // A generation is sealed when all its records are applied.
                        shared.progress.withLock { progress in
                            index.record(
                                logs: logBatch(nanos: nanos), tenant: tenant,
                                generation: progress.generation)
                            index.record(
                                spans: spanBatch([TestSpan(service: "front", start: nanos)]),
                                tenant: tenant, generation: progress.generation)
                            index.record(
                                metrics: metricBatch(), tenant: tenant,
                                generation: progress.generation)
                            progress.recorded += 1
                        }
                    }
                    writing.leave()
                }
            }
            group.addTask {
                while writing.areThere {
                    let old = shared.progress.withLock { progress in
                        progress.generation += 1
                        return progress.generation - 1
                    }
                    let drafts = try index.seal(generation: old)
                    let parts = try shared.progress.withLock { progress in
                        let added = try progress.shelf.add(drafts)
                        progress.parts += added
                        return added
                    }
                    index.sealed(generation: old, parts: parts)
                    let inputs = shared.progress.withLock { $0.parts }
                    if inputs.count < 4 { continue }
                    let merged = try index.merge(inputs) { false }
                    let added = try shared.progress.withLock { progress in
                        let added = try progress.shelf.add(merged)
                        progress.parts = added
                        return added
                    }
                    index.replace(removed: inputs.map(\.descriptor.id), added: added)
                }
            }
            group.addTask {
                while writing.areThere {
                    let before = shared.progress.withLock { $0.recorded }
                    let refs = index.traceRefs(traceA, tenant: tenant)
                    #expect(Set(refs.logs).count >= before)
                    #expect(refs.faults.isEmpty)
                    _ = index.services(tenant: tenant, range: .all)
                    _ = index.service("front", tenant: tenant, range: .all)
                    _ = index.headBytes
                }
            }
            try await group.waitForAll()
        }
        let refs = index.traceRefs(traceA, tenant: tenant)
        #expect(Set(refs.logs).count == writers * 60)
        #expect(index.openFaults.isEmpty)
    }
}
