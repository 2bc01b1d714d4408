// SPDX-License-Identifier: Apache-2.0
// Answers to OTLP exports, the same for all signals.

import Base

/// The two encodings of OTLP over HTTP. A response has that of its request.
package enum OTLPEncoding: Sendable {
    case protobuf, json

    package var contentType: String {
        switch self {
        case .protobuf: "application/x-protobuf"
        case .json: "application/json"
        }
    }
}

/// The signals whose services differ in one name.
package enum OTLPSignal: String, Sendable, CaseIterable {
    case traces, metrics, logs

    /// JSON name of what was rejected.
    fileprivate var rejectedName: String {
        switch self {
        case .traces: "rejectedSpans"
        case .metrics: "rejectedDataPoints"
        case .logs: "rejectedLogRecords"
        }
    }
}

/// `Export…ServiceResponse` and `google.rpc.Status`.
///
/// Source: opentelemetry-proto `docs/specification.md`, "OTLP/HTTP Response", and the collector
/// service messages, whose field numbers agree.
package enum OTLPResponse {
    /// Most bytes of an error message: responses are to stay small.
    static let maxMessageBytes = 4096

    /// The body of a 200. Without rejections and message, `partial_success` stays unset.
    ///
    /// - Parameters:
    ///   - rejected: spans, data points or log records that were not taken.
    ///   - message: why, or a warning when nothing was rejected; cut to 4 KiB.
    package static func success(
        _ signal: OTLPSignal, rejected: Int = 0, message: String = "", _ encoding: OTLPEncoding
    ) -> [UInt8] {
        let message = cut(message)
        let isFull = rejected == 0 && message.isEmpty
        switch encoding {
        case .protobuf:
            var writer = ProtobufWriter()
            if isFull { return writer.bytes }
            writer.message(1) { partial in
                partial.int64(1, Int64(rejected))
                partial.string(2, message)
            }
            return writer.bytes
        case .json:
            var json = JSONWriter(reserving: 64)
            json.beginObject()
            if !isFull {
                json.key("partialSuccess")
                json.beginObject()
                // 64-bit integers are strings in protobuf's JSON.
                if rejected != 0 { json.member(signal.rejectedName, "\(rejected)") }
                if !message.isEmpty { json.member("errorMessage", message) }
                json.endObject()
            }
            json.endObject()
            return json.bytes
        }
    }

    /// The body of every 4xx and 5xx: a `google.rpc.Status`.
    ///
    /// - Parameter code: of google.rpc.Code, such as 3 invalid argument, 8 resource exhausted,
    ///   13 internal, 14 unavailable.
    /// - Parameter retryAfterSeconds: when to come again, as a detail `google.rpc.RetryInfo`, which
    ///   only protobuf has here; nil = not said.
    package static func status(
        code: Int32, message: String, _ encoding: OTLPEncoding, retryAfterSeconds: Int? = nil
    ) -> [UInt8] {
        let message = cut(message)
        switch encoding {
        case .protobuf:
            var writer = ProtobufWriter()
            writer.int32(1, code)
            writer.string(2, message)
            if let retryAfterSeconds {
                // google.protobuf.Any of a RetryInfo, whose only field is a Duration.
                writer.message(3) { any in
                    any.string(1, "type.googleapis.com/google.rpc.RetryInfo")
                    any.message(2) { info in
                        info.message(1) { $0.int64(1, Int64(retryAfterSeconds)) }
                    }
                }
            }
            return writer.bytes
        case .json:
            var json = JSONWriter(reserving: 64)
            json.beginObject()
            json.member("code", Int(code))
            json.member("message", message)
            json.endObject()
            return json.bytes
        }
    }

    /// Cut at a character's end.
    private static func cut(_ message: String) -> String {
        guard message.utf8.count > maxMessageBytes else { return message }
        var end = message.utf8.index(message.startIndex, offsetBy: maxMessageBytes - 3)
        while end > message.startIndex, end.samePosition(in: message.unicodeScalars) == nil {
            end = message.utf8.index(before: end)
        }
        return String(message[..<end]) + "…"
    }
}
