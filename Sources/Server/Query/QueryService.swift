// SPDX-License-Identifier: Apache-2.0
// Where queries run: bounded, off the event loops, cancellable.

import Base
import Storage
import Synchronization
import Telemetry

/// Limits of queries; times in seconds, sizes in bytes.
package struct QueryLimits: Sendable {
    package var timeoutSeconds = 120.0
    package var concurrency = 20
    /// Queries that may wait for a place.
    package var waiting = 1000
    package var samples = 50_000_000
    package var memoryBytes = 1 << 30
    /// Bytes that all queries together may hold.
    package var totalMemoryBytes = Int.max
    package var lookbackSeconds = 300.0
    package var features = QueryFeatures()
    /// Most points a range query may have per series. Source: Prometheus' API.
    package var points = 11_000

    package init() {}
}

/// Runs the reading work of all families on a bounded pool of threads.
package final class QueryService: Sendable {
    package let metrics: any SeriesReading
    package let logs: any LogReading
    package let traces: any SpanReading
    package let clock: any Clock
    package let limits: QueryLimits
    package let gate: QueryGate
    package let budget: ReadBudget
    /// What is running, for the next start and for whoever asks.
    package let active: ActiveQueryLog?
    package let queryLog: QueryLogFile?
    private let pool: WorkerPool
    /// Threads that queries over many series use besides their own, when they are free.
    let helpers: WorkerPool
    private let subqueryStep = Atomic<Int>(60_000)

    /// - Parameters:
    ///   - threads: threads that compute; no more queries than these run at once, whatever
    ///     `concurrency` says, so that writing keeps its share of the processors.
    ///   - helpers: threads that help them; at least 1.
    package init(
        metrics: any SeriesReading, logs: any LogReading, traces: any SpanReading,
        clock: any Clock, limits: QueryLimits, threads: Int, helpers: Int = 1,
        active: ActiveQueryLog? = nil,
        queryLog: QueryLogFile? = nil
    ) {
        self.metrics = metrics
        self.logs = logs
        self.traces = traces
        self.clock = clock
        self.limits = limits
        self.active = active
        self.queryLog = queryLog
        let width = max(1, min(limits.concurrency, threads))
        gate = QueryGate(running: width, waiting: limits.waiting)
        budget = ReadBudget(limitBytes: limits.totalMemoryBytes)
        pool = WorkerPool(name: "query", threads: width, queueLimit: width)
        self.helpers = WorkerPool(name: "query-helper", threads: helpers, queueLimit: 0)
    }

    /// Step of subqueries that name none: the configuration's evaluation interval.
    var subqueryStepMillis: Int64 { Int64(subqueryStep.load(ordering: .relaxed)) }
    func setSubqueryStep(millis: Int64) {
        subqueryStep.store(Int(max(1, millis)), ordering: .relaxed)
    }

    /// Runs `work` on a pool thread with a context of its own.
    ///
    /// When the surrounding task is cancelled or the client closes its connection, the context is
    /// cancelled, and the work ends at its next check. Interruptions come out as `APIError`.
    ///
    /// - Parameters:
    ///   - timeoutSeconds: the request's own wish; never more than the limit. Waiting counts.
    ///   - wording: how the family of the request puts interruptions.
    package func run<T: Sendable>(
        timeoutSeconds: Double? = nil,
        wording: (QueryInterruption) -> APIError = { APIError($0) },
        _ work: @escaping @Sendable (ReadContext) throws -> T
    ) async throws -> T {
        let clock = self.clock
        let context = ReadContext(
            timeoutSeconds: min(timeoutSeconds ?? limits.timeoutSeconds, limits.timeoutSeconds),
            memoryLimitBytes: limits.memoryBytes, sampleLimit: limits.samples, budget: budget,
            now: { clock.monotonicNanos })
        let watch = ConnectionWatch.current
        let token = watch?.onClose { context.cancel() }
        defer { if let token { watch?.forget(token) } }
        do {
            try await enter(context, watch)
            defer { gate.leave() }
            budget.enter(context)
            defer { budget.leave(context) }
            return try await withTaskCancellationHandler {
                let query = QueryDescription.current
                return try await pool.run { [self] in
                    try recorded(query, context) {
                        try context.check()
                        return try work(context)
                    }
                }
            } onCancel: {
                context.cancel()
            }
        } catch let error as WorkerPoolError {
            throw APIError(.unavailable, "no query can run now: \(error)", retryAfterSeconds: 1)
        } catch let error as QueryInterruption {
            throw wording(error)
        } catch let error as PartCorruption {
            throw APIError(.internal, "\(error): run `tern check data` on the data directory")
        }
    }

    /// Runs a query between its entry in the active-query log and its line in the query log. Other
    /// work has none.
    private func recorded<T>(
        _ query: QueryDescription?, _ context: ReadContext, _ work: () throws -> T
    ) throws -> T {
        guard let query else { return try work() }
        let queueNanos = context.elapsedNanos
        let slot = active?.enter(query, context)
        defer { active?.leave(slot) }
        let result = Result { try work() }
        if let queryLog {
            var error: String?
            if case .failure(let failure) = result { error = "\(failure)" }
            queryLog.add(query, .init(context, queueNanos: queueNanos, error: error))
        }
        return try result.get()
    }

    private func enter(_ context: ReadContext, _ watch: ConnectionWatch?) async throws {
        var token: Int?
        defer { if let token { watch?.forget(token) } }
        do throws(QueryGate.Refusal) {
            try await gate.enter(seconds: context.secondsLeft) { token = watch?.onClose($0) }
        } catch {
            switch error {
            case .cancelled: throw QueryInterruption.cancelled
            case .timedOut: throw APIError(.timeout, "query timed out in query queue")
            case .full(let waiting):
                throw APIError(
                    .tooManyRequests,
                    "too many outstanding requests: \(waiting) queries wait already",
                    retryAfterSeconds: 1)
            }
        }
    }

    /// Finishes what runs and ends the threads. Blocks.
    package func stop() {
        pool.stop()
        helpers.stop()
    }
}

extension APIError {
    package init(_ interruption: QueryInterruption) {
        switch interruption {
        case .cancelled: self.init(.cancelled, interruption.description)
        case .timedOut: self.init(.timeout, interruption.description)
        case .memoryLimit, .sharedMemoryLimit, .rowLimit:
            self.init(.execution, interruption.description)
        }
    }
}
