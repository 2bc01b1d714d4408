// SPDX-License-Identifier: Apache-2.0
// Tests of threads, pools and monitors.

import Base
import Synchronization
import Testing

struct ConcurrencyTests {
    private struct Failure: Error, Equatable {}

    @Test func aPoolRunsWorkAndPassesErrorsOn() async throws {
        let pool = WorkerPool(name: "test", threads: 2, queueLimit: 100)
        #expect(!pool.isStarted)
        let sum = try await withThrowingTaskGroup(of: Int.self) { group in
            for index in 0..<50 { group.addTask { try await pool.run { index } } }
            return try await group.reduce(0, +)
        }
        #expect(sum == 1225)
        await #expect(throws: Failure()) { try await pool.run { throw Failure() } }
        pool.stop()
        await #expect(throws: WorkerPoolError.stopped(pool: "test")) { try await pool.run {} }
    }

    @Test func aFullPoolRefuses() async throws {
        let pool = WorkerPool(name: "small", threads: 1, queueLimit: 2)
        let gate = Monitor(false)
        let running = Monitor(false)
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await pool.run {
                    running.change { $0 = true }
                    gate.wait { $0 ? () : nil }
                }
            }
            while !running.withLock({ $0 }) { await Task.yield() }
            for _ in 0..<2 { group.addTask { try await pool.run {} } }
            while pool.waiting < 2 { await Task.yield() }
            await #expect(throws: WorkerPoolError.full(pool: "small", queueLimit: 2)) {
                try await pool.run {}
            }
            gate.change { $0 = true }
        }
        #expect(pool.waiting == 0)
        pool.stop()
    }

    @Test func stoppingFinishesWhatWaits() async throws {
        let pool = WorkerPool(name: "test", threads: 1, queueLimit: 100)
        let done = Monitor(0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<20 {
                group.addTask { try await pool.run { done.withLock { $0 += 1 } } }
            }
            try await group.waitForAll()
        }
        pool.stop()
        #expect(done.withLock { $0 } == 20)
    }

    @Test func concurrentCallsCoverEveryIndexOnce() throws {
        for width in [1, 3, 50] {
            let seen = Mutex<[Int]>([])
            try concurrently(20, width: width) { index in seen.withLock { $0.append(index) } }
            #expect(seen.withLock { $0 }.sorted() == Array(0..<20))
        }
    }

    @Test func aThreadEndsBeforeJoinReturns() throws {
        let done = Monitor(false)
        let thread = try DedicatedThread(name: "a name longer than fifteen bytes") {
            done.withLock { $0 = true }
        }
        thread.join()
        thread.join()
        #expect(done.withLock { $0 })
    }
}
