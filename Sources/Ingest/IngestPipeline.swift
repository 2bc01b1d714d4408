// SPDX-License-Identifier: Apache-2.0
// The one way in.

import Base
import LogStore
import MetricStore
import Storage
import Synchronization
import Telemetry
import TraceStore
import Wire

/// Admits batches, commits them to the log and appends them to stores and index.
///
/// Each `write` returns after the batch is durable and visible to queries. All may be called from
/// any number of tasks. They compute where the caller's task runs: call them inside `perform`,
/// which gives the task to threads of the pipeline's own, so that neither event loops nor
/// the tasks of queries wait for a large batch.
package final class IngestPipeline: Sendable {
    package let kernel: Kernel
    package let metrics: MetricStore
    package let logs: LogStore
    package let traces: TraceStore
    private let observers: [any BatchObserving]
    /// Where metrics wait for other servers; nil = none are forwarded.
    package let forward: ForwardQueue?
    /// Limits of tenants; none until they are set.
    package let limiter: SeriesLimiter
    let logLimiter = LogLimiter()
    package let senders = SenderTable()
    package let counters = IngestCounters()
    /// What is added to log lines.
    package let enrichment: LogEnrichment
    private let clock: any Clock
    private let limits: IngestLimits
    private let pool: WorkerPool
    private let requests = InFlight()
    private let batches = InFlight()

    package init(
        kernel: Kernel, metrics: MetricStore, logs: LogStore, traces: TraceStore,
        observers: [any BatchObserving], forward: ForwardQueue? = nil,
        enrichment: LogEnrichment = LogEnrichment(), clock: any Clock, limits: IngestLimits
    ) {
        self.kernel = kernel
        self.metrics = metrics
        self.logs = logs
        self.traces = traces
        self.observers = observers
        self.enrichment = enrichment
        self.forward = forward
        limiter = SeriesLimiter(seed: IngestPipeline.recentSeries(metrics, clock))
        self.clock = clock
        self.limits = limits
        pool = WorkerPool(name: "ingest", threads: limits.threads, queueLimit: 0)
    }

    /// Takes in one request: `work` decodes it and calls `write`, on the pipeline's threads.
    ///
    /// - Parameter bytes: size of the body as sent.
    /// - Throws: `IngestError.overloaded` when too many requests or bytes are on the way; else what
    ///   `work` throws.
    package func perform<R: Sendable>(
        bytes: Int, _ work: @Sendable () async throws -> R
    ) async throws -> R {
        guard requests.enter(bytes, limits) else {
            counters.refused.wrappingAdd(1, ordering: .relaxed)
            throw IngestError.overloaded(retryAfterSeconds: 1)
        }
        defer { requests.leave(bytes) }
        return try await withTaskExecutorPreference(pool) { try await work() }
    }

    /// Ends the pipeline's threads once nothing writes any more. Blocks.
    package func stop() { pool.stop() }

    var nowNanos: Int64 { clock.wallNanos }

    /// Earliest and latest time that is taken, in nanoseconds.
    var admitted: ClosedRange<Int64> {
        let now = clock.wallNanos
        let oldest = now &- Int64(min(limits.retentionSeconds, 9e9) * 1e9)
        return min(oldest, now)...(now &+ Int64(limits.futureSeconds * 1e9))
    }

    var lineLimitBytes: Int { limits.lineBytes }
    var labelLimit: Int { limits.labelCount }

    /// Commits one record and appends it, with the bounds on memory and concurrency around it.
    func commit(
        _ tenant: Tenant, _ signal: Signal, _ payload: consuming [UInt8],
        append: (CommitTicket) -> Void
    ) async throws(IngestError) {
        try await commit(tenant, signal, pieces: [payload], append: append)
    }

    /// The same for a payload in pieces, one behind the other.
    func commit(
        _ tenant: Tenant, _ signal: Signal, pieces: consuming [[UInt8]],
        append: (CommitTicket) -> Void
    ) async throws(IngestError) {
        let byteCount = pieces.reduce(0) { $0 + $1.count }
        guard batches.enter(byteCount, limits) else {
            counters.refused.wrappingAdd(1, ordering: .relaxed)
            throw .overloaded(retryAfterSeconds: 1)
        }
        defer { batches.leave(byteCount) }
        guard headBytes <= limits.headBytes else {
            counters.refused.wrappingAdd(1, ordering: .relaxed)
            throw .unavailable(
                reason:
                    "heads hold \(limits.headBytes) bytes, the most they may; sealing is behind",
                retryAfterSeconds: 2)
        }
        let ticket: CommitTicket
        // Of taking a log line, compressing it for the log would be a fifth of the time
        // (docs/formats/log-record.md).
        do throws(CommitError) {
            ticket = try await kernel.commit(
                tenant: tenant.name,
                sections: [
                    CommitSection(signal: signal, pieces: pieces, isCompact: signal != .traces)
                ])
        } catch {
            counters.refused.wrappingAdd(1, ordering: .relaxed)
            switch error {
            case .unavailable(let reason, let seconds):
                throw .unavailable(reason: reason, retryAfterSeconds: seconds)
            default: throw .unavailable(reason: "\(error)", retryAfterSeconds: 1)
            }
        }
        append(ticket)
        kernel.applied(ticket)
    }

    func observe(_ body: (any BatchObserving) -> Void) {
        for observer in observers { body(observer) }
    }

    /// Bytes all heads hold.
    package var headBytes: Int {
        metrics.headBytes + logs.headBytes + traces.headBytes
    }
}

/// How many are on the way, and their bytes.
private final class InFlight: Sendable {
    private let count = Atomic<Int>(0)
    private let bytes = Atomic<Int>(0)

    /// Whether one more has room; one that is alone has, whatever its size.
    func enter(_ size: Int, _ limits: IngestLimits) -> Bool {
        let count = count.wrappingAdd(1, ordering: .relaxed).newValue
        let bytes = bytes.wrappingAdd(size, ordering: .relaxed).newValue
        if count <= limits.batchesInFlight, bytes <= limits.bytesInFlight || count == 1 {
            return true
        }
        leave(size)
        return false
    }

    func leave(_ size: Int) {
        count.wrappingSubtract(1, ordering: .relaxed)
        bytes.wrappingSubtract(size, ordering: .relaxed)
    }
}

/// Whoever learns from every batch in the same commit: the correlation index.
package protocol BatchObserving: Sendable {
    func record(metrics batch: MetricBatch, tenant: Tenant, generation: UInt64)
    func record(logs batch: LogBatch, tenant: Tenant, generation: UInt64)
    func record(spans batch: SpanBatch, tenant: Tenant, generation: UInt64)
}

/// What ingest counted since the start; `/metrics` shows it.
package struct IngestCounters: ~Copyable, Sendable {
    package let samples = Atomic<Int>(0)
    package let samplesRefused = Atomic<Int>(0)
    package let exemplars = Atomic<Int>(0)
    package let lines = Atomic<Int>(0)
    package let linesRefused = Atomic<Int>(0)
    package let linesDuplicate = Atomic<Int>(0)
    package let spans = Atomic<Int>(0)
    package let spansDuplicate = Atomic<Int>(0)
    package let spansRefused = Atomic<Int>(0)
    /// Batches answered 503 or 429.
    package let refused = Atomic<Int>(0)

    init() {}
}
