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
    writeAnnotations(warnings, infos, into: &json)
    json.endObject()
    return .json(json.bytes)
}

/// A source within Prometheus' envelope of a success.
struct PrometheusEnvelope<Content: JSONSource>: JSONSource {
    private enum Place: Sendable { case head, content, tail }
    private var place = Place.head
    private var content: Content
    private let warnings: [String]
    private let infos: [String]

    /// - Parameter content: writes exactly one value.
    init(_ content: Content, warnings: [String] = [], infos: [String] = []) {
        self.content = content
        self.warnings = warnings
        self.infos = infos
    }

    mutating func write(into json: inout JSONWriter) -> Bool {
        switch place {
        case .head:
            json.beginObject()
            json.member("status", "success")
            json.key("data")
            place = .content
        case .content:
            if !content.write(into: &json) { place = .tail }
        case .tail:
            writeAnnotations(warnings, infos, into: &json)
            json.endObject()
            return false
        }
        return true
    }
}

/// What a result lacks or what is odd about the query, where there is such.
func writeAnnotations(_ warnings: [String], _ infos: [String], into json: inout JSONWriter) {
    for (name, texts) in [("warnings", warnings), ("infos", infos)] where !texts.isEmpty {
        json.key(name)
        json.beginArray()
        for text in texts { json.string(text) }
        json.endArray()
    }
}
