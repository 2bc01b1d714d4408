// SPDX-License-Identifier: Apache-2.0
// Queues on a disk in memory, destinations that answer as told, a clock that does not wait.

import Base
import Storage
import Synchronization
import Telemetry
import TestKit
import Testing
import Wire

@testable import Ingest

/// Sleeping moves it and returns.
final class SkippingClock: Clock {
    private let state = Mutex(Int64(0))
    let startNanos: Int64 = 1_800_000_000_000_000_000

    var wallNanos: Int64 { startNanos + monotonicNanos }
    var monotonicNanos: Int64 { state.withLock { $0 } }
    var nowMillis: Int64 { wallNanos / 1_000_000 }

    func advance(seconds: Double) { state.withLock { $0 += Int64(seconds * 1e9) } }

    func sleep(untilMonotonicNanos deadline: Int64) async throws {
        try Task.checkCancellation()
        state.withLock { $0 = max($0, deadline) }
        // Others want the processor too.
        try await Task.sleep(nanoseconds: 200_000)
    }
}

/// What was warned about.
final class Warnings: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    func add(_ line: String) { lines.withLock { $0.append(line) } }
}

/// One point per series, values counting up.
func forwardBatch(_ first: Int, _ count: Int, millis: Int64) -> MetricBatch {
    var batch = MetricBatch()
    for i in first..<(first + count) {
        let series = batch.addSeries(
            Labels([("__name__", "m"), ("i", "\(i % 50)"), ("job", "shop")]))
        batch.addSample(series: series, millis: millis + Int64(i), value: Double(i))
    }
    return batch
}

extension ForwardQueue {
    func take(_ batch: MetricBatch, sequence: UInt64, tenant: String = "anonymous") {
        var writer = ByteWriter()
        batch.encode(into: &writer)
        take(writer.bytes, points: batch.pointCount, tenant: tenant, sequence: sequence)
    }

    func replay(_ batch: MetricBatch, sequence: UInt64) {
        var writer = ByteWriter()
        batch.encode(into: &writer)
        writer.bytes.withUnsafeBytes {
            replay($0, signal: .metrics, tenant: "anonymous", sequence: sequence)
        }
    }

    /// Values of the samples that a destination has not got, in their order.
    func unsent(_ name: String) throws -> [Double] {
        try read(name, points: .max)?.records.flatMap { try $0.values() } ?? []
    }
}

extension ForwardRecord {
    func values() throws -> [Double] {
        try payload.withUnsafeBytes { try MetricBatch(decoding: $0).sampleValues }
    }
}

func forwardQueue(
    _ disk: FaultyDisk, clock: any Clock = SkippingClock(), warnings: Warnings = Warnings(),
    destinations: [String] = ["a"], change: (inout ForwardQueue.Limits) -> Void = { _ in }
) throws -> ForwardQueue {
    var limits = ForwardQueue.Limits()
    change(&limits)
    // The data directory is there before.
    try disk.makeDirectory("/data")
    try disk.syncDirectory("/")
    let queue = try ForwardQueue(
        directory: "/data/forward", files: disk, clock: clock, limits: limits
    ) { warnings.add($0) }
    try queue.setDestinations(destinations)
    return queue
}

/// Answers by a program and keeps what it took.
final class FakeDestination: ForwardTransport {
    struct Lost: Error {}
    private struct State {
        var requests: [ForwardRequest] = []
        var taken: [MetricBatch] = []
        var millis: [Int64] = []
    }
    private let state = Mutex(State())
    private let clock: SkippingClock?
    /// The answer to the n-th request; nil = the network fails.
    let answer: @Sendable (Int, ForwardRequest) -> ForwardReply?

    init(
        _ clock: SkippingClock? = nil,
        _ answer: @escaping @Sendable (Int, ForwardRequest) -> ForwardReply?
    ) {
        self.clock = clock
        self.answer = answer
    }

    /// Milliseconds between a request and the next.
    var pauses: [Int64] {
        let millis = state.withLock { $0.millis }
        return zip(millis.dropFirst(), millis).map { $0 - $1 }
    }

    var requests: [ForwardRequest] { state.withLock { $0.requests } }
    var taken: [MetricBatch] { state.withLock { $0.taken } }
    var values: [Double] { taken.flatMap(\.sampleValues) }
    var labels: Set<Labels> {
        Set(taken.flatMap { batch in batch.series.map { batch.arena.labels($0) } })
    }

    func send(_ request: ForwardRequest) async throws -> ForwardReply {
        let number = state.withLock { state in
            state.requests.append(request)
            if let clock { state.millis.append(clock.nowMillis) }
            return state.requests.count - 1
        }
        guard let reply = answer(number, request) else { throw Lost() }
        if (200..<300).contains(reply.status) {
            let batch = try request.batch()
            state.withLock { $0.taken.append(batch) }
        }
        return reply
    }
}

extension ForwardRequest {
    var isVersion2: Bool { headers.contains { $0.value.contains("v2.Request") } }

    func batch() throws -> MetricBatch {
        let plain = try body.withUnsafeBytes { try Snappy.decompress($0, limit: 1 << 30) }
        return try plain.withUnsafeBytes {
            isVersion2
                ? try RemoteWrite2.decode($0).batch : try RemoteWrite1.decode($0).batch
        }
    }
}

extension ForwardReply {
    static let taken = ForwardReply(status: 204)

    /// As a receiver of version 2 answers.
    static func taken(_ request: ForwardRequest, missing: Int = 0, status: Int = 204) -> Self {
        var reply = ForwardReply(status: status)
        let batch: MetricBatch
        do { batch = try request.batch() } catch {
            Issue.record("a request cannot be read: \(error)")
            return ForwardReply(status: 400)
        }
        for (kind, count) in [
            ("Samples", batch.sampleSeries.count - missing),
            ("Histograms", batch.histogramSeries.count),
            ("Exemplars", batch.exemplarSeries.count),
        ] {
            reply.headers.append(("x-prometheus-remote-write-\(kind)-written", "\(count)"))
        }
        return reply
    }
}
