// SPDX-License-Identifier: Apache-2.0
// When a target is scraped, and which time its samples get.

import Base

/// The ticks of one target: every interval, at the target's own offset on the wall clock.
///
/// The grid hangs on the wall clock, so a slewed clock does not move it and a restart comes back to
/// it. A scrape that starts within the tolerance of its tick carries the time of the tick:
/// timestamps on a grid compress to almost nothing.
///
/// Source: prometheus/prometheus `scrape/scrape.go`, `run`, `ScrapeTimestampTolerance`.
struct ScrapeSchedule: Sendable {
    private let intervalNanos: Int64
    private let toleranceNanos: Int64
    /// Wall time of the last tick, or of the one before the first.
    private(set) var tickNanos: Int64

    init(intervalNanos: Int64, offsetNanos: Int64, nowNanos: Int64) {
        self.intervalNanos = max(intervalNanos, 1_000_000)
        toleranceNanos = min(self.intervalNanos / 100, 2_000_000)
        // The last place of the grid before now; the first scrape is at the next one.
        let phase = (nowNanos &- offsetNanos) % self.intervalNanos
        tickNanos = nowNanos &- (phase < 0 ? phase &+ self.intervalNanos : phase)
    }

    /// Nanoseconds from now until the next tick; 0 when it has passed.
    func delayNanos(nowNanos: Int64) -> Int64 {
        let next = tickNanos &+ intervalNanos
        // A clock that was set back must not stop the scrapes.
        return min(max(0, next &- nowNanos), intervalNanos)
    }

    /// Time of a scrape that starts now.
    mutating func begin(nowNanos: Int64) -> Int64 {
        let elapsed = nowNanos &- tickNanos
        let ticks = (elapsed &+ toleranceNanos) / intervalNanos
        guard elapsed >= 0, ticks >= 1 else {
            // The clock was set: the grid starts anew.
            tickNanos = nowNanos
            return nowNanos
        }
        tickNanos &+= ticks &* intervalNanos
        return abs(nowNanos &- tickNanos) <= toleranceNanos ? tickNanos : nowNanos
    }
}
