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
    package var samples = 50_000_000
    package var memoryBytes = 1 << 30
    package var lookbackSeconds = 300.0
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
    private let pool: WorkerPool

    package init(
        metrics: any SeriesReading, logs: any LogReading, traces: any SpanReading,
        clock: any Clock, limits: QueryLimits, pool: WorkerPool
    ) {
        self.metrics = metrics
        self.logs = logs
        self.traces = traces
        self.clock = clock
        self.limits = limits
        self.pool = pool
    }

    /// Runs `work` on a pool thread with a context of its own.
    ///
    /// When the surrounding task is cancelled the context is too, and the work ends at its next
    /// check. Interruptions and a full pool come out as `APIError`.
    ///
    /// - Parameter timeoutSeconds: the request's own wish; never more than the limit.
    package func run<T: Sendable>(
        timeoutSeconds: Double? = nil,
        _ work: @escaping @Sendable (ReadContext) throws -> T
    ) async throws -> T {
        let clock = self.clock
        let context = ReadContext(
            timeoutSeconds: min(timeoutSeconds ?? limits.timeoutSeconds, limits.timeoutSeconds),
            memoryLimitBytes: limits.memoryBytes, sampleLimit: limits.samples,
            now: { clock.monotonicNanos })
        do {
            return try await withTaskCancellationHandler {
                try await pool.run {
                    try context.check()
                    return try work(context)
                }
            } onCancel: {
                context.cancel()
            }
        } catch let error as WorkerPoolError {
            throw APIError(.unavailable, "too many queries at once: \(error)", retryAfterSeconds: 1)
        } catch let error as QueryInterruption {
            throw APIError(error)
        } catch let error as PartCorruption {
            throw APIError(.internal, "\(error): run `tern check data` on the data directory")
        }
    }
}

extension APIError {
    package init(_ interruption: QueryInterruption) {
        switch interruption {
        case .cancelled: self.init(.cancelled, interruption.description)
        case .timedOut: self.init(.timeout, interruption.description)
        case .memoryLimit, .rowLimit: self.init(.execution, interruption.description)
        }
    }
}
