// SPDX-License-Identifier: Apache-2.0
// Front door of Scrape.

import Base
import Ingest
import Telemetry

/// Scrape asks targets for their metrics on a schedule and hands what they say to ingest.
///
/// A `ScrapePool` belongs to one `scrape_config`; it turns target groups into targets by
/// relabelling, and runs one loop per target. The HTTP client comes in as a protocol: nothing here
/// opens a socket.
package enum Scrape {}

/// What a target answered.
package struct ScrapeAnswer: Sendable {
    package var status: Int
    package var contentType: String
    /// Plain body, content encoding already taken off.
    package var body: [UInt8]
    package init(status: Int, contentType: String, body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }
}

/// A request to a target.
package struct ScrapeRequest: Sendable {
    package var url: String
    package var headers: [(name: String, value: String)]
    package var timeoutSeconds: Double
    /// Most bytes of plain body; 0 = no limit beyond the client's own.
    package var bodyLimitBytes: Int
    package var followRedirects: Bool
}

/// Whoever can fetch a page. Throws an error whose description becomes the target's last error.
package protocol ScrapeFetching: Sendable {
    func fetch(_ request: ScrapeRequest) async throws -> ScrapeAnswer
}

/// Where scraped batches go.
package protocol ScrapeSink: Sendable {
    /// Commits a batch; returns once it is durable.
    func write(metrics: MetricBatch, tenant: Tenant) async throws
}
