// SPDX-License-Identifier: Apache-2.0
// The seam between the product and time.

import Glibc

/// The only source of time. Tests replace it by a clock that stands until it is moved.
package protocol Clock: Sendable {
    /// Nanoseconds since the Unix epoch. May jump in either direction.
    var wallNanos: Int64 { get }
    /// Nanoseconds since some fixed moment. Never goes back.
    var monotonicNanos: Int64 { get }
    /// Returns when `monotonicNanos` has reached `deadlineNanos`.
    ///
    /// - Throws: `CancellationError` when the task is cancelled before.
    func sleep(untilMonotonicNanos deadlineNanos: Int64) async throws
}

extension Clock {
    /// Sleeps for a number of seconds; see `sleep(untilMonotonicNanos:)`.
    package func sleep(seconds: Double) async throws {
        let nanos = Int64(exactly: (seconds * 1e9).rounded()) ?? Int64.max / 4
        try await sleep(untilMonotonicNanos: monotonicNanos &+ nanos)
    }
}

/// The clocks of the machine.
package struct SystemClock: Clock {
    package init() {}
    package var wallNanos: Int64 { now(CLOCK_REALTIME) }
    package var monotonicNanos: Int64 { now(CLOCK_MONOTONIC) }

    package func sleep(untilMonotonicNanos deadlineNanos: Int64) async throws {
        let rest = deadlineNanos - monotonicNanos
        guard rest > 0 else { return try Task.checkCancellation() }
        try await Task.sleep(nanoseconds: UInt64(rest))
    }

    private func now(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}
