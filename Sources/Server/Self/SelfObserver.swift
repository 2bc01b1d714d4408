// SPDX-License-Identifier: Apache-2.0
// Counts requests.

import Base
import Logging

/// Counts each request by route and status.
struct SelfObserver: RequestObserver {
    let logger: Logger
    let metrics: SelfMetrics
    let clock: any Clock

    init(logger: Logger, metrics: SelfMetrics, clock: any Clock) {
        self.logger = logger
        self.metrics = metrics
        self.clock = clock
        metrics.declare("tern_http_requests_total", .counter, "Requests by route and status.")
        metrics.declare(
            "tern_http_request_seconds_total", .counter, "Seconds spent on requests, by route.")
    }

    func now() -> Int64 { clock.wallNanos }

    func finished(
        route: String, method: String, status: Int, startNanos: Int64, bodyCount: Int,
        request: APIRequest
    ) {
        metrics.add("tern_http_requests_total", "route=\"\(route)\",code=\"\(status)\"")
        metrics.add(
            "tern_http_request_seconds_total", "route=\"\(route)\"",
            Double(max(0, clock.wallNanos - startNanos)) / 1e9)
    }
}
