// SPDX-License-Identifier: Apache-2.0
// Answers of discovery APIs that are not what they should be: refused or read, and nothing else.

import Base
import TestKit
import Testing

@testable import Scrape

/// Changes bytes here and there, and values to others of another kind or size.
private struct Damage {
    private var random: SplitMix64
    private static let values = [
        "{}", "[]", "null", "-1", "9223372036854775807", "1e999", "\"\"", "true", "[[]]",
        "{\"a\":{}}", "65536", "\"\\u0000\"",
    ].map { Array($0.utf8) }

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    mutating func apply(to text: String) -> [UInt8] {
        var bytes = Array(text.utf8)
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let colons = bytes.indices.filter { bytes[$0] == UInt8(ascii: ":") }
            if let colon = colons.randomElement(using: &random),
                let value = Damage.values.randomElement(using: &random)
            {
                let end =
                    bytes[colon...].firstIndex { ",}]".utf8.contains($0) } ?? bytes.endIndex
                bytes.replaceSubrange((colon + 1)..<max(colon + 1, end), with: value)
            }
        }
        if Bool.random(using: &random), !bytes.isEmpty {
            bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(
                in: 0...255, using: &random)
        }
        return bytes
    }
}

private let objects: [(ClusterResource, String)] = [
    (
        .nodes,
        #"""
        {"metadata":{"name":"n1","labels":{"a.b/c":"d"}},"spec":{"providerID":"p"},
         "status":{"daemonEndpoints":{"kubeletEndpoint":{"Port":10250}},
          "addresses":[{"type":"InternalIP","address":"10.0.0.9"}],
          "conditions":[{"type":"Ready","status":"True"}]}}
        """#
    ),
    (
        .pods,
        #"""
        {"metadata":{"name":"a","namespace":"shop","ownerReferences":[{"kind":"Job","name":"j","controller":true}]},
         "spec":{"nodeName":"n1","containers":[{"name":"c","image":"i","ports":[{"name":"http","containerPort":80,"protocol":"TCP"}]}]},
         "status":{"podIP":"10.0.0.1","phase":"Running","containerStatuses":[{"name":"c","containerID":"x"}]}}
        """#
    ),
    (
        .services,
        #"""
        {"metadata":{"name":"web","namespace":"shop"},"spec":{"type":"ClusterIP","clusterIP":"10.1.0.1",
         "ports":[{"name":"http","port":80,"protocol":"TCP"}]},"status":{"loadBalancer":{"ingress":[{"ip":"1.2.3.4"}]}}}
        """#
    ),
    (
        .endpoints,
        #"""
        {"metadata":{"name":"web","namespace":"shop"},"subsets":[{"addresses":[{"ip":"10.0.0.1",
         "targetRef":{"kind":"Pod","name":"a","namespace":"shop"}}],"ports":[{"name":"http","port":80}]}]}
        """#
    ),
    (
        .endpointslices,
        #"""
        {"metadata":{"name":"web-1","namespace":"shop","labels":{"kubernetes.io/service-name":"web"}},
         "addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":true},
         "targetRef":{"kind":"Pod","name":"a","namespace":"shop"}}],"ports":[{"name":"http","port":80}]}
        """#
    ),
    (
        .ingresses,
        #"""
        {"metadata":{"name":"i","namespace":"shop"},"spec":{"ingressClassName":"x","tls":[{"hosts":["a.example"]}],
         "rules":[{"host":"a.example","http":{"paths":[{"path":"/x"}]}}]}}
        """#
    ),
]

@Test(arguments: 0..<6) func damagedClusterObjects(_ seed: UInt64) throws {
    var damage = Damage(seed: seed)
    var attached = KubernetesDiscoverySettings.AttachedMetadata()
    attached.node = true
    attached.namespace = true
    attached.deployment = true
    attached.job = true
    var read = 0
    for _ in 0..<150 {
        for (primary, _) in objects {
            var store = ClusterStore(primary: primary)
            for (resource, text) in objects {
                guard let tree = try? JSONTree(damage.apply(to: text)),
                    let object = ClusterObject(tree, resource)
                else { continue }
                store.put(object, resource)
                read += 1
            }
            for key in store.takeDirty() {
                _ = ClusterTargets(store: store, attached: attached).group(key)
            }
        }
    }
    // Most of the damage leaves an object, or nothing was tried.
    #expect(read > 1000)
}

private let containers = #"""
    [{"Id":"c1","Names":["/web"],"Image":"web:1","Labels":{"a.b":"c"},"HostConfig":{"NetworkMode":"front"},
      "Ports":[{"PrivatePort":80,"PublicPort":8080,"IP":"0.0.0.0","Type":"tcp"}],
      "NetworkSettings":{"Networks":{"front":{"NetworkID":"n1","IPAddress":"172.18.0.2"}}}},
     {"Id":"c2","Names":["/side"],"HostConfig":{"NetworkMode":"container:c1"},"NetworkSettings":{"Networks":{}}}]
    """#

@Test func damagedContainers() async throws {
    let bench = DiscoveryBench()
    let delivery = DiscoveryDelivery(
        environment: bench.environment, kind: "docker", set: "job", replace: { _ in },
        update: { _ in }, fail: {})
    var settings = DockerDiscoverySettings()
    settings.host = "unix:///var/run/docker.sock"
    let discoverer = DockerDiscoverer(settings, .none)
    var damage = Damage(seed: 3)
    var delivered = 0
    for _ in 0..<600 {
        let body = damage.apply(to: containers)
        bench.api.handle { request in
            var answer = json("[{\"Id\":\"n1\",\"Name\":\"front\"}]")
            if request.url.contains("/containers/json") { answer.body = body }
            return answer
        }
        // What is no JSON is refused.
        if let groups = try? await discoverer.refresh(delivery) { delivered += groups.count }
    }
    #expect(delivered > 100)
}
