// SPDX-License-Identifier: Apache-2.0
// Targets of nodes, pods, services and ingresses. Source of the labels: prometheus/prometheus
// `discovery/kubernetes` and `docs/configuration/configuration.md`.

private let prefix = "__meta_kubernetes_"

/// Labels under construction; setting one again replaces it.
struct MetaLabels {
    private(set) var list: [NamedText] = []
    private var places: [String: Int] = [:]

    mutating func set(_ name: String, _ value: String) {
        if let place = places[name] {
            list[place].value = value
        } else {
            places[name] = list.count
            list.append(NamedText(name, value))
        }
    }

    /// Sets a label of Kubernetes' own.
    mutating func meta(_ name: String, _ value: String) { set(prefix + name, value) }

    mutating func merge(_ other: MetaLabels) {
        for label in other.list { set(label.name, label.value) }
    }
}

/// Makes an object of the role's resource into targets.
struct ClusterTargets {
    let store: ClusterStore
    let attached: KubernetesDiscoverySettings.AttachedMetadata

    /// Source of the group of an object.
    static func source(_ primary: ClusterResource, _ key: String) -> String {
        switch primary {
        case .nodes: "node/" + key
        case .pods: "pod/" + key
        case .services: "svc/" + key
        case .endpoints: "endpoints/" + key
        case .endpointslices: "endpointslice/" + key
        case .ingresses: "ingress/" + key
        case .namespaces, .replicasets, .jobs: key
        }
    }

    /// The group of an object; without targets when there is no such object, or none to scrape.
    func group(_ key: String) -> TargetGroup {
        var group = TargetGroup(source: Self.source(store.primary, key), targets: [])
        guard let object = store[store.primary, key] else { return group }
        switch object.content {
        case .node(let node): fill(&group, object, node)
        case .pod(let pod): fill(&group, object, pod)
        case .service(let service): fill(&group, object, service)
        case .ingress(let ingress): fill(&group, object, ingress)
        case .endpoints(let subsets): fill(&group, object, subsets)
        case .slice(let slice): fill(&group, object, slice)
        case .plain: break
        }
        return group
    }

    // MARK: labels that several roles have

    func addMetadata(_ object: ClusterObject, _ kind: String, _ labels: inout MetaLabels) {
        for label in object.labels {
            let name = sanitizedLabelName(label.name)
            labels.meta("\(kind)_label_\(name)", label.value)
            labels.meta("\(kind)_labelpresent_\(name)", "true")
        }
        for annotation in object.annotations {
            let name = sanitizedLabelName(annotation.name)
            labels.meta("\(kind)_annotation_\(name)", annotation.value)
            labels.meta("\(kind)_annotationpresent_\(name)", "true")
        }
    }

    func addObject(_ object: ClusterObject, _ kind: String, _ labels: inout MetaLabels) {
        labels.meta("\(kind)_name", object.name)
        addMetadata(object, kind, &labels)
    }

    func addNode(_ name: String?, _ labels: inout MetaLabels) {
        guard attached.node, let name, let node = store[.nodes, name] else { return }
        addObject(node, "node", &labels)
    }

    func addNamespace(_ name: String, _ labels: inout MetaLabels) {
        guard attached.namespace, let namespace = store[.namespaces, name] else { return }
        addMetadata(namespace, "namespace", &labels)
    }

    func serviceLabels(_ service: ClusterObject) -> MetaLabels {
        var labels = MetaLabels()
        labels.meta("namespace", service.namespace)
        addObject(service, "service", &labels)
        return labels
    }

    func podLabels(_ object: ClusterObject, _ pod: PodContent) -> MetaLabels {
        var labels = MetaLabels()
        labels.meta("pod_ip", pod.ip)
        labels.meta("pod_ready", pod.ready)
        labels.meta("pod_phase", pod.phase)
        labels.meta("pod_node_name", pod.nodeName)
        labels.meta("pod_host_ip", pod.hostIP)
        labels.meta("pod_uid", object.uid)
        addObject(object, "pod", &labels)
        guard let owner = object.controller else { return labels }
        if !owner.kind.isEmpty { labels.meta("pod_controller_kind", owner.kind) }
        if !owner.name.isEmpty { labels.meta("pod_controller_name", owner.name) }
        let key = objectKey(object.namespace, owner.name)
        switch owner.kind {
        case "ReplicaSet":
            guard attached.deployment, let above = store[.replicasets, key]?.controller,
                above.kind == "Deployment"
            else { break }
            labels.meta("pod_deployment_name", above.name)
        case "Job":
            if attached.job { labels.meta("pod_job_name", owner.name) }
            guard attached.cronJob, let above = store[.jobs, key]?.controller,
                above.kind == "CronJob"
            else { break }
            labels.meta("pod_cronjob_name", above.name)
        default: break
        }
        return labels
    }

