// SPDX-License-Identifier: Apache-2.0
// Where a job's targets come from, besides its static groups.

/// Settings of a discovery that cannot be used; the text is upstream's where upstream has one.
package struct DiscoverySettingsError: Error, Sendable, Equatable, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}

/// Options of an HTTP client, as whoever owns the client understands them. They are compared, to
/// see whether a reload changed something, and handed back to the client; nothing here looks
/// inside.
package struct ClientOptions: Hashable, Sendable {
    package let value: any Hashable & Sendable

    package init(_ value: any Hashable & Sendable) { self.value = value }

    /// The options of a client that has none.
    package static let none = ClientOptions(0)

    package static func == (a: ClientOptions, b: ClientOptions) -> Bool {
        AnyHashable(a.value) == AnyHashable(b.value)
    }

    package func hash(into hasher: inout Hasher) { value.hash(into: &hasher) }
}

/// One entry of a `*_sd_configs` list.
package struct DiscoveryConfiguration: Hashable, Sendable {
    package enum Settings: Hashable, Sendable {
        case file(FileDiscoverySettings)
        case http(HTTPDiscoverySettings)
        case dns(DNSDiscoverySettings)
        case kubernetes(KubernetesDiscoverySettings)
        case consul(ConsulDiscoverySettings)
        case docker(DockerDiscoverySettings)
        case ec2(EC2DiscoverySettings)
    }

    package var settings: Settings
    /// The entry's `<http_config>`; without meaning for file and dns.
    package var client: ClientOptions

    package init(_ settings: Settings, client: ClientOptions = .none) {
        self.settings = settings
        self.client = client
    }

    /// Name of the kind, as in `file_sd_configs` and in the metrics.
    package var kind: String {
        switch settings {
        case .file: "file"
        case .http: "http"
        case .dns: "dns"
        case .kubernetes: "kubernetes"
        case .consul: "consul"
        case .docker: "docker"
        case .ec2: "ec2"
        }
    }

    /// The same with relative paths taken from the folder of the configuration file.
    package func resolved(in directory: String) -> DiscoveryConfiguration {
        var copy = self
        switch settings {
        case .file(var file):
            file.files = file.files.map { joined(directory, $0) }
            copy.settings = .file(file)
        case .kubernetes(var kubernetes):
            kubernetes.kubeconfigFile = joined(directory, kubernetes.kubeconfigFile)
            copy.settings = .kubernetes(kubernetes)
        case .http, .dns, .consul, .docker, .ec2: break
        }
        return copy
    }
}

private func joined(_ directory: String, _ path: String) -> String {
    if path.isEmpty || path.hasPrefix("/") || directory.isEmpty { return path }
    return directory.hasSuffix("/") ? directory + path : directory + "/" + path
}

/// A `name` with `values`, as docker and ec2 filter by.
package struct DiscoveryFilter: Hashable, Sendable {
    package var name: String
    package var values: [String]
    package init(name: String, values: [String]) {
        self.name = name
        self.values = values
    }
}

/// Refuses what a timer cannot count.
func validateInterval(_ seconds: Double) throws(DiscoverySettingsError) {
    guard seconds > 0 else {
        throw DiscoverySettingsError("refresh_interval must be greater than 0")
    }
}

func validatePort(_ port: Int) throws(DiscoverySettingsError) {
    guard (0...65_535).contains(port) else {
        throw DiscoverySettingsError("port \(port) is not between 0 and 65535")
    }
}
