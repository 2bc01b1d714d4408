// SPDX-License-Identifier: Apache-2.0
// Kubernetes objects from the API's JSON.

extension ClusterObject {
    /// Nil for what has no name. Fields that are missing or of another type are taken as empty: the
    /// API leaves out what is empty, and a newer version may write more.
    init?(_ tree: JSONTree, _ resource: ClusterResource) {
        let metadata = tree["metadata"]
        guard let name = metadata["name"].string, !name.isEmpty else { return nil }
        self.name = name
        namespace = metadata["namespace"].text
        uid = metadata["uid"].text
        labels = metadata["labels"].texts
        annotations = metadata["annotations"].texts
        for owner in metadata["ownerReferences"].items where owner["controller"].bool == true {
            controller = Owner(kind: owner["kind"].text, name: owner["name"].text)
            break
        }
        let spec = tree["spec"]
        let status = tree["status"]
        switch resource {
        case .namespaces, .replicasets, .jobs: content = .plain
        case .nodes: content = .node(NodeContent(spec, status))
        case .pods: content = .pod(PodContent(spec, status))
        case .services: content = .service(ServiceContent(spec, status))
        case .endpoints: content = .endpoints(tree["subsets"].items.map(EndpointSubset.init))
        case .endpointslices: content = .slice(SliceContent(tree))
        case .ingresses: content = .ingress(IngressContent(spec))
        }
    }
}

extension NodeContent {
    init(_ spec: JSONTree, _ status: JSONTree) {
        providerID = spec["providerID"].text
        kubeletPort = status["daemonEndpoints"]["kubeletEndpoint"]["Port"].integer ?? 0
        addresses = status["addresses"].items.map { NamedText($0["type"].text, $0["address"].text) }
        conditions = status["conditions"].items.map {
            NamedText($0["type"].text, $0["status"].text)
        }
    }
}

extension PodContent {
    init(_ spec: JSONTree, _ status: JSONTree) {
        ip = status["podIP"].text
        hostIP = status["hostIP"].text
        phase = status["phase"].text
        nodeName = spec["nodeName"].text
        let condition = status["conditions"].items.first { $0["type"].text == "Ready" }
        ready = (condition?["status"].text ?? "Unknown").lowercased()
        containers =
            spec["containers"].items.map {
                PodContainer($0, status["containerStatuses"], isInit: false)
            }
            + spec["initContainers"].items.map {
                PodContainer($0, status["initContainerStatuses"], isInit: true)
            }
    }
}

extension PodContainer {
    init(_ tree: JSONTree, _ statuses: JSONTree, isInit: Bool) {
        let name = tree["name"].text
        self.name = name
        image = tree["image"].text
        id = statuses.items.first { $0["name"].text == name }?["containerID"].text ?? ""
        ports = tree["ports"].items.map {
            ContainerPort(
                name: $0["name"].text, number: $0["containerPort"].integer ?? 0,
                proto: $0["protocol"].text)
        }
        self.isInit = isInit
    }
}

extension ServicePort {
    init(_ tree: JSONTree) {
        name = tree["name"].text
        number = tree["port"].integer ?? 0
        proto = tree["protocol"].text
    }
}

extension ServiceContent {
    init(_ spec: JSONTree, _ status: JSONTree) {
        type = spec["type"].text
        clusterIP = spec["clusterIP"].text
        externalName = spec["externalName"].text
        let balancers = status["loadBalancer"]["ingress"].items.map { $0["ip"].text }
            .filter { !$0.isEmpty }
        loadBalancerIP =
            balancers.isEmpty ? spec["loadBalancerIP"].text : balancers.joined(separator: ",")
        ports = spec["ports"].items.map(ServicePort.init)
        let policy = spec["ipFamilyPolicy"].text
        let hasTwo = policy == "PreferDualStack" || policy == "RequireDualStack"
        primaryFamily = hasTwo ? spec["ipFamilies"].items.first?.text ?? "" : ""
    }
}

extension ObjectReference {
    init?(_ tree: JSONTree) {
        guard !tree.isNull else { return nil }
        kind = tree["kind"].text
        namespace = tree["namespace"].text
        name = tree["name"].text
    }
}

extension EndpointSubset {
    init(_ tree: JSONTree) {
        ports = tree["ports"].items.map(ServicePort.init)
        addresses =
            tree["addresses"].items.map { EndpointAddress($0, isReady: true) }
            + tree["notReadyAddresses"].items.map { EndpointAddress($0, isReady: false) }
    }
}

extension EndpointAddress {
    init(_ tree: JSONTree, isReady: Bool) {
        ip = tree["ip"].text
        hostname = tree["hostname"].text
        nodeName = tree["nodeName"].string
        target = ObjectReference(tree["targetRef"])
        self.isReady = isReady
    }
}

extension SliceContent {
    init(_ tree: JSONTree) {
        addressType = tree["addressType"].text
        ports = tree["ports"].items.map {
            SlicePort(
                name: $0["name"].string, number: $0["port"].integer,
                proto: $0["protocol"].string, appProtocol: $0["appProtocol"].string)
        }
        endpoints = tree["endpoints"].items.map(SliceEndpoint.init)
    }
}

extension SliceEndpoint {
    init(_ tree: JSONTree) {
        addresses = tree["addresses"].items.map(\.text)
        let conditions = tree["conditions"]
        ready = conditions["ready"].bool
        serving = conditions["serving"].bool
        terminating = conditions["terminating"].bool
        hostname = tree["hostname"].string
        nodeName = tree["nodeName"].string
        zone = tree["zone"].string
        target = ObjectReference(tree["targetRef"])
        topology = tree["deprecatedTopology"].texts
    }
}

extension IngressContent {
    init(_ spec: JSONTree) {
        className = spec["ingressClassName"].string
        tlsHosts = spec["tls"].items.flatMap { $0["hosts"].items.map(\.text) }
        rules = spec["rules"].items.map { rule in
            let http = rule["http"]
            return IngressRule(
                host: rule["host"].text,
                paths: http.isNull ? nil : http["paths"].items.map { $0["path"].text })
        }
    }
}
