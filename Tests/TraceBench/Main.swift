// SPDX-License-Identifier: Apache-2.0
// What taking, keeping and finding spans costs without HTTP: for profiles, and for figures before
// and after a change.

import Base
import Correlation
import Glibc
import Storage
import Telemetry
import TestKit
import TraceStore
import Wire

/// OTLP requests of the shop's traces go through decoder, log and heads of a real data directory, on
/// one thread; then heads are sealed, parts merged and spans read.
///
/// - `BENCH_SPANS` (1,000,000): the size of the data.
/// - `BENCH_PER_TRACE` (10): spans of each trace; 0 = 5 to 60.
/// - `BENCH_SEAL` (250,000): spans after which heads are sealed, as the server does by load.
/// - `BENCH_READ` (1): 0 leaves out the reading.
/// - `BENCH_REPLAY` (0): 1 seals nothing and measures the replay of the log instead.
/// - `BENCH_PIECES` (0): 1 also measures the pieces of writing one by one.
@main
struct Main {
    static func main() async throws {
        try await withTemporaryDirectory { try await measure(in: $0) }
    }

    private static func measure(in path: String) async throws {
        // As the server sets it.
        Allocator.limitHeaps(4, keptBytes: 8 << 20)
        let spans = number("BENCH_SPANS", 1_000_000)
        let sealEvery = number("BENCH_SEAL", 250_000)
        let perTrace = number("BENCH_PER_TRACE", 10)
        let clock = SystemClock()
        let day: Int64 = 86_400_000_000_000
        let start = (clock.wallNanos / day - 2) * day
        let shape = TraceShape(
            timeline: Timeline(seed: 1, startNanos: start, traceEveryNanos: 5_000_000),
            batchTraces: 40, spansPerTrace: perTrace > 0 ? perTrace : nil)
        let size = shape.traces(spans: spans)

        let traces = TraceStore()
        let correlation = Correlation()
        var configuration = KernelConfiguration(path: path)
        // Sealing and merging happen when asked for, so that each has figures of its own.
        configuration.sealBytes = 8 << 30
        configuration.sealReplaySeconds = 1e6
        configuration.sealLogBytes = 8 << 30
        configuration.sealAgeSeconds = 1e6
        configuration.compactionIntervalSeconds = 1e6
        let kernel = try Kernel.open(
            configuration, stores: [traces, correlation])
        kernel.start()
        var pieces = Pieces()
        let measuresPieces = number("BENCH_PIECES", 0) != 0

        let replays = number("BENCH_REPLAY", 0) != 0
        var costs = Costs()
        var written = 0, sinceSeal = 0, wire = 0
        for index in 0..<shape.batchCount(traces: size.count) {
            let body = try OTLPTraces.encode(
                shape.batch(index, traces: size.count, lastSpans: size.lastSpans))
            wire += body.count
            let begin = cpuSeconds()
            let decoded = try body.withUnsafeBytes { try OTLPTraces.decodeProtobuf($0) }
            let middle = cpuSeconds()
            if replays {
                // Only the log: the stores of this process stay empty.
                try await log(decoded.batch, kernel)
                written += decoded.batch.rowCount
                continue
            }
            try await write(decoded.batch, kernel, traces, correlation)
            let end = cpuSeconds()
            costs.decoding += middle - begin
            costs.writing += end - middle
            if measuresPieces { pieces.measure(decoded.batch) }
            written += decoded.batch.rowCount
            sinceSeal += decoded.batch.rowCount
            if !replays, sinceSeal >= sealEvery || written == spans {
                sinceSeal = 0
                if measuresPieces { try pieces.seal() }
                costs.headBytes = max(costs.headBytes, traces.headBytes)
                costs.sealing += try await timed { try await kernel.sealNow() }
                // The server merges between seals, not at the end.
                costs.merging += try await timed { try await kernel.compactNow() }
            }
        }
        if replays {
            let logBytes = kernel.status.logBytes
            await kernel.stop(flush: false)
            try await ReplayBench(
                configuration: configuration, spans: written, logBytes: logBytes
            ).run()
            return
        }
        print("\(written) spans of \(size.count) traces, \(wire / written) bytes/span on the wire")
        costs.show(spans: written)
        if measuresPieces {
            try pieces.merge()
            pieces.show(spans: written)
        }
        print("heads \(costs.headBytes / (1 << 20)) MiB at most")
        try showSizes(path, spans: written)
        if number("BENCH_READ", 1) != 0 {
            try Reading(
                store: traces, shape: shape, traceCount: size.count, seed: 7
            ).run()
        }
        await kernel.stop(flush: false)
        try await showOpenParts(configuration, spans: written)
    }

