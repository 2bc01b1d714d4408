// SPDX-License-Identifier: Apache-2.0
// Bounded threads for work that blocks or computes.

/// Why a pool did not take a piece of work.
package enum WorkerPoolError: Error, Sendable, Equatable, CustomStringConvertible {
    /// As many pieces wait as may wait: try later.
    case full(pool: String, queueLimit: Int)
    case stopped(pool: String)

    package var description: String {
        switch self {
        case .full(let pool, let limit):
            "\(pool) is overloaded: \(limit) pieces of work wait already"
        case .stopped(let pool): "\(pool) has stopped"
        }
    }
}

/// At most so many threads and a bounded queue before them. Work that would block the cooperative
/// pool (file I/O, decoding, queries) runs here. A hand-over costs some 10 µs, so hand over
/// batches. Threads start when they are first needed and stay.
package final class WorkerPool: Sendable {
    private struct State: Sendable {
        var jobs: [(@Sendable () -> Void)?] = []
        /// Jobs before this index are taken.
        var head = 0
        var idle = 0
        var stopping = false
        var threads: [DedicatedThread] = []

        var waiting: Int { jobs.count - head }

        mutating func take() -> (@Sendable () -> Void)? {
            guard head < jobs.count else { return nil }
            let job = jobs[head]
            jobs[head] = nil
            head += 1
            if head == jobs.count || head > 1024 {
                jobs.removeFirst(head)
                head = 0
            }
            return job
        }
    }

    package let name: String
    package let threadLimit: Int
    package let queueLimit: Int
    private let state = Monitor(State())

    /// - Parameter queueLimit: pieces of work that may wait, besides those that run.
    package init(name: String, threads: Int, queueLimit: Int) {
        self.name = name
        threadLimit = max(1, threads)
        self.queueLimit = queueLimit
    }

    deinit { state.change { $0.stopping = true } }

    private static func work(_ state: Monitor<State>) {
        while true {
            state.withLock { $0.idle += 1 }
            let job = state.wait { state -> (@Sendable () -> Void)?? in
                let job = state.take()
                guard job != nil || state.stopping else { return nil }
                state.idle -= 1
                return .some(job)
            }
            guard let job else { return }
            job()
        }
    }

    /// Runs `work` on a thread of the pool.
    ///
    /// - Throws: `WorkerPoolError` or `ThreadError` when it is not taken, else what `work` throws.
    package func run<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            let refusal = push(limit: queueLimit) {
                continuation.resume(with: Result { try work() })
            }
            if let refusal { continuation.resume(throwing: refusal) }
        }
    }

    /// Hands a job to a thread that has nothing to do; declines when there is none. For help
    /// that is welcome and never needed.
    ///
    /// - Returns: whether the job was taken.
    package func offer(_ job: @escaping @Sendable () -> Void) -> Bool {
        push(limit: Int.max, onlyIfFree: true, job) == nil
    }

    /// Queues a job and starts a thread for it where that helps; says why when it does not.
    private func push(
        limit: Int, onlyIfFree: Bool = false, _ job: @escaping @Sendable () -> Void
    ) -> (any Error)? {
        state.change { state -> (any Error)? in
            guard !state.stopping else { return WorkerPoolError.stopped(pool: name) }
            let isBusy = state.waiting >= state.idle && state.threads.count >= threadLimit
            guard state.waiting < limit, !(onlyIfFree && isBusy) else {
                return WorkerPoolError.full(pool: name, queueLimit: limit)
            }
            if state.waiting >= state.idle, state.threads.count < threadLimit {
                do throws(ThreadError) {
                    let shared = self.state
                    state.threads.append(
                        try DedicatedThread(name: "\(name)-\(state.threads.count)") {
                            WorkerPool.work(shared)
                        })
                } catch {
                    // Those that run already will get to it.
                    guard !state.threads.isEmpty else { return error }
                }
            }
            state.jobs.append(job)
            return nil
        }
    }

    /// Whether any work has been given to the pool yet.
    package var isStarted: Bool { state.withLock { !$0.threads.isEmpty } }

    /// Pieces of work that wait now.
    package var waiting: Int { state.withLock { $0.waiting } }

    /// Refuses new work, finishes what waits and blocks until all threads have ended.
    package func stop() {
        let threads = state.change { state -> [DedicatedThread] in
            state.stopping = true
            return state.threads
        }
        for thread in threads { thread.join() }
    }
}

/// A pool is also where whole tasks can run: `withTaskExecutorPreference(pool) { … }`.
///
/// A task's next step cannot be refused, so `queueLimit` does not count there: whoever starts such
/// tasks bounds their number. A step that the pool cannot take, because it has stopped or no thread
/// is to be had, runs where it was handed over.
extension WorkerPool: TaskExecutor {
    package func enqueue(_ job: consuming ExecutorJob) {
        let step = UnownedJob(job)
        let refusal = push(limit: Int.max) {
            step.runSynchronously(on: self.asUnownedTaskExecutor())
        }
        if refusal != nil { step.runSynchronously(on: asUnownedTaskExecutor()) }
    }
}

/// Calls `body` with 0..<count on up to `width` threads and blocks until all calls are done.
package func concurrently(
    _ count: Int, width: Int, _ body: @escaping @Sendable (Int) -> Void
) throws(ThreadError) {
    guard count > 1, width > 1 else {
        for index in 0..<count { body(index) }
        return
    }
    let next = Monitor(0)
    @Sendable func drain() {
        while true {
            let index = next.withLock { value -> Int in
                defer { value += 1 }
                return value
            }
            guard index < count else { return }
            body(index)
        }
    }
    var threads: [DedicatedThread] = []
    defer { for thread in threads { thread.join() } }
    for _ in 1..<min(width, count) {
        threads.append(try DedicatedThread(name: "worker") { drain() })
    }
    drain()
}
