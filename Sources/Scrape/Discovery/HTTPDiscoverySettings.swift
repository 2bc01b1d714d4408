// SPDX-License-Identifier: Apache-2.0
// `http_sd_configs`. Source: prometheus/prometheus `discovery/http/http.go`.

package struct HTTPDiscoverySettings: Hashable, Sendable {
    package var url = ""
    package var refreshSeconds: Double = 60

    package init() {}

    package func validate() throws(DiscoverySettingsError) {
        if url.isEmpty { throw DiscoverySettingsError("URL is missing") }
        let address = WebAddress(url)
        guard address.scheme == "http" || address.scheme == "https" else {
            throw DiscoverySettingsError("URL scheme must be 'http' or 'https'")
        }
        if address.host.isEmpty { throw DiscoverySettingsError("host is missing in URL") }
        try validateInterval(refreshSeconds)
    }
}

/// Parts of a URL, as far as settings and requests need them.
struct WebAddress: Sendable {
    /// Lower case; empty without `://`.
    var scheme = ""
    /// Host with its port; user information left out.
    var host = ""
    /// Path and query.
    var path = ""

    init(_ text: String) {
        guard let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix("://") else {
            path = text
            return
        }
        scheme = text[..<colon].lowercased()
        let rest = text[colon...].dropFirst(3)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
        let authority = rest[..<end]
        let user = authority.lastIndex(of: "@")
        host = String(user.map { authority[$0...].dropFirst() } ?? authority)
        path = String(rest[end...].prefix { $0 != "#" })
    }
}
