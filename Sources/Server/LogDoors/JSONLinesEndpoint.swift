// SPDX-License-Identifier: Apache-2.0
// /api/v1/import/jsonline and /insert/jsonline.

import Base
import HTTPTypes
import Wire

/// Takes JSON objects, one a line, or an array of them. The second path is VictoriaLogs'.
struct JSONLinesEndpoint: Sendable {
    let writer: LogDoorWriter

    func routes() -> [Route] {
        ["/api/v1/import/jsonline", "/insert/jsonline"].map {
            Route([.post, .put], $0, .plain, bodyLimit: LogDoorWriter.bodyLimit, take)
        }
    }

    private func take(_ request: APIRequest) async throws -> APIResponse {
        try await writer.perform(request) {
            let mapping = try request.recordMapping()
            let plain = try request.plainBody(
                accepting: LogDoorWriter.codings, limit: LogDoorWriter.bodyLimit)
            let limits = writer.lineLimits.limits(of: request.tenant)
            let decoded = try plain.withUnsafeBytes {
                try JSONLines.decode(
                    $0, mapping, receivedNanos: writer.clock.wallNanos, limits: limits)
            }
            return try await writer.answer(decoded, from: .jsonline, request.tenant)
        }
    }
}
