// SPDX-License-Identifier: Apache-2.0
// What is known of a cluster, and which targets a change touches.

/// Objects by resource and key. Says after each change which objects of the role's own resource
/// have to be made into targets again.
struct ClusterStore: Sendable {
    /// The resource whose objects become targets.
    let primary: ClusterResource
    private(set) var objects: [ClusterResource: [String: ClusterObject]] = [:]
    /// Keys of primary objects that refer to a pod or a service, by that one's key.
    private var byPod: [String: Set<String>] = [:]
    private var byService: [String: Set<String>] = [:]
    /// Keys of primary objects to be made into targets again.
    private(set) var dirty: Set<String> = []

    init(primary: ClusterResource) { self.primary = primary }

    subscript(resource: ClusterResource, key: String) -> ClusterObject? { objects[resource]?[key] }

    /// - Returns: whether something of it has changed.
    @discardableResult
    mutating func put(_ object: ClusterObject, _ resource: ClusterResource) -> Bool {
        let key = object.key
        let old = objects[resource]?[key]
        if old == object { return false }
        objects[resource, default: [:]][key] = object
        if resource == primary {
            if let old { unlink(old, key) }
            link(object, key)
            dirty.insert(key)
        } else {
            touch(resource, key, old, object)
        }
        return true
    }

    @discardableResult
    mutating func remove(_ resource: ClusterResource, _ key: String) -> Bool {
        guard let old = objects[resource]?.removeValue(forKey: key) else { return false }
        if resource == primary {
            unlink(old, key)
            dirty.insert(key)
        } else {
            touch(resource, key, old, nil)
        }
        return true
    }

    /// Keys of a resource in a namespace; in all of them when that is empty.
    func keys(_ resource: ClusterResource, namespace: String) -> [String] {
        (objects[resource] ?? [:]).filter { namespace.isEmpty || $0.value.namespace == namespace }
            .map(\.key)
    }

    mutating func takeDirty() -> Set<String> {
        defer { dirty = [] }
        return dirty
    }

    // MARK: references

    private mutating func link(_ object: ClusterObject, _ key: String) {
        for pod in references(object) { byPod[pod, default: []].insert(key) }
        if let service = serviceKey(object) { byService[service, default: []].insert(key) }
    }

    private mutating func unlink(_ object: ClusterObject, _ key: String) {
        func drop(_ index: inout [String: Set<String>], _ name: String) {
            index[name]?.remove(key)
            if index[name]?.isEmpty == true { index[name] = nil }
        }
        for pod in references(object) { drop(&byPod, pod) }
        if let service = serviceKey(object) { drop(&byService, service) }
    }

    /// Keys of the pods that an object's addresses belong to.
    private func references(_ object: ClusterObject) -> Set<String> {
        Set(
            targets(object).compactMap {
                $0.kind == "Pod" ? objectKey($0.namespace, $0.name) : nil
            })
    }

    private func targets(_ object: ClusterObject) -> [ObjectReference] {
        switch object.content {
        case .endpoints(let subsets): subsets.flatMap { $0.addresses.compactMap(\.target) }
        case .slice(let slice): slice.endpoints.compactMap(\.target)
        case .plain, .node, .pod, .service, .ingress: []
        }
    }

    /// Key of the service that endpoints stand behind.
    func serviceKey(_ object: ClusterObject) -> String? {
        switch object.content {
        case .endpoints: object.key
        case .slice:
            object.label("kubernetes.io/service-name").map { objectKey(object.namespace, $0) }
        case .plain, .node, .pod, .service, .ingress: nil
        }
    }

    /// Marks the primary objects that a change of another resource touches.
    private mutating func touch(
        _ resource: ClusterResource, _ key: String, _ old: ClusterObject?, _ new: ClusterObject?
    ) {
        switch resource {
        case .pods: dirty.formUnion(byPod[key] ?? [])
        case .services: dirty.formUnion(byService[key] ?? [])
        case .nodes:
            // Heartbeats change a node all the time; targets take its metadata alone.
            if old?.labels == new?.labels, old?.annotations == new?.annotations,
                (old == nil) == (new == nil)
            {
                return
            }
            for (name, object) in objects[primary] ?? [:] where refers(object, toNode: key) {
                dirty.insert(name)
            }
        case .namespaces:
            for (name, object) in objects[primary] ?? [:] where object.namespace == key {
                dirty.insert(name)
            }
        case .replicasets, .jobs:
            if let old, let new, old.controller == new.controller { return }
            let owner = ClusterObject.Owner(
                kind: resource == .jobs ? "Job" : "ReplicaSet",
                name: new?.name ?? old?.name ?? "")
            let namespace = new?.namespace ?? old?.namespace ?? ""
            for (name, object) in objects[.pods] ?? [:]
            where object.namespace == namespace && object.controller == owner {
                if primary == .pods {
                    dirty.insert(name)
                } else {
                    dirty.formUnion(byPod[name] ?? [])
                }
            }
        case .endpoints, .endpointslices, .ingresses: break
        }
    }

    private func refers(_ object: ClusterObject, toNode name: String) -> Bool {
        switch object.content {
        case .pod(let pod): pod.nodeName == name
        case .endpoints(let subsets):
            subsets.contains { subset in
                subset.addresses.contains {
                    $0.nodeName == name || ($0.target?.kind == "Node" && $0.target?.name == name)
                }
            }
        case .slice(let slice):
            slice.endpoints.contains {
                $0.nodeName == name || ($0.target?.kind == "Node" && $0.target?.name == name)
            }
        case .plain, .node, .service, .ingress: false
        }
    }
}
