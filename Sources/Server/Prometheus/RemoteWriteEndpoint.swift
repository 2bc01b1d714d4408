// SPDX-License-Identifier: Apache-2.0
// POST /api/v1/write: remote write 1.0 and 2.0.

import Base
import HTTPTypes
import Ingest
import Telemetry
import Wire

extension APIError {
    /// An ingest failure as remote write and scraping see it: always 503, since Prometheus drops
    /// data on 429 by default and on 4xx always.
    init(_ error: IngestError) {
        switch error {
        case .unavailable(_, let seconds), .overloaded(let seconds):
            self.init(.unavailable, error.description, retryAfterSeconds: seconds)
        }
    }
}

/// Remote write. Source: the remote write 1.0 and 2.0 specifications.
struct RemoteWriteEndpoint: Sendable {
    let pipeline: IngestPipeline
    /// Bytes of a body after decompression.
    static let bodyLimit = 32 << 20

    private enum Version { case one, two }

    func write(_ request: APIRequest) async throws -> APIResponse {
        do {
            return try await pipeline.perform(bytes: request.body.count) { try await take(request) }
        } catch let error as IngestError { throw APIError(error) }
    }

    private func take(_ request: APIRequest) async throws -> APIResponse {
        let version = try version(of: request)
        let coding = trimmed(request.headers[.contentEncoding] ?? "").lowercased()
        guard coding.isEmpty || coding == "snappy" else {
            throw APIError(
                .unsupportedMediaType,
                "\(coding) encoding (compression) is not accepted by this server; only snappy is "
                    + "acceptable")
        }
        let plain = try request.snappyBody(limit: Self.bodyLimit)
        let decoded: RemoteWriteRequest
        do throws(MalformedBytes) {
            decoded = try plain.withUnsafeBytes {
                bytes -> Result<RemoteWriteRequest, MalformedBytes> in
                do throws(MalformedBytes) {
                    return .success(
                        version == .one
                            ? try RemoteWrite1.decode(bytes) : try RemoteWrite2.decode(bytes))
                } catch { return .failure(error) }
            }.get()
        } catch {
            throw APIError(.badData, "remote write request: \(error)")
        }
        let report = try await pipeline.write(metrics: decoded.batch, tenant: request.tenant)
        return answer(version, decoded, report)
    }

    private func answer(
        _ version: Version, _ decoded: RemoteWriteRequest, _ report: MetricWriteReport
    ) -> APIResponse {
        var messages = report.refusals.isEmpty ? [] : [report.refusals.summary]
        // 1.0 senders cannot act on single bad series: those are skipped, and counted by us.
        if version == .two || decoded.hasInvalidHistogram {
            messages = decoded.problems.map(\.message) + messages
        }
        var response: APIResponse =
            messages.isEmpty
            ? .noContent
            : .text(messages.joined(separator: "; ") + "\n", status: .badRequest)
        if version == .two {
            response.headers[.samplesWritten] = String(report.samples)
            response.headers[.histogramsWritten] = String(report.histograms)
            response.headers[.exemplarsWritten] = String(report.exemplars)
        }
        return response
    }

    private func version(of request: APIRequest) throws(APIError) -> Version {
        let header = request.headers[.contentType] ?? ""
        let parts = header.split(separator: ";").map { trimmed($0) }
        let type = parts.first?.lowercased() ?? ""
        guard type == "application/x-protobuf" || type.isEmpty else {
            throw APIError(
                .unsupportedMediaType,
                "expected application/x-protobuf as the first (media) part, got \(type) "
                    + "content-type")
        }
        for part in parts.dropFirst() where part.hasPrefix("proto=") {
            switch part.dropFirst(6) {
            case "prometheus.WriteRequest": return .one
            case "io.prometheus.write.v2.Request": return .two
            default:
                throw APIError(
                    .unsupportedMediaType,
                    "unknown remote write protobuf message \(part.dropFirst(6))")
            }
        }
        return .one
    }
}

extension APIRequest {
    /// A snappy block whatever the content encoding says, bounded.
    func snappyBody(limit: Int) throws(APIError) -> [UInt8] {
        let result = body.withUnsafeBytes { bytes -> Result<[UInt8], CompressionError> in
            do throws(CompressionError) {
                return .success(try Snappy.decompress(bytes, limit: limit))
            } catch { return .failure(error) }
        }
        switch result {
        case .success(let plain): return plain
        case .failure(.tooLarge):
            throw APIError(
                .tooLarge,
                "request body exceeds \(limit) bytes after decompression: send smaller batches")
        case .failure(.malformed):
            throw APIError(.badData, "request body is not a valid snappy block")
        }
    }
}

extension HTTPField.Name {
    static let samplesWritten = Self("X-Prometheus-Remote-Write-Samples-Written").unsafelyUnwrapped
    static let histogramsWritten = Self(
        "X-Prometheus-Remote-Write-Histograms-Written"
    ).unsafelyUnwrapped
    static let exemplarsWritten = Self(
        "X-Prometheus-Remote-Write-Exemplars-Written"
    ).unsafelyUnwrapped
}
