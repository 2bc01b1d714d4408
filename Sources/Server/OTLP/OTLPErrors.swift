// SPDX-License-Identifier: Apache-2.0
// OTLP's errors over both transports.

import GRPCCore
import Wire

extension APIError {
    /// Codes that make an exporter retry exactly when it should.
    var grpcCode: RPCError.Code {
        switch kind {
        case .badData, .unsupportedMediaType, .notAcceptable, .execution: .invalidArgument
        case .tooLarge: .resourceExhausted
        case .unavailable, .tooManyRequests, .timeout, .requestTimeout: .unavailable
        case .unauthorized: .unauthenticated
        case .notFound, .methodNotAllowed, .switchedOff: .unimplemented
        case .cancelled: .cancelled
        case .internal: .internalError
        }
    }

    /// As gRPC has it. Exporters take RESOURCE_EXHAUSTED for final unless details say when to come
    /// again, and UNAVAILABLE never; both have the details here where that makes sense.
    var rpcError: RPCError {
        var metadata = Metadata()
        if let seconds = retryAfterSeconds {
            let status = OTLPResponse.status(
                code: Int32(grpcCode.rawValue), message: message, .protobuf,
                retryAfterSeconds: seconds)
            metadata.addBinary(status, forKey: "grpc-status-details-bin")
        }
        return RPCError(code: grpcCode, message: message, metadata: metadata)
    }
}

/// A `google.rpc.Status` in the encoding of the request.
func otlpError(_ error: APIError, to request: APIRequest) -> APIResponse {
    let encoding: OTLPEncoding = request.mediaType == "application/json" ? .json : .protobuf
    let body = OTLPResponse.status(
        code: Int32(error.grpcCode.rawValue), message: error.message, encoding)
    return APIResponse(error.status, contentType: encoding.contentType, body: body)
}
