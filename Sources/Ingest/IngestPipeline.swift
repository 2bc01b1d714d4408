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
/// any number of tasks. They compute on the caller's thread: call them from the cooperative pool,
/// not from an event loop.
package final class IngestPipeline: Sendable {
    package let kernel: Kernel
    package let metrics: MetricStore
    package let logs: LogStore
    package let traces: TraceStore
    private let observers: [any BatchObserving]
    package let counters = IngestCounters()
    private let clock: any Clock
    private let limits: IngestLimits
    private let inFlight = Atomic<Int>(0)
    private let bytesInFlight = Atomic<Int>(0)

    package init(
        kernel: Kernel, metrics: MetricStore, logs: LogStore, traces: TraceStore,
        observers: [any BatchObserving], clock: any Clock, limits: IngestLimits
    ) {
        self.kernel = kernel
        self.metrics = metrics
        self.logs = logs
        self.traces = traces
        self.observers = observers
        self.clock = clock
        self.limits = limits
    }

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
        let byteCount = payload.count
        let waiting = inFlight.wrappingAdd(1, ordering: .relaxed).newValue
        let held = bytesInFlight.wrappingAdd(byteCount, ordering: .relaxed).newValue
        defer {
            inFlight.wrappingSubtract(1, ordering: .relaxed)
            bytesInFlight.wrappingSubtract(byteCount, ordering: .relaxed)
        }
        // A batch that is alone is taken whatever its size.
        guard waiting <= limits.batchesInFlight,
            held <= limits.bytesInFlight || waiting == 1
        else {
            counters.refused.wrappingAdd(1, ordering: .relaxed)
            throw .overloaded(retryAfterSeconds: 1)
        }
        guard headBytes <= limits.headBytes else {
            counters.refused.wrappingAdd(1, ordering: .relaxed)
            throw .unavailable(
                reason:
                    "heads hold \(limits.headBytes) bytes, the most they may; sealing is behind",
                retryAfterSeconds: 2)
        }
        let ticket: CommitTicket
        do throws(CommitError) {
            ticket = try await kernel.commit(
                tenant: tenant.name,
                sections: [CommitSection(signal: signal, payload: payload)])
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
