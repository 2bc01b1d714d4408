// SPDX-License-Identifier: Apache-2.0
// The correlation index with a watch around what it does.

import Correlation
import Glibc
import Ingest
import Storage
import Synchronization
import Telemetry
import TraceStore

/// Adds up processor seconds of the threads that record, seal and merge.
final class TimedIndex: SignalStore, BatchObserving {
    struct Costs {
        var metrics = 0.0, logs = 0.0, spans = 0.0, sealing = 0.0, merging = 0.0
        var all: Double { metrics + logs + spans + sealing + merging }
    }
    let index: Correlation
    private let state = Mutex(Costs())

    init(stored: TraceStore) { index = Correlation(stored: stored) }

    var costs: Costs { state.withLock { $0 } }

    private func timed<R>(
        _ cost: WritableKeyPath<Costs, Double>, _ body: () throws -> R
    ) rethrows -> R {
        let begin = threadSeconds()
        defer {
            let end = threadSeconds()
            state.withLock { $0[keyPath: cost] += end - begin }
        }
        return try body()
    }

    func record(metrics batch: MetricBatch, tenant: Tenant, generation: UInt64) {
        timed(\.metrics) { index.record(metrics: batch, tenant: tenant, generation: generation) }
    }

    func record(logs batch: LogBatch, tenant: Tenant, generation: UInt64) {
        timed(\.logs) { index.record(logs: batch, tenant: tenant, generation: generation) }
    }

    func record(spans batch: SpanBatch, tenant: Tenant, generation: UInt64) {
        timed(\.spans) { index.record(spans: batch, tenant: tenant, generation: generation) }
    }

    var signal: Signal { index.signal }
    var observedSignals: [Signal] { index.observedSignals }
    var openFaults: [PartCorruption] { index.openFaults }
    var headBytes: Int { index.headBytes }

    func open(_ part: PartHandle) throws { try index.open(part) }

    func replay(
        _ payload: UnsafeRawBufferPointer, tenant: String, generation: UInt64, sequence: UInt64
    ) throws {
        try index.replay(payload, tenant: tenant, generation: generation, sequence: sequence)
    }

    func observe(
        _ payload: UnsafeRawBufferPointer, from signal: Signal, tenant: String,
        generation: UInt64, sequence: UInt64
    ) throws {
        try index.observe(
            payload, from: signal, tenant: tenant, generation: generation, sequence: sequence)
    }

    func seal(generation: UInt64) throws -> [PartDraft] {
        try timed(\.sealing) { try index.seal(generation: generation) }
    }

    func sealed(generation: UInt64, parts: [PartHandle]) {
        timed(\.sealing) { index.sealed(generation: generation, parts: parts) }
    }

    func merge(_ parts: [PartHandle], shouldStop: () -> Bool) throws -> [PartDraft] {
        try timed(\.merging) { try index.merge(parts, shouldStop: shouldStop) }
    }

    func replace(removed: [UInt64], added: [PartHandle]) {
        timed(\.merging) { index.replace(removed: removed, added: added) }
    }

    func verify(_ part: PartHandle) -> [PartCorruption] { index.verify(part) }
}

private func threadSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