    /// What the ingest pipeline does with a batch, limits aside.
    private static func write(
        _ batch: SpanBatch, _ kernel: Kernel, _ traces: TraceStore, _ correlation: Correlation
    ) async throws {
        try await log(batch, kernel) { ticket in
            traces.append(
                batch, tenant: .anonymous, generation: ticket.generation,
                sequence: ticket.sequence)
            correlation.record(spans: batch, tenant: .anonymous, generation: ticket.generation)
        }
    }

    private static func log(
        _ batch: SpanBatch, _ kernel: Kernel, _ apply: (CommitTicket) -> Void = { _ in }
    ) async throws {
        var writer = ByteWriter(reserving: batch.arena.count + 160 * batch.rowCount + 1024)
        batch.encode(into: &writer)
        let ticket = try await kernel.commit(
            tenant: Tenant.anonymous.name,
            sections: [CommitSection(signal: .traces, payload: writer.bytes, isCompact: false)])
        apply(ticket)
        kernel.applied(ticket)
    }

    private static func timed(_ work: () async throws -> Void) async throws -> Double {
        let begin = cpuSeconds()
        try await work()
        return cpuSeconds() - begin
    }

    static func number(_ name: String, _ other: Int) -> Int {
        getenv(name).map { Int(atoi($0)) } ?? other
    }
}

/// CPU seconds of the process.
func cpuSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// CPU seconds by stage.
private struct Costs {
    var decoding = 0.0, writing = 0.0, sealing = 0.0, merging = 0.0
    var headBytes = 0

    func show(spans: Int) {
        func line(_ name: String, _ seconds: Double) {
            let rounded = (seconds * 1e6 / Double(spans) * 100).rounded() / 100
            print("\(name) \(rounded) CPU s per million spans")
        }
        line("decode OTLP          ", decoding)
        line("admit, log, append   ", writing)
        line("seal                 ", sealing)
        line("merge                ", merging)
        line("together             ", decoding + writing + sealing + merging)
    }
}

/// The pieces of writing, each done a second time on its own; of the correlation index also sealing and
/// one merge.
private struct Pieces {
    private let traces = TraceStore()
    private let correlation = Correlation()
    private var generation: UInt64 = 1
    private var parts: [PartHandle] = []
    private var encoding = 0.0, appending = 0.0, correlating = 0.0, sealing = 0.0, merging = 0.0

    mutating func measure(_ batch: SpanBatch) {
        let begin = cpuSeconds()
        var writer = ByteWriter(reserving: batch.arena.count + 160 * batch.rowCount + 1024)
        batch.encode(into: &writer)
        let encoded = cpuSeconds()
        _ = traces.append(batch, tenant: .anonymous, generation: 1, sequence: 1)
        let appended = cpuSeconds()
        correlation.record(spans: batch, tenant: .anonymous, generation: generation)
        encoding += encoded - begin
        appending += appended - encoded
        correlating += cpuSeconds() - appended
    }

    mutating func seal() throws {
        let begin = cpuSeconds()
        let drafts = try correlation.seal(generation: generation)
        sealing += cpuSeconds() - begin
        let added = try drafts.map { draft in
            let id = UInt64(parts.count + 1)
            let reader = try PartReader(SharedBytes(draft.bytes), name: "piece")
            let descriptor = PartDescriptor(
                id: id, signal: .correlation, tenant: draft.tenant, day: draft.day, level: 0,
                minNanos: draft.minNanos, maxNanos: draft.maxNanos, rowCount: draft.rowCount,
                byteCount: UInt64(draft.bytes.count), lastSequence: 0)
            return PartHandle(descriptor: descriptor, reader: reader)
        }
        parts += added
        correlation.sealed(generation: generation, parts: added)
        generation += 1
    }

    mutating func merge() throws {
        let begin = cpuSeconds()
        _ = try correlation.merge(parts) { false }
        merging = cpuSeconds() - begin
    }

    func show(spans: Int) {
        for (name, seconds) in [
            ("  encode for the log", encoding), ("  append", appending),
            ("  correlate", correlating), ("  seal of what is correlated", sealing),
            ("  merge of that, once", merging),
        ] {
            print("\(name) \((seconds * 1e6 / Double(spans) * 1000).rounded() / 1000)")
        }
    }
}
