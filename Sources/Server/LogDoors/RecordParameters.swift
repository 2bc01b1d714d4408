// SPDX-License-Identifier: Apache-2.0
// How a request says which fields of its records are what.

import Base
import HTTPTypes
import Wire

extension APIRequest {
    /// Most names in one list.
    private static let listLimit = 64

    /// The mapping that query parameters and headers ask for, the door's own where they say nothing.
    /// A parameter wins over a header. VictoriaLogs' names are taken as well as ours (docs/ingest,
    /// "Fields").
    func recordMapping(
        _ standard: LogRecordMapping = LogRecordMapping()
    ) throws(APIError) -> LogRecordMapping {
        var mapping = standard
        if let names = try list("stream_fields", "_stream_fields", "Stream-Fields") {
            mapping.streamFields = names
        }
        if let names = try list("message_field", "_msg_field", "Message-Field", "Msg-Field") {
            mapping.messageFields = names
        }
        if let names = try list("time_field", "_time_field", "Time-Field") {
            mapping.timeFields = names
            mapping.isTimeFieldGiven = true
        }
        if let names = try list("ignore_fields", "ignore_fields", "Ignore-Fields") {
            mapping.ignoredFields = names
        }
        if let pairs = try list("extra_fields", "extra_fields", "Extra-Fields") {
            mapping.extraFields = []
            for pair in pairs {
                guard let equal = pair.firstIndex(of: "="), equal > pair.startIndex else {
                    throw APIError(
                        .badData, "extra_fields takes NAME=VALUE,…, not \(quotedText(pair))")
                }
                mapping.extraFields.append(
                    .init(String(pair[..<equal]), String(pair[pair.index(after: equal)...])))
            }
        }
        return mapping
    }

    /// A comma-separated list; nil when the request has none.
    private func list(
        _ name: String, _ other: String, _ headers: String...
    ) throws(APIError) -> [String]? {
        var text = nonEmpty(name) ?? nonEmpty(other)
        for header in headers where text == nil {
            text = ["Tern-", "VL-"].lazy.compactMap { prefix in
                HTTPField.Name(prefix + header).flatMap { self.headers[$0] }
            }.first { !$0.isEmpty }
        }
        guard let text else { return nil }
        let names = text.split(separator: ",").map { trimmed($0) }.filter { !$0.isEmpty }
        guard names.count <= Self.listLimit, names.allSatisfy({ $0.utf8.count <= 1024 }) else {
            throw APIError(
                .badData, "\(name) takes at most \(Self.listLimit) names of at most 1024 bytes")
        }
        return names
    }
}
