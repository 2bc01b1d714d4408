// SPDX-License-Identifier: Apache-2.0
// Targets from Consul. Source: prometheus/prometheus `discovery/consul/consul.go`; the HTTP API's
// documentation at developer.hashicorp.com (catalogue, health, blocking queries).

import Base
import Synchronization

/// Follows the catalogue and each service in it by blocking queries.
///
/// Services found at the start are delivered together, later changes service by service.
struct ConsulDiscoverer: Discoverer {
    let settings: ConsulDiscoverySettings
    let client: ClientOptions

    /// Seconds a blocking query may wait.
    static let waitSeconds = 120
    static let retrySeconds = 15.0

    init(_ settings: ConsulDiscoverySettings, _ client: ClientOptions) {
        self.settings = settings
        self.client = client
    }

    /// The services being followed, and the first groups of those that were there at the start.
    private final class Following: Sendable {
        struct State: Sendable {
            var tasks: [String: Task<Void, Never>] = [:]
            /// Services of the start that have not answered yet; nil once all have.
            var missing: Set<String>?
            var first: [TargetGroup] = []
        }
        let state = Mutex(State())
    }

    func run(_ delivery: DiscoveryDelivery) async {
        guard let datacenter = await datacenter(delivery) else { return }
        let following = Following()
        defer {
            for task in following.state.withLock({ $0.tasks }).values { task.cancel() }
        }
        if settings.services.isEmpty || !settings.tags.isEmpty || !settings.filter.isEmpty {
            await followCatalogue(datacenter, following, delivery)
        } else {
            update(following, Set(settings.services), datacenter, delivery)
            while !Task.isCancelled {
                do { try await delivery.environment.clock.sleep(seconds: 3600) } catch { return }
            }
        }
    }

    // MARK: requests

    private func request(_ path: String, _ query: [NamedText]) -> DiscoveryRequest {
        let base =
            settings.server.contains("://")
            ? settings.server : "\(settings.scheme)://\(settings.server)"
        let prefix =
            settings.pathPrefix.isEmpty || settings.pathPrefix.hasPrefix("/")
            ? settings.pathPrefix : "/" + settings.pathPrefix
        var query = query
        func add(_ name: String, _ value: String) {
            if !value.isEmpty { query.append(NamedText(name, value)) }
        }
        add("dc", settings.datacenter)
        add("ns", settings.namespace)
        add("partition", settings.partition)
        let text = query.map {
            $0.value.isEmpty ? $0.name : "\($0.name)=\(percentEncodedSegment($0.value))"
        }.joined(separator: "&")
        var request = DiscoveryRequest(
            url: base + prefix + path + (text.isEmpty ? "" : "?" + text),
            timeoutSeconds: Double(Self.waitSeconds) + 15, client: client)
        if !settings.token.isEmpty {
            request.headers.append(NamedText("X-Consul-Token", settings.token))
        }
        return request
    }

    private func ask(
        _ request: DiscoveryRequest, _ environment: DiscoveryEnvironment
    ) async throws -> (JSONTree, index: UInt64) {
        var request = request
        request.headers.append(NamedText("User-Agent", environment.userAgent))
        let answer = try await environment.fetcher.fetch(request)
        guard answer.status == 200 else {
            let text = String(decoding: answer.body.prefix(200), as: UTF8.self)
            throw DiscoveryError(
                "server returned HTTP status \(answer.statusText)"
                    + (text.isEmpty ? "" : ": \(text)"))
        }
        return (try JSONTree(answer.body), UInt64(answer.header("X-Consul-Index")) ?? 0)
    }

    private func failed(_ what: String, _ error: any Error, _ delivery: DiscoveryDelivery) async {
        delivery.environment.metrics.add(.consulFailures)
        delivery.note("\(what): \(error)")
        // A cancelled sleep ends the loop that called.
        try? await delivery.environment.clock.sleep(seconds: Self.retrySeconds)
    }

    /// Name of the datacenter, asked for until it is known; nil when cancelled before.
    private func datacenter(_ delivery: DiscoveryDelivery) async -> String? {
        if !settings.datacenter.isEmpty { return settings.datacenter }
        while !Task.isCancelled {
            do {
                let (tree, _) = try await ask(request("/v1/agent/self", []), delivery.environment)
                guard let name = tree["Config"]["Datacenter"].string else {
                    throw DiscoveryError("the agent names no datacenter")
                }
                return name
            } catch {
                if Task.isCancelled { return nil }
                delivery.fail()
                await failed("datacenter not retrieved", error, delivery)
            }
        }
        return nil
    }

    /// Parameters of a blocking query.
    private func blocking(_ index: UInt64, filter: String) -> [NamedText] {
        var query: [NamedText] = []
        if settings.allowStale { query.append(NamedText("stale", "")) }
        if index > 0 { query.append(NamedText("index", String(index))) }
        query.append(NamedText("wait", "\(Self.waitSeconds * 1000)ms"))
        for meta in settings.nodeMeta {
            query.append(NamedText("node-meta", "\(meta.name):\(meta.value)"))
        }
        if !filter.isEmpty { query.append(NamedText("filter", filter)) }
        return query
    }

