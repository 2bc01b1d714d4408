// SPDX-License-Identifier: Apache-2.0
// Which proxy a request goes through.

import FoundationEssentials
import Glibc
import Scrape

/// Source: prometheus/common `config/http_config.go`, `ProxyConfig`, and the rules of
/// golang.org/x/net `http/httpproxy`.
package struct ProxySettings: Hashable, Sendable {
    /// Nil = none, or as the environment says.
    package var server: ProxyServer?
    /// Hosts that are reached directly, comma-separated.
    package var exceptions = ""
    package var isFromEnvironment = false
    /// Headers of CONNECT requests, by name.
    package var connectHeaders: [Header] = []

    package struct Header: Hashable, Sendable {
        package var name: String
        package var values: [Secret]
        package init(name: String, values: [Secret]) {
            self.name = name
            self.values = values
        }
    }

    package init() {}

    /// The proxy for a URL, or nil.
    ///
    /// - Parameter environment: read when the settings say so: `HTTP_PROXY`, `HTTPS_PROXY`,
    ///   `NO_PROXY`, in either case.
    /// - Throws: `OutgoingError.failed` when the environment names a proxy that cannot be used.
    func server(
        for url: URL, environment: [String: String]
    ) throws(OutgoingError) -> ProxyServer? {
        guard url.scheme == "http" || url.scheme == "https" else { return nil }
        if isFromEnvironment {
            func variable(_ name: String) -> String {
                let upper = environment[name.uppercased()] ?? ""
                return upper.isEmpty ? environment[name] ?? "" : upper
            }
            var text = variable(url.scheme == "https" ? "https_proxy" : "http_proxy")
            if text.isEmpty || isExcepted(url, variable("no_proxy")) { return nil }
            if !text.contains("://") { text = "http://" + text }
            do throws(ProxyServer.Unusable) { return try ProxyServer(text) } catch {
                throw .failed("proxy from the environment: \(error)")
            }
        }
        guard let server else { return nil }
        return !exceptions.isEmpty && isExcepted(url, exceptions) ? nil : server
    }
}

/// A proxy that can be used.
package struct ProxyServer: Hashable, Sendable {
    package enum Kind: Sendable { case http, socks5 }
    package struct Unusable: Error, Sendable, CustomStringConvertible {
        package var description: String
    }

    package var kind: Kind
    package var host: String
    package var port: Int
    package var user = ""
    package var password = Secret("")

    /// - Parameter url: `http://[user:password@]host[:port]` or `socks5://host[:port]`.
    package init(_ url: String) throws(Unusable) {
        guard let parts = URLComponents(string: url), let host = parts.host, !host.isEmpty else {
            throw Unusable(description: "proxy URL has no host")
        }
        self.host = withoutBrackets(host)
        user = parts.user ?? ""
        password = Secret(parts.password ?? "")
        switch parts.scheme?.lowercased() {
        case "http":
            kind = .http
            port = parts.port ?? 80
        case "socks5", "socks5h":
            kind = .socks5
            port = parts.port ?? 1080
            guard user.isEmpty else {
                throw Unusable(
                    description: "authentication at a SOCKS proxy is not supported: the HTTP "
                        + "client library has none")
            }
        case "https":
            throw Unusable(
                description: "a proxy that is itself reached over https is not supported: the "
                    + "HTTP client library has none; use http:// or socks5://")
        default:
            throw Unusable(
                description: "proxy URL scheme must be http or socks5, got "
                    + "\"\(parts.scheme ?? "")\"")
        }
        guard (1...65_535).contains(port) else {
            throw Unusable(description: "proxy port \(port) is not between 1 and 65535")
        }
    }
}

/// Whether a `NO_PROXY` list excepts a URL's host. Loopback addresses always are.
private func isExcepted(_ url: URL, _ list: String) -> Bool {
    let host = withoutBrackets(url.host ?? "").lowercased()
    let port = url.port ?? (url.scheme == "https" ? 443 : 80)
    let address = IPAddress(host)
    if host == "localhost" || address?.isLoopback == true { return true }
    for entry in list.split(separator: ",") {
        var name = trimmed(String(entry)).lowercased()
        if name.isEmpty { continue }
        if name == "*" { return true }
        if let slash = name.firstIndex(of: "/") {
            if let address, let bits = Int(name[slash...].dropFirst()),
                let network = IPAddress(String(name[..<slash])),
                address.isInside(network, bits: bits)
            {
                return true
            }
            continue
        }
        if let (plain, only) = splitPort(name) {
            if only != port { continue }
            name = plain
        }
        name = withoutBrackets(name)
        if let network = IPAddress(name) {
            if network == address { return true }
            continue
        }
        if name.hasPrefix("*.") { name.removeFirst() }
        if name.hasPrefix(".") {
            if host.hasSuffix(name) { return true }
        } else if host == name || host.hasSuffix("." + name) {
            return true
        }
    }
    return false
}

/// `host:port` apart; nil when there is no port.
private func splitPort(_ text: String) -> (host: String, port: Int)? {
    guard let colon = text.lastIndex(of: ":"), let port = Int(text[colon...].dropFirst()) else {
        return nil
    }
    let host = text[..<colon]
    // A bare IPv6 address has colons of its own.
    if host.contains(":"), !host.hasSuffix("]") { return nil }
    return (String(host), port)
}

func withoutBrackets(_ host: String) -> String {
    host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
}

/// An address of either family in network order.
private struct IPAddress: Equatable {
    var bytes: [UInt8]

    init?(_ text: String) {
        bytes = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET6, text, &bytes) == 1 { return }
        guard inet_pton(AF_INET, text, &bytes) == 1 else { return nil }
        bytes = Array(bytes.prefix(4))
    }

    var isLoopback: Bool {
        bytes.count == 4
            ? bytes[0] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
    }

    func isInside(_ network: IPAddress, bits: Int) -> Bool {
        guard bytes.count == network.bytes.count, (0...bytes.count * 8).contains(bits) else {
            return false
        }
        for index in 0..<bits where bit(index) != network.bit(index) { return false }
        return true
    }

    private func bit(_ index: Int) -> UInt8 { bytes[index / 8] >> UInt8(7 - index % 8) & 1 }
}
