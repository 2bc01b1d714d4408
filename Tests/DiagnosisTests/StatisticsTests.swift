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

    /// What was so before the window ranks lower and is no less certain.
    @Test func aChangeThatLasts() {
        let never = Share(hits: 0, total: 20), all = Share(hits: 20, total: 20)
        let new = Change(PerStretch([never, never, all], none: Share()), .more)
        let old = Change(PerStretch([never, all, all], none: Share()), .more)
        #expect(new.strength > old.strength)
        #expect(old.certainty > 0.5)
        #expect(new.certainty < new.strength)
        #expect(Change(PerStretch([never, never, all], none: Share()), .less).certainty == 0)
    }

    /// Spans of one trace are one observation.
    @Test func clusteredObservations() {
        let share = Share(hits: 30, total: 40)
        #expect(share.clustered(10, of: 40) == Share(hits: 8, total: 10))
        #expect(share.clustered(40, of: 40) == share)
        #expect(Share(hits: 1, total: 1).clustered(1, of: 100) == Share(hits: 1, total: 1))
        #expect(Share().clustered(0, of: 0) == Share())
        let never = Share(hits: 0, total: 40), all = Share(hits: 40, total: 40)
        let shares = PerStretch([never, Share(), all], none: Share())
        let worth = PerStretch(
            [never.clustered(5, of: 40), Share(), all.clustered(5, of: 40)], none: Share())
        #expect(
            Change(shares, worth: worth, .more).certainty < Change(shares, .more).certainty - 0.3)
    }

    @Test func messagesOfOneSort() {
        func sort(_ text: String) -> UInt64 {
            Array(text.utf8).withUnsafeBytes { bytes in
                LineShape.failure(bytes, seed: 1) { word in
                    ["cart", "stock"].contains(String(decoding: word, as: UTF8.self))
                }
            }
        }
        #expect(
            sort("no instance of [cart] after 3 tries")
                == sort("no instance of [stock]: after 14 tries"))
        #expect(sort("no instance of [cart]") != sort("no instance of [mail]"))
        #expect(sort("no instance of cart") != sort("no answer of cart"))
        #expect(sort("") == sort("cart 17"))
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
