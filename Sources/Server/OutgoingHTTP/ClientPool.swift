// SPDX-License-Identifier: Apache-2.0
// Connections, shared by requests with the same settings.

import AsyncHTTPClient
import Base
import FoundationEssentials
import NIOCore
import NIOHTTP1
import Scrape
import Synchronization

/// What a library client is made for. It knows neither proxies per request nor names of servers
/// that differ from the URL's host, so that each of those is a client of its own.
private struct ClientKey: Hashable {
    var tls: TLSMaterial
    var enablesHTTP2: Bool
    /// A proxy that connects through, for https and SOCKS.
    var tunnel: ProxyServer?
    var connectHeaders: [ProxySettings.Header] = []
    /// A proxy that is handed requests whole, for http.
    var forwardsTo: ProxyServer?
    /// The server's name and the host behind it.
    var alias: [String: String] = [:]
}

/// A client in use.
struct ClientLease {
    let client: HTTPClient
    /// What the library is to ask for; the host may be another than the request's.
    let url: String
    /// Headers that make up for it.
    let headers: [NamedText]
    fileprivate let entry: ClientEntry

    func end() { entry.end() }
}

private final class ClientEntry: Sendable {
    let client: HTTPClient
    private let state: Mutex<(users: Int, usedAtNanos: Int64)>
    private let clock: any Clock

    init(_ client: HTTPClient, _ clock: any Clock) {
        self.client = client
        self.clock = clock
        state = Mutex((0, clock.monotonicNanos))
    }

    func begin() { state.withLock { $0.users += 1 } }
    func end() {
        state.withLock { state in
            state.users -= 1
            state.usedAtNanos = clock.monotonicNanos
        }
    }

    func isIdle(since nanos: Int64) -> Bool {
        state.withLock { $0.users == 0 && $0.usedAtNanos < nanos }
    }
}

/// The library's clients by what they are made for. One that nobody used for ten minutes is closed:
/// its certificates may have been replaced, or its job is gone.
final class ClientPool: Sendable {
    private struct State {
        var entries: [ClientKey: ClientEntry] = [:]
        var sweptAtNanos: Int64
        var isShutDown = false
    }

    private static let idleNanos: Int64 = 600_000_000_000
    private static let sweepNanos: Int64 = 60_000_000_000

    private let clock: any Clock
    private let state: Mutex<State>

    init(_ clock: any Clock) {
        self.clock = clock
        state = Mutex(State(sweptAtNanos: clock.monotonicNanos))
    }

    /// - Throws: `OutgoingError.failed` when the settings' files cannot be used.
    func lease(
        _ settings: HTTPClientSettings, _ url: URL, _ environment: [String: String]
    ) throws(OutgoingError) -> ClientLease {
        var key = ClientKey(
            tls: try TLSMaterial(settings.tls), enablesHTTP2: settings.enableHTTP2)
        var target = url.absoluteString
        var headers: [NamedText] = []
        let server = try settings.proxy.server(for: url, environment: environment)
        let host = withoutBrackets(url.host ?? "")
        if let server, url.scheme == "http", server.kind == .http {
            key.forwardsTo = server
            headers.append(NamedText("Host", hostHeader(url)))
            if !server.user.isEmpty {
                headers.append(
                    NamedText(
                        "Proxy-Authorization",
                        basicAuthorization(server.user, server.password.value)))
            }
            target = try replaced(url, host: server.host, port: server.port)
        } else if let server {
            key.tunnel = server
            key.connectHeaders = settings.proxy.connectHeaders
        }
        let name = settings.tls.serverName
        if !name.isEmpty, name != host, url.scheme == "https" {
            key.alias = [name: host]
            headers.append(NamedText("Host", hostHeader(url)))
            target = try replaced(url, host: name, port: url.port)
        }
        let entry = try entry(key)
        return ClientLease(client: entry.client, url: target, headers: headers, entry: entry)
    }

    private func entry(_ key: ClientKey) throws(OutgoingError) -> ClientEntry {
        let now = clock.monotonicNanos
        var old: [ClientEntry] = []
        defer { close(old) }
        let found = try state.withLock { state throws(OutgoingError) -> ClientEntry in
            guard !state.isShutDown else { throw .failed("the server is stopping") }
            if now &- state.sweptAtNanos > Self.sweepNanos {
                state.sweptAtNanos = now
                for (key, entry) in state.entries where entry.isIdle(since: now &- Self.idleNanos) {
                    state.entries[key] = nil
                    old.append(entry)
                }
            }
            let entry: ClientEntry
            if let known = state.entries[key] {
                entry = known
            } else {
                entry = ClientEntry(
                    HTTPClient(configuration: try key.configuration()), clock)
                state.entries[key] = entry
            }
            entry.begin()
            return entry
        }
        return found
    }

    private func close(_ entries: [ClientEntry]) {
        guard !entries.isEmpty else { return }
        Task { for entry in entries { await Self.close(entry) } }
    }

    private static func close(_ entry: ClientEntry) async {
        do { try await entry.client.shutdown() } catch {
            // Nobody uses it any more; there is nothing left to do about it.
            assertionFailure("client does not shut down: \(error)")
        }
    }

    func shutdown() async {
        let entries = state.withLock { state in
            state.isShutDown = true
            let entries = Array(state.entries.values)
            state.entries = [:]
            return entries
        }
        for entry in entries { await Self.close(entry) }
    }
}

extension ClientKey {
    fileprivate func configuration() throws(OutgoingError) -> HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        configuration.tlsConfiguration = try tls.configuration()
        // Waiting for a connection counts into the request's own timeout.
        configuration.timeout.connect = .minutes(1)
        // A refused connection is the other side's answer; who asked decides about asking again.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.idleTimeout = .minutes(5)
        configuration.httpVersion = enablesHTTP2 ? .automatic : .http1Only
        configuration.dnsOverride = alias
        if let tunnel {
            switch tunnel.kind {
            case .socks5:
                configuration.proxy = .socksServer(host: tunnel.host, port: tunnel.port)
            case .http:
                var fields = HTTPHeaders()
                for header in connectHeaders {
                    for value in header.values { fields.add(name: header.name, value: value.value) }
                }
                configuration.proxy = .server(
                    host: tunnel.host, port: tunnel.port,
                    authorization: tunnel.user.isEmpty
                        ? nil
                        : .basic(username: tunnel.user, password: tunnel.password.value),
                    connectHeaders: fields)
            }
        }
        if forwardsTo != nil {
            configuration.http1_1ConnectionDebugInitializer = { channel in
                ForwardedRequests.add(to: channel)
            }
        }
        return configuration
    }
}

/// A URL's host and port as a `Host` header has them.
private func hostHeader(_ url: URL) -> String {
    let host = withoutBrackets(url.host ?? "")
    let shown = host.contains(":") ? "[\(host)]" : host
    return url.port.map { "\(shown):\($0)" } ?? shown
}

private func replaced(_ url: URL, host: String, port: Int?) throws(OutgoingError) -> String {
    guard var parts = URLComponents(url: url, resolvingAgainstBaseURL: true) else {
        throw .failed("not a valid URL")
    }
    parts.host = host.contains(":") ? "[\(host)]" : host
    parts.port = port
    parts.user = nil
    parts.password = nil
    guard let text = parts.string else { throw .failed("not a valid URL") }
    return text
}
