// SPDX-License-Identifier: Apache-2.0
// `*_sd_configs` of the kinds that are not there.

import Base
import FoundationEssentials
import Ingest
import Yams

/// What parsing a configuration carries along.
struct ConfigurationContext {
    /// Folder that relative file names are taken from.
    var directory: String
    var global: GlobalSettings
    /// What is right and yet cannot be done; the configuration is refused for it once everything
    /// else has been checked.
    var unsupported: [ConfigurationError] = []

    var names: NameScheme { global.nameScheme ?? .utf8 }
}

/// Kinds of discovery that Prometheus has beyond those of `DiscoveryConfiguration`.
private let otherKinds = [
    "aws", "azure", "digitalocean", "dockerswarm", "ecs", "elasticache", "eureka", "gce",
    "hetzner", "ionos", "kuma", "lightsail", "linode", "marathon", "msk", "nerve", "nomad", "oci",
    "openstack", "outscale", "ovhcloud", "puppetdb", "rds", "scaleway", "serverset", "stackit",
    "triton", "uyuni", "vultr",
]

extension YAMLSection {
    /// Checks sections of other kinds as far as upstream's refusals go that do not need the kind's
    /// own library, and notes that they are not supported.
    ///
    /// - Parameter place: of the sections, for the text.
    mutating func otherDiscoveries(
        _ place: String, _ context: inout ConfigurationContext
    ) throws(ConfigurationError) {
        for kind in otherKinds {
            let key = kind + "_sd_configs"
            for entry in try sections(key) {
                var entry = entry
                try entry.check(kind)
                context.unsupported.append(
                    entry.failure(
                        "\(key) in \(place): \(kind) discovery is not supported; file and http "
                            + "discovery can take its place"))
            }
        }
    }

    /// Faults of a section by upstream's rules; keys beyond those named here are not looked at.
    private mutating func check(_ kind: String) throws(ConfigurationError) {
        if kind == "marathon" { try checkMarathon() }
        _ = try httpClient(in: "")
        func text(_ key: String) throws(ConfigurationError) -> String { try string(key) ?? "" }
        func isMissing(_ key: String) throws(ConfigurationError) -> Bool { try text(key).isEmpty }
        switch kind {
        case "azure":
            let method = try string("authentication_method") ?? "OAuth"
            guard ["OAuth", "ManagedIdentity", "SDK", "WorkloadIdentity"].contains(method) else {
                throw failure(
                    "unknown authentication_type \(quotedText(method)). Supported types are "
                        + "\"OAuth\", \"ManagedIdentity\", \"SDK\" or \"WorkloadIdentity\"")
            }
            let needed =
                ["subscription_id"]
                + (method == "OAuth" ? ["tenant_id", "client_id", "client_secret"] : [])
            for key in needed where try isMissing(key) {
                throw failure("azure SD configuration requires a \(key)")
            }
        case "eureka":
            let server = try text("server")
            if server.isEmpty { throw failure("eureka_sd: empty or null eureka server") }
            if URL(string: server)?.scheme?.isEmpty ?? true {
                throw failure("invalid eureka server URL")
            }
        case "hetzner":
            let role = try text("role")
            if role.isEmpty { throw failure("role missing (one of: robot, hcloud)") }
            if role != "robot", role != "hcloud" {
                throw failure("unknown role \(quotedText(role))")
            }
        case "ionos":
            if try isMissing("datacenter_id") { throw failure("datacenter id can't be empty") }
        case "oci":
            let method = try string("auth") ?? "api_key"
            if method != "api_key", method != "instance_principal" {
                throw failure(
                    "oci_sd: unknown auth method \(quotedText(method)), expected \"api_key\" or "
                        + "\"instance_principal\"")
            }
        case "openstack":
            if let role = try string("role"),
                !["instance", "hypervisor", "loadbalancer"].contains(role)
            {
                throw failure("unknown OpenStack SD role \(quotedText(role))")
            }
            if let side = try string("availability"),
                !["admin", "internal", "public"].contains(side)
            {
                throw failure(
                    "unknown availability \(side), must be one of admin, internal or public")
            }
        case "outscale":
            if try isMissing("region") {
                throw failure("outscale SD configuration requires a region")
            }
            try checkSecrets("secret_key")
        case "ovhcloud":
            for (key, name) in [
                ("endpoint", "endpoint"), ("application_key", "application key"),
                ("application_secret", "application secret"), ("consumer_key", "consumer key"),
            ] where try isMissing(key) {
                throw failure("\(name) can not be empty")
            }
            let service = try text("service")
            if service != "vps", service != "dedicated_server" {
                throw failure("unknown service: \(service)")
            }
        case "puppetdb":
            let url = try text("url")
            if url.isEmpty { throw failure("URL is missing") }
            let parts = URLComponents(string: url)
            if parts?.scheme != "http", parts?.scheme != "https" {
                throw failure("URL scheme must be 'http' or 'https'")
            }
            if parts?.host?.isEmpty ?? true { throw failure("host is missing in URL") }
            if try isMissing("query") { throw failure("query missing") }
        case "scaleway":
            let role = try text("role")
            if role != "instance", role != "baremetal" {
                throw failure("unknown role \(quotedText(role))")
            }
            try checkSecrets("secret_key")
        case "stackit":
            let endpoint = try text("endpoint")
            if !endpoint.isEmpty, URL(string: endpoint)?.scheme?.isEmpty ?? true {
                throw failure("invalid endpoint \(quotedText(endpoint))")
            }
        case "uyuni":
            if try isMissing("server") {
                throw failure("Uyuni SD configuration requires server host")
            }
        default: break
        }
    }

    private mutating func checkSecrets(_ key: String) throws(ConfigurationError) {
        let text = try string(key) ?? ""
        let file = try string(key + "_file") ?? ""
        if text.isEmpty, file.isEmpty {
            throw failure("one of \(key) & \(key)_file must be configured")
        }
        if !text.isEmpty, !file.isEmpty {
            throw failure("at most one of \(key) & \(key)_file must be configured")
        }
    }

    private mutating func checkMarathon() throws(ConfigurationError) {
        if try (strings("servers") ?? []).isEmpty {
            throw failure("marathon_sd: must contain at least one Marathon server")
        }
        let token = try string("auth_token") ?? ""
        let file = try string("auth_token_file") ?? ""
        if token.isEmpty, file.isEmpty { return }
        let names = "auth_token & auth_token_file"
        if !token.isEmpty, !file.isEmpty {
            throw failure("marathon_sd: at most one of \(names) must be configured")
        }
        if has("basic_auth") {
            throw failure("marathon_sd: at most one of basic_auth, \(names) must be configured")
        }
        if has("bearer_token") || has("bearer_token_file") {
            throw failure(
                "marathon_sd: at most one of bearer_token, bearer_token_file, \(names) must be "
                    + "configured")
        }
        if has("authorization") {
            throw failure(
                "marathon_sd: at most one of auth_token, auth_token_file & authorization must be "
                    + "configured")
        }
    }
}
