// SPDX-License-Identifier: Apache-2.0
// Targets from a Consul that is asked by blocking queries.

import Synchronization
import TestKit
import Testing

@testable import Scrape

/// A catalogue with an index; a query with the current index waits for a change.
private final class FakeConsul: Sendable {
    struct State {
        var index = 1
        var services: [String: (tags: String, nodes: String)] = [:]
        var isDown = false
    }
    let state = Mutex(State())

    func put(_ name: String, tags: String = "[]", _ nodes: String) {
        state.withLock { state in
            state.index += 1
            state.services[name] = (tags, nodes)
        }
    }

    func remove(_ name: String) {
        state.withLock { state in
            state.index += 1
            state.services[name] = nil
        }
    }

    func answer(_ request: DiscoveryRequest) async throws -> DiscoveryAnswer {
        if state.withLock({ $0.isDown }) {
            return DiscoveryAnswer(
                status: 500, reason: "Internal Server Error", body: Array("No leader".utf8))
        }
        if request.url.contains("/v1/agent/self") {
            return json(#"{"Config":{"Datacenter":"dc1"}}"#)
        }
        let marker = request.url.split(separator: "&").first { $0.contains("index=") } ?? ""
        let known = Int(marker.split(separator: "=").last ?? "") ?? 0
        while state.withLock({ $0.index == known && !$0.isDown }) {
            try await Task.sleep(nanoseconds: 300_000)
        }
        return state.withLock { state in
            var answer: DiscoveryAnswer
            if request.url.contains("/v1/catalog/services") {
                let list = state.services.map { "\"\($0.key)\":\($0.value.tags)" }
                answer = json("{" + list.joined(separator: ",") + "}")
            } else {
                let rest = request.url.components(after: "/v1/health/service/")
                let name = String(rest.prefix { $0 != "?" })
                answer = json(state.services[name]?.nodes ?? "[]")
            }
            answer.headers.append(NamedText("X-Consul-Index", "\(state.index)"))
            return answer
        }
    }
}

extension String {
    fileprivate func components(after marker: String) -> Substring {
        firstRange(of: marker).map { self[$0.upperBound...] } ?? ""
    }
}

private func node(_ ip: String, _ port: Int, _ status: String = "passing") -> String {
    """
    {"Node":{"Node":"n","Address":"\(ip)","Meta":{"rack-no":"7"},
      "TaggedAddresses":{"lan":"\(ip)"}},
     "Service":{"ID":"id-1","Service":"web","Tags":["a","b"],"Address":"","Port":\(port),
      "Meta":{"v":"1"},"Namespace":"ns","Partition":"p"},
     "Checks":[{"CheckID":"serfHealth","Status":"passing"},
               {"CheckID":"c","Status":"\(status)"}]}
    """
}

private func start(
    _ bench: DiscoveryBench, _ consul: FakeConsul,
    _ change: (inout ConsulDiscoverySettings) -> Void = { _ in }
) -> Discovery {
    bench.api.handle { try await consul.answer($0) }
    var settings = ConsulDiscoverySettings()
    settings.server = "consul:8500"
    settings.token = "secret"
    change(&settings)
    let discovery = bench.discovery()
    discovery.apply(["job": [DiscoveryConfiguration(.consul(settings))]])
    return discovery
}

@Test func theCatalogueIsFollowed() async {
    let bench = DiscoveryBench()
    let consul = FakeConsul()
    consul.put("web", "[\(node("10.0.0.1", 80, "warning"))]")
    consul.put("db", "[\(node("10.0.0.2", 5432)),\(node("fd00::1", 5432))]")
    let discovery = start(bench, consul)
    #expect(
        await bench.run { bench.addresses() == ["10.0.0.2:5432", "[fd00::1]:5432", "10.0.0.1:80"] })
    #expect(
        labels(bench.last()?.last) == [
            "__address__": "10.0.0.1:80", "__meta_consul_address": "10.0.0.1",
            "__meta_consul_dc": "dc1", "__meta_consul_health": "warning",
            "__meta_consul_metadata_rack_no": "7", "__meta_consul_namespace": "ns",
            "__meta_consul_node": "n", "__meta_consul_partition": "p",
            "__meta_consul_service": "web", "__meta_consul_service_address": "",
            "__meta_consul_service_id": "id-1", "__meta_consul_service_metadata_v": "1",
            "__meta_consul_service_port": "80", "__meta_consul_tagged_address_lan": "10.0.0.1",
            "__meta_consul_tags": ",a,b,",
        ])
    // Both services came in one delivery.
    #expect(bench.count() == 1)
    #expect(
        bench.api.requests.allSatisfy { $0.headers.contains(NamedText("X-Consul-Token", "secret")) }
    )

    consul.put("web", "[\(node("10.0.0.9", 80))]")
    #expect(
        await bench.run { bench.addresses() == ["10.0.0.2:5432", "[fd00::1]:5432", "10.0.0.9:80"] })
    consul.remove("db")
    #expect(await bench.run { bench.addresses() == ["10.0.0.9:80"] })

    consul.state.withLock { $0.isDown = true }
    #expect(await bench.run { discovery.environment.metrics.value(.consulFailures) > 1 })
    #expect(bench.addresses() == ["10.0.0.9:80"])
    #expect(
        bench.notes.withLock { $0.contains { $0.hasSuffix("Internal Server Error: No leader") } })
    consul.state.withLock { $0.isDown = false }
    consul.put("new", "[\(node("10.0.0.3", 1))]")
    #expect(await bench.run { bench.addresses() == ["10.0.0.3:1", "10.0.0.9:80"] })
    await discovery.shutDown()
}

