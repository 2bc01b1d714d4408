// SPDX-License-Identifier: Apache-2.0
// Shares, quantiles, words of metrics and lines.

import Testing

@testable import Diagnosis

@Suite struct StatisticsTests {
    @Test func fewObservationsSayLittle() {
        let none = Share(hits: 0, total: 1), all = Share(hits: 1, total: 1)
        #expect(all.excess(over: none) < 0.1)
        let many = Share(hits: 100, total: 100), never = Share(hits: 0, total: 100)
        #expect(many.excess(over: never) > 0.9)
        #expect(never.excess(over: many) == 0)
        #expect(never.shortfall(under: many) > 0.9)
        #expect(Share().excess(over: many) == 0)
        #expect(Share(hits: 3, total: 4).interval().contains(0.75))
    }

    @Test func quantilesLieBetweenValues() {
        #expect(quantile([], 0.5) == 0)
        #expect(quantile([7], 0.9) == 7)
        #expect(quantile([1, 2, 3, 4], 0.5) == 2.5)
        #expect(quantile([1, 2, 3, 4], 1) == 4)
    }

    @Test(arguments: [
        ("container_cpu_usage_seconds_total", Resource.cpu, true, nil as Double?),
        ("pod_cpu_usage_rate_percent", .cpu, false, 100),
        ("system.memory.utilization", .memory, false, 1),
        ("jvm_memory_used_bytes", .memory, false, nil),
        ("node_filesystem_used_ratio", .disk, false, 1),
        ("container_network_receive_bytes_total", .network, true, nil),
        ("diskUsagePercent", .disk, false, 100),
    ])
    func metricsOfResources(
        _ name: String, _ resource: Resource, _ isCounter: Bool, _ capacity: Double?
    ) throws {
        let kind = try #require(MetricKind(name: name))
        #expect(kind.resource == resource)
        #expect(kind.isCounter == isCounter)
        #expect(kind.capacity == capacity)
    }

    @Test(arguments: [
        "http_requests_total", "kube_pod_container_resource_limits_memory_bytes", "up",
        "http_request_duration_seconds_bucket", "node_memory_available_bytes", "",
    ])
    func otherMetrics(_ name: String) { #expect(MetricKind(name: name) == nil) }

    @Test func templatesKeepPlacesAndDropNumbers() {
        #expect(
            LineShape.template(
                "10:01:02.345 INFO a.b.Class#48 TraceID: 8f2f08a9 took 12ms for user 7")
                == "<*> INFO a.b.Class#48 TraceID: <*> took <*> for user <*>")
        #expect(LineShape.template("main.go:12: started") == "main.go:12: started")
        #expect(LineShape.template("") == "")
        #expect(LineShape.text(#"{"log":"hello\n","stream":"stdout"}"#) == "hello\n")
        #expect(LineShape.text(#"{"level":"info","msg":"hello"}"#) == "hello")
        #expect(LineShape.text("{not json") == "{not json")
    }

    @Test func literalsStandInTheirLines() {
        for line in [
            "10:01 INFO a.b.C#4 x", "a  b   c 12 d", "", "7", "ERROR:  x=1   y=2", "été 12 œuvre",
        ] {
            let literal = LineShape.literal(template: LineShape.template(line), text: line)
            #expect(line.contains(literal) || literal.isEmpty)
        }
    }
}
