// SPDX-License-Identifier: Apache-2.0
// Parameters of Tempo's API.

import HTTPTypes
import Telemetry

extension APIRequest {
    /// Whether the client reads protobuf rather than JSON.
    var wantsProtobuf: Bool { (headers[.accept] ?? "").contains("application/protobuf") }

    /// `start` and `end` in Unix seconds; an end that is absent or 0 is open.
    func tempoRange() throws(APIError) -> NanosRange {
        try APIRequest.tempoRange(start: tempoSeconds("start"), end: tempoSeconds("end"))
    }

    /// - Throws: `APIError` when the range ends before it starts.
    static func tempoRange(start: Int64, end: Int64) throws(APIError) -> NanosRange {
        guard start == 0 || end == 0 || start <= end else {
            throw APIError(
                .badData,
                "http parameter start must be before end. received start=\(start) end=\(end)")
        }
        return NanosRange(
            first: Nanos(start == 0 ? .min : start * 1_000_000_000),
            last: Nanos(end == 0 ? .max : end * 1_000_000_000))
    }

    private func tempoSeconds(_ name: String) throws(APIError) -> Int64 {
        guard let text = nonEmpty(name) else { return 0 }
        guard let value = Int64(text), abs(value) < 9_000_000_000 else {
            throw APIError(.badData, "invalid \(name): \"\(text)\" is not Unix seconds")
        }
        return value
    }

    /// A whole number from a parameter.
    func tempoCount(
        _ name: String, default standard: Int, _ range: ClosedRange<Int>
    ) throws(APIError) -> Int {
        guard let text = nonEmpty(name) else { return standard }
        guard let value = Int(text) else {
            throw APIError(.badData, "invalid \(name): \"\(text)\" is not a whole number")
        }
        guard value >= range.lowerBound else {
            let least = range.lowerBound == 0 ? "non-negative" : "positive"
            throw APIError(.badData, "invalid \(name): must be a \(least) number")
        }
        guard range.contains(value) else {
            throw APIError(.badData, "invalid \(name): must be at most \(range.upperBound)")
        }
        return value
    }

    /// `true` or `false` in the spellings of Go.
    func goFlag(_ name: String, default standard: Bool) throws(APIError) -> Bool {
        switch nonEmpty(name) {
        case nil: return standard
        case "1", "t", "T", "true", "TRUE", "True": return true
        case "0", "f", "F", "false", "FALSE", "False": return false
        case .some(let text):
            throw APIError(.badData, "invalid \(name): \"\(text)\" is not true or false")
        }
    }
}

extension APIResponse {
    static func protobuf(_ body: [UInt8]) -> APIResponse {
        APIResponse(.ok, contentType: "application/protobuf", body: body)
    }
}
