// SPDX-License-Identifier: Apache-2.0
// How long background work waits after it failed.

/// Doubling delays between failed attempts, from `firstSeconds` to `mostSeconds`. A full disk stays
/// full for minutes, and each attempt to seal or merge encodes everything anew.
struct Backoff: Sendable, Equatable {
    let firstSeconds: Double
    let mostSeconds: Double
    private var delaySeconds = 0.0
    private var notBeforeNanos = Int64.min

    init(firstSeconds: Double, mostSeconds: Double) {
        self.firstSeconds = firstSeconds
        self.mostSeconds = mostSeconds
    }

    /// Whether the next attempt may be made, on the monotonic clock.
    func allows(_ nowNanos: Int64) -> Bool { nowNanos >= notBeforeNanos }

    mutating func failed(_ nowNanos: Int64) {
        delaySeconds = min(max(firstSeconds, delaySeconds * 2), mostSeconds)
        notBeforeNanos = nowNanos &+ Int64(delaySeconds * 1e9)
    }

    mutating func succeeded() {
        delaySeconds = 0
        notBeforeNanos = .min
    }
}
