// SPDX-License-Identifier: Apache-2.0
// Fetching targets over HTTP.

import AsyncHTTPClient
import Base
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import Scrape

/// The scraper's HTTP client: bounded answers, gzip taken off, connections kept.
struct ScrapeClient: ScrapeFetching {
    /// Redirects are a property of a client; both share their event loops.
    private let following: HTTPClient
    private let plain: HTTPClient
    /// Most bytes of an answer when the job sets no limit.
    static let defaultBodyLimit = 256 << 20

    init() {
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .follow(max: 10, allowCycles: false))
        // Waiting for a connection counts into the scrape's own timeout.
        configuration.timeout.connect = .minutes(1)
        // A refused connection is the target's answer; the next scrape asks again.
        configuration.connectionPool.retryConnectionEstablishment = false
        following = HTTPClient(configuration: configuration)
        configuration.redirectConfiguration = .disallow
        plain = HTTPClient(configuration: configuration)
    }

    func shutdown() async throws {
        try await following.shutdown()
        try await plain.shutdown()
    }

    func fetch(_ request: ScrapeRequest) async throws -> ScrapeAnswer {
        var call = HTTPClientRequest(url: request.url)
        for header in request.headers { call.headers.add(name: header.name, value: header.value) }
        let limit = request.bodyLimitBytes > 0 ? request.bodyLimitBytes : Self.defaultBodyLimit
        let client = request.followRedirects ? following : plain
        let nanos = Int64(min(request.timeoutSeconds, 86_400) * 1e9)
        do {
            // The client's own deadline ends with the answer's head.
            return try await withThrowingTaskGroup(of: ScrapeAnswer.self) { [call] group in
                group.addTask { try await exchange(client, call, nanos, limit) }
                group.addTask {
                    try await Task.sleep(nanoseconds: UInt64(nanos))
                    throw HTTPClientError.deadlineExceeded
                }
                defer { group.cancelAll() }
                guard let answer = try await group.next() else { throw CancellationError() }
                return answer
            }
        } catch is NIOTooManyBytesError {
            throw ScrapeError.bodySizeLimit
        } catch CompressionError.tooLarge {
            throw ScrapeError.bodySizeLimit
        } catch let error as HTTPClientError where error == .deadlineExceeded {
            throw ScrapeError.failed("Get \"\(request.url)\": context deadline exceeded")
        } catch {
            throw ScrapeError.failed("Get \"\(request.url)\": \(reason(error))")
        }
    }

    private func exchange(
        _ client: HTTPClient, _ call: HTTPClientRequest, _ nanos: Int64, _ limit: Int
    ) async throws -> ScrapeAnswer {
        let response = try await client.execute(call, timeout: .nanoseconds(nanos))
        var answer = ScrapeAnswer(
            status: Int(response.status.code), reason: response.status.reasonPhrase,
            contentType: response.headers.first(name: "Content-Type") ?? "", body: [])
        // The text of an error page is of no use.
        guard response.status == .ok else { return answer }
        answer.body = Array(buffer: try await response.body.collect(upTo: limit))
        if response.headers.first(name: "Content-Encoding")?.lowercased() == "gzip" {
            answer.body = try answer.body.withUnsafeBytes {
                try Deflate.decompress($0, .gzip, limit: limit)
            }
        }
        return answer
    }

    /// An error in words; NIO describes most of them well enough.
    private func reason(_ error: any Error) -> String {
        if let error = error as? NIOConnectionError {
            guard let first = error.connectionErrors.first else {
                return "lookup \(error.host): no such host"
            }
            return "dial tcp \(first.target): \(reason(first.error))"
        }
        if let error = error as? IOError {
            return "connect: " + String(cString: strerror(error.errnoCode)).lowercased()
        }
        return "\(error)"
    }
}
