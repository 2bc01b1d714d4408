// SPDX-License-Identifier: Apache-2.0
// Targets from a Kubernetes cluster.

import Base
import Synchronization

/// Follows the resources that a role needs and delivers a group per object of its own resource.
/// Nothing is delivered before all of them have been listed once, so that no target is made without
/// the labels of its pod or service.
///
/// Source of the behaviour: prometheus/prometheus `discovery/kubernetes/kubernetes.go`.
struct KubernetesDiscoverer: Discoverer {
    let settings: KubernetesDiscoverySettings
    let client: ClientOptions

    init(_ settings: KubernetesDiscoverySettings, _ client: ClientOptions) {
        self.settings = settings
        self.client = client
    }

    private final class Following: Sendable {
        let state: Mutex<State>
        init(_ state: State) { self.state = Mutex(state) }
    }

    private struct State: Sendable {
        var store: ClusterStore
        /// Lists that have not come in yet.
        var missing: Set<Int>
        var isFirst = true
    }

    /// Seconds in which changes of the cluster are gathered.
    private static let gatherSeconds = 0.1

    func run(_ delivery: DiscoveryDelivery) async {
        let environment = delivery.environment
        var backOff = 1.0
        while !Task.isCancelled {
            do {
                let access = try await ClusterAccess.resolve(settings, client, environment)
                await follow(access, delivery)
                return
            } catch {
                if Task.isCancelled { return }
                environment.metrics.add(.kubernetesFailures)
                delivery.note("no access to the cluster: \(error)")
                delivery.fail()
            }
            do { try await environment.clock.sleep(seconds: backOff) } catch { return }
            backOff = min(backOff * 2, 60)
        }
    }

    private var primary: ClusterResource {
        switch settings.role ?? .pod {
        case .node: .nodes
        case .pod: .pods
        case .service: .services
        case .endpoints: .endpoints
        case .endpointslice: .endpointslices
        case .ingress: .ingresses
        }
    }

    private func selector(
        _ role: KubernetesDiscoverySettings.Role
    ) -> KubernetesDiscoverySettings.Selector? {
        settings.selectors.first { $0.role == role }
    }

    /// What to follow, with the selector of each.
    private func wanted(
        _ namespaces: [String]
    ) -> [(ClusterResource, String, KubernetesDiscoverySettings.Selector?)] {
        let role = settings.role ?? .pod
        let attached = settings.attached
        let primary = self.primary
        var list: [(ClusterResource, String, KubernetesDiscoverySettings.Selector?)] = []
        if primary == .nodes { return [(.nodes, "", selector(.node))] }
        let hasPods = primary == .pods || primary == .endpoints || primary == .endpointslices
        for namespace in namespaces {
            list.append((primary, namespace, selector(role)))
            if hasPods, primary != .pods {
                list.append((.services, namespace, selector(.service)))
                list.append((.pods, namespace, selector(.pod)))
            }
            if hasPods, attached.deployment { list.append((.replicasets, namespace, nil)) }
            if hasPods, attached.cronJob { list.append((.jobs, namespace, nil)) }
        }
        if hasPods, attached.node { list.append((.nodes, "", selector(.node))) }
        if attached.namespace { list.append((.namespaces, "", nil)) }
        return list
    }

    private func follow(_ access: ClusterAccess, _ delivery: DiscoveryDelivery) async {
        var namespaces = settings.namespaces
        if !access.ownNamespace.isEmpty { namespaces.append(access.ownNamespace) }
        if namespaces.isEmpty { namespaces = [""] }
        var seen: Set<String> = []
        namespaces = namespaces.filter { seen.insert($0).inserted }
        let wanted = wanted(namespaces)
        let following = Following(
            State(store: ClusterStore(primary: primary), missing: Set(wanted.indices)))
        let (changes, signal) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        await withTaskGroup(of: Void.self) { group in
            for (number, (resource, namespace, selector)) in wanted.enumerated() {
                let watch = ClusterWatch(
                    access: access, resource: resource, namespace: namespace, selector: selector,
                    delivery: delivery
                ) { change in
                    following.state.withLock { state in
                        apply(change, resource, namespace, &state.store, delivery)
                        if case .all = change { state.missing.remove(number) }
                    }
                    signal.yield()
                }
                group.addTask { await watch.run() }
            }
            group.addTask {
                for await _ in changes {
                    do {
                        try await delivery.environment.clock.sleep(seconds: Self.gatherSeconds)
                    } catch { return }
                    deliver(following, delivery)
                }
            }
        }
    }

    private func apply(
        _ change: ClusterChange, _ resource: ClusterResource, _ namespace: String,
        _ store: inout ClusterStore, _ delivery: DiscoveryDelivery
    ) {
        switch change {
        case .all(let objects):
            let kept = Set(objects.map(\.key))
            for key in store.keys(resource, namespace: namespace) where !kept.contains(key) {
                if store.remove(resource, key) { count("delete", resource, delivery) }
            }
            for object in objects { put(object, resource, &store, delivery) }
        case .put(let object): put(object, resource, &store, delivery)
        case .gone(let object):
            if store.remove(resource, object.key) { count("delete", resource, delivery) }
        }
    }

    private func put(
        _ object: ClusterObject, _ resource: ClusterResource, _ store: inout ClusterStore,
        _ delivery: DiscoveryDelivery
    ) {
        let isNew = store[resource, object.key] == nil
        store.put(object, resource)
        count(isNew ? "add" : "update", resource, delivery)
    }

    private func count(
        _ event: String, _ resource: ClusterResource, _ delivery: DiscoveryDelivery
    ) {
        let role: KubernetesDiscoverySettings.Role
        switch resource {
        case .nodes: role = .node
        case .pods: role = .pod
        case .services: role = .service
        case .endpoints: role = .endpoints
        case .endpointslices: role = .endpointslice
        case .ingresses: role = .ingress
        case .namespaces, .replicasets, .jobs: return
        }
        delivery.environment.metrics.add(
            .kubernetesEvents, [NamedText("role", role.rawValue), NamedText("event", event)])
    }

    private func deliver(_ following: Following, _ delivery: DiscoveryDelivery) {
        let attached = settings.attached
        let (groups, isFirst) = following.state.withLock { state -> ([TargetGroup], Bool) in
            guard state.missing.isEmpty else { return ([], false) }
            let isFirst = state.isFirst
            state.isFirst = false
            let keys = state.store.takeDirty().sorted()
            // Made under the lock: a copy of the store that is kept would be copied whole by the
            // next change.
            let targets = ClusterTargets(store: state.store, attached: attached)
            return (keys.map { targets.group($0) }, isFirst)
        }
        if isFirst { delivery.replace(groups) } else if !groups.isEmpty { delivery.update(groups) }
    }
}
