// SPDX-License-Identifier: Apache-2.0
// Targets from a cluster, role by role, while it changes.

import FoundationEssentials
import Synchronization
import TestKit
import Testing

@testable import Scrape

private let pods = "/api/v1/pods"
private let services = "/api/v1/services"

/// A discovery of a fake cluster.
private final class ClusterBench: Sendable {
    let cluster = FakeCluster()
    let bench = DiscoveryBench()

    func start(
        _ role: KubernetesDiscoverySettings.Role,
        _ change: (inout KubernetesDiscoverySettings) -> Void = { _ in }
    ) -> Discovery {
        var settings = KubernetesDiscoverySettings()
        settings.role = role
        settings.apiServer = "http://cluster/"
        change(&settings)
        var environment = bench.environment
        environment.fetcher = cluster
        let discovery = Discovery(environment, name: "scrape") { set, groups in
            self.bench.delivered.withLock { $0[set, default: []].append(groups) }
        }
        discovery.apply(["job": [DiscoveryConfiguration(.kubernetes(settings))]])
        return discovery
    }

    func reaches(_ addresses: [String]) async -> Bool {
        await bench.run { self.bench.addresses() == addresses }
    }

    func group(_ source: String) -> TargetGroup? {
        bench.last()?.first { $0.source == source }
    }

    func putPod(_ name: String, ip: String, ready: String = "True", labels: String = "{}") {
        cluster.put(
            pods, name, namespace: "shop",
            """
            "metadata":{"uid":"u-\(name)","labels":\(labels),"annotations":{"a/b":"c"},
              "ownerReferences":[{"kind":"ReplicaSet","name":"web-1","controller":true}]},
            "spec":{"nodeName":"n1","containers":[{"name":"app","image":"app:1",
              "ports":[{"name":"http","containerPort":8080,"protocol":"TCP"},
                       {"name":"metrics","containerPort":9100,"protocol":"TCP"}]},
              {"name":"side","image":"side:1"}],
              "initContainers":[{"name":"init","image":"init:1"}]},
            "status":{"podIP":"\(ip)","hostIP":"10.9.9.9","phase":"Running",
              "conditions":[{"type":"Ready","status":"\(ready)"}],
              "containerStatuses":[{"name":"app","containerID":"c://1"}]}
            """)
    }

    func putService(_ labels: String = "{\"app\":\"web\"}") {
        cluster.put(
            services, "web", namespace: "shop",
            """
            "metadata":{"labels":\(labels)},
            "spec":{"type":"LoadBalancer","clusterIP":"10.1.0.1",
              "ports":[{"name":"http","port":80,"protocol":"TCP"}]},
            "status":{"loadBalancer":{"ingress":[{"ip":"1.2.3.4"},{"ip":"1.2.3.5"}]}}
            """)
    }
}

@Test func podsComeChangeAndGo() async {
    let bench = ClusterBench()
    for (name, ip) in [("a", "10.0.0.1"), ("b", "10.0.0.2"), ("c", "")] {
        bench.putPod(name, ip: ip, labels: #"{"app.kubernetes.io/name":"web"}"#)
    }
    let discovery = bench.start(.pod)
    let first = ["10.0.0.1:8080", "10.0.0.1:9100", "10.0.0.1", "10.0.0.1"]
    let second = ["10.0.0.2:8080", "10.0.0.2:9100", "10.0.0.2", "10.0.0.2"]
    #expect(await bench.reaches(first + second))
    let found = labels(bench.group("pod/shop/a"))
    let expected = [
        "__address__": "10.0.0.1:8080", "__meta_kubernetes_namespace": "shop",
        "__meta_kubernetes_pod_name": "a", "__meta_kubernetes_pod_ip": "10.0.0.1",
        "__meta_kubernetes_pod_ready": "true", "__meta_kubernetes_pod_phase": "Running",
        "__meta_kubernetes_pod_node_name": "n1", "__meta_kubernetes_pod_host_ip": "10.9.9.9",
        "__meta_kubernetes_pod_uid": "u-a",
        "__meta_kubernetes_pod_label_app_kubernetes_io_name": "web",
        "__meta_kubernetes_pod_labelpresent_app_kubernetes_io_name": "true",
        "__meta_kubernetes_pod_annotation_a_b": "c",
        "__meta_kubernetes_pod_annotationpresent_a_b": "true",
        "__meta_kubernetes_pod_controller_kind": "ReplicaSet",
        "__meta_kubernetes_pod_controller_name": "web-1",
        "__meta_kubernetes_pod_container_name": "app",
        "__meta_kubernetes_pod_container_id": "c://1",
        "__meta_kubernetes_pod_container_image": "app:1",
        "__meta_kubernetes_pod_container_init": "false",
        "__meta_kubernetes_pod_container_port_name": "http",
        "__meta_kubernetes_pod_container_port_number": "8080",
        "__meta_kubernetes_pod_container_port_protocol": "TCP",
    ]
    #expect(found == expected)
    #expect(
        labels(bench.group("pod/shop/a"), 3)["__meta_kubernetes_pod_container_init"] == "true")

    bench.putPod("c", ip: "10.0.0.3", ready: "False")
    bench.cluster.remove(pods, "a", namespace: "shop")
    let third = ["10.0.0.3:8080", "10.0.0.3:9100", "10.0.0.3", "10.0.0.3"]
    #expect(await bench.reaches(second + third))
    #expect(labels(bench.group("pod/shop/c"))["__meta_kubernetes_pod_ready"] == "false")

    // What went while the watch was blind is noticed by the next list.
    bench.cluster.forget(silently: (pods, "shop/b"))
    #expect(await bench.reaches(third))
    bench.putPod("d", ip: "10.0.0.4")
    #expect(await bench.bench.run { bench.bench.addresses()?.count == 8 })
    let events = discovery.environment.metrics.value(
        .kubernetesEvents, [NamedText("role", "pod"), NamedText("event", "delete")])
    #expect(events == 2)
    await discovery.shutDown()
}

