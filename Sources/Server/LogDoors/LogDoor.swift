// SPDX-License-Identifier: Apache-2.0
// What all ways in for logs share.

import Base
import HTTPTypes
import Ingest
import Synchronization
import Telemetry
import Wire

/// Ways in for log lines besides Loki's push and OTLP.
enum LogDoor: String, Sendable, CaseIterable {
    case elasticsearch, jsonline, syslog, journald, forward, falco, audit, trivy
}

/// What they counted since the start; `/metrics` shows it.
final class LogDoorCounters: Sendable {
    struct Count: Sendable {
        var lines = 0
        var rejected = 0
    }
    private let counts = Mutex<[LogDoor: Count]>([:])
    let listeners = ListenerCounters()

    func add(_ door: LogDoor, lines: Int, rejected: Int) {
        counts.withLock {
            $0[door, default: Count()].lines += lines
            $0[door, default: Count()].rejected += rejected
        }
    }

    subscript(door: LogDoor) -> Count { counts.withLock { $0[door] ?? Count() } }
}

/// Writes what a door decoded.
struct LogDoorWriter: Sendable {
    let pipeline: IngestPipeline
    let clock: any Clock
    let counters: LogDoorCounters
    let lineLimits: LogLineLimits

    /// Bytes of a body after decompression.
    static let bodyLimit = 64 << 20
    static let codings: Set<ContentCoding> = [.identity, .gzip, .deflate, .zstd, .snappy]

    /// Runs the whole of a request on ingest's threads and turns its errors into answers.
    func perform<R: Sendable>(
        _ request: APIRequest, overload: APIError.Kind = .unavailable,
        _ work: @Sendable () async throws -> R
    ) async throws -> R {
        try await perform(bytes: request.body.count, overload: overload, work)
    }

    /// See `perform(_:overload:_:)`; for what is not a whole request.
    func perform<R: Sendable>(
        bytes: Int, overload: APIError.Kind = .unavailable,
        _ work: @Sendable () async throws -> R
    ) async throws -> R {
        do {
            return try await pipeline.perform(bytes: bytes, work)
        } catch IngestError.overloaded(let seconds) {
            throw APIError(
                overload, "\(IngestError.overloaded(retryAfterSeconds: seconds))",
                retryAfterSeconds: seconds)
        } catch let error as IngestError {
            throw APIError(error)
        } catch let error as MalformedBytes {
            throw APIError(.badData, "\(error)")
        } catch let error as MalformedJSON {
            throw APIError(.badData, "\(error)")
        }
    }

    /// Commits the lines; they are durable when this returns.
    func write(
        _ decoded: DecodedLogs, from door: LogDoor, _ tenant: Tenant
    ) async throws(IngestError) -> LogWriteReport {
        let report = try await pipeline.write(logs: decoded.batch, tenant: tenant)
        counters.add(
            door, lines: report.rows, rejected: decoded.rejectedRows + report.refusals.count)
        return report
    }

    /// As `write`, for doors that answer a request as a whole: 204, or 400 with the reasons of what
    /// was left out, the rest being stored.
    func answer(
        _ decoded: DecodedLogs, from door: LogDoor, _ tenant: Tenant
    ) async throws -> APIResponse {
        let report = try await write(decoded, from: door, tenant)
        let problems = [decoded.message, report.refusals.summary].filter { !$0.isEmpty }
        if problems.isEmpty { return .noContent }
        let left = decoded.rejectedRows + report.refusals.count
        throw APIError(
            report.isLimited ? .tooManyRequests : .badData,
            "\(left) of \(report.rows + left) not stored: "
                + problems.joined(separator: "; "))
    }
}
