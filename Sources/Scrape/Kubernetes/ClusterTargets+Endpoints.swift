// SPDX-License-Identifier: Apache-2.0
// Targets of endpoints and endpoint slices, with the further ports of the pods behind them.

extension ClusterTargets {
    /// Pods that were met, in order, with the ports under which they were.
    private struct MetPods {
        var keys: [String] = []
        var ports: [String: Set<Int>] = [:]

        mutating func meet(_ key: String, _ port: Int?) {
            if ports[key] == nil {
                keys.append(key)
                ports[key] = []
            }
            if let port { ports[key]?.insert(port) }
        }
    }

    func fill(_ group: inout TargetGroup, _ object: ClusterObject, _ subsets: [EndpointSubset]) {
        var labels = MetaLabels()
        labels.meta("namespace", object.namespace)
        addService(object, &labels)
        addObject(object, "endpoints", &labels)
        addNamespace(object.namespace, &labels)
        group.labels = labels.list
        var met = MetPods()
        for subset in subsets {
            for port in subset.ports {
                for address in subset.addresses {
                    var target = MetaLabels()
                    target.set("__address__", hostPort(address.ip, port.number))
                    target.meta("endpoint_port_name", port.name)
                    target.meta("endpoint_port_protocol", port.proto)
                    target.meta("endpoint_ready", address.isReady ? "true" : "false")
                    if let reference = address.target {
                        target.meta("endpoint_address_target_kind", reference.kind)
                        target.meta("endpoint_address_target_name", reference.name)
                    }
                    if let node = address.nodeName { target.meta("endpoint_node_name", node) }
                    if !address.hostname.isEmpty {
                        target.meta("endpoint_hostname", address.hostname)
                    }
                    let isNode = address.target?.kind == "Node"
                    addNode(address.nodeName ?? (isNode ? address.target?.name : nil), &target)
                    addPod(address.target, port.number, port.proto, &target, &met)
                    group.targets.append(target.list)
                }
            }
        }
        addFurtherPorts(met, &group)
    }

    func fill(_ group: inout TargetGroup, _ object: ClusterObject, _ slice: SliceContent) {
        var labels = MetaLabels()
        labels.meta("namespace", object.namespace)
        labels.meta("endpointslice_address_type", slice.addressType)
        addObject(object, "endpointslice", &labels)
        let service = addService(object, &labels)
        addNamespace(object.namespace, &labels)
        group.labels = labels.list
        // The same pods stand in the slice of the other family.
        if case .service(let content)? = service?.content, !content.primaryFamily.isEmpty,
            content.primaryFamily != slice.addressType
        {
            return
        }
        var met = MetPods()
        for endpoint in slice.endpoints {
            for port in slice.ports {
                for address in endpoint.addresses {
                    var target = sliceLabels(endpoint, port, address)
                    let isNode = endpoint.target?.kind == "Node"
                    addNode(isNode ? endpoint.target?.name : endpoint.nodeName, &target)
                    addPod(endpoint.target, port.number, nil, &target, &met)
                    group.targets.append(target.list)
                }
            }
        }
        addFurtherPorts(met, &group)
    }

    private func sliceLabels(
        _ endpoint: SliceEndpoint, _ port: SlicePort, _ address: String
    ) -> MetaLabels {
        var target = MetaLabels()
        target.set("__address__", port.number.map { hostPort(address, $0) } ?? address)
        func set(_ name: String, _ value: String?) {
            if let value { target.meta("endpointslice_" + name, value) }
        }
        func set(_ name: String, _ value: Bool?) { set(name, value.map { $0 ? "true" : "false" }) }
        set("port_name", port.name)
        set("port_protocol", port.proto)
        set("port", port.number.map { String($0) })
        set("port_app_protocol", port.appProtocol)
        set("endpoint_conditions_ready", endpoint.ready)
        set("endpoint_conditions_serving", endpoint.serving)
        set("endpoint_conditions_terminating", endpoint.terminating)
        set("endpoint_hostname", endpoint.hostname)
        set("address_target_kind", endpoint.target?.kind)
        set("address_target_name", endpoint.target?.name)
        set("endpoint_node_name", endpoint.nodeName)
        set("endpoint_zone", endpoint.zone)
        for label in endpoint.topology {
            let name = sanitizedLabelName(label.name)
            set("endpoint_topology_" + name, label.value)
            set("endpoint_topology_present_" + name, true)
        }
        return target
    }

    @discardableResult
    private func addService(_ object: ClusterObject, _ labels: inout MetaLabels) -> ClusterObject? {
        guard let key = store.serviceKey(object), let service = store[.services, key] else {
            return nil
        }
        labels.merge(serviceLabels(service))
        return service
    }

    /// Adds the labels of the pod behind an address, and of its container with that port.
    private func addPod(
        _ reference: ObjectReference?, _ port: Int?, _ proto: String?, _ target: inout MetaLabels,
        _ met: inout MetPods
    ) {
        guard let reference, reference.kind == "Pod" else { return }
        let key = objectKey(reference.namespace, reference.name)
        guard let object = store[.pods, key], case .pod(let pod) = object.content else { return }
        met.meet(key, port)
        target.merge(podLabels(object, pod))
        guard let port else { return }
        for container in pod.containers {
            if let found = container.ports.first(where: { $0.number == port }) {
                addContainer(container, found, proto ?? found.proto, &target)
            }
        }
    }

    private func addContainer(
        _ container: PodContainer, _ port: ContainerPort, _ proto: String,
        _ target: inout MetaLabels
    ) {
        target.meta("pod_container_name", container.name)
        target.meta("pod_container_image", container.image)
        target.meta("pod_container_port_name", port.name)
        target.meta("pod_container_port_number", String(port.number))
        target.meta("pod_container_port_protocol", proto)
        target.meta("pod_container_init", container.isInit ? "true" : "false")
    }

    /// Ports that a pod's containers declare and no service port leads to are targets as well.
    private func addFurtherPorts(_ met: MetPods, _ group: inout TargetGroup) {
        for key in met.keys {
            guard let object = store[.pods, key], case .pod(let pod) = object.content,
                !pod.ip.isEmpty
            else { continue }
            let known = met.ports[key] ?? []
            for container in pod.containers {
                for port in container.ports where !known.contains(port.number) {
                    var target = MetaLabels()
                    target.set("__address__", hostPort(pod.ip, port.number))
                    addContainer(container, port, port.proto, &target)
                    target.merge(podLabels(object, pod))
                    group.targets.append(target.list)
                }
            }
        }
    }
}
