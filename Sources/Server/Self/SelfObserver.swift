// SPDX-License-Identifier: Apache-2.0
// Counts requests.

import Base
import Logging

/// Counts each request by route and status, and how long it took by route.
struct SelfObserver: RequestObserver {
    let logger: Logger
    let metrics: SelfMetrics
    let clock: any Clock

    private static let requests = "tern_http_requests_total"
    private static let duration = "tern_http_request_duration_seconds"
    private static let received = "tern_http_request_size_bytes_total"

    init(logger: Logger, metrics: SelfMetrics, clock: any Clock) {
        self.logger = logger
        self.metrics = metrics
        self.clock = clock
        metrics.declare(
            Self.requests, .counter, "HTTP requests answered, by route, method and status code.")
        metrics.declare(
            Self.duration, .histogram,
            "Seconds from the head of a request to its answer, by route.",
            bounds: SelfMetrics.durationBounds)
        metrics.declare(
            Self.received, .counter, "Bytes of request bodies as received, by route.")
    }

    func now() -> Int64 { clock.wallNanos }

    func finished(
        route: String, method: String, status: Int, startNanos: Int64, bodyCount: Int,
        request: APIRequest
    ) {
        metrics.add(
            Self.requests, "code=\"\(status)\",method=\"\(method)\",route=\"\(route)\"")
        metrics.observe(
            Self.duration, "route=\"\(route)\"",
            Double(max(0, clock.wallNanos &- startNanos)) / 1e9)
        if bodyCount > 0 { metrics.add(Self.received, "route=\"\(route)\"", Double(bodyCount)) }
    }
}
