// SPDX-License-Identifier: Apache-2.0
// What all ways in for spans besides OTLP share.

import Base
import HTTPTypes
import Ingest
import Synchronization
import Telemetry
import Wire

/// Ways in for spans besides OTLP.
enum TraceDoor: String, Sendable, CaseIterable {
    case zipkin, jaeger
}

/// What they counted since the start; `/metrics` shows it.
final class TraceDoorCounters: Sendable {
    struct Count: Sendable {
        var spans = 0
        var rejected = 0
    }
    private let counts = Mutex<[TraceDoor: Count]>([:])
    /// Attributes of spans, by any way in, whose key came before in their list.
    let repeatedKeys = Atomic<Int>(0)
    /// Of datagrams.
    let datagrams = ListenerCounters()

    func add(_ door: TraceDoor, spans: Int, rejected: Int) {
        counts.withLock {
            $0[door, default: Count()].spans += spans
            $0[door, default: Count()].rejected += rejected
        }
    }

    subscript(door: TraceDoor) -> Count { counts.withLock { $0[door] ?? Count() } }
}

/// Writes what a door decoded.
struct TraceDoorWriter: Sendable {
    let pipeline: IngestPipeline
    let clock: any Clock
    let counters: TraceDoorCounters

    /// Bytes of a body after decompression.
    static let bodyLimit = 64 << 20
    static let codings: Set<ContentCoding> = [.identity, .gzip, .deflate, .zstd, .snappy]

    /// Decodes and commits a request's spans; they are durable when this returns.
    ///
    /// - Returns: 202, which says in words what was left out, if anything was.
    /// - Throws: `APIError` 400 when nothing could be taken.
    func take(
        _ request: APIRequest, from door: TraceDoor,
        _ decode: @Sendable (UnsafeRawBufferPointer) throws -> DecodedSpans
    ) async throws -> APIResponse {
        do {
            return try await pipeline.perform(bytes: request.body.count) {
                let plain = try request.plainBody(
                    accepting: Self.codings, limit: Self.bodyLimit)
                let decoded = try plain.withUnsafeBytes { try decode($0) }
                return answer(try await write(decoded, from: door, request.tenant), decoded)
            }
        } catch let error as IngestError {
            throw APIError(error)
        } catch let error as MalformedBytes {
            throw APIError(.badData, "\(door.rawValue) request: \(error)")
        } catch let error as MalformedJSON {
            throw APIError(.badData, "\(door.rawValue) request: \(error)")
        }
    }

    /// Commits spans and counts them.
    func write(
        _ decoded: DecodedSpans, from door: TraceDoor, _ tenant: Tenant
    ) async throws(IngestError) -> SpanWriteReport {
        let report = try await pipeline.write(spans: decoded.batch, tenant: tenant)
        counters.repeatedKeys.wrappingAdd(decoded.repeatedKeys, ordering: .relaxed)
        counters.add(
            door, spans: report.spans, rejected: decoded.rejected.count + report.refusals.count)
        return report
    }

    private func answer(_ report: SpanWriteReport, _ decoded: DecodedSpans) -> APIResponse {
        let left = decoded.rejected.count + report.refusals.count
        if left == 0 { return APIResponse(.accepted) }
        let reasons = [decoded.rejected.message, report.refusals.summary]
            .filter { !$0.isEmpty }.joined(separator: "; ")
        // The rest is stored: who sent it shall not send it again.
        return .text(
            "\(left) of \(report.spans + left) spans not stored: \(reasons)\n",
            status: report.spans == 0 ? .badRequest : .accepted)
    }
}
