// SPDX-License-Identifier: Apache-2.0
// /api/v1/import/prometheus: an exposition, pushed once.

import Base
import HTTPTypes
import Ingest
import Telemetry
import Wire

/// Takes what a target would expose, with or without timestamps. Source: VictoriaMetrics
/// `docs/victoriametrics/README.md`, "How to import data in Prometheus exposition format".
struct ImportEndpoint: Sendable {
    let pipeline: IngestPipeline
    let clock: any Clock
    /// Bytes of a body after decompression.
    static let bodyLimit = 64 << 20

    func routes() -> [Route] {
        let base = "/api/v1/import/prometheus"
        return [
            Route([.post, .put], base, .prometheus, bodyLimit: Self.bodyLimit) {
                try await take($0, [])
            },
            Route([.post, .put], base + "/metrics/job/**", .prometheus, bodyLimit: Self.bodyLimit) {
                let path = $0.path.dropFirst((base + "/metrics/").count)
                return try await take($0, try PushPath(path).labels)
            },
        ]
    }

    private func take(
        _ request: APIRequest, _ labels: [(name: String, value: String)]
    ) async throws -> APIResponse {
        do {
            return try await pipeline.perform(bytes: request.body.count) {
                try await write(request, labels + (try request.extraLabels()))
            }
        } catch let error as IngestError { throw APIError(error) }
    }

    private func write(
        _ request: APIRequest, _ labels: [(name: String, value: String)]
    ) async throws -> APIResponse {
        var millis = clock.wallNanos / 1_000_000
        if let text = request.nonEmpty("timestamp") {
            guard let stated = Int64(text) else {
                throw APIError(
                    .badData, "timestamp takes milliseconds since 1970, not \(quotedText(text))")
            }
            millis = stated
        }
        let plain = try request.plainBody(
            accepting: [.identity, .gzip, .deflate, .zstd], limit: Self.bodyLimit)
        let batch: MetricBatch
        do {
            batch = try plain.withUnsafeBytes { try decode($0, request.mediaType, millis) }
        } catch let error as ExpositionError {
            throw APIError(.badData, "exposition: \(error)")
        }
        let report = try await pipeline.write(
            metrics: batch.setting(labels), tenant: request.tenant)
        guard report.refusals.isEmpty else {
            throw APIError(.badData, report.refusals.summary)
        }
        return .noContent
    }

    private func decode(
        _ bytes: UnsafeRawBufferPointer, _ mediaType: String, _ millis: Int64
    ) throws(ExpositionError) -> MetricBatch {
        switch mediaType {
        case "application/vnd.google.protobuf":
            return try MetricFamilies.decode(bytes, scrapeMillis: millis).batch
        case "application/openmetrics-text":
            return try Exposition.decode(bytes, .openMetrics, scrapeMillis: millis).batch
        default: return try Exposition.decode(bytes, .text, scrapeMillis: millis).batch
        }
    }
}
