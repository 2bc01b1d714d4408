// SPDX-License-Identifier: Apache-2.0
// `*_sd_configs` of the kinds that there are.

import Base
import Scrape
import Yams

extension YAMLSection {
    /// Keys that `discoveries` reads.
    static let discoveryKeys = [
        "file_sd_configs", "http_sd_configs", "dns_sd_configs", "kubernetes_sd_configs",
        "consul_sd_configs", "docker_sd_configs", "ec2_sd_configs",
    ]

    /// All entries of the `*_sd_configs` lists of a job or an Alertmanager section.
    ///
    /// - Parameter directory: folder that relative file names are taken from.
    mutating func discoveries(
        in directory: String
    ) throws(ConfigurationError) -> [DiscoveryConfiguration] {
        var result: [DiscoveryConfiguration] = []
        for key in Self.discoveryKeys {
            for entry in try sections(key) {
                var entry = entry
                let configuration: DiscoveryConfiguration
                switch key {
                case "file_sd_configs": configuration = try entry.fileDiscovery()
                case "http_sd_configs": configuration = try entry.httpDiscovery(in: directory)
                case "dns_sd_configs": configuration = try entry.dnsDiscovery()
                case "kubernetes_sd_configs":
                    configuration = try entry.kubernetesDiscovery(in: directory)
                case "consul_sd_configs": configuration = try entry.consulDiscovery(in: directory)
                case "docker_sd_configs": configuration = try entry.dockerDiscovery(in: directory)
                default: configuration = try entry.ec2Discovery(in: directory)
                }
                try entry.finish()
                result.append(configuration.resolved(in: directory))
            }
        }
        return result
    }

    /// Turns a refusal of settings into one with a place.
    private func checked(
        _ validate: () throws(DiscoverySettingsError) -> Void
    ) throws(ConfigurationError) {
        do throws(DiscoverySettingsError) { try validate() } catch {
            throw failure(error.description)
        }
    }

    private mutating func fileDiscovery() throws(ConfigurationError) -> DiscoveryConfiguration {
        var settings = FileDiscoverySettings()
        settings.files = try strings("files") ?? []
        settings.refreshSeconds = try duration("refresh_interval") ?? settings.refreshSeconds
        try checked(settings.validate)
        return DiscoveryConfiguration(.file(settings))
    }

    private mutating func httpDiscovery(
        in directory: String
    ) throws(ConfigurationError) -> DiscoveryConfiguration {
        var settings = HTTPDiscoverySettings()
        settings.url = try string("url") ?? ""
        settings.refreshSeconds = try duration("refresh_interval") ?? settings.refreshSeconds
        try checked(settings.validate)
        let client = try httpClient(in: directory)
        return DiscoveryConfiguration(.http(settings), client: client.options)
    }

    private mutating func dnsDiscovery() throws(ConfigurationError) -> DiscoveryConfiguration {
        var settings = DNSDiscoverySettings()
        settings.names = try strings("names") ?? []
        settings.type = try string("type") ?? settings.type
        settings.port = try int("port") ?? 0
        settings.refreshSeconds = try duration("refresh_interval") ?? settings.refreshSeconds
        try checked(settings.validate)
        return DiscoveryConfiguration(.dns(settings))
    }

    private mutating func kubernetesRole(
        _ key: String
    ) throws(ConfigurationError) -> KubernetesDiscoverySettings.Role? {
        guard let name = try string(key) else { return nil }
        do throws(DiscoverySettingsError) {
            return try KubernetesDiscoverySettings.Role(named: name)
        } catch { throw failure(error.description) }
    }

    private mutating func kubernetesDiscovery(
        in directory: String
    ) throws(ConfigurationError) -> DiscoveryConfiguration {
        var settings = KubernetesDiscoverySettings()
        settings.apiServer = try string("api_server") ?? ""
        settings.role = try kubernetesRole("role")
        settings.kubeconfigFile = try string("kubeconfig_file") ?? ""
        if let node = take("namespaces") {
            // The name under which upstream refuses unknown keys.
            var section = try YAMLSection(node, "type kubernetes.plain")
            settings.ownNamespace = try section.bool("own_namespace") ?? false
            settings.namespaces = try section.strings("names") ?? []
            try section.finish()
        }
        for entry in try sections("selectors") {
            var entry = entry
            guard let role = try entry.kubernetesRole("role") else {
                throw entry.failure("unknown Kubernetes SD role \"\"")
            }
            settings.selectors.append(
                .init(
                    role: role, label: try entry.string("label") ?? "",
                    field: try entry.string("field") ?? ""))
            try entry.finish()
        }
        if var attach = try section("attach_metadata") {
            settings.attached.node = try attach.bool("node") ?? false
            settings.attached.namespace = try attach.bool("namespace") ?? false
            settings.attached.deployment = try attach.bool("deployment") ?? false
            settings.attached.job = try attach.bool("job") ?? false
            settings.attached.cronJob = try attach.bool("cronjob") ?? false
            try attach.finish()
        }
        let client = try httpClient(in: directory)
        try checked { () throws(DiscoverySettingsError) in
            try settings.validate(hasClientOptions: client != HTTPClientSettings())
        }
        return DiscoveryConfiguration(.kubernetes(settings), client: client.options)
    }

