// SPDX-License-Identifier: Apache-2.0
// What is answered while the log is replayed.

import Base
import HTTPTypes
import Storage
import Synchronization

/// How far the start has come, and what exists once it is over.
final class Startup: Sendable {
    private struct State: Sendable {
        var progress: ReplayProgress?
        var core: Core?
    }
    private let state = Mutex(State())
    private let clock: any Clock
    private let startNanos: Int64
    /// What the line listeners count; they are up before the data is.
    let lines = LineCounters()
    let logDoors = LogDoorCounters()
    let traceDoors = TraceDoorCounters()
    /// When the server was started.
    let startWallNanos: Int64

    init(clock: any Clock) {
        self.clock = clock
        startNanos = clock.monotonicNanos
        startWallNanos = clock.wallNanos
    }

    func note(_ progress: ReplayProgress) { state.withLock { $0.progress = progress } }
    func finish(_ core: Core) { state.withLock { $0.core = core } }

    /// Nil while the data directory is being opened.
    var core: Core? { state.withLock { $0.core } }
    var progress: ReplayProgress? { state.withLock { $0.progress } }

    /// One line for people: `starting: 12.5 of 64.0 MiB of the log replayed after 3 s`.
    var text: String {
        let seconds = (clock.monotonicNanos - startNanos) / 1_000_000_000
        guard let progress else { return "starting: opening parts, \(seconds) s" }
        return "starting: \(mebibytes(progress.bytesDone)) of \(mebibytes(progress.bytes)) MiB of "
            + "the log replayed after \(seconds) s"
    }

    private func mebibytes(_ bytes: Int) -> String {
        let tenths = bytes / (1 << 20) * 10 + bytes % (1 << 20) * 10 / (1 << 20)
        return "\(tenths / 10).\(tenths % 10)"
    }

    /// What every request is told that needs the data.
    var refusal: APIError { APIError(.unavailable, text, retryAfterSeconds: 1) }

    /// What is served already.
    func routes(_ metrics: SelfMetrics) -> [Route] {
        var routes = [
            Route.open([.get], "/metrics") { _ in .exposition(metrics) },
            Route.open([.get], "/api/v1/status/walreplay") { [self] _ in walReplay() },
        ]
        for path in ["/-/ready", "/ready"] {
            routes.append(.open([.get, .head], path) { [self] _ in throw refusal })
        }
        for path in ["/-/healthy", "/health"] {
            routes.append(.open([.get, .head], path) { _ in .text("healthy\n") })
        }
        return routes
    }

    /// `status/walreplay`: segments replayed. Source: prometheus/prometheus `web/api/v1/api.go`.
    func walReplay() -> APIResponse {
        let progress = self.progress
        return prometheusSuccess { json in
            json.beginObject()
            json.member("min", 0)
            json.member("max", max(0, (progress?.segments ?? 0) - 1))
            json.member("current", max(0, (progress?.segmentsDone ?? 0) - 1))
            json.endObject()
        }
    }
}
