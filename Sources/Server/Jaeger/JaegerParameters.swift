// SPDX-License-Identifier: Apache-2.0
// Parameters of Jaeger's API.

import Base
import Telemetry

extension APIRequest {
    /// A time in nanoseconds from Unix microseconds; nil when absent.
    func jaegerMicros(_ name: String) throws(APIError) -> Int64? {
        try jaegerNumber(name, nanosEach: 1000)
    }

    /// A time or length in nanoseconds from milliseconds; nil when absent.
    func jaegerMillis(_ name: String) throws(APIError) -> Int64? {
        try jaegerNumber(name, nanosEach: 1_000_000)
    }

    private func jaegerNumber(_ name: String, nanosEach: Int64) throws(APIError) -> Int64? {
        guard let text = nonEmpty(name) else { return nil }
        guard let value = Int64(text) else {
            throw APIError(
                .badData, "unable to parse param '\(name)': \"\(text)\" is not a whole number")
        }
        let (nanos, overflow) = value.multipliedReportingOverflow(by: nanosEach)
        return overflow ? (value < 0 ? .min : .max) : nanos
    }

    /// A length of time in Go's notation, in nanoseconds; nil when absent or 0.
    func jaegerDuration(_ name: String) throws(APIError) -> Int64? {
        guard let text = nonEmpty(name) else { return nil }
        do throws(GoDurationError) {
            let nanos = try parseGoDuration(text)
            return nanos == 0 ? nil : nanos
        } catch {
            throw APIError(.badData, "unable to parse param '\(name)': \(error)")
        }
    }

    /// A number of traces.
    func jaegerLimit(_ name: String, default standard: Int) throws(APIError) -> Int {
        guard let text = nonEmpty(name) else { return standard }
        guard let value = Int(text) else {
            throw APIError(
                .badData, "unable to parse param '\(name)': \"\(text)\" is not a whole number")
        }
        guard value > 0 else {
            throw APIError(.badData, "invalid parameter: \(name) must be greater than 0")
        }
        guard value <= TempoQueries.maxCount else {
            throw APIError(
                .badData, "invalid parameter: \(name) must be at most \(TempoQueries.maxCount)")
        }
        return value
    }

    /// Whether differences between clocks shall be taken out of the answer: only when `adjust=true`
    /// asks for it and `raw=true` does not forbid it.
    func adjustsClocks() throws(APIError) -> Bool {
        let isRaw = try goFlag("raw", default: false)
        return try goFlag("adjust", default: false) && !isRaw
    }

    /// `start` before `end`, each in microseconds or by default.
    ///
    /// - Parameter lookback: nanoseconds from `start` to `end` when only one is given.
    func jaegerRange(now: Int64, lookback: Int64) throws(APIError) -> NanosRange {
        let end = try jaegerMicros("end") ?? now
        var length = lookback
        // The user interface sends `custom` together with `start`.
        if let text = nonEmpty("lookback"), let millis = try? parseDurationMillis(text), millis > 0
        {
            length =
                millis.multipliedReportingOverflow(by: 1_000_000).overflow
                ? .max : millis * 1_000_000
        }
        let before = end.subtractingReportingOverflow(length)
        let start = try jaegerMicros("start") ?? (before.overflow ? .min : before.partialValue)
        guard start <= end else {
            throw APIError(.badData, "invalid parameter: start time must be before end time")
        }
        return NanosRange(first: Nanos(start), last: Nanos(end))
    }
}
