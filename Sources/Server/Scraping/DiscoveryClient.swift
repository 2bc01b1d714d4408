// SPDX-License-Identifier: Apache-2.0
// What discovery uses of the world: HTTP, name servers, YAML, digests, the environment.

import AsyncHTTPClient
import Base
import Crypto
import FoundationEssentials
import Logging
import NIOCore
import Scrape

/// Discovery's way to the HTTP client.
struct DiscoveryClient: DiscoveryFetching {
    let client: OutgoingHTTP

    private func call(_ request: DiscoveryRequest) -> OutgoingRequest {
        var call = OutgoingRequest(request.url, timeoutSeconds: request.timeoutSeconds)
        call.method = request.method
        call.headers = request.headers
        if !request.body.isEmpty { call.body = request.body }
        call.bodyLimitBytes = request.bodyLimitBytes
        return call
    }

    func fetch(_ request: DiscoveryRequest) async throws -> DiscoveryAnswer {
        var call = call(request)
        if !call.headers.contains(where: { $0.name.lowercased() == "accept-encoding" }) {
            call.headers.append(NamedText("Accept-Encoding", "gzip"))
        }
        let answer = try await client.send(call, HTTPClientSettings(request.client))
        return DiscoveryAnswer(
            status: answer.status, reason: answer.head.reason, headers: answer.head.headers,
            body: answer.body)
    }

    func stream(
        _ request: DiscoveryRequest, _ receive: @escaping @Sendable ([UInt8]) async throws -> Void
    ) async throws -> DiscoveryAnswer {
        try await client.stream(call(request), HTTPClientSettings(request.client)) { head, body in
            var answer = DiscoveryAnswer(
                status: head.status, reason: head.reason, headers: head.headers)
            guard head.status == 200 else {
                answer.body = Array(buffer: try await body.collect(upTo: 1 << 20))
                return answer
            }
            for try await part in body { try await receive(Array(buffer: part)) }
            return answer
        }
    }

    func options(for credentials: ClusterCredentials) throws -> ClientOptions {
        func source(_ text: String, _ file: String) -> TextSource? {
            if !text.isEmpty { return .inline(Secret(text)) }
            return file.isEmpty ? nil : .file(file)
        }
        var settings = HTTPClientSettings()
        settings.tls.authorities = source(credentials.authority, credentials.authorityFile)
        settings.tls.certificate = source(credentials.certificate, credentials.certificateFile)
        settings.tls.key = source(credentials.key, credentials.keyFile)
        settings.tls.serverName = credentials.serverName
        settings.tls.insecureSkipVerify = credentials.skipsVerification
        if let token = source(credentials.token, credentials.tokenFile) {
            settings.authentication = .authorization(.init(credentials: token))
        } else if !credentials.user.isEmpty {
            settings.authentication = .basic(
                .init(
                    user: .inline(Secret(credentials.user)),
                    password: .inline(Secret(credentials.password))))
        }
        if !credentials.proxyURL.isEmpty {
            throw DiscoveryError("proxy-url in a kubeconfig is not supported")
        }
        return settings.options
    }
}

/// SHA-2 for signatures of AWS.
struct SecureDigest: RequestDigest {
    func sha256(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }

    func hmacSHA256(key: [UInt8], _ bytes: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: bytes, using: SymmetricKey(data: key)))
    }
}

extension DiscoveryEnvironment {
    /// Discovery on this machine.
    static func live(
        _ client: OutgoingHTTP, _ clock: any Clock, _ logger: Logger
    ) -> DiscoveryEnvironment {
        let variables = ProcessInfo.processInfo.environment
        return DiscoveryEnvironment(
            fetcher: DiscoveryClient(client: client), dns: NameServers(), clock: clock,
            random: SystemRandom(), digest: SecureDigest(), jsonOfYAML: jsonText(ofYAML:),
            variable: { variables[$0] },
            note: { message, kind, set in
                logger.warning(
                    "\(message)", metadata: ["discovery": "\(kind)", "config": "\(set)"])
            })
    }
}
