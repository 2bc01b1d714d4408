// SPDX-License-Identifier: Apache-2.0
// Committing, reading, sealing and merging at once; most useful under the thread sanitizer.

import Base
import Storage
import Synchronization
import TestKit
import Testing

/// Writers that are not done yet.
private final class Writers: Sendable {
    private let count: Atomic<Int>
    init(_ count: Int) { self.count = Atomic(count) }
    var areThere: Bool { count.load(ordering: .relaxed) > 0 }
    func leave() { count.wrappingSubtract(1, ordering: .relaxed) }
}

@Suite struct ConcurrencyTests {
    @Test(.timeLimit(.minutes(2)))
    func everythingAtOnceLosesNothing() async throws {
        try await withTemporaryDirectory { path in
            let writers = 3
            let commits = 60
            let server = try ToyServer(
                LocalFileSystem(), clock: SystemClock(), path: path + "/data"
            ) {
                $0.segmentBytes = 16 << 10
                $0.tickSeconds = 0.01
                $0.sealBytes = 4 << 10
                $0.compactionIntervalSeconds = 0.02
                $0.compactionParallelism = 2
            }
            server.kernel.start()
            let writing = Writers(writers)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<writers {
                    group.addTask {
                        for number in 0..<commits {
                            try await server.commit(
                                UInt64(writer * 1000 + number), tenant: "t\(writer % 2)",
                                bytes: 200)
                        }
                        writing.leave()
                    }
                }
                group.addTask {
                    var before = 0
                    while writing.areThere {
                        let keys = server.keys
                        #expect(Set(keys).count == keys.count)
                        #expect(keys.count >= before)
                        before = keys.count
                        _ = server.kernel.status
                        try await Task.sleep(nanoseconds: 200_000)
                    }
                }
                group.addTask {
                    while writing.areThere {
                        try await server.kernel.sealNow()
                        try await server.kernel.compactNow()
                        try await server.kernel.enforceRetention()
                    }
                }
                try await group.waitForAll()
            }
            let wanted = (0..<writers).flatMap { writer in
                (0..<commits).map { UInt64(writer * 1000 + $0) }
            }
            #expect(server.keys == wanted)
            #expect(server.store.problems == [])
            let status = server.kernel.status
            #expect(status.work.merges > 0)
            #expect(status.work.lastFailure == nil)
            await server.kernel.stop()
            let again = try ToyServer(LocalFileSystem(), path: path + "/data")
            #expect(again.keys == wanted)
            await again.kernel.stop()
        }
    }
}
