// SPDX-License-Identifier: Apache-2.0
// Parameters of Prometheus' HTTP API.

import Base
import PromQL
import Telemetry

extension APIRequest {
    /// A time parameter in milliseconds.
    ///
    /// - Throws: 400 with Prometheus' text when it is missing without a default, or malformed; of
    ///   parameters with a default the text names the parameter twice, as Prometheus' does.
    func millis(_ name: String, default standard: Int64? = nil) throws(APIError) -> Int64 {
        let text = parameter(name) ?? ""
        if text.isEmpty, let standard { return standard }
        do throws(TimeTextError) {
            return try parseTimeMillis(text)
        } catch {
            let place = standard == nil ? "" : "invalid time value for '\(name)': "
            throw APIError(.badData, "invalid parameter \"\(name)\": \(place)\(error)")
        }
    }

    /// A duration parameter, in milliseconds: seconds as a number, or `5m`.
    ///
    /// - Parameter place: what the text of the error begins with; nil names the parameter.
    func durationMillis(_ name: String, place: String? = nil) throws(APIError) -> Int64? {
        guard let text = nonEmpty(name) else { return nil }
        let place = place ?? "invalid parameter \"\(name)\": "
        if let seconds = parseFloat(text) {
            let millis = seconds * 1000
            guard abs(seconds * 1e9) <= 9.223372036854775e18 else {
                throw APIError(
                    .badData,
                    "\(place)cannot parse \(quotedText(text)) to a valid duration. It overflows int64"
                )
            }
            return Int64(millis)
        }
        guard let millis = try? parseDurationMillis(text) else {
            throw APIError(
                .badData,
                "\(place)cannot parse \(quotedText(text)) to a valid duration")
        }
        return millis
    }

    /// `limit`: 0 or absent = no limit.
    func limitParameter() throws(APIError) -> Int {
        guard let text = nonEmpty("limit") else { return 0 }
        guard let limit = Int(text) else {
            throw APIError(
                .badData,
                "invalid parameter \"limit\": strconv.Atoi: parsing \(quotedText(text)): "
                    + "invalid syntax")
        }
        guard limit >= 0 else {
            throw APIError(
                .badData, "invalid parameter \"limit\": limit must be non-negative")
        }
        return limit
    }

    /// All `match[]` selectors, parsed.
    ///
    /// - Parameter place: what the text of an error begins with.
    func selectors(place: String = "") throws(APIError) -> [[LabelMatcher]] {
        let nothing = "match[] must contain at least one non-empty matcher"
        var result: [[LabelMatcher]] = []
        for text in parameters(named: "match[]") {
            do throws(ParseError) {
                result.append(try parseSelector(text))
            } catch {
                // Selectors of their own are checked below, with another text.
                let isEmpty = error.faults.first?.message.hasSuffix("one non-empty matcher")
                throw APIError(.badData, isEmpty == true ? place + nothing : "\(place)\(error)")
            }
        }
        for matchers in result where matchers.allSatisfy({ $0.matchesEmpty }) {
            throw APIError(.badData, place + nothing)
        }
        return result
    }

    /// `start` and `end`, everything when absent; nil when the end is before the start: nothing
    /// lies there.
    func metadataRange() throws(APIError) -> MillisRange? {
        let start = try millis("start", default: .min)
        let end = try millis("end", default: .max)
        return start <= end ? MillisRange(first: Millis(start), last: Millis(end)) : nil
    }

    /// A number that may be absent; negative means no limit. Source: Prometheus' `metadata`.
    func looseLimit(_ name: String) throws(APIError) -> Int? {
        guard let text = nonEmpty(name) else { return nil }
        guard let number = Int(text) else {
            throw APIError(.badData, "\(name) must be a number")
        }
        return number < 0 ? nil : number
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

/// A truth value as Go's `strconv.ParseBool` reads it.
func goBoolean(_ text: String) -> Bool? {
    switch text {
    case "1", "t", "T", "true", "TRUE", "True": true
    case "0", "f", "F", "false", "FALSE", "False": false
    default: nil
    }
}
