// SPDX-License-Identifier: Apache-2.0
// Errors as Jaeger's clients read them.

import GRPCCore
import HTTPTypes
import Wire

/// The envelope of version 1 with the status and the message.
func jaegerError(_ error: APIError) -> APIResponse {
    var response = APIResponse.json(
        JaegerAnswers.failure(status: error.status.code, error.message), status: error.status)
    response.headers[.xContentTypeOptions] = "nosniff"
    return response
}

/// The error object of version 3.
func jaegerV3Error(_ error: APIError) -> APIResponse {
    var response = APIResponse.json(
        JaegerAnswers.failureV3(
            status: error.status.code, reason: error.status.reasonPhrase,
            grpcCode: error.queryCode.rawValue, error.message), status: error.status)
    response.headers[.xContentTypeOptions] = "nosniff"
    return response
}
