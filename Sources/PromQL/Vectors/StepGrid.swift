// SPDX-License-Identifier: Apache-2.0
// The times at which a query is evaluated.

/// Evenly spaced evaluation times: `start`, `start + step`, …
package struct StepGrid: Sendable, Equatable {
    /// Milliseconds since the Unix epoch.
    package let start: Int64
    /// Milliseconds, at least 1.
    package let step: Int64
    package let count: Int

    /// The times from `start` to at most `end`, both inclusive; none when `end < start`.
    package init(start: Int64, end: Int64, step: Int64) {
        self.start = start
        self.step = max(1, step)
        let (span, overflow) = end.subtractingReportingOverflow(start)
        count = end < start || overflow ? 0 : Int(span / self.step) + 1
    }

    /// One time only.
    package init(at millis: Int64) { self.init(start: millis, end: millis, step: 1) }

    package func millis(_ index: Int) -> Int64 { start &+ Int64(index) &* step }

    /// The last time.
    package var end: Int64 { millis(max(0, count - 1)) }
}
