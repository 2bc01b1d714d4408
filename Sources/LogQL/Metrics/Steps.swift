// SPDX-License-Identifier: Apache-2.0
// The times at which a metric query is evaluated.

/// Evaluation times `start, start + step, …`.
package struct EvaluationSteps: Sendable, Equatable {
    package let startNanos: Int64
    /// At least 1.
    package let stepNanos: Int64
    /// At least 1.
    package let count: Int

    /// Steps a query may have. Source: Loki's limit, with its error text.
    package static let limit = 11_000

    /// One evaluation.
    package init(instant nanos: Int64) {
        startNanos = nanos
        stepNanos = 1
        count = 1
    }

    /// - Throws: `LogQLQueryError` when the range is empty, the step is not positive or there would
    ///   be too many steps.
    package init(
        startNanos: Int64, endNanos: Int64, stepNanos: Int64
    ) throws(LogQLQueryError) {
        guard stepNanos > 0 else {
            throw LogQLQueryError(
                "zero or negative query resolution step widths are not accepted. Try a positive integer"
            )
        }
        let (length, overflow) = endNanos.subtractingReportingOverflow(startNanos)
        guard !overflow, length >= 0 else {
            throw LogQLQueryError("end timestamp must not be before or equal to start time")
        }
        guard length / stepNanos <= EvaluationSteps.limit else {
            throw LogQLQueryError(
                "exceeded maximum resolution of 11,000 points per time series. Try increasing the "
                    + "value of the step parameter")
        }
        self.startNanos = startNanos
        self.stepNanos = stepNanos
        count = Int(length / stepNanos) + 1
    }

    package func nanos(at index: Int) -> Int64 { startNanos &+ Int64(index) &* stepNanos }

    package var lastNanos: Int64 { nanos(at: count - 1) }

    /// Steps whose window `(T - range, T]` holds the time; nil when none does.
    func indices(of nanos: Int64, range: Int64) -> ClosedRange<Int>? {
        let (distance, overflow) = nanos.subtractingReportingOverflow(startNanos)
        if overflow { return nil }
        let low = distance <= 0 ? 0 : (distance - 1) / stepNanos + 1
        let (reach, reachOverflow) = distance.addingReportingOverflow(range - 1)
        if reach < 0 { return nil }
        let high = reachOverflow ? Int64(count - 1) : min(reach / stepNanos, Int64(count - 1))
        return low <= high ? Int(low)...Int(high) : nil
    }
}

/// A query that cannot be answered as asked.
package struct LogQLQueryError: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
