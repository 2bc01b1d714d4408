// SPDX-License-Identifier: Apache-2.0
// `kubernetes_sd_configs`. Source: prometheus/prometheus `discovery/kubernetes/kubernetes.go`.

import Base

package struct KubernetesDiscoverySettings: Hashable, Sendable {
    /// What targets are made from.
    package enum Role: String, Sendable, CaseIterable {
        case node, pod, service, endpoints, endpointslice, ingress

        /// - Throws: with upstream's text when there is no such role.
        package init(named name: String) throws(DiscoverySettingsError) {
            guard let role = Role(rawValue: name) else {
                throw DiscoverySettingsError("unknown Kubernetes SD role \(quotedText(name))")
            }
            self = role
        }

        /// Roles by which this one's objects can be selected.
        var selectable: [Role] {
            switch self {
            case .pod: [.pod, .node]
            case .service: [.service]
            case .endpointslice: [.pod, .service, .endpointslice]
            case .endpoints: [.pod, .service, .endpoints]
            case .node: [.node]
            case .ingress: [.ingress]
            }
        }
    }

    /// Narrows what the API server is asked for.
    package struct Selector: Hashable, Sendable {
        package var role: Role
        package var label: String
        package var field: String
        package init(role: Role, label: String = "", field: String = "") {
            self.role = role
            self.label = label
            self.field = field
        }
    }

    /// Which further objects' labels and annotations come with a target.
    package struct AttachedMetadata: Hashable, Sendable {
        package var node = false
        package var namespace = false
        package var deployment = false
        package var job = false
        package var cronJob = false
        package init() {}
    }

    /// Empty = in the cluster, by the pod's service account.
    package var apiServer = ""
    /// Nil is refused by `validate`.
    package var role: Role?
    package var kubeconfigFile = ""
    package var ownNamespace = false
    package var namespaces: [String] = []
    package var selectors: [Selector] = []
    package var attached = AttachedMetadata()

    package init() {}

    /// - Parameter hasClientOptions: whether the section's `<http_config>` differs from the default.
    package func validate(hasClientOptions: Bool) throws(DiscoverySettingsError) {
        guard let role else {
            throw DiscoverySettingsError(
                "role missing (one of: pod, service, endpoints, endpointslice, node, ingress)")
        }
        if !apiServer.isEmpty, !kubeconfigFile.isEmpty {
            throw DiscoverySettingsError(
                "cannot use 'kubeconfig_file' and 'api_server' simultaneously")
        }
        if !kubeconfigFile.isEmpty, hasClientOptions {
            throw DiscoverySettingsError(
                "cannot use a custom HTTP client configuration together with 'kubeconfig_file'")
        }
        if apiServer.isEmpty, hasClientOptions {
            throw DiscoverySettingsError(
                "to use custom HTTP client configuration please provide the 'api_server' URL "
                    + "explicitly")
        }
        if !apiServer.isEmpty, ownNamespace {
            throw DiscoverySettingsError(
                "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously")
        }
        if !kubeconfigFile.isEmpty, ownNamespace {
            throw DiscoverySettingsError(
                "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously")
        }
        var seen: Set<Role> = []
        for selector in selectors {
            guard seen.insert(selector.role).inserted else {
                throw DiscoverySettingsError("duplicated selector role: \(selector.role.rawValue)")
            }
            guard role.selectable.contains(selector.role) else {
                let names = role.selectable.map(\.rawValue).joined(separator: ", ")
                throw DiscoverySettingsError(
                    "\(role.rawValue) role supports only \(names) selectors")
            }
            try validateFieldSelector(selector.field)
            try validateLabelSelector(selector.label)
        }
    }
}
