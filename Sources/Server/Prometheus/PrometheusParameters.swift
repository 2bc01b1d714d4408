// SPDX-License-Identifier: Apache-2.0
// Parameters of Prometheus' HTTP API.

import Base
import PromQL
import Telemetry

extension APIRequest {
    /// A time parameter in milliseconds.
    ///
    /// - Throws: 400 with Prometheus' text when it is missing without a default, or malformed.
    func millis(_ name: String, default standard: Int64? = nil) throws(APIError) -> Int64 {
        guard let text = nonEmpty(name) else {
            if let standard { return standard }
            throw APIError(
                .badData, "invalid parameter \"\(name)\": cannot parse \"\" to a valid timestamp")
        }
        do throws(TimeTextError) {
            return try parseTimeMillis(text)
        } catch {
            throw APIError(
                .badData,
                "invalid parameter \"\(name)\": cannot parse \"\(text)\" to a valid timestamp")
        }
    }

    /// A duration parameter, in milliseconds: seconds as a number, or `5m`.
    func durationMillis(_ name: String) throws(APIError) -> Int64? {
        guard let text = nonEmpty(name) else { return nil }
        if let seconds = parseFloat(text) {
            let millis = seconds * 1000
            guard millis.isFinite, abs(millis) < 9.2e18 else {
                throw APIError(
                    .badData,
                    "invalid parameter \"\(name)\": cannot parse \"\(text)\" to a valid duration. "
                        + "It overflows int64")
            }
            return Int64(millis)
        }
        guard let millis = try? parseDurationMillis(text) else {
            throw APIError(
                .badData,
                "invalid parameter \"\(name)\": cannot parse \"\(text)\" to a valid duration")
        }
        return millis
    }

    /// `limit`: 0 or absent = no limit.
    func limitParameter() throws(APIError) -> Int {
        guard let text = nonEmpty("limit") else { return 0 }
        guard let limit = Int(text) else {
            throw APIError(
                .badData, "invalid parameter \"limit\": cannot parse \"\(text)\" to a valid limit")
        }
        guard limit >= 0 else {
            throw APIError(
                .badData, "invalid parameter \"limit\": limit must be non-negative")
        }
        return limit
    }

    /// All `match[]` selectors, parsed.
    func selectors(required: Bool) throws(APIError) -> [[LabelMatcher]] {
        let texts = parameters(named: "match[]")
        if texts.isEmpty, required { throw APIError(.badData, "no match[] parameter provided") }
        var result: [[LabelMatcher]] = []
        for text in texts {
            let matchers: [LabelMatcher]
            do {
                matchers = try parseSelector(text)
            } catch {
                throw APIError(.badData, "invalid parameter \"match[]\": \(error)")
            }
            guard matchers.contains(where: { !$0.matchesEmpty }) else {
                throw APIError(
                    .badData,
                    "invalid parameter \"match[]\": match[] must contain at least one "
                        + "non-empty matcher")
            }
            result.append(matchers)
        }
        return result
    }

    /// `start` and `end`, everything when absent.
    func metadataRange() throws(APIError) -> MillisRange {
        let start = try millis("start", default: .min)
        let end = try millis("end", default: .max)
        guard start <= end else {
            throw APIError(
                .badData,
                "invalid parameter \"end\": end timestamp must not be before start time")
        }
        return MillisRange(first: Millis(start), last: Millis(end))
    }
}

/// A label name out of a path: `U__…` is Prometheus' escaping of any UTF-8 name.
func unescapedLabelName(_ name: String) -> String {
    guard name.hasPrefix("U__") else { return name }
    var out = String.UnicodeScalarView()
    var rest = Substring(name.dropFirst(3))
    while let character = rest.first {
        if character != "_" {
            out.append(contentsOf: character.unicodeScalars)
            rest = rest.dropFirst()
            continue
        }
        if rest.hasPrefix("__") {
            out.append("_")
            rest = rest.dropFirst(2)
            continue
        }
        let digits = rest.dropFirst().prefix { $0.isHexDigit }
        guard !digits.isEmpty, digits.count <= 6, rest.dropFirst(digits.count + 1).first == "_",
            let value = UInt32(digits, radix: 16), let scalar = Unicode.Scalar(value)
        else { return name }
        out.append(scalar)
        rest = rest.dropFirst(digits.count + 2)
    }
    return String(out)
}
