// SPDX-License-Identifier: Apache-2.0
// An answer, and errors that know how to become one.

import Base
import HTTPTypes

/// A body that is made while it is sent.
package protocol BodyStream: Sendable {
    /// The next bytes, never empty; nil at the end. Called by one task at a time.
    func next() async throws -> [UInt8]?
    /// Called once at the end, whatever happened; never when sending did not begin.
    func end()
}

/// An answer with its whole body, or with what makes it.
package struct APIResponse: Sendable {
    package var status: HTTPResponse.Status
    package var headers: HTTPFields
    package var body: [UInt8]
    /// When set, the body; sent in pieces.
    package var stream: (any BodyStream)?
    /// Sent as it is, whatever the client could unpack.
    package var isPlain = false

    package init(
        _ status: HTTPResponse.Status, contentType: String? = nil, body: [UInt8] = []
    ) {
        self.status = status
        headers = HTTPFields()
        if let contentType { headers[.contentType] = contentType }
        self.body = body
    }

    package static func json(
        _ body: [UInt8], status: HTTPResponse.Status = .ok
    ) -> APIResponse {
        APIResponse(status, contentType: "application/json", body: body)
    }

    package static func text(
        _ text: String, status: HTTPResponse.Status = .ok
    ) -> APIResponse {
        APIResponse(status, contentType: "text/plain; charset=utf-8", body: Array(text.utf8))
    }

    package static let noContent = APIResponse(.noContent)
}

/// What went wrong with a request, before it is put into the shape of the family that was called.
package struct APIError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable {
        /// The request is at fault.
        case badData
        /// The request was understood and cannot be carried out.
        case execution
        case notFound
        case unsupportedMediaType
        case tooLarge
        case tooManyRequests
        /// The client went away.
        case cancelled
        case timeout
        /// We cannot now; the client shall come again.
        case unavailable
        /// Not offered by this server as it was started; trying again changes nothing.
        case switchedOff
        case unauthorized
        case methodNotAllowed
        case notAcceptable
        case requestTimeout
        case `internal`
    }
    package var kind: Kind
    package var message: String
    /// Seconds after which a retry makes sense, where one does.
    package var retryAfterSeconds: Int?

    package init(_ kind: Kind, _ message: String, retryAfterSeconds: Int? = nil) {
        self.kind = kind
        self.message = message
        self.retryAfterSeconds = retryAfterSeconds
    }

    package var description: String { message }

    package var status: HTTPResponse.Status {
        switch kind {
        case .badData: .badRequest
        case .execution: .unprocessableContent
        case .notFound: .notFound
        case .unsupportedMediaType: .unsupportedMediaType
        case .tooLarge: .contentTooLarge
        case .tooManyRequests: .tooManyRequests
        case .cancelled: .init(code: 499, reasonPhrase: "Client Closed Request")
        case .timeout, .unavailable: .serviceUnavailable
        case .unauthorized: .unauthorized
        case .methodNotAllowed: .methodNotAllowed
        case .notAcceptable: .notAcceptable
        case .requestTimeout: .requestTimeout
        // Prometheus has no code of its own for what is switched off.
        case .switchedOff, .internal: .internalServerError
        }
    }
}

/// Shape of a family's errors.
package enum ErrorShape: Sendable {
    case prometheus, loki, otlp, elasticsearch, jaeger, jaegerV3, plain

    /// The shape of the family that a path belongs to, whether or not it is served.
    init(path: String) {
        let families: [(String, ErrorShape)] = [
            ("/loki/", .loki), ("/otlp/", .otlp), ("/v1/", .otlp), ("/api/v1/otlp/", .otlp),
            ("/api/v1/write", .plain), ("/api/v1/", .prometheus), ("/api/v3/", .jaegerV3),
            ("/api/traces", .jaeger), ("/api/services", .jaeger), ("/api/operations", .jaeger),
            ("/api/dependencies", .jaeger),
        ]
        self = families.first { path.hasPrefix($0.0) }?.1 ?? .plain
    }

    /// What a family calls more at once than there is room for: remote write drops data on 429.
    var overload: APIError.Kind {
        switch self {
        case .prometheus, .jaeger, .jaegerV3, .plain: .unavailable
        case .loki, .otlp, .elasticsearch: .tooManyRequests
        }
    }

    func response(_ error: APIError, to request: APIRequest) -> APIResponse {
        var response: APIResponse
        switch self {
        case .prometheus: response = prometheusError(error)
        case .otlp:
            response = otlpError(error, to: request)
        case .elasticsearch: response = elasticsearchError(error, to: request)
        // Tempo shares a path with Jaeger and has plain texts.
        case .jaeger where request.wantsProtobuf || request.prefix == "tempo":
            response = plainResponse(error)
        case .jaeger: response = jaegerError(error)
        case .jaegerV3: response = jaegerV3Error(error)
        case .loki, .plain: response = plainResponse(error)
        }
        if let seconds = error.retryAfterSeconds {
            response.headers[.retryAfter] = String(seconds)
        }
        return response
    }

    private func plainResponse(_ error: APIError) -> APIResponse {
        var response = APIResponse.text(error.message + "\n", status: status(error))
        response.headers[.xContentTypeOptions] = "nosniff"
        return response
    }

    /// Loki's queries: what they ask for is at fault where Prometheus says it cannot be carried
    /// out, and a deadline is a gateway's.
    private func status(_ error: APIError) -> HTTPResponse.Status {
        switch (self, error.kind) {
        case (.loki, .timeout): .gatewayTimeout
        default: error.status
        }
    }
}
