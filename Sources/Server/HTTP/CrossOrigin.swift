// SPDX-License-Identifier: Apache-2.0
// Scripts of other origins.

import Base
import HTTPTypes

/// Whose scripts may read answers. Source: prometheus/prometheus `util/httputil/cors.go`.
struct CrossOrigin: Sendable {
    /// Fully anchored; nil = any origin on the paths of Prometheus' API, none elsewhere.
    private let pattern: RegularExpression?

    init(_ pattern: RegularExpression? = nil) { self.pattern = pattern }

    /// Adds the headers that a browser looks for; the same on every answer, preflights included.
    func apply(to answer: inout APIResponse, _ request: HTTPFields, _ path: String) {
        guard pattern != nil || path.hasPrefix("/api/v1/") || path == "/federate" else { return }
        answer.vary("Origin")
        guard let origin = request[.origin], !origin.isEmpty else { return }
        answer.headers[.accessControlAllowHeaders] =
            "Accept, Authorization, Content-Encoding, Content-Type, Origin, X-Scope-OrgID, "
            + "traceparent, tracestate"
        answer.headers[.accessControlAllowMethods] = "GET, POST, OPTIONS"
        answer.headers[.accessControlExposeHeaders] = "Date"
        if pattern == nil || pattern?.pattern == ".*" {
            answer.headers[.accessControlAllowOrigin] = "*"
        } else if pattern?.matchesWhole(origin) == true {
            answer.headers[.accessControlAllowOrigin] = origin
        }
    }
}