    private mutating func consulDiscovery(
        in directory: String
    ) throws(ConfigurationError) -> DiscoveryConfiguration {
        var settings = ConsulDiscoverySettings()
        settings.server = try string("server") ?? settings.server
        settings.pathPrefix = try string("path_prefix") ?? ""
        settings.token = try string("token") ?? ""
        settings.datacenter = try string("datacenter") ?? ""
        settings.namespace = try string("namespace") ?? ""
        settings.partition = try string("partition") ?? ""
        settings.tagSeparator = try string("tag_separator") ?? settings.tagSeparator
        settings.scheme = try string("scheme") ?? settings.scheme
        settings.allowStale = try bool("allow_stale") ?? true
        settings.refreshSeconds = try duration("refresh_interval") ?? settings.refreshSeconds
        settings.services = try strings("services") ?? []
        settings.tags = try strings("tags") ?? []
        settings.nodeMeta = (try pairs("node_meta") ?? []).map { NamedText($0.name, $0.value) }
        settings.filter = try string("filter") ?? ""
        settings.healthFilter = try string("health_filter") ?? ""
        let user = try string("username") ?? ""
        let password = try string("password") ?? ""
        let hasUser = !user.isEmpty || !password.isEmpty
        var client = try httpClient(in: directory)
        var hasBasic = false
        var hasOther = false
        switch client.authentication {
        case .none: break
        case .basic: hasBasic = true
        case .authorization, .oauth2: hasOther = true
        }
        try checked { () throws(DiscoverySettingsError) in
            try settings.validate(
                hasUser: hasUser, hasBasicAuth: hasBasic, hasAuthorization: hasOther)
        }
        if hasUser {
            if hasOther {
                throw failure(
                    "at most one of basic_auth, oauth2 & authorization must be configured")
            }
            client.authentication = .basic(
                .init(user: .inline(Secret(user)), password: .inline(Secret(password))))
        }
        return DiscoveryConfiguration(.consul(settings), client: client.options)
    }

    private mutating func filters() throws(ConfigurationError) -> [DiscoveryFilter] {
        var result: [DiscoveryFilter] = []
        for entry in try sections("filters") {
            var entry = entry
            result.append(
                DiscoveryFilter(
                    name: try entry.string("name") ?? "",
                    values: try entry.strings("values") ?? []))
            try entry.finish()
        }
        return result
    }

    private mutating func dockerDiscovery(
        in directory: String
    ) throws(ConfigurationError) -> DiscoveryConfiguration {
        var settings = DockerDiscoverySettings()
        settings.host = try string("host") ?? ""
        settings.port = try int("port") ?? settings.port
        settings.filters = try filters()
        settings.hostNetworkingHost =
            try string("host_networking_host") ?? settings.hostNetworkingHost
        settings.matchFirstNetwork = try bool("match_first_network") ?? true
        settings.refreshSeconds = try duration("refresh_interval") ?? settings.refreshSeconds
        try checked(settings.validate)
        let client = try httpClient(in: directory)
        return DiscoveryConfiguration(.docker(settings), client: client.options)
    }

    private mutating func ec2Discovery(
        in directory: String
    ) throws(ConfigurationError) -> DiscoveryConfiguration {
        var settings = EC2DiscoverySettings()
        settings.endpoint = try string("endpoint") ?? ""
        settings.region = try string("region") ?? ""
        settings.accessKey = try string("access_key") ?? ""
        settings.secretKey = try string("secret_key") ?? ""
        settings.profile = try string("profile") ?? ""
        settings.roleARN = try string("role_arn") ?? ""
        settings.externalID = try string("external_id") ?? ""
        settings.refreshSeconds = try duration("refresh_interval") ?? settings.refreshSeconds
        settings.port = try int("port") ?? settings.port
        settings.filters = try filters()
        try checked(settings.validate)
        let client = try httpClient(in: directory)
        return DiscoveryConfiguration(.ec2(settings), client: client.options)
    }
}