    // MARK: roles

    private func fill(_ group: inout TargetGroup, _ object: ClusterObject, _ node: NodeContent) {
        // The first address of the best type that there is.
        let order = [
            "InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname",
        ]
        let first = order.lazy.compactMap { type in node.addresses.first { $0.name == type } }.first
        guard let address = first else { return }
        var labels = MetaLabels()
        labels.meta("node_provider_id", node.providerID)
        for condition in node.conditions {
            let name = sanitizedLabelName(condition.name.lowercased())
            labels.meta("node_condition_\(name)", condition.value.lowercased())
        }
        addObject(object, "node", &labels)
        group.labels = labels.list
        var target = MetaLabels()
        target.set("__address__", hostPort(address.value, node.kubeletPort))
        target.set("instance", object.name)
        var seen: Set<String> = []
        for address in node.addresses where seen.insert(address.name).inserted {
            target.set(sanitizedLabelName("\(prefix)node_address_\(address.name)"), address.value)
        }
        group.targets = [target.list]
    }

    private func fill(_ group: inout TargetGroup, _ object: ClusterObject, _ pod: PodContent) {
        if pod.ip.isEmpty { return }
        // Its node's labels belong to it: without them it waits.
        if attached.node, store[.nodes, pod.nodeName] == nil { return }
        var labels = podLabels(object, pod)
        labels.meta("namespace", object.namespace)
        addNode(pod.nodeName, &labels)
        addNamespace(object.namespace, &labels)
        group.labels = labels.list
        for container in pod.containers {
            var target = MetaLabels()
            target.set("__address__", pod.ip)
            target.meta("pod_container_name", container.name)
            target.meta("pod_container_id", container.id)
            target.meta("pod_container_image", container.image)
            target.meta("pod_container_init", container.isInit ? "true" : "false")
            if container.ports.isEmpty { group.targets.append(target.list) }
            for port in container.ports {
                var target = target
                target.set("__address__", hostPort(pod.ip, port.number))
                target.meta("pod_container_port_number", String(port.number))
                target.meta("pod_container_port_name", port.name)
                target.meta("pod_container_port_protocol", port.proto)
                group.targets.append(target.list)
            }
        }
    }

    private func fill(
        _ group: inout TargetGroup, _ object: ClusterObject, _ service: ServiceContent
    ) {
        var labels = serviceLabels(object)
        addNamespace(object.namespace, &labels)
        group.labels = labels.list
        group.targets = service.ports.map { port in
            var target = MetaLabels()
            target.set(
                "__address__", hostPort("\(object.name).\(object.namespace).svc", port.number))
            target.meta("service_port_name", port.name)
            target.meta("service_port_number", String(port.number))
            target.meta("service_port_protocol", port.proto)
            target.meta("service_type", service.type)
            if service.type == "ExternalName" {
                target.meta("service_external_name", service.externalName)
            } else {
                target.meta("service_cluster_ip", service.clusterIP)
            }
            if service.type == "LoadBalancer" {
                target.meta("service_loadbalancer_ip", service.loadBalancerIP)
            }
            return target.list
        }
    }

    private func fill(
        _ group: inout TargetGroup, _ object: ClusterObject, _ ingress: IngressContent
    ) {
        var labels = MetaLabels()
        labels.meta("namespace", object.namespace)
        if let name = ingress.className { labels.meta("ingress_class_name", name) }
        addObject(object, "ingress", &labels)
        addNamespace(object.namespace, &labels)
        group.labels = labels.list
        for rule in ingress.rules {
            let isSecure = ingress.tlsHosts.contains { isHost(rule.host, matching: $0) }
            for path in rule.paths ?? ["/"] {
                var target = MetaLabels()
                target.set("__address__", rule.host)
                target.meta("ingress_scheme", isSecure ? "https" : "http")
                target.meta("ingress_host", rule.host)
                target.meta("ingress_path", path.isEmpty ? "/" : path)
                group.targets.append(target.list)
            }
        }
    }

    /// Whether a pattern's `*.` stands for the host's first label and the rest is the same.
    private func isHost(_ host: String, matching pattern: String) -> Bool {
        if pattern == host { return true }
        let wanted = pattern.split(separator: ".", omittingEmptySubsequences: false)
        let labels = host.split(separator: ".", omittingEmptySubsequences: false)
        return wanted.first == "*" && wanted.count == labels.count
            && wanted.dropFirst() == labels.dropFirst()
    }
}
