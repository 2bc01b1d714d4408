// SPDX-License-Identifier: Apache-2.0
// Jaeger's way in over HTTP.

import Base
import HTTPTypes
import Wire

/// `POST /api/traces`: a `Batch` in thrift's binary protocol. Answered 202.
///
/// Source: jaegertracing/jaeger, the collector's HTTP handler: the form is told by the content type;
/// clients also say `format=jaeger.thrift`, and no other form there is.
struct JaegerEndpoint: Sendable {
    let writer: TraceDoorWriter

    func routes() -> [Route] {
        [Route([.post], "/api/traces", .plain, bodyLimit: TraceDoorWriter.bodyLimit, traces)]
    }

    private func traces(_ request: APIRequest) async throws -> APIResponse {
        if let format = request.nonEmpty("format"), format != "jaeger.thrift" {
            throw APIError(
                .badData, "format \"\(format)\" not supported: the one there is is jaeger.thrift")
        }
        switch request.mediaType {
        case "application/x-thrift", "application/vnd.apache.thrift.binary": break
        default:
            throw APIError(
                .unsupportedMediaType,
                "Content-Type \"\(request.mediaType)\" not supported: use application/x-thrift or "
                    + "application/vnd.apache.thrift.binary")
        }
        return try await writer.take(request, from: .jaeger) { try JaegerThrift.decodeBatch($0) }
    }
}