    /// Calls `take` with each answer whose index differs from the one before, every
    /// `refresh_interval` at most, until cancelled.
    private func poll(
        _ what: String, _ path: String, _ query: [NamedText], filter: String,
        _ delivery: DiscoveryDelivery, onFailure: () -> Void, _ take: (JSONTree) -> Void
    ) async {
        let clock = delivery.environment.clock
        var index: UInt64 = 0
        while !Task.isCancelled {
            let started = clock.monotonicNanos
            do {
                let (tree, newIndex) = try await ask(
                    request(path, query + blocking(index, filter: filter)), delivery.environment)
                if Task.isCancelled { return }
                if newIndex != index || newIndex == 0 { take(tree) }
                // An index that goes back means that the server started anew.
                index = newIndex < index ? 0 : newIndex
            } catch {
                if Task.isCancelled { return }
                onFailure()
                await failed(what, error, delivery)
            }
            let elapsed = Double(clock.monotonicNanos &- started) / 1e9
            let rest = settings.refreshSeconds - elapsed
            if rest > 0 { do { try await clock.sleep(seconds: rest) } catch { return } }
        }
    }

    // MARK: catalogue

    private func followCatalogue(
        _ datacenter: String, _ following: Following, _ delivery: DiscoveryDelivery
    ) async {
        await poll(
            "service list not refreshed", "/v1/catalog/services", [], filter: settings.filter,
            delivery, onFailure: delivery.fail
        ) { tree in
            let names = tree.members.filter { member in
                isWanted(member.name, member.value.items.map(\.text))
            }.map(\.name)
            update(following, Set(names), datacenter, delivery)
        }
    }

    private func isWanted(_ name: String, _ tags: [String]) -> Bool {
        (settings.services.isEmpty || settings.services.contains(name))
            && settings.tags.allSatisfy { tags.contains($0) }
    }

    /// Starts and stops following services so that they are the named ones.
    private func update(
        _ following: Following, _ names: Set<String>, _ datacenter: String,
        _ delivery: DiscoveryDelivery
    ) {
        following.state.withLock { state in
            let isFirst = state.tasks.isEmpty && state.missing == nil && state.first.isEmpty
            var gone: [TargetGroup] = []
            for (name, task) in state.tasks where !names.contains(name) {
                task.cancel()
                state.tasks[name] = nil
                state.missing?.remove(name)
                gone.append(TargetGroup(source: name, targets: []))
            }
            if isFirst, !names.isEmpty { state.missing = names }
            if !gone.isEmpty { delivery.update(gone) }
            if names.isEmpty { delivery.replace([]) }
            for name in names.sorted() where state.tasks[name] == nil {
                state.tasks[name] = Task {
                    await followService(name, datacenter, following, delivery)
                }
            }
        }
    }

    // MARK: one service

    private func followService(
        _ name: String, _ datacenter: String, _ following: Following, _ delivery: DiscoveryDelivery
    ) async {
        await poll(
            "service \(name) not refreshed", "/v1/health/service/" + percentEncodedSegment(name),
            settings.tags.map { NamedText("tag", $0) }, filter: settings.healthFilter, delivery,
            onFailure: { deliver(nil, name, following, delivery) },
            { tree in
                let group = TargetGroup(
                    source: name, targets: tree.items.map(labels),
                    labels: [
                        NamedText("__meta_consul_service", name),
                        NamedText("__meta_consul_dc", datacenter),
                    ])
                deliver(group, name, following, delivery)
            })
    }

    /// Hands a group on, or nil for a failure; the first ones wait for each other.
    private func deliver(
        _ group: TargetGroup?, _ name: String, _ following: Following,
        _ delivery: DiscoveryDelivery
    ) {
        following.state.withLock { state in
            // A service that has gone meanwhile does not come back.
            guard state.tasks[name] != nil else { return }
            guard var missing = state.missing else {
                if let group { delivery.update([group]) }
                return
            }
            state.first.removeAll { $0.source == name }
            if let group { state.first.append(group) }
            missing.remove(name)
            state.missing = missing.isEmpty ? nil : missing
            if missing.isEmpty { delivery.replace(state.first) }
        }
    }

    private func labels(_ entry: JSONTree) -> [NamedText] {
        let node = entry["Node"]
        let service = entry["Service"]
        let separator = settings.tagSeparator
        let tags = service["Tags"].items.map(\.text).joined(separator: separator)
        let port = service["Port"].integer ?? 0
        let serviceAddress = service["Address"].text
        let host = serviceAddress.isEmpty ? node["Address"].text : serviceAddress
        let prefix = "__meta_consul_"
        var labels = [
            NamedText("__address__", hostPort(host, port)),
            NamedText(prefix + "address", node["Address"].text),
            NamedText(prefix + "node", node["Node"].text),
            NamedText(prefix + "namespace", service["Namespace"].text),
            NamedText(prefix + "partition", service["Partition"].text),
            // Separators at both ends spare relabelling the special cases.
            NamedText(prefix + "tags", separator + tags + separator),
            NamedText(prefix + "service_address", serviceAddress),
            NamedText(prefix + "service_port", String(port)),
            NamedText(prefix + "service_id", service["ID"].text),
            NamedText(prefix + "health", health(entry["Checks"].items)),
        ]
        func add(_ kind: String, _ tree: JSONTree) {
            for text in tree.texts {
                labels.append(
                    NamedText(prefix + kind + sanitizedLabelName(text.name), text.value))
            }
        }
        add("metadata_", node["Meta"])
        add("service_metadata_", service["Meta"])
        add("tagged_address_", node["TaggedAddresses"])
        return labels
    }

    /// The worst of the checks. Source: hashicorp/consul `api/health.go`, `AggregatedStatus`.
    private func health(_ checks: [JSONTree]) -> String {
        let isMaintained = checks.contains { check in
            let id = check["CheckID"].text
            return id == "_node_maintenance" || id.hasPrefix("_service_maintenance:")
        }
        if isMaintained { return "maintenance" }
        let states = Set(checks.map { $0["Status"].text })
        return ["critical", "warning"].first { states.contains($0) } ?? "passing"
    }
}
