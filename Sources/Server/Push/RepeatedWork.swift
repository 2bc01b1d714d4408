// SPDX-License-Identifier: Apache-2.0
// Work on the ticks of the wall clock.

import Base
import ServiceLifecycle

/// Does something at every full interval of the wall clock, and once more at the end where asked
/// to. Timestamps on a grid compress to almost nothing.
struct RepeatedWork: Service {
    let intervalSeconds: Double
    let clock: any Clock
    var finishes = false
    let work: @Sendable (_ millis: Int64) async -> Void

    func run() async throws {
        let interval = max(1, Int64(intervalSeconds * 1000))
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                let now = clock.wallNanos / 1_000_000
                let due = (now / interval + 1) * interval
                do {
                    try await clock.sleep(seconds: Double(due - now) / 1000)
                } catch { return }
                // The tick itself, unless the clock was set meanwhile.
                let late = clock.wallNanos / 1_000_000
                await work(abs(late - due) < min(1000, interval) ? due : late)
            }
        }
        if finishes { await work(clock.wallNanos / 1_000_000) }
    }
}
