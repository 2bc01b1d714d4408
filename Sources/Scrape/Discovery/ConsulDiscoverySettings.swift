// SPDX-License-Identifier: Apache-2.0
// `consul_sd_configs`. Source: prometheus/prometheus `discovery/consul/consul.go`.

/// `username` and `password` of the section belong into its basic authentication: whoever parses
/// the section puts them into the client options.
package struct ConsulDiscoverySettings: Hashable, Sendable {
    package var server = "localhost:8500"
    package var pathPrefix = ""
    package var token = ""
    package var datacenter = ""
    package var namespace = ""
    package var partition = ""
    package var tagSeparator = ","
    package var scheme = "http"
    package var allowStale = true
    package var refreshSeconds: Double = 30
    /// Services to watch; empty = all of the catalogue.
    package var services: [String] = []
    /// Tags that an instance must all have.
    package var tags: [String] = []
    package var nodeMeta: [NamedText] = []
    /// Expression for the catalogue.
    package var filter = ""
    /// Expression for the health endpoint.
    package var healthFilter = ""

    package init() {}

    /// - Parameters:
    ///   - hasUser: whether the section has `username` or `password`.
    ///   - hasBasicAuth: whether it has `basic_auth`.
    ///   - hasAuthorization: whether it has `authorization` (or `bearer_token`) or `oauth2`.
    package func validate(
        hasUser: Bool, hasBasicAuth: Bool, hasAuthorization: Bool
    ) throws(DiscoverySettingsError) {
        if server.allSatisfy(\.isWhitespace) {
            throw DiscoverySettingsError("consul SD configuration requires a server address")
        }
        if hasUser, hasBasicAuth {
            throw DiscoverySettingsError(
                "at most one of consul SD configuration username and password and basic auth can "
                    + "be configured")
        }
        if !token.isEmpty, hasAuthorization {
            throw DiscoverySettingsError(
                "at most one of consul SD token, authorization, or oauth2 can be configured")
        }
        guard scheme == "http" || scheme == "https" else {
            throw DiscoverySettingsError("consul SD scheme must be http or https")
        }
        try validateInterval(refreshSeconds)
    }
}
