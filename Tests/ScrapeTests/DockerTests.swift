// SPDX-License-Identifier: Apache-2.0
// Targets from containers.

import TestKit
import Testing

@testable import Scrape

private let containers = """
    [{"Id":"c1","Names":["/web"],"Image":"web:1","ImageID":"sha256:1","Labels":{"a.b":"c"},
      "HostConfig":{"NetworkMode":"front"},
      "Ports":[{"PrivatePort":80,"PublicPort":8080,"IP":"0.0.0.0","Type":"tcp"},
               {"PrivatePort":443,"Type":"tcp"},{"PrivatePort":53,"Type":"udp"}],
      "NetworkSettings":{"Networks":{
        "front":{"NetworkID":"n1","IPAddress":"172.18.0.2"},
        "back":{"NetworkID":"n2","IPAddress":"172.19.0.2"}}}},
     {"Id":"c2","Names":["/host"],"Image":"host:1","HostConfig":{"NetworkMode":"host"},"Ports":[],
      "NetworkSettings":{"Networks":{"host":{"NetworkID":"n3","IPAddress":""}}}},
     {"Id":"c3","Names":["/side"],"HostConfig":{"NetworkMode":"container:c1"},"Ports":[],
      "NetworkSettings":{"Networks":{}}},
     {"Id":"c4","Names":["/six"],"HostConfig":{"NetworkMode":"six"},"Ports":[],
      "NetworkSettings":{"Networks":{
        "six":{"NetworkID":"n1","IPAddress":"","GlobalIPv6Address":"fd00::2"}}}},
     {"Id":"c5","Names":["/loop"],"HostConfig":{"NetworkMode":"container:c5"},
      "NetworkSettings":{"Networks":{}}}]
    """

private let networks = """
    [{"Id":"n1","Name":"front","Scope":"local","Internal":false,"Ingress":true,
      "Labels":{"x-y":"z"}},{"Id":"n2","Name":"back","Scope":"local","Internal":true}]
    """

private func start(
    _ bench: DiscoveryBench, _ change: (inout DockerDiscoverySettings) -> Void = { _ in }
) -> Discovery {
    bench.api.handle { request in
        if request.url.contains("/containers/json") { return json(containers) }
        if request.url.hasSuffix("/networks") { return json(networks) }
        return DiscoveryAnswer(
            status: 404, reason: "Not Found", body: Array(#"{"message":"page not found"}"#.utf8))
    }
    var settings = DockerDiscoverySettings()
    settings.host = "unix:///var/run/docker.sock"
    change(&settings)
    let discovery = bench.discovery()
    discovery.apply(["job": [DiscoveryConfiguration(.docker(settings))]])
    return discovery
}

@Test func containersOfTheFirstNetwork() async {
    let bench = DiscoveryBench()
    let discovery = start(bench)
    #expect(
        await bench.run {
            bench.addresses() == [
                "172.19.0.2:80", "172.19.0.2:443", "localhost", "172.19.0.2:80", "[fd00::2]:80",
            ]
        })
    #expect(
        bench.api.requests.first?.url
            == "http+unix://%2Fvar%2Frun%2Fdocker.sock/containers/json")
    await discovery.shutDown()
}

@Test func containersOfAllNetworks() async {
    let bench = DiscoveryBench()
    let discovery = start(bench) {
        $0.matchFirstNetwork = false
        $0.port = 9999
        $0.hostNetworkingHost = "node"
        $0.host = "tcp://docker:2375"
        $0.filters = [DiscoveryFilter(name: "status", values: ["running", "paused"])]
    }
    #expect(await bench.run { bench.addresses()?.contains("node") == true })
    #expect(
        bench.addresses() == [
            "172.19.0.2:80", "172.19.0.2:443", "172.18.0.2:80", "172.18.0.2:443", "node",
            "172.19.0.2:9999", "172.18.0.2:9999", "[fd00::2]:9999",
        ])
    #expect(
        labels(bench.last()?.first, 2) == [
            "__address__": "172.18.0.2:80", "__meta_docker_container_id": "c1",
            "__meta_docker_container_image": "web:1",
            "__meta_docker_container_image_id": "sha256:1",
            "__meta_docker_container_label_a_b": "c", "__meta_docker_container_name": "/web",
            "__meta_docker_container_network_mode": "front", "__meta_docker_network_id": "n1",
            "__meta_docker_network_ingress": "true", "__meta_docker_network_internal": "false",
            "__meta_docker_network_ip": "172.18.0.2", "__meta_docker_network_label_x_y": "z",
            "__meta_docker_network_name": "front", "__meta_docker_network_scope": "local",
            "__meta_docker_port_private": "80", "__meta_docker_port_public": "8080",
            "__meta_docker_port_public_ip": "0.0.0.0",
        ])
    #expect(
        bench.api.requests.first?.url
            == "http://docker:2375/containers/json?filters=%7B%22status%22%3A%5B%22running%22%2C"
            + "%22paused%22%5D%7D")
    await discovery.shutDown()
}
