// SPDX-License-Identifier: Apache-2.0
// Prometheus' JSON envelope.

import Base

/// `errorType` of a failure. Source: prometheus/prometheus `web/api/v1/api.go`.
private func errorType(_ kind: APIError.Kind) -> String {
    switch kind {
    case .badData, .unsupportedMediaType, .tooLarge, .requestTimeout: "bad_data"
    case .execution: "execution"
    case .cancelled: "canceled"
    case .timeout: "timeout"
    case .notFound: "not_found"
    case .notAcceptable: "not_acceptable"
    case .unavailable, .tooManyRequests, .switchedOff: "unavailable"
    case .unauthorized, .methodNotAllowed, .internal: "internal"
    }
}

func prometheusError(_ error: APIError) -> APIResponse {
    var json = JSONWriter()
    json.beginObject()
    json.member("status", "error")
    json.member("errorType", errorType(error.kind))
    json.member("error", error.message)
    json.endObject()
    return .json(json.bytes, status: error.status)
}

/// A success: `data` writes exactly one value.
func prometheusSuccess(
    warnings: [String] = [], infos: [String] = [], reserving capacity: Int = 4096,
    _ data: (inout JSONWriter) throws -> Void
) rethrows -> APIResponse {
    var json = JSONWriter(reserving: capacity)
    json.beginObject()
    json.member("status", "success")
    json.key("data")
    try data(&json)
    for (name, texts) in [("warnings", warnings), ("infos", infos)] where !texts.isEmpty {
        json.key(name)
        json.beginArray()
        for text in texts { json.string(text) }
        json.endArray()
    }
    json.endObject()
    return .json(json.bytes)
}
