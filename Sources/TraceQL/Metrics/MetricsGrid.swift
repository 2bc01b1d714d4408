// SPDX-License-Identifier: Apache-2.0
// The steps of a metrics query.

/// Into which intervals spans are counted.
///
/// Intervals are open at their start and closed at their end: a sample at `t` counts spans that
/// start in `(t - step, t]`. Source: grafana/tempo:pkg/traceql/engine_metrics.go.
package struct MetricsGrid: Sendable, Equatable {
    /// Where the first interval begins, exclusive; nanoseconds since 1970.
    package let startNanos: Int64
    /// Where the last interval ends, inclusive.
    package let endNanos: Int64
    /// Length of an interval.
    package let stepNanos: Int64
    /// Number of intervals, which is that of samples per series.
    package let count: Int
    /// One sample for all of the time.
    package let isInstant: Bool

    /// Most intervals of a range query.
    package static let maxIntervals: Int64 = 10_000

    /// A sample every `stepNanos` at multiples of it, from the one at or before the start to the one
    /// at or behind the end.
    ///
    /// - Throws: `TraceQLValidationError` when the range is empty, its start is before 1970, or there
    ///   would be more than `maxIntervals`.
    package static func range(
        startNanos: Int64, endNanos: Int64, stepNanos: Int64
    ) throws(TraceQLValidationError) -> MetricsGrid {
        try check(startNanos, endNanos)
        guard stepNanos > 0 else {
            throw TraceQLValidationError("step must be greater than 0")
        }
        guard (endNanos - startNanos) / stepNanos <= maxIntervals else {
            throw TraceQLValidationError(
                "the step is too small: it gives more than \(maxIntervals) samples per series; use "
                    + "\((endNanos - startNanos) / maxIntervals / 1_000_000 + 1)ms or more")
        }
        var first = startNanos - startNanos % stepNanos
        if first > stepNanos { first -= stepNanos }
        let rest = endNanos % stepNanos
        let (last, overflow) = endNanos.addingReportingOverflow(rest == 0 ? 0 : stepNanos - rest)
        guard !overflow else { throw TraceQLValidationError("end is out of range") }
        return MetricsGrid(
            startNanos: first, endNanos: last, stepNanos: stepNanos,
            count: Int((last - first) / stepNanos), isInstant: false)
    }

    /// One sample at the end for all spans in `(startNanos, endNanos]`.
    ///
    /// - Throws: `TraceQLValidationError` when the range is empty or begins before 1970.
    package static func instant(
        startNanos: Int64, endNanos: Int64
    ) throws(TraceQLValidationError) -> MetricsGrid {
        try check(startNanos, endNanos)
        return MetricsGrid(
            startNanos: startNanos, endNanos: endNanos, stepNanos: endNanos - startNanos, count: 1,
            isInstant: true)
    }

    private static func check(_ start: Int64, _ end: Int64) throws(TraceQLValidationError) {
        guard start >= 0 else { throw TraceQLValidationError("start must not be before 1970") }
        guard end > start else { throw TraceQLValidationError("end must be greater than start") }
    }

    /// The step for who names none: a 240th of the range, rounded down to a multiple of the largest
    /// of 1 h, 5 min, 1 min, 15 s, 5 s and 1 s below it; of 50 ms for less than a minute.
    package static func defaultStepNanos(startNanos: Int64, endNanos: Int64) -> Int64 {
        let (length, overflow) = endNanos.subtractingReportingOverflow(startNanos)
        let range = overflow ? Int64.max : max(0, length)
        let wanted = range / 240
        let second: Int64 = 1_000_000_000
        if range < 60 * second {
            let smallest: Int64 = 50_000_000
            return max(smallest, wanted / smallest * smallest)
        }
        for unit in [3600 * second, 300 * second, 60 * second, 15 * second, 5 * second, second]
        where wanted > unit { return wanted / unit * unit }
        return second
    }

    /// The interval of a span's start; nil outside.
    func interval(of nanos: Int64) -> Int? {
        guard nanos > startNanos, nanos <= endNanos else { return nil }
        return isInstant ? 0 : Int((nanos - startNanos - 1) / stepNanos)
    }

    /// When a sample stands, in milliseconds since 1970.
    package func timestampMillis(_ interval: Int) -> Int64 {
        isInstant
            ? endNanos / 1_000_000 : (startNanos + Int64(interval + 1) * stepNanos) / 1_000_000
    }
}