@Test func namedServicesAndFiltersAreAskedFor() async {
    let bench = DiscoveryBench()
    let consul = FakeConsul()
    consul.put("web", "[\(node("10.0.0.1", 80))]")
    let discovery = start(bench, consul) {
        $0.services = ["web"]
        $0.datacenter = "dc2"
        $0.pathPrefix = "/consul"
        $0.nodeMeta = [NamedText("rack", "1")]
        $0.healthFilter = "Service.Tags contains \"a\""
    }
    #expect(await bench.run { bench.addresses() == ["10.0.0.1:80"] })
    #expect(
        bench.api.requests.first?.url
            == "http://consul:8500/consul/v1/health/service/web?stale&wait=120000ms&node-meta=rack"
            + "%3A1&filter=Service.Tags%20contains%20%22a%22&dc=dc2")
    await discovery.shutDown()
}

@Test func servicesWithAllTheTags() async {
    let bench = DiscoveryBench()
    let consul = FakeConsul()
    consul.put("web", tags: #"["a","b"]"#, "[\(node("10.0.0.1", 80))]")
    consul.put("db", tags: #"["a"]"#, "[\(node("10.0.0.2", 80))]")
    let discovery = start(bench, consul) { $0.tags = ["a", "b"] }
    #expect(await bench.run { bench.addresses() == ["10.0.0.1:80"] })
    #expect(bench.api.requests.contains { $0.url.contains("/web?tag=a&tag=b&") })
    await discovery.shutDown()
}

@Test(arguments: [
    (#"{"CheckID":"x","Status":"critical"}"#, "critical"), (#"{"Status":"passing"}"#, "passing"),
    (#"{"CheckID":"_node_maintenance","Status":"critical"}"#, "maintenance"),
    (#"{"CheckID":"_service_maintenance:web","Status":"critical"}"#, "maintenance"),
])
func healthIsTheWorstOfTheChecks(check: String, expected: String) async {
    let bench = DiscoveryBench()
    let consul = FakeConsul()
    consul.put(
        "web",
        #"[{"Node":{"Address":"a"},"Service":{"Port":1},"Checks":[{"Status":"warning"},\#(check)]}]"#
            .replacing(expected == "passing" ? #"{"Status":"warning"},"# : "\u{0}", with: ""))
    let discovery = start(bench, consul)
    #expect(await bench.run { bench.addresses() == ["a:1"] })
    #expect(labels(bench.last()?.first)["__meta_consul_health"] == expected)
    await discovery.shutDown()
}
