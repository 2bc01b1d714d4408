// SPDX-License-Identifier: Apache-2.0
// What the server notes about each request.

import Logging

/// Receives every finished request: counters and the server's own spans hang here.
package protocol RequestObserver: Sendable {
    var logger: Logger { get }
    /// Wall clock in nanoseconds since the Unix epoch.
    func now() -> Int64
    func finished(
        route: String, method: String, status: Int, startNanos: Int64, bodyCount: Int,
        request: APIRequest)
}
