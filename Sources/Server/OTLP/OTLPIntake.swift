// SPDX-License-Identifier: Apache-2.0
// One OTLP request of any signal over any transport.

import Base
import HTTPTypes
import Ingest
import Synchronization
import Telemetry
import Wire

/// Decodes an export request, commits it and makes the answer's body.
struct OTLPIntake: Sendable {
    let pipeline: IngestPipeline
    let tenancy: Tenancy
    let clock: any Clock
    /// Look-back of queries, which decides how often `target_info` is written.
    let lookbackMillis: Int64
    /// How metrics are translated, from the configuration in force.
    let translation = OTLPTranslation()
    let traceDoors: TraceDoorCounters
    let lineLimits: LogLineLimits
    private let deltas = DeltaAccumulator()
    private let names = OTLPNameMemory()
    var deltaStreams: Int { deltas.streamCount }

    init(
        pipeline: IngestPipeline, tenancy: Tenancy, clock: any Clock,
        lookbackMillis: Int64 = 300_000, traceDoors: TraceDoorCounters = TraceDoorCounters(),
        lineLimits: LogLineLimits = LogLineLimits()
    ) {
        self.pipeline = pipeline
        self.tenancy = tenancy
        self.clock = clock
        self.lookbackMillis = lookbackMillis
        self.traceDoors = traceDoors
        self.lineLimits = lineLimits
    }

    /// Bytes of a body after decompression. Source: the OTLP specification's recommendation.
    static let bodyLimit = 64 << 20

    /// One message of an `Export` call.
    ///
    /// - Returns: the body of an `Export…ServiceResponse`.
    func grpc(_ body: [UInt8], _ signal: OTLPSignal, tenant: Tenant) async throws -> [UInt8] {
        try await perform(bytes: body.count, signal) {
            try await accept(body, signal, .protobuf, tenant: tenant)
        }
    }

    /// - Returns: the body of an `Export…ServiceResponse` in the encoding of the request.
    private func accept(
        _ body: [UInt8], _ signal: OTLPSignal, _ encoding: OTLPEncoding, tenant: Tenant
    ) async throws -> [UInt8] {
        guard body.count <= Self.bodyLimit else {
            throw APIError(.tooLarge, "request of more than \(Self.bodyLimit) bytes")
        }
        switch signal {
        case .traces: return try await traces(body, encoding, tenant)
        case .logs: return try await logs(body, encoding, tenant)
        case .metrics: return try await metrics(body, encoding, tenant)
        }
    }

    /// Runs the whole of a request on ingest's threads and turns its errors into answers.
    private func perform<R: Sendable>(
        bytes: Int, _ signal: OTLPSignal, _ work: @Sendable () async throws -> R
    ) async throws -> R {
        do {
            return try await pipeline.perform(bytes: bytes, work)
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

    private func traces(
        _ body: [UInt8], _ encoding: OTLPEncoding, _ tenant: Tenant
    ) async throws -> [UInt8] {
        let decoded = try body.withUnsafeBytes {
            encoding == .json ? try OTLPTraces.decodeJSON($0) : try OTLPTraces.decodeProtobuf($0)
        }
        let report = try await pipeline.write(spans: decoded.batch, tenant: tenant)
        traceDoors.repeatedKeys.wrappingAdd(decoded.repeatedKeys, ordering: .relaxed)
        return response(
            .traces, encoding, rejected: decoded.rejected.count + report.refusals.count,
            [decoded.rejected.message, report.refusals.summary])
    }

    private func logs(
        _ body: [UInt8], _ encoding: OTLPEncoding, _ tenant: Tenant
    ) async throws -> [UInt8] {
        var options = OTLPLogs.Options(receivedNanos: clock.wallNanos)
        options.limits = lineLimits.limits(of: tenant)
        let wanted = options
        var decoded = try body.withUnsafeBytes {
            encoding == .json
                ? try OTLPLogs.decodeJSON($0, wanted) : try OTLPLogs.decodeProtobuf($0, wanted)
        }
        let report = try await pipeline.write(logs: decoded.takeBatch(), tenant: tenant)
        if report.isLimited, report.rows == 0 {
            throw APIError(.tooManyRequests, report.refusals.summary, retryAfterSeconds: 1)
        }
        return response(
            .logs, encoding, rejected: decoded.rejectedRows + report.refusals.count,
            [decoded.message, report.refusals.summary])
    }

    private func metrics(
        _ body: [UInt8], _ encoding: OTLPEncoding, _ tenant: Tenant
    ) async throws -> [UInt8] {
        var options = OTLPMetrics.Options(translation.settings)
        options.lookbackMillis = lookbackMillis
        options.takesDeltas = true
        options.names = names
        var decoded = try body.withUnsafeBytes {
            encoding == .json
                ? try OTLPMetrics.decodeJSON($0, options)
                : try OTLPMetrics.decodeProtobuf($0, options)
        }
        let receipt = deltas.accumulate(&decoded, tenant: tenant, nanos: clock.monotonicNanos)
        let report: MetricWriteReport
        do throws(IngestError) {
            report = try await pipeline.write(metrics: decoded.batch, tenant: tenant)
        } catch {
            // The client will send them again.
            deltas.takeBack(receipt)
            throw error
        }
        translation.count(collisions: decoded.collisions)
        let warning =
            decoded.collisions == 0
            ? ""
            : "\(decoded.collisions) label names stand for several attributes each, whose values "
                + "are joined by ';'"
        return response(
            .metrics, encoding, rejected: decoded.rejectedPoints + report.refusals.count,
            [decoded.message, report.refusals.summary, warning])
    }

    private func response(
        _ signal: OTLPSignal, _ encoding: OTLPEncoding, rejected: Int, _ messages: [String]
    ) -> [UInt8] {
        OTLPResponse.success(
            signal, rejected: rejected,
            message: messages.filter { !$0.isEmpty }.joined(separator: "; "), encoding)
    }

    /// `POST /v1/{signal}`.
    func http(_ request: APIRequest, _ signal: OTLPSignal) async throws -> APIResponse {
        let encoding: OTLPEncoding
        switch request.mediaType {
        case "application/json": encoding = .json
        case "application/x-protobuf", "application/protobuf": encoding = .protobuf
        default:
            throw APIError(
                .unsupportedMediaType,
                "Content-Type \"\(request.mediaType)\" not supported: use application/x-protobuf "
                    + "or application/json")
        }
        let body = try await perform(bytes: request.body.count, signal) {
            let plain = try request.plainBody(
                accepting: [.identity, .gzip, .deflate, .zstd, .snappy], limit: Self.bodyLimit)
            return try await accept(plain, signal, encoding, tenant: request.tenant)
        }
        return APIResponse(.ok, contentType: encoding.contentType, body: body)
    }

    /// `POST /otlp/v1/logs` as Loki serves it: 204 instead of a message.
    func lokiLogs(_ request: APIRequest) async throws -> APIResponse {
        _ = try await http(request, .logs)
        return .noContent
    }
}
