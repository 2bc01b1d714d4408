// SPDX-License-Identifier: Apache-2.0
// Access tokens by the client-credentials flow.

import Base
import Scrape
import Synchronization
import Telemetry

/// Fetches tokens and keeps them until shortly before they expire.
///
/// Source: RFC 6749 sections 2.3.1, 4.4 and 5.1; that credentials are tried in the header first and
/// then in the body is golang.org/x/oauth2.
final class OAuth2Tokens: Sendable {
    private struct Key: Hashable {
        var settings: OAuth2Settings
        var secret: Secret
    }
    private struct Token: Sendable {
        var authorization: String
        /// Monotonic; nil = never.
        var expiresAtNanos: Int64?
    }
    private struct State {
        var tokens: [Key: Token] = [:]
        /// Requests for tokens under way, so that many targets ask once.
        var fetches: [Key: Task<Token, any Error>] = [:]
    }

    /// A token is not used any more so long before it expires.
    private static let marginNanos: Int64 = 10_000_000_000
    /// Tokens kept at most.
    private static let capacity = 1000

    private let clock: any Clock
    private let state = Mutex(State())

    init(_ clock: any Clock) { self.clock = clock }

    /// Value of the `Authorization` header.
    func authorization(
        _ settings: OAuth2Settings,
        _ send: @escaping @Sendable (OutgoingRequest) async throws -> OutgoingAnswer
    ) async throws -> String {
        let key = Key(
            settings: settings, secret: Secret(try settings.clientSecret?.secret() ?? ""))
        let now = clock.monotonicNanos
        let (known, fetch) = state.withLock { state -> (Token?, Task<Token, any Error>?) in
            if let token = state.tokens[key] {
                if token.expiresAtNanos.map({ now < $0 &- Self.marginNanos }) ?? true {
                    return (token, nil)
                }
                state.tokens[key] = nil
            }
            if let fetch = state.fetches[key] { return (nil, fetch) }
            let fetch = Task {
                let result: Result<Token, any Error>
                do { result = .success(try await self.fetch(key, send)) } catch {
                    result = .failure(error)
                }
                keep(result, key)
                return try result.get()
            }
            state.fetches[key] = fetch
            return (nil, fetch)
        }
        if let known { return known.authorization }
        guard let fetch else { throw CancellationError() }
        return try await fetch.value.authorization
    }

    /// Drops the tokens of settings: the server refused one.
    func forget(_ settings: OAuth2Settings) {
        state.withLock { state in
            for key in state.tokens.keys where key.settings == settings { state.tokens[key] = nil }
        }
    }

    private func keep(_ result: Result<Token, any Error>, _ key: Key) {
        state.withLock { state in
            state.fetches[key] = nil
            guard case .success(let token) = result else { return }
            if state.tokens.count >= Self.capacity { state.tokens = [:] }
            state.tokens[key] = token
        }
    }

    private func fetch(
        _ key: Key, _ send: @Sendable (OutgoingRequest) async throws -> OutgoingAnswer
    ) async throws -> Token {
        let settings = key.settings
        var fields = [("grant_type", "client_credentials")]
        if !settings.scopes.isEmpty {
            fields.append(("scope", settings.scopes.joined(separator: " ")))
        }
        fields += settings.endpointParameters.map { ($0.name, $0.value) }
        let header = basicAuthorization(
            formEncoded(settings.clientID), formEncoded(key.secret.value))
        var answer = try await send(request(settings, fields, [NamedText("Authorization", header)]))
        if answer.status != 200 {
            fields.append(("client_id", settings.clientID))
            if !key.secret.isEmpty { fields.append(("client_secret", key.secret.value)) }
            answer = try await send(request(settings, fields, []))
        }
        guard answer.status == 200 else {
            let text = String(decoding: answer.body.prefix(200), as: UTF8.self)
            throw OutgoingError.failed(
                "oauth2: cannot fetch token: status \(answer.status) from \(settings.tokenURL): "
                    + text)
        }
        return try token(answer.body)
    }

    private func request(
        _ settings: OAuth2Settings, _ fields: [(String, String)], _ headers: [NamedText]
    ) -> OutgoingRequest {
        var request = OutgoingRequest(settings.tokenURL, timeoutSeconds: 0)
        request.method = "POST"
        request.headers =
            headers + [NamedText("Content-Type", "application/x-www-form-urlencoded")]
        let body = fields.map { formEncoded($0.0) + "=" + formEncoded($0.1) }
        request.body = Array(body.joined(separator: "&").utf8)
        request.bodyLimitBytes = 1 << 20
        return request
    }

    private func token(_ body: [UInt8]) throws -> Token {
        var token = "", type = ""
        var seconds: Int64 = 0
        do {
            try body.withUnsafeBytes { bytes in
                var reader = JSONReader(bytes)
                try reader.beginObject()
                while let key = try reader.nextKey() {
                    if key.equals("access_token") {
                        token = try text(&reader)
                    } else if key.equals("token_type") {
                        type = try text(&reader)
                    } else if key.equals("expires_in") {
                        if try !reader.nullIfPresent() {
                            let value = try reader.doubleOrString()
                            seconds = Int64(exactly: value.rounded(.down)) ?? 0
                        }
                    } else {
                        _ = try reader.skipValue()
                    }
                }
                try reader.end()
            }
        } catch let error as MalformedJSON {
            throw OutgoingError.failed("oauth2: cannot parse the token answer: \(error)")
        }
        guard !token.isEmpty else {
            throw OutgoingError.failed("oauth2: server response missing access_token")
        }
        let lifetime = min(max(0, seconds), 10 * 365 * 86_400)
        return Token(
            authorization: tokenType(type) + " " + token,
            expiresAtNanos: lifetime == 0
                ? nil : clock.monotonicNanos &+ lifetime &* 1_000_000_000)
    }

    private func text(_ reader: inout JSONReader) throws -> String {
        var bytes: [UInt8] = []
        try reader.string().append(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    private func tokenType(_ text: String) -> String {
        switch text.lowercased() {
        case "", "bearer": "Bearer"
        case "mac": "MAC"
        case "basic": "Basic"
        default: text
        }
    }
}

/// Encodes for `application/x-www-form-urlencoded`.
func formEncoded(_ text: String) -> String {
    var out: [UInt8] = []
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"):
            out.append(byte)
        case UInt8(ascii: " "): out.append(UInt8(ascii: "+"))
        default: out += Array(("%" + hexText(UInt64(byte), 2).uppercased()).utf8)
        }
    }
    return String(decoding: out, as: UTF8.self)
}
