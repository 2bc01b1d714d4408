// SPDX-License-Identifier: Apache-2.0
// `dns_sd_configs`. Source: prometheus/prometheus `discovery/dns/dns.go`.

package struct DNSDiscoverySettings: Hashable, Sendable {
    package var names: [String] = []
    /// Record type in any case: SRV, A, AAAA, MX or NS.
    package var type = "SRV"
    /// Port of the targets; SRV records bring their own.
    package var port = 0
    package var refreshSeconds: Double = 30

    package init() {}

    package func validate() throws(DiscoverySettingsError) {
        if names.isEmpty {
            throw DiscoverySettingsError("DNS-SD config must contain at least one SRV record name")
        }
        switch type.uppercased() {
        case "SRV": break
        case "A", "AAAA", "MX", "NS":
            if port == 0 {
                throw DiscoverySettingsError(
                    "a port is required in DNS-SD configs for all record types except SRV")
            }
        default: throw DiscoverySettingsError("invalid DNS-SD records type \(type)")
        }
        try validatePort(port)
        try validateInterval(refreshSeconds)
    }
}