@Test func podsWithWhatIsAttached() async {
    let bench = ClusterBench()
    bench.putPod("a", ip: "10.0.0.1")
    bench.cluster.put(
        "/apis/apps/v1/replicasets", "web-1", namespace: "shop",
        #""metadata":{"ownerReferences":[{"kind":"Deployment","name":"web","controller":true}]}"#)
    bench.cluster.put("/api/v1/namespaces", "shop", #""metadata":{"labels":{"team":"x"}}"#)
    let discovery = bench.start(.pod) {
        $0.attached.node = true
        $0.attached.namespace = true
        $0.attached.deployment = true
    }
    // Its node is not known yet: it waits.
    #expect(await bench.reaches([]))
    bench.cluster.put("/api/v1/nodes", "n1", #""metadata":{"labels":{"zone":"z"}}"#)
    #expect(await bench.bench.run { bench.bench.addresses()?.count == 4 })
    let found = labels(bench.group("pod/shop/a"))
    #expect(found["__meta_kubernetes_node_name"] == "n1")
    #expect(found["__meta_kubernetes_node_label_zone"] == "z")
    #expect(found["__meta_kubernetes_namespace_label_team"] == "x")
    #expect(found["__meta_kubernetes_pod_deployment_name"] == "web")
    bench.cluster.put("/api/v1/namespaces", "shop", #""metadata":{"labels":{"team":"y"}}"#)
    #expect(
        await bench.bench.run {
            labels(bench.group("pod/shop/a"))["__meta_kubernetes_namespace_label_team"] == "y"
        })
    await discovery.shutDown()
}

@Test func endpointsFollowTheirServiceAndPods() async {
    let bench = ClusterBench()
    bench.putService()
    bench.putPod("a", ip: "10.0.0.1")
    bench.cluster.put(
        "/api/v1/endpoints", "web", namespace: "shop",
        """
        "metadata":{"labels":{"e":"f"}},"subsets":[{
          "ports":[{"name":"http","port":8080,"protocol":"TCP"}],
          "addresses":[{"ip":"10.0.0.1","nodeName":"n1",
            "targetRef":{"kind":"Pod","namespace":"shop","name":"a"}}],
          "notReadyAddresses":[{"ip":"fd00::2","hostname":"h"}]}]
        """)
    let discovery = bench.start(.endpoints)
    #expect(await bench.reaches(["10.0.0.1:8080", "[fd00::2]:8080", "10.0.0.1:9100"]))
    let found = labels(bench.group("endpoints/shop/web"))
    #expect(found["__meta_kubernetes_service_label_app"] == "web")
    #expect(found["__meta_kubernetes_service_name"] == "web")
    #expect(found["__meta_kubernetes_endpoints_name"] == "web")
    #expect(found["__meta_kubernetes_endpoints_label_e"] == "f")
    #expect(found["__meta_kubernetes_endpoint_ready"] == "true")
    #expect(found["__meta_kubernetes_endpoint_node_name"] == "n1")
    #expect(found["__meta_kubernetes_endpoint_port_name"] == "http")
    #expect(found["__meta_kubernetes_endpoint_address_target_kind"] == "Pod")
    #expect(found["__meta_kubernetes_endpoint_address_target_name"] == "a")
    #expect(found["__meta_kubernetes_pod_name"] == "a")
    #expect(found["__meta_kubernetes_pod_container_port_number"] == "8080")
    let second = labels(bench.group("endpoints/shop/web"), 1)
    #expect(second["__meta_kubernetes_endpoint_ready"] == "false")
    #expect(second["__meta_kubernetes_endpoint_hostname"] == "h")

    bench.putService(#"{"app":"new"}"#)
    bench.putPod("a", ip: "10.0.0.1", ready: "False")
    #expect(
        await bench.bench.run {
            let found = labels(bench.group("endpoints/shop/web"))
            return found["__meta_kubernetes_service_label_app"] == "new"
                && found["__meta_kubernetes_pod_ready"] == "false"
        })
    await discovery.shutDown()
}

@Test func slicesFollowTheirService() async {
    let bench = ClusterBench()
    bench.putService()
    bench.cluster.put(
        "/apis/discovery.k8s.io/v1/endpointslices", "web-x", namespace: "shop",
        """
        "metadata":{"labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4",
        "ports":[{"name":"http","port":8080,"protocol":"TCP","appProtocol":"h2"}],
        "endpoints":[{"addresses":["10.0.0.1","10.0.0.2"],"hostname":"h","nodeName":"n1",
          "zone":"z","conditions":{"ready":true,"serving":true,"terminating":false},
          "deprecatedTopology":{"k/1":"v"},"targetRef":{"kind":"Node","name":"n1"}}]
        """)
    let discovery = bench.start(.endpointslice)
    #expect(await bench.reaches(["10.0.0.1:8080", "10.0.0.2:8080"]))
    let found = labels(bench.group("endpointslice/shop/web-x"))
    let part = "__meta_kubernetes_endpointslice_"
    let expected = [
        "address_type": "IPv4", "name": "web-x", "port_name": "http", "port": "8080",
        "port_protocol": "TCP", "port_app_protocol": "h2", "endpoint_conditions_ready": "true",
        "endpoint_conditions_serving": "true", "endpoint_conditions_terminating": "false",
        "endpoint_hostname": "h", "endpoint_node_name": "n1", "endpoint_zone": "z",
        "endpoint_topology_k_1": "v", "endpoint_topology_present_k_1": "true",
        "address_target_kind": "Node", "address_target_name": "n1",
    ]
    for (name, value) in expected { #expect(found[part + name] == value, "\(name)") }
    #expect(found["__meta_kubernetes_service_label_app"] == "web")
    await discovery.shutDown()
}

@Test func nodesServicesAndIngresses() async {
    let bench = ClusterBench()
    bench.putService()
    bench.cluster.put(
        "/api/v1/nodes", "n1",
        """
        "metadata":{"labels":{"a":"b"}},"spec":{"providerID":"p://1"},
        "status":{"addresses":[{"type":"Hostname","address":"n1.local"},
          {"type":"InternalIP","address":"10.9.0.1"}],
          "conditions":[{"type":"DiskPressure","status":"False"}],
          "daemonEndpoints":{"kubeletEndpoint":{"Port":10250}}}
        """)
    bench.cluster.put(
        "/apis/networking.k8s.io/v1/ingresses", "web", namespace: "shop",
        """
        "metadata":{"labels":{"a":"b"}},"spec":{"ingressClassName":"nginx",
          "tls":[{"hosts":["*.example.com"]}],
          "rules":[{"host":"shop.example.com","http":{"paths":[{"path":"/a"},{"path":""}]}},
                   {"host":"plain.test"}]}
        """)
    let nodes = bench.start(.node)
    #expect(await bench.reaches(["10.9.0.1:10250"]))
    var found = labels(bench.group("node/n1"))
    #expect(found["instance"] == "n1")
    #expect(found["__meta_kubernetes_node_provider_id"] == "p://1")
    #expect(found["__meta_kubernetes_node_condition_diskpressure"] == "false")
    #expect(found["__meta_kubernetes_node_address_Hostname"] == "n1.local")
    await nodes.shutDown()

    let services = bench.start(.service)
    #expect(await bench.reaches(["web.shop.svc:80"]))
    found = labels(bench.group("svc/shop/web"))
    #expect(found["__meta_kubernetes_service_loadbalancer_ip"] == "1.2.3.4,1.2.3.5")
    #expect(found["__meta_kubernetes_service_cluster_ip"] == "10.1.0.1")
    #expect(found["__meta_kubernetes_service_type"] == "LoadBalancer")
    await services.shutDown()

    let ingresses = bench.start(.ingress)
    #expect(await bench.reaches(["shop.example.com", "shop.example.com", "plain.test"]))
    found = labels(bench.group("ingress/shop/web"), 1)
    #expect(found["__meta_kubernetes_ingress_scheme"] == "https")
    #expect(found["__meta_kubernetes_ingress_path"] == "/")
    #expect(found["__meta_kubernetes_ingress_class_name"] == "nginx")
    #expect(
        labels(bench.group("ingress/shop/web"), 2)["__meta_kubernetes_ingress_scheme"] == "http")
    await ingresses.shutDown()
}

@Test func selectorsAndNamespacesAreAskedFor() async {
    let bench = ClusterBench()
    bench.cluster.fail("/api/v1/namespaces/one/pods", true)
    let discovery = bench.start(.pod) {
        $0.namespaces = ["one", "two"]
        $0.selectors = [.init(role: .pod, label: "a in (b,c)", field: "spec.nodeName=n1")]
    }
    #expect(
        await bench.bench.run {
            bench.bench.notes.withLock { $0 }.contains {
                $0 == "pods not watched: server returned HTTP status 403 Forbidden: not for you"
            }
        })
    bench.cluster.fail("/api/v1/namespaces/one/pods", false)
    #expect(await bench.reaches([]))
    let urls = bench.cluster.requests.map(\.url)
    #expect(
        urls.contains(
            "http://cluster/api/v1/namespaces/two/pods?limit=500&labelSelector=a%20in%20%28b%2Cc"
                + "%29&fieldSelector=spec.nodeName%3Dn1"))
    await discovery.shutDown()
}

@Test func insideTheClusterAVariableIsNeeded() async {
    let bench = ClusterBench()
    let discovery = bench.start(.pod) { $0.apiServer = "" }
    #expect(
        await bench.bench.run {
            bench.bench.notes.withLock { $0.first?.contains("KUBERNETES_SERVICE_HOST") == true }
        })
    bench.bench.variables.withLock {
        $0["KUBERNETES_SERVICE_HOST"] = "10.1.0.1"
        $0["KUBERNETES_SERVICE_PORT"] = "443"
    }
    #expect(await bench.bench.run { !bench.cluster.requests.isEmpty })
    #expect(bench.cluster.requests.first?.url.hasPrefix("https://10.1.0.1:443/api/v1/pods") == true)
    #expect(bench.cluster.credentials.first?.tokenFile.hasSuffix("/token") == true)
    await discovery.shutDown()
}

