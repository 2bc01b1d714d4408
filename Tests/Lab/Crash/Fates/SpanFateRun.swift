// SPDX-License-Identifier: Apache-2.0
// Traces whose spans come late, and twice.

import Base
import Shell
import Synchronization
import Telemetry
import TestKit
import Wire

/// Traces in three parts with their ledger. The first part of a trace is sent at its step, the second
/// after heads are sealed, the third after the server was killed and started again; every fifth
/// batch is sent twice, as by a client that lost the answer. Batch 3 × step + part holds that part
/// of the trace that is `delays[part]` steps old.
final class SpanFateRun: Sendable {
    static let parts = 3
    /// Steps are some 60 ms apart: heads are sealed every two seconds, kills come every three.
    private static let delays = [0, 60, 240]
    /// Spans of one part.
    static let partSpans = 4
    /// Traces are a second apart and must not reach the present.
    private static let maxSteps = 6000

    private let batches = Mutex(BatchLedger())
    private let seed: UInt64
    private let startNanos: Int64

    init(seed: UInt64, startNanos: Int64) {
        self.seed = seed
        self.startNanos = startNanos
    }

    var ledger: BatchLedger { batches.withLock { $0 } }

    func traceID(_ trace: Int) -> TraceID {
        TraceID(
            high: Chance.hash(seed, 50, UInt64(trace)) | 1,
            low: Chance.hash(seed, 51, UInt64(trace)))
    }

    /// The trace and the part that a batch holds; nil for the first steps of late parts.
    func content(_ batch: Int) -> (trace: Int, part: Int)? {
        let part = batch % Self.parts
        let trace = batch / Self.parts - Self.delays[part]
        return trace >= 0 ? (trace, part) : nil
    }

    /// The batch that holds a part of a trace.
    func batch(trace: Int, part: Int) -> Int { (trace + Self.delays[part]) * Self.parts + part }

    /// A part of a trace: a binary tree over all parts, so that late spans come between early ones.
    func spans(_ trace: Int, part: Int) -> SpanBatch {
        var batch = SpanBatch()
        batch.scopes.append(SpanBatch.Scope())
        for service in ["fate-a", "fate-b"] {
            var resource = SpanBatch.Resource()
            var list = ByteWriter()
            AttributeCoding.encode("service.name", .string(service), into: &list)
            resource.attributes = list.bytes.withUnsafeBytes { batch.arena.keep($0) }
            resource.serviceName = batch.arena.keep(service)
            batch.resources.append(resource)
        }
        let first = startNanos + Int64(trace) * 1_000_000_000
        for number in 0..<(Self.parts * Self.partSpans) where number % Self.parts == part {
            var row = SpanRow()
            row.traceID = traceID(trace)
            row.spanID = spanID(trace, number)
            if number > 0 { row.parentID = spanID(trace, (number - 1) / 2) }
            row.resource = UInt32(number % 2)
            row.name = batch.arena.keep("step \(number % 5)")
            row.kind = 1
            row.startNanos = first + Int64(number) * 10_000_000
            row.endNanos = first + 900_000_000 - Int64(number) * 15_000_000
            batch.add(row)
        }
        return batch
    }

    private func spanID(_ trace: Int, _ number: Int) -> SpanID {
        SpanID(Chance.hash(seed &+ 52, UInt64(trace), UInt64(number)) | 1)
    }

    /// Sends until the server is gone.
    func load(_ client: LabClient) async throws {
        while true {
            let batch = batches.withLock { ledger -> Int? in
                ledger.end < Self.maxSteps * Self.parts ? ledger.beginNext() : nil
            }
            guard let batch, try await send(batch, client) else { return }
            try await SystemClock().sleep(seconds: 0.02)
        }
    }

    /// - Returns: false when the server is gone.
    private func send(_ batch: Int, _ client: LabClient) async throws -> Bool {
        guard let (trace, part) = content(batch) else {
            batches.withLock { $0.acknowledge(batch, items: 0) }
            return true
        }
        let spans = spans(trace, part: part)
        let body = try OTLPTraces.encode(spans)
        for _ in 0..<(batch % 5 == 0 ? 2 : 1) {
            let isTaken = try await client.postPatiently(
                "/v1/traces", headers: [("Content-Type", "application/x-protobuf")], body: body,
                "batch \(batch) of late spans")
            guard isTaken else { return false }
        }
        batches.withLock { $0.acknowledge(batch, items: spans.rowCount) }
        return true
    }

    /// Sends again what had no answer, as a sender does.
    func resend(_ client: LabClient) async throws {
        let ledger = ledger
        for batch in 0..<ledger.end where ledger[batch] == .sent {
            guard try await send(batch, client) else {
                throw LabError("the server was gone while spans were sent again")
            }
        }
    }
}
