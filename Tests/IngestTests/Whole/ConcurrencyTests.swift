// SPDX-License-Identifier: Apache-2.0
// All four stores on one kernel: writing, reading, sealing and merging at once.

import Base
import Correlation
import MetricStore
import Storage
import Synchronization
import Telemetry
import TestKit
import Testing

/// Writers that are not done yet.
private final class Writers: Sendable {
    private let count: Atomic<Int>
    init(_ count: Int) { self.count = Atomic(count) }
    var areThere: Bool { count.load(ordering: .relaxed) > 0 }
    func leave() { count.wrappingSubtract(1, ordering: .relaxed) }
}

private final class Kept: Sendable { let list = Mutex<[Promise]>([]) }

@Suite struct ConcurrencyTests {
    @Test(.timeLimit(.minutes(3)))
    func everythingAtOnceKeepsEveryPromise() async throws {
        try await withTemporaryDirectory { path in
            let writers = 3
            let commits = 25
            let clock = SystemClock()
            let now = clock.wallNanos
            let server = try WholeServer(
                LocalFileSystem(), clock: clock, path: path + "/data"
            ) {
                $0.segmentBytes = 32 << 10
                $0.tickSeconds = 0.01
                $0.sealLogBytes = 8 << 10
                $0.compactionIntervalSeconds = 0.02
                $0.compactionParallelism = 2
            }
            server.kernel.start()
            let writing = Writers(writers)
            let kept = Kept()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<writers {
                    group.addTask {
                        for number in 0..<commits {
                            let key = UInt64(writer * 1000 + number + 1)
                            let promise = Promise(
                                key: key, tenant: "t", nanos: now + Int64(key) * 1_000_000,
                                isMetadata: number % 7 == 6, padding: 64)
                            try await server.commit([promise])
                            kept.list.withLock { $0.append(promise) }
                        }
                        writing.leave()
                    }
                }
                for _ in 0..<2 {
                    group.addTask {
                        while writing.areThere {
                            // Reading never waits: without this the readers keep the writers out.
                            try await Task.sleep(nanoseconds: 1_000_000)
                            // What was promised before a read shows in it.
                            let before = kept.list.withLock { $0 }
                            let visible = try server.visible("t")
                            let problems = try before.compactMap {
                                try server.breach($0, visible)
                            }
                            #expect(problems == [])
                            _ = server.correlation.services(tenant: Tenant("t"), range: .all)
                            _ = server.kernel.status
                            _ = server.metrics.statistics
                        }
                    }
                }
                group.addTask {
                    while writing.areThere {
                        try await server.kernel.sealNow()
                        try await server.kernel.compactNow()
                    }
                }
                try await group.waitForAll()
            }
            let promises = kept.list.withLock { $0 }
            try #expect(server.breaches(promises) == [])
            #expect(server.kernel.status.work.merges > 0)
            #expect(server.kernel.status.work.lastFailure == nil)
            await server.kernel.stop()
            let again = try WholeServer(LocalFileSystem(), path: path + "/data")
            try #expect(again.breaches(promises) == [])
            await again.kernel.stop()
        }
    }
}