@Test func kubeconfigsAreRead() async throws {
    try await withTemporaryDirectory { folder in
        let text = """
            {"current-context":"c","contexts":[{"name":"c","context":{"cluster":"k","user":"u"}}],
             "clusters":[{"name":"k","cluster":{"server":"https://k:6443/",
               "certificate-authority":"ca.pem","insecure-skip-tls-verify":"true"}}],
             "users":[{"name":"u","user":{"client-certificate-data":"Q0VSVA==",
               "client-key-data":"S0VZ","token":"t"}}]}
            """
        let path = folder + "/config"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        var settings = KubernetesDiscoverySettings()
        settings.kubeconfigFile = path
        var environment = DiscoveryBench().environment
        environment.jsonOfYAML = { $0 }
        let access = try await ClusterAccess.resolve(settings, .none, environment)
        #expect(access.server == "https://k:6443")
        var expected = ClusterCredentials()
        expected.authorityFile = folder + "/ca.pem"
        expected.skipsVerification = true
        expected.certificate = "CERT"
        expected.key = "KEY"
        expected.token = "t"
        #expect(access.client == ClientOptions(expected))
        try text.replacing("\"token\":\"t\"", with: "\"exec\":{}")
            .write(toFile: path, atomically: true, encoding: .utf8)
        await #expect(throws: DiscoveryError.self) {
            try await ClusterAccess.resolve(settings, .none, environment)
        }
    }
}
