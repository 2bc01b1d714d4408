// SPDX-License-Identifier: Apache-2.0
// The one HTTP client of this server.

import AsyncHTTPClient
import Base
import FoundationEssentials
import NIOCore
import NIOHTTP1
import Scrape
import Synchronization

/// Sends requests with their settings: authentication, TLS, proxies, redirects, bounded answers.
///
/// Connections are kept per settings and shared; what the settings read from files is read for
/// every request.
package final class OutgoingHTTP: Sendable {
    /// Redirects that are followed, as in Go's client.
    static let redirectLimit = 10
    /// Bytes that are read of an answer which is no success.
    static let errorBodyLimit = 64 << 10

    private let clients: ClientPool
    private let tokens: OAuth2Tokens
    private let environment: [String: String]
    private let userAgent: String

    package init(
        userAgent: String = "Tern/" + Base.version, clock: any Clock = SystemClock(),
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) {
        self.userAgent = userAgent
        self.environment = environment
        clients = ClientPool(clock)
        tokens = OAuth2Tokens(clock)
    }

    /// Closes all connections; requests under way fail. Must be called before the last reference
    /// goes.
    package func shutdown() async { await clients.shutdown() }

    /// Sends a request and reads the answer whole.
    ///
    /// - Throws: `OutgoingError`, or `CancellationError` when the task was cancelled.
    package func send(
        _ request: OutgoingRequest, _ settings: HTTPClientSettings = HTTPClientSettings()
    ) async throws -> OutgoingAnswer {
        try await within(request) { [self] in
            try await exchange(request, settings) { head, body in
                try await read(head, body, limit: request.limit)
            }
        }
    }

    /// Sends a request and hands the answer's body over as it comes. The timeout is that for the
    /// answer's head; the body may take as long as it likes. Nothing is decompressed.
    package func stream<Result: Sendable>(
        _ request: OutgoingRequest, _ settings: HTTPClientSettings = HTTPClientSettings(),
        _ take: @Sendable (OutgoingAnswerHead, HTTPClientResponse.Body) async throws -> Result
    ) async throws -> Result {
        do {
            return try await exchange(request, settings, take)
        } catch { throw explained(error, request) }
    }

    // MARK: one exchange

    /// Runs `work` with the request's timeout around it.
    private func within<Result: Sendable>(
        _ request: OutgoingRequest, _ work: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let nanos = UInt64(min(max(request.timeoutSeconds, 0), 86_400) * 1e9)
        do {
            // The client's own deadline ends with the answer's head.
            return try await withThrowingTaskGroup(of: Result.self) { group in
                group.addTask { try await work() }
                group.addTask {
                    try await Task.sleep(nanoseconds: nanos)
                    throw HTTPClientError.deadlineExceeded
                }
                defer { group.cancelAll() }
                guard let answer = try await group.next() else { throw CancellationError() }
                return answer
            }
        } catch { throw explained(error, request) }
    }

    private func exchange<Result: Sendable>(
        _ request: OutgoingRequest, _ settings: HTTPClientSettings,
        _ take: (OutgoingAnswerHead, HTTPClientResponse.Body) async throws -> Result
    ) async throws -> Result {
        var hop = try RequestHop(request)
        for _ in 0...Self.redirectLimit {
            let lease = try clients.lease(settings, hop.url, environment)
            defer { lease.end() }
            let call = try await call(hop, request, settings, lease)
            let nanos = Int64(min(max(request.timeoutSeconds, 0), 86_400) * 1e9)
            let response = try await lease.client.execute(call, timeout: .nanoseconds(nanos))
            let head = OutgoingAnswerHead(response)
            if settings.followRedirects, let next = try hop.redirected(head) {
                hop = next
                // A short rest leaves the connection usable.
                _ = try await prefix(response.body, limit: Self.errorBodyLimit)
                continue
            }
            if head.status == 401, hop.hasCredentials,
                case .oauth2(let oauth2) = settings.authentication
            {
                tokens.forget(oauth2)
            }
            return try await take(head, response.body)
        }
        throw OutgoingError.failed("stopped after \(Self.redirectLimit) redirects")
    }

    /// The request of one hop, with everything that the settings add.
    private func call(
        _ hop: RequestHop, _ request: OutgoingRequest, _ settings: HTTPClientSettings,
        _ lease: ClientLease
    ) async throws -> HTTPClientRequest {
        var call = HTTPClientRequest(url: lease.url)
        call.method = HTTPMethod(rawValue: hop.method)
        for header in hop.headers { call.headers.add(name: header.name, value: header.value) }
        if hop.hasCredentials {
            if !call.headers.contains(name: "Authorization"),
                let value = try await authorization(settings, request.timeoutSeconds)
            {
                call.headers.add(name: "Authorization", value: value)
            }
            for header in settings.headers {
                for value in header.values {
                    call.headers.add(name: header.name, value: try value.secret())
                }
            }
        }
        if !call.headers.contains(name: "User-Agent") {
            call.headers.add(name: "User-Agent", value: userAgent)
        }
        for header in lease.headers where !call.headers.contains(name: header.name) {
            call.headers.add(name: header.name, value: header.value)
        }
        if let body = hop.body { call.body = .bytes(ByteBuffer(bytes: body)) }
        return call
    }

    private func authorization(
        _ settings: HTTPClientSettings, _ timeoutSeconds: Double
    ) async throws -> String? {
        switch settings.authentication {
        case .none: return nil
        case .basic(let basic):
            return basicAuthorization(
                try basic.user?.secret() ?? "", try basic.password?.secret() ?? "")
        case .authorization(let authorization):
            return authorization.type + " " + (try authorization.credentials?.secret() ?? "")
        case .oauth2(let oauth2):
            return try await tokens.authorization(oauth2) { request in
                var request = request
                request.timeoutSeconds = timeoutSeconds
                return try await self.send(request, oauth2.tokenClient)
            }
        }
    }

    // MARK: answers

    private func read(
        _ head: OutgoingAnswerHead, _ body: HTTPClientResponse.Body, limit: Int
    ) async throws -> OutgoingAnswer {
        let isSuccess = (200..<300).contains(head.status)
        var bytes: [UInt8]
        if isSuccess {
            bytes = Array(buffer: try await body.collect(upTo: limit))
        } else {
            bytes = try await prefix(body, limit: Self.errorBodyLimit)
        }
        if head.header("Content-Encoding")?.lowercased() == "gzip" {
            do {
                bytes = try bytes.withUnsafeBytes {
                    try Deflate.decompress($0, .gzip, limit: limit)
                }
            } catch {
                if isSuccess { throw error }
                // The text of an error page is told to people only.
                bytes = []
            }
        }
        return OutgoingAnswer(head: head, body: bytes)
    }

    /// The first bytes of a body.
    private func prefix(_ body: HTTPClientResponse.Body, limit: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        for try await part in body {
            bytes.append(contentsOf: part.readableBytesView.prefix(limit - bytes.count))
            if bytes.count >= limit { break }
        }
        return bytes
    }

    private func explained(_ error: any Error, _ request: OutgoingRequest) -> any Error {
        let name = request.method.prefix(1).uppercased() + request.method.dropFirst().lowercased()
        let what = "\(name) \(quotedText(withoutPassword(request.url)))"
        switch error {
        case let error as OutgoingError:
            if case .failed(let reason) = error {
                return OutgoingError.failed("\(what): \(reason)")
            }
            return error
        case is CancellationError: return error
        case is NIOTooManyBytesError: return OutgoingError.bodyTooLarge
        case CompressionError.tooLarge: return OutgoingError.bodyTooLarge
        case let error as HTTPClientError where error == .deadlineExceeded:
            return OutgoingError.timedOut(what)
        case let error as HTTPClientError where error == .cancelled: return CancellationError()
        default: return OutgoingError.failed("\(what): \(reason(error))")
        }
    }
}

extension OutgoingAnswerHead {
    init(_ response: HTTPClientResponse) {
        status = Int(response.status.code)
        reason = response.status.reasonPhrase
        headers = response.headers.map { NamedText($0.name, $0.value) }
    }
}

/// Value of an `Authorization` header for RFC 7617.
func basicAuthorization(_ user: String, _ password: String) -> String {
    var text = Array("Basic ".utf8)
    Array("\(user):\(password)".utf8).withUnsafeBytes { appendBase64($0, to: &text) }
    return String(decoding: text, as: UTF8.self)
}

/// A URL for error texts.
func withoutPassword(_ url: String) -> String {
    guard var parts = URLComponents(string: url), parts.password != nil else { return url }
    parts.password = "xxxxx"
    return parts.string ?? ""
}
