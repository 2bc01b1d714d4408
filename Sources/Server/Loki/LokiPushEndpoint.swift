// SPDX-License-Identifier: Apache-2.0
// POST /loki/api/v1/push.

import Base
import HTTPTypes
import Ingest
import Telemetry
import Wire

/// Loki's push, in JSON and snappy-compressed protobuf.
struct LokiPushEndpoint: Sendable {
    let pipeline: IngestPipeline
    let lineLimits: LogLineLimits
    /// Bytes of a body after decompression.
    static let bodyLimit = 64 << 20

    func push(_ request: APIRequest) async throws -> APIResponse {
        do {
            return try await pipeline.perform(bytes: request.body.count) { try await take(request) }
        } catch IngestError.overloaded(let seconds) {
            throw APIError(
                .tooManyRequests, "\(IngestError.overloaded(retryAfterSeconds: seconds))",
                retryAfterSeconds: seconds)
        } catch let error as IngestError { throw APIError(error) }
    }

    private func take(_ request: APIRequest) async throws -> APIResponse {
        var decoded = try decode(request)
        guard decoded.streamCount > 0 else {
            throw APIError(.execution, DecodedLogs.noStreams)
        }
        let report = try await pipeline.write(logs: decoded.takeBatch(), tenant: request.tenant)
        let problems = [decoded.message, report.refusals.summary].filter { !$0.isEmpty }
        if problems.isEmpty { return .noContent }
        throw APIError(
            report.isLimited ? .tooManyRequests : .badData, problems.joined(separator: "\n"))
    }

    private func decode(_ request: APIRequest) throws -> DecodedLogs {
        let limits = lineLimits.limits(of: request.tenant)
        if request.mediaType == "application/json" {
            let plain = try request.plainBody(
                accepting: [.identity, .gzip, .deflate], limit: Self.bodyLimit)
            do {
                return try plain.withUnsafeBytes { try LokiPush.decodeJSON($0, limits: limits) }
            } catch {
                throw APIError(.badData, "push request: \(error)")
            }
        }
        // Anything else is protobuf in a snappy block, whether the header names it or not.
        var inner = request
        if let coding = request.headers[.contentEncoding], coding == "gzip" || coding == "deflate" {
            inner.body = try request.plainBody(
                accepting: [.gzip, .deflate], limit: Self.bodyLimit)
        }
        let plain = try inner.snappyBody(limit: Self.bodyLimit)
        do {
            return try plain.withUnsafeBytes { try LokiPush.decodeProtobuf($0, limits: limits) }
        } catch {
            throw APIError(.badData, "push request: \(error)")
        }
    }
}
