// SPDX-License-Identifier: Apache-2.0
// Fetching targets over HTTP.

import AsyncHTTPClient
import Base
import NIOCore
import NIOHTTP1
import Scrape

/// Why a target could not be fetched.
struct ScrapeFailure: Error, CustomStringConvertible {
    var description: String
}

/// The scraper's HTTP client: bounded answers, gzip taken off, connections kept.
struct ScrapeClient: ScrapeFetching {
    let client: HTTPClient
    /// Most bytes of an answer when the job sets no limit.
    static let defaultBodyLimit = 256 << 20

    func fetch(_ request: ScrapeRequest) async throws -> ScrapeAnswer {
        var call = HTTPClientRequest(url: request.url)
        for (name, value) in request.headers { call.headers.add(name: name, value: value) }
        let limit = request.bodyLimitBytes > 0 ? request.bodyLimitBytes : Self.defaultBodyLimit
        let nanos = Int64(request.timeoutSeconds * 1e9)
        do {
            let response = try await client.execute(
                call, timeout: .nanoseconds(nanos))
            var body = Array(buffer: try await response.body.collect(upTo: limit))
            if response.headers.first(name: "Content-Encoding")?.lowercased() == "gzip" {
                body = try body.withUnsafeBytes {
                    try Deflate.decompress($0, .gzip, limit: limit)
                }
            }
            return ScrapeAnswer(
                status: Int(response.status.code),
                contentType: response.headers.first(name: "Content-Type") ?? "", body: body)
        } catch is NIOTooManyBytesError {
            throw ScrapeFailure(description: "body size limit exceeded")
        } catch CompressionError.tooLarge {
            throw ScrapeFailure(description: "body size limit exceeded")
        } catch let error as HTTPClientError where error == .deadlineExceeded {
            throw ScrapeFailure(description: "context deadline exceeded")
        }
    }
}
