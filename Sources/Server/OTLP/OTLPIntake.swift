// SPDX-License-Identifier: Apache-2.0
// One OTLP request of any signal over any transport.

import Base
import HTTPTypes
import Ingest
import Telemetry
import Wire

/// The signals OTLP carries.
enum OTLPSignal: String, Sendable, CaseIterable {
    case traces, metrics, logs

    var grpcService: String {
        let base = "opentelemetry.proto.collector."
        return switch self {
        case .traces: base + "trace.v1.TraceService"
        case .metrics: base + "metrics.v1.MetricsService"
        case .logs: base + "logs.v1.LogsService"
        }
    }

    /// JSON name of the rejected count in a partial success.
    var rejectedName: String {
        switch self {
        case .traces: "rejectedSpans"
        case .metrics: "rejectedDataPoints"
        case .logs: "rejectedLogRecords"
        }
    }
}

/// Decodes an export request, commits it and makes the answer's body.
struct OTLPIntake: Sendable {
    let pipeline: IngestPipeline
    let tenancy: Tenancy
    let clock: any Clock
    /// Bytes of a body after decompression. Source: the OTLP specification's recommendation.
    static let bodyLimit = 64 << 20

    /// - Returns: the body of an `Export…ServiceResponse` in the encoding of the request.
    @concurrent
    func accept(
        _ body: [UInt8], _ signal: OTLPSignal, json: Bool, tenant: Tenant
    ) async throws -> [UInt8] {
        guard body.count <= Self.bodyLimit else {
            throw APIError(.tooLarge, "request of more than \(Self.bodyLimit) bytes")
        }
        do {
            switch signal {
            case .traces: return try await traces(body, json, tenant)
            case .logs: return try await logs(body, json, tenant)
            case .metrics: return try await metrics(body, json, tenant)
            }
        } catch let error as IngestError {
            switch error {
            case .unavailable(_, let seconds):
                throw APIError(.unavailable, error.description, retryAfterSeconds: seconds)
            case .overloaded(let seconds):
                throw APIError(.tooManyRequests, error.description, retryAfterSeconds: seconds)
            }
        } catch let error as MalformedBytes {
            throw APIError(.badData, "\(signal.rawValue) request: \(error)")
        } catch let error as MalformedJSON {
            throw APIError(.badData, "\(signal.rawValue) request: \(error)")
        }
    }

    private func traces(_ body: [UInt8], _ json: Bool, _ tenant: Tenant) async throws -> [UInt8] {
        let decoded = try body.withUnsafeBytes {
            json ? try OTLPTraces.decodeJSON($0) : try OTLPTraces.decodeProtobuf($0)
        }
        let report = try await pipeline.write(spans: decoded.batch, tenant: tenant)
        return response(
            .traces, json, rejected: decoded.rejected.count + report.refusals.count,
            [decoded.rejected.message, report.refusals.summary])
    }

    private func logs(_ body: [UInt8], _ json: Bool, _ tenant: Tenant) async throws -> [UInt8] {
        let options = OTLPLogs.Options(receivedNanos: clock.wallNanos)
        let decoded = try body.withUnsafeBytes {
            json
                ? try OTLPLogs.decodeJSON($0, options) : try OTLPLogs.decodeProtobuf($0, options)
        }
        let report = try await pipeline.write(logs: decoded.batch, tenant: tenant)
        return response(
            .logs, json, rejected: decoded.rejectedRows + report.refusals.count,
            [decoded.message, report.refusals.summary])
    }

    private func metrics(_ body: [UInt8], _ json: Bool, _ tenant: Tenant) async throws -> [UInt8] {
        let decoded = try body.withUnsafeBytes {
            json ? try OTLPMetrics.decodeJSON($0) : try OTLPMetrics.decodeProtobuf($0)
        }
        let report = try await pipeline.write(metrics: decoded.batch, tenant: tenant)
        return response(
            .metrics, json, rejected: decoded.rejectedPoints + report.refusals.count,
            [decoded.message, report.refusals.summary])
    }

    /// An empty message, or one with a partial success.
    private func response(
        _ signal: OTLPSignal, _ json: Bool, rejected: Int, _ messages: [String]
    ) -> [UInt8] {
        let message = String(messages.filter { !$0.isEmpty }.joined(separator: "; ").prefix(4096))
        if json {
            var writer = JSONWriter(reserving: 64)
            writer.beginObject()
            if rejected > 0 || !message.isEmpty {
                writer.key("partialSuccess")
                writer.beginObject()
                writer.member(signal.rejectedName, String(rejected))
                writer.member("errorMessage", message)
                writer.endObject()
            }
            writer.endObject()
            return writer.bytes
        }
        guard rejected > 0 || !message.isEmpty else { return [] }
        var partial = ByteWriter()
        partial.u8(0x08)
        partial.varint(rejected)
        partial.u8(0x12)
        partial.lengthPrefixed(message)
        var writer = ByteWriter()
        writer.u8(0x0a)
        writer.lengthPrefixed(partial.bytes)
        return writer.bytes
    }

    /// `POST /v1/{signal}`.
    func http(_ request: APIRequest, _ signal: OTLPSignal) async throws -> APIResponse {
        let json: Bool
        switch request.mediaType {
        case "application/json": json = true
        case "application/x-protobuf", "application/protobuf": json = false
        default:
            throw APIError(
                .unsupportedMediaType,
                "Content-Type \"\(request.mediaType)\" not supported: use application/x-protobuf "
                    + "or application/json")
        }
        let plain = try request.plainBody(
            accepting: [.identity, .gzip, .deflate, .zstd, .snappy], limit: Self.bodyLimit)
        let body = try await accept(plain, signal, json: json, tenant: request.tenant)
        return APIResponse(
            .ok, contentType: json ? "application/json" : "application/x-protobuf", body: body)
    }

    /// `POST /otlp/v1/logs` as Loki serves it: 204 instead of a message.
    func lokiLogs(_ request: APIRequest) async throws -> APIResponse {
        _ = try await http(request, .logs)
        return .noContent
    }
}
