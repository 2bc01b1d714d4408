// SPDX-License-Identifier: Apache-2.0
// Front door of Scrape.

import Base
import Ingest
import Telemetry

/// Scrape asks targets for their metrics on a schedule and hands what they say to ingest.
///
/// `Scraper` takes scrape configurations and holds one `ScrapePool` for each; a pool turns target
/// groups into targets by relabelling and runs one `ScrapeLoop` per target; a loop fetches, reads
/// the answer through its `ScrapeMemory` and writes one batch per scrape. The HTTP client comes in
/// as a protocol: nothing here opens a socket.
package enum Scrape {}

/// What a target answered.
package struct ScrapeAnswer: Sendable {
    package var status: Int
    /// Text of the status line after the number.
    package var reason: String
    package var contentType: String
    /// Plain body, content encoding already taken off.
    package var body: [UInt8]
    package init(status: Int, reason: String = "", contentType: String, body: [UInt8]) {
        self.status = status
        self.reason = reason
        self.contentType = contentType
        self.body = body
    }
}

/// A request to a target.
package struct ScrapeRequest: Sendable, Equatable {
    package var url: String
    package var headers: [NamedText]
    /// Seconds from now until the whole body must be there.
    package var timeoutSeconds: Double
    /// Most bytes of plain body; 0 = no limit beyond the client's own.
    package var bodyLimitBytes: Int
    /// How the request authenticates and travels, for whoever sends it.
    package var client: ClientOptions
}

/// Why a scrape failed; the text becomes the target's last error.
package enum ScrapeError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The body has as many bytes as the limit, or more.
    case bodySizeLimit
    case failed(String)

    package var description: String {
        switch self {
        case .bodySizeLimit: "body size limit exceeded"
        case .failed(let reason): reason
        }
    }
}

/// Whoever can fetch a page. Throws an error whose description becomes the target's last error;
/// ends early when the task is cancelled.
package protocol ScrapeFetching: Sendable {
    func fetch(_ request: ScrapeRequest) async throws -> ScrapeAnswer
}

/// Where scraped batches go.
package protocol ScrapeSink: Sendable {
    /// Commits a batch; returns once it is durable, with what was refused of it.
    func write(metrics: MetricBatch, tenant: Tenant) async throws(IngestError) -> MetricWriteReport
}

extension IngestPipeline: ScrapeSink {}

/// A scrape that failed, for the job's `scrape_failure_log_file`.
package struct FailedScrape: Sendable, Equatable {
    package var file: String
    package var job: String
    package var url: String
    package var error: String
    /// When it began.
    package var wallNanos: Int64

    package init(file: String, job: String, url: String, error: String, wallNanos: Int64) {
        self.file = file
        self.job = job
        self.url = url
        self.error = error
        self.wallNanos = wallNanos
    }
}

/// What loops need from outside.
package struct ScrapeEnvironment: Sendable {
    package var fetcher: any ScrapeFetching
    package var sink: any ScrapeSink
    package var clock: any Clock
    package var counters: ScrapeCounters
    /// Value of the `User-Agent` header.
    package var userAgent: String
    /// Receives a line for the server's log: what happened and the target's URL.
    package var note: @Sendable (_ message: String, _ url: String) -> Void

    /// Receives failed scrapes of jobs that keep a file of them.
    package var noteFailure: @Sendable (FailedScrape) -> Void = { _ in }

    package init(
        fetcher: any ScrapeFetching, sink: any ScrapeSink, clock: any Clock,
        userAgent: String = "Tern/" + Base.version,
        note: @escaping @Sendable (_ message: String, _ url: String) -> Void = { _, _ in }
    ) {
        self.fetcher = fetcher
        self.sink = sink
        self.clock = clock
        counters = ScrapeCounters()
        self.userAgent = userAgent
        self.note = note
    }
}
