// SPDX-License-Identifier: Apache-2.0
// Targets from the containers of a Docker engine. Source: prometheus/prometheus
// `discovery/moby/docker.go`; the Engine API's documentation at docs.docker.com.

import Base

struct DockerDiscoverer: RefreshingDiscoverer {
    let settings: DockerDiscoverySettings
    let client: ClientOptions
    var refreshSeconds: Double { settings.refreshSeconds }

    init(_ settings: DockerDiscoverySettings, _ client: ClientOptions) {
        self.settings = settings
        self.client = client
    }

    func refresh(_ delivery: DiscoveryDelivery) async throws -> [TargetGroup] {
        let environment = delivery.environment
        let filters =
            settings.filters.isEmpty ? "" : "?filters=" + percentEncodedSegment(filterText)
        let containers = try await ask("/containers/json" + filters, environment).items
        let networks = try await ask("/networks", environment).items
        var networkLabels: [String: [NamedText]] = [:]
        for network in networks { networkLabels[network["Id"].text] = labels(ofNetwork: network) }
        var byID: [String: JSONTree] = [:]
        for container in containers { byID[container["Id"].text] = container }
        let targets = containers.flatMap { targetsOf($0, byID, networkLabels) }
        return [TargetGroup(source: "Docker", targets: targets)]
    }

    // MARK: the engine

    /// `{"name":["value"]}`
    private var filterText: String {
        var values: [(name: String, values: [String])] = []
        for filter in settings.filters {
            if let index = values.firstIndex(where: { $0.name == filter.name }) {
                values[index].values += filter.values
            } else {
                values.append((filter.name, filter.values))
            }
        }
        var json = JSONWriter()
        json.beginObject()
        for filter in values {
            json.key(filter.name)
            json.beginArray()
            for value in filter.values { json.string(value) }
            json.endArray()
        }
        json.endObject()
        return String(decoding: json.bytes, as: UTF8.self)
    }

    /// Asks the newest version of the API that the engine has: paths without a version.
    private func ask(
        _ path: String, _ environment: DiscoveryEnvironment
    ) async throws -> JSONTree {
        let address = WebAddress(settings.host)
        let base: String
        switch address.scheme {
        case "unix": base = "http+unix://" + percentEncodedSegment(address.path)
        case "tcp": base = "http://" + address.host
        default: base = "\(address.scheme)://\(address.host)"
        }
        // As upstream: client options are for http and https.
        let isPlain = address.scheme == "unix" || address.scheme == "tcp"
        var request = DiscoveryRequest(
            url: base + path, timeoutSeconds: settings.refreshSeconds,
            client: isPlain ? .none : client)
        request.headers = [NamedText("User-Agent", environment.userAgent)]
        let answer = try await environment.fetcher.fetch(request)
        guard answer.status == 200 else {
            let message = (try? JSONTree(answer.body))?["message"].text ?? ""
            throw DiscoveryError(
                "docker returned HTTP status \(answer.statusText)"
                    + (message.isEmpty ? "" : ": \(message)"))
        }
        return try JSONTree(answer.body)
    }

    // MARK: targets

    private func labels(ofNetwork network: JSONTree) -> [NamedText] {
        let prefix = "__meta_docker_network_"
        return [
            NamedText(prefix + "id", network["Id"].text),
            NamedText(prefix + "name", network["Name"].text),
            NamedText(prefix + "scope", network["Scope"].text),
            NamedText(prefix + "internal", network["Internal"].bool == true ? "true" : "false"),
            NamedText(prefix + "ingress", network["Ingress"].bool == true ? "true" : "false"),
        ]
            + network["Labels"].texts.map {
                NamedText(prefix + "label_" + sanitizedLabelName($0.name), $0.value)
            }
    }

    private func targetsOf(
        _ container: JSONTree, _ byID: [String: JSONTree], _ networkLabels: [String: [NamedText]]
    ) -> [[NamedText]] {
        guard let name = container["Names"].items.first?.text else { return [] }
        let prefix = "__meta_docker_container_"
        let mode = container["HostConfig"]["NetworkMode"].text
        var common = [
            NamedText(prefix + "id", container["Id"].text), NamedText(prefix + "name", name),
            NamedText(prefix + "network_mode", mode),
            NamedText(prefix + "image", container["Image"].text),
            NamedText(prefix + "image_id", container["ImageID"].text),
        ]
        for label in container["Labels"].texts {
            common.append(
                NamedText(prefix + "label_" + sanitizedLabelName(label.name), label.value))
        }
        var targets: [[NamedText]] = []
        for network in networks(container, byID) {
            let ipv4 = network["IPAddress"].text
            let ip = ipv4.isEmpty ? network["GlobalIPv6Address"].text : ipv4
            let base =
                common + (networkLabels[network["NetworkID"].text] ?? [])
                + [NamedText("__meta_docker_network_ip", ip)]
            let ports = container["Ports"].items.filter { $0["Type"].text == "tcp" }
            for port in ports {
                let number = port["PrivatePort"].integer ?? 0
                var target = base
                target.append(NamedText("__meta_docker_port_private", String(number)))
                if let published = port["PublicPort"].integer, published > 0 {
                    target.append(NamedText("__meta_docker_port_public", String(published)))
                    target.append(NamedText("__meta_docker_port_public_ip", port["IP"].text))
                }
                target.append(NamedText("__address__", hostPort(ip, number)))
                targets.append(target)
            }
            if ports.isEmpty {
                let address =
                    mode == "host" ? settings.hostNetworkingHost : hostPort(ip, settings.port)
                targets.append(base + [NamedText("__address__", address)])
            }
        }
        return targets
    }

    /// The networks that count, by name: a container's own, or those of the one it shares the
    /// network with.
    private func networks(_ container: JSONTree, _ byID: [String: JSONTree]) -> [JSONTree] {
        var current = container
        // Containers that share with each other in a circle have none.
        for _ in 0..<16 where current["NetworkSettings"]["Networks"].members.isEmpty {
            let mode = current["HostConfig"]["NetworkMode"].text
            guard mode.hasPrefix("container:"),
                let next = byID[String(mode.dropFirst("container:".count))]
            else { break }
            current = next
        }
        let networks = current["NetworkSettings"]["Networks"].members.map(\.value)
            .filter { !$0.isNull }
        return settings.matchFirstNetwork ? Array(networks.prefix(1)) : networks
    }
}
