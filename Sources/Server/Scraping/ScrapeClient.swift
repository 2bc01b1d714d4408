// SPDX-License-Identifier: Apache-2.0
// Fetching targets over HTTP.

import Scrape

/// The scraper's way to the HTTP client.
struct ScrapeClient: ScrapeFetching {
    let client: OutgoingHTTP

    func fetch(_ request: ScrapeRequest) async throws -> ScrapeAnswer {
        var call = OutgoingRequest(request.url, timeoutSeconds: request.timeoutSeconds)
        call.headers = request.headers
        call.bodyLimitBytes = request.bodyLimitBytes
        do {
            let answer = try await client.send(call, HTTPClientSettings(request.client))
            return ScrapeAnswer(
                status: answer.status, reason: answer.head.reason,
                contentType: answer.head.header("Content-Type") ?? "", body: answer.body)
        } catch OutgoingError.bodyTooLarge {
            throw ScrapeError.bodySizeLimit
        } catch let error as OutgoingError {
            throw ScrapeError.failed(error.description)
        }
    }
}
