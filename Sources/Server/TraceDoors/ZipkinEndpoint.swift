// SPDX-License-Identifier: Apache-2.0
// Zipkin's way in.

import Base
import HTTPTypes
import Wire

/// `POST /api/v2/spans`: a list of spans in JSON or protobuf, by the content type. Answered 202.
///
/// Source: openzipkin/zipkin-api `zipkin2-api.yaml`; zipkin-server takes JSON when nothing is said.
struct ZipkinEndpoint: Sendable {
    let writer: TraceDoorWriter

    func routes() -> [Route] {
        [Route([.post], "/api/v2/spans", .plain, bodyLimit: TraceDoorWriter.bodyLimit, spans)]
    }

    private func spans(_ request: APIRequest) async throws -> APIResponse {
        let received = writer.clock.wallNanos
        switch request.mediaType {
        case "application/json", "text/plain", "":
            return try await writer.take(request, from: .zipkin) {
                try ZipkinSpans.decodeJSON($0, receivedNanos: received)
            }
        case "application/x-protobuf", "application/protobuf":
            return try await writer.take(request, from: .zipkin) {
                try ZipkinSpans.decodeProtobuf($0, receivedNanos: received)
            }
        default:
            throw APIError(
                .unsupportedMediaType,
                "Content-Type \"\(request.mediaType)\" not supported: use application/json or "
                    + "application/x-protobuf")
        }
    }
}
