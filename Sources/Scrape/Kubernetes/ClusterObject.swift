// SPDX-License-Identifier: Apache-2.0
// Kubernetes objects, as far as targets are made of them. Source: the API reference at
// kubernetes.io, v1 of core, discovery.k8s.io, networking.k8s.io, apps and batch.

/// A resource that is listed and watched.
enum ClusterResource: String, Sendable, CaseIterable {
    case nodes, namespaces, pods, services, endpoints, endpointslices, ingresses, replicasets, jobs

    /// Path of its list; below a namespace, unless that is empty or the resource has none.
    func path(namespace: String) -> String {
        let group =
            switch self {
            case .nodes, .namespaces, .pods, .services, .endpoints: "/api/v1"
            case .endpointslices: "/apis/discovery.k8s.io/v1"
            case .ingresses: "/apis/networking.k8s.io/v1"
            case .replicasets: "/apis/apps/v1"
            case .jobs: "/apis/batch/v1"
            }
        let isNamespaced = self != .nodes && self != .namespaces && !namespace.isEmpty
        return group + (isNamespaced ? "/namespaces/" + percentEncodedSegment(namespace) : "")
            + "/" + rawValue
    }
}

/// Bytes of a path's segment that are not plain are written as `%XX`.
func percentEncodedSegment(_ text: String) -> String {
    var out: [UInt8] = []
    let digits = Array("0123456789ABCDEF".utf8)
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
            UInt8(ascii: "."), UInt8(ascii: "~"):
            out.append(byte)
        default: out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }
    return String(decoding: out, as: UTF8.self)
}

/// An object. Two that are equal make the same targets: an update that changes nothing of this is
/// no update.
struct ClusterObject: Sendable, Equatable {
    struct Owner: Sendable, Equatable {
        var kind: String
        var name: String
    }

    enum Content: Sendable, Equatable {
        /// Only the metadata counts.
        case plain
        case node(NodeContent)
        case pod(PodContent)
        case service(ServiceContent)
        case endpoints([EndpointSubset])
        case slice(SliceContent)
        case ingress(IngressContent)
    }

    var namespace: String
    var name: String
    var uid: String
    /// By name.
    var labels: [NamedText]
    var annotations: [NamedText]
    /// The owner that controls it.
    var controller: Owner?
    var content: Content

    /// `namespace/name`, or the name alone of what has no namespace.
    var key: String { objectKey(namespace, name) }

    func label(_ name: String) -> String? { labels.first { $0.name == name }?.value }
}

func objectKey(_ namespace: String, _ name: String) -> String {
    namespace.isEmpty ? name : namespace + "/" + name
}

struct NodeContent: Sendable, Equatable {
    var providerID: String
    var kubeletPort: Int
    /// Type and address, in order.
    var addresses: [NamedText]
    /// Type and status.
    var conditions: [NamedText]
}

struct ContainerPort: Sendable, Equatable {
    var name: String
    var number: Int
    var proto: String
}

struct PodContainer: Sendable, Equatable {
    var name: String
    var image: String
    /// Empty until it runs.
    var id: String
    var ports: [ContainerPort]
    var isInit: Bool
}

struct PodContent: Sendable, Equatable {
    var ip: String
    var hostIP: String
    var phase: String
    /// `true`, `false` or `unknown`.
    var ready: String
    var nodeName: String
    /// Those that run, then those that only start it.
    var containers: [PodContainer]
}

struct ServicePort: Sendable, Equatable {
    var name: String
    var number: Int
    var proto: String
}

struct ServiceContent: Sendable, Equatable {
    var type: String
    var clusterIP: String
    var externalName: String
    var loadBalancerIP: String
    var ports: [ServicePort]
    /// Of a service with two families, the one that counts; empty otherwise.
    var primaryFamily: String
}

struct ObjectReference: Sendable, Equatable {
    var kind: String
    var namespace: String
    var name: String
}

struct EndpointAddress: Sendable, Equatable {
    var ip: String
    var hostname: String
    var nodeName: String?
    var target: ObjectReference?
    var isReady: Bool
}

struct EndpointSubset: Sendable, Equatable {
    var ports: [ServicePort]
    /// The ready ones first.
    var addresses: [EndpointAddress]
}

struct SlicePort: Sendable, Equatable {
    var name: String?
    var number: Int?
    var proto: String?
    var appProtocol: String?
}

struct SliceEndpoint: Sendable, Equatable {
    var addresses: [String]
    var ready: Bool?
    var serving: Bool?
    var terminating: Bool?
    var hostname: String?
    var nodeName: String?
    var zone: String?
    var target: ObjectReference?
    var topology: [NamedText]
}

struct SliceContent: Sendable, Equatable {
    var addressType: String
    var endpoints: [SliceEndpoint]
    var ports: [SlicePort]
}

struct IngressRule: Sendable, Equatable {
    var host: String
    /// Nil when the rule has no paths at all.
    var paths: [String]?
}

struct IngressContent: Sendable, Equatable {
    var className: String?
    var tlsHosts: [String]
    var rules: [IngressRule]
}
