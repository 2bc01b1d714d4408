// SPDX-License-Identifier: Apache-2.0
// `docker_sd_configs`. Source: prometheus/prometheus `discovery/moby/docker.go`.

package struct DockerDiscoverySettings: Hashable, Sendable {
    /// `unix:///var/run/docker.sock`, `tcp://host:port`, `http://…` or `https://…`.
    package var host = ""
    /// Port of targets that expose none.
    package var port = 80
    package var filters: [DiscoveryFilter] = []
    /// Host of containers that share the host's network.
    package var hostNetworkingHost = "localhost"
    package var matchFirstNetwork = true
    package var refreshSeconds: Double = 60

    package init() {}

    package func validate() throws(DiscoverySettingsError) {
        if host.isEmpty { throw DiscoverySettingsError("host missing") }
        let address = WebAddress(host)
        switch address.scheme {
        case "unix":
            if address.path.isEmpty {
                throw DiscoverySettingsError("docker SD host \"\(host)\" has no path")
            }
        case "tcp", "http", "https":
            if address.host.isEmpty {
                throw DiscoverySettingsError("docker SD host \"\(host)\" has no host name")
            }
        default:
            throw DiscoverySettingsError(
                "docker SD host \"\(host)\" must start with unix://, tcp://, http:// or https://")
        }
        try validatePort(port)
        try validateInterval(refreshSeconds)
    }
}
