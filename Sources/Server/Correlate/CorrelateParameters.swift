// SPDX-License-Identifier: Apache-2.0
// Parameters of the correlation API.

import Base
import Telemetry

extension APIRequest {
    /// A time in nanoseconds: RFC 3339, Unix seconds with or without a fraction, or Unix nanoseconds.
    func correlateTime(_ name: String, default standard: Int64) throws(APIError) -> Int64 {
        guard let text = nonEmpty(name) else { return standard }
        if let exact = decimalSeconds(text) { return exact }
        do throws(APIError) {
            return try lokiTime(text) ?? standard
        } catch {
            throw APIError(
                .badData,
                "invalid parameter \"\(name)\": \"\(text)\" is no RFC 3339 time, Unix seconds or "
                    + "nanoseconds")
        }
    }

    /// `start` and `end`; the last hour when absent.
    func correlateRange(now: Int64) throws(APIError) -> NanosRange {
        let end = try correlateTime("end", default: now)
        let start = try correlateTime(
            "start", default: end.subtractingReportingOverflow(3_600_000_000_000).partialValue)
        guard start <= end else {
            throw APIError(
                .badData, "invalid parameter \"end\": end must not be before start")
        }
        return NanosRange(first: Nanos(start), last: Nanos(end))
    }

    /// A length of time in nanoseconds.
    func correlateWindow(default standard: Int64) throws(APIError) -> Int64 {
        guard let millis = try durationMillis("window") else { return standard }
        guard millis >= 0 else {
            throw APIError(.badData, "invalid parameter \"window\": must not be negative")
        }
        let (nanos, overflow) = millis.multipliedReportingOverflow(by: 1_000_000)
        return overflow ? .max : nanos
    }

    /// `limit`, from 1 to a million.
    func correlateLimit(default standard: Int) throws(APIError) -> Int {
        guard let text = nonEmpty("limit") else { return standard }
        guard let limit = Int(text), (1...1_000_000).contains(limit) else {
            throw APIError(
                .badData,
                "invalid parameter \"limit\": \"\(text)\" is not a number from 1 to 1000000")
        }
        return limit
    }
}

/// `123.456789` seconds in nanoseconds, without a detour by floating point; nil for other texts.
private func decimalSeconds(_ text: String) -> Int64? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, (1...10).contains(parts[0].count), (1...9).contains(parts[1].count),
        let seconds = Int64(parts[0]), seconds >= 0, seconds < 9_000_000_000,
        parts[1].utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
        let fraction = Int64(parts[1] + String(repeating: "0", count: 9 - parts[1].count))
    else { return nil }
    return seconds * 1_000_000_000 + fraction
}

/// The stretch of time around a moment, held at the ends of what can be told.
func timeRange(_ first: Int64, less before: Int64, _ last: Int64, plus after: Int64) -> NanosRange {
    let (start, under) = first.subtractingReportingOverflow(before)
    let (end, over) = last.addingReportingOverflow(after)
    return NanosRange(first: Nanos(under ? .min : start), last: Nanos(over ? .max : end))
}
