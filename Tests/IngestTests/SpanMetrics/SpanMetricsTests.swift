// SPDX-License-Identifier: Apache-2.0
// Metrics of spans: labels, buckets, weights, exemplars, starts, limits.

import Base
import Ingest
import Telemetry
import TestKit
import Testing
import Wire

/// One request with spans of one service.
private func request(_ service: String, _ spans: [String], resource: String = "") -> String {
    #"""
    {"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":
    "\#(service)"}}\#(resource)]},"scopeSpans":[{"spans":[\#(spans.joined(separator: ","))]}]}]}
    """#
}

private func span(
    _ id: Int, parent: Int = 0, kind: Int = 2, name: String = "op", millis: Int = 3,
    trace: String = "5b8efff798038103d269b633813fc60c", status: Int = 0, state: String = "",
    start: Int64 = 1_800_000_000_000_000_000, attributes: [(String, String)] = []
) -> String {
    func hex(_ number: Int) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
    let list = attributes.map { #"{"key":"\#($0.0)","value":\#($0.1)}"# }.joined(separator: ",")
    return #"""
        {"traceId":"\#(trace)","spanId":"\#(hex(id))","parentSpanId":
        "\#(parent == 0 ? "" : hex(parent))","kind":\#(kind),"name":"\#(name)","traceState":
        "\#(state)","startTimeUnixNano":"\#(start)","endTimeUnixNano":
        "\#(start + Int64(millis) * 1_000_000)","status":{"code":\#(status)},
        "attributes":[\#(list)]}
        """#
}

private func text(_ value: String) -> String { #"{"stringValue":"\#(value)"}"# }

private let op = [
    "service": "shop", "span_name": "op", "span_kind": "SPAN_KIND_SERVER",
    "status_code": "STATUS_CODE_UNSET",
]

@Test func spansAreCountedWithTemposNames() throws {
    let counted = CountedSpans()
    let json = request(
        "shop", [span(1), span(2, millis: 5), span(3, kind: 1, status: 2), span(4, millis: -7)])
    try counted.take(json)
    let written = counted.collect()
    #expect(written.value("traces_spanmetrics_calls_total", op) == 3)
    var failed = op
    failed["span_kind"] = "SPAN_KIND_INTERNAL"
    failed["status_code"] = "STATUS_CODE_ERROR"
    #expect(written.value("traces_spanmetrics_calls_total", failed) == 1)
    let bounds = [
        "0.002", "0.004", "0.008", "0.016", "0.032", "0.064", "0.128", "0.256", "0.512", "1.024",
        "2.048", "4.096", "8.192", "16.384", "+Inf",
    ]
    let buckets = bounds.map {
        written.value("traces_spanmetrics_latency_bucket", op.merging(["le": $0]) { _, new in new })
    }
    #expect(buckets == [1, 2] + [Double?](repeating: 3, count: 13))
    #expect(written.value("traces_spanmetrics_latency_count", op) == 3)
    let sum = try #require(written.value("traces_spanmetrics_latency_sum", op))
    #expect(abs(sum - 0.008) < 1e-12)
    #expect(written.families["traces_spanmetrics_latency"] == .histogram)
    #expect(written.families["traces_spanmetrics_calls_total"] == .counter)
    // As large as the message that would carry the span.
    let batch = try counted.decode(Array(json.utf8))
    let size = [0, 1, 3].map { OTLPTraces.protobufSize(of: $0, in: batch) }.reduce(0, +)
    #expect(written.value("traces_spanmetrics_size_total", op) == Double(size))
    #expect(written.sets("traces_target_info").isEmpty)
}

@Test func countersBeginWithZeroAndTheirStart() throws {
    let counted = CountedSpans { $0.graph.isEnabled = false }
    let begin = counted.clock.wallNanos / 1_000_000
    counted.clock.advance(seconds: 15)
    try counted.take(request("shop", [span(1)]))
    let first = counted.collect()
    let labels = first.labels("traces_spanmetrics_calls_total", op)
    #expect(
        first.samples[labels] == [
            WrittenSamples.Sample(millis: begin, value: 0, startMillis: begin),
            WrittenSamples.Sample(millis: begin + 15_000, value: 1, startMillis: begin),
        ])
    #expect(first.exemplars.count == 1)
    let bucket = first.labels(
        "traces_spanmetrics_latency_bucket", op.merging(["le": "0.004"]) { _, new in new })
    #expect(
        first.exemplars[bucket] == [
            WrittenSamples.Exemplar(
                labels: Labels([("trace_id", "5b8efff798038103d269b633813fc60c")]), value: 0.003,
                millis: begin + 15_000)
        ])
    counted.clock.advance(seconds: 15)
    let second = counted.collect()
    #expect(
        second.samples[labels] == [
            WrittenSamples.Sample(millis: begin + 30_000, value: 1, startMillis: begin)
        ])
    #expect(second.exemplars.isEmpty)
    #expect(second.families.isEmpty)
}

@Test func whatCouldNotBeStoredBeginsAgain() throws {
    let counted = CountedSpans()
    try counted.take(request("shop", [span(1)]))
    counted.clock.advance(seconds: 15)
    for output in counted.collect().outputs { counted.metrics.unwrite(output) }
    let begin = counted.clock.wallNanos / 1_000_000
    counted.clock.advance(seconds: 15)
    let written = counted.collect()
    let samples = written.samples[written.labels("traces_spanmetrics_calls_total", op)]
    #expect(samples?.map(\.value) == [0, 1])
    #expect(samples?.map(\.millis) == [begin, begin + 15_000])
    #expect(written.families["traces_spanmetrics_calls_total"] == .counter)
}

@Test func idleSeriesEnd() throws {
    let counted = CountedSpans { settings in
        settings.staleSeconds = 60
        settings.graph.isEnabled = false
    }
    try counted.take(request("shop", [span(1)]))
    counted.clock.advance(seconds: 15)
    #expect(!counted.collect().samples.isEmpty)
    counted.clock.advance(seconds: 61)
    let ended = counted.collect()
    #expect(ended.samples.values.allSatisfy { $0.count == 1 && StaleMarker.isStale($0[0].value) })
    #expect(ended.samples.count == 19)
    #expect(counted.metrics.counts.series == 0)
    counted.clock.advance(seconds: 15)
    #expect(counted.collect().outputs.isEmpty)
}

@Test func sampledSpansCountForThoseTheyStandFor() throws {
    let counted = CountedSpans()
    try counted.take(
        request(
            "shop",
            [
                span(1, state: "ot=th:c"), span(2, state: "x=y, ot=rv:1;th:8"),
                span(3, state: "ot=th:zz"), span(4, state: "ot=th:0"),
            ]))
    let written = counted.collect()
    let calls = try #require(written.value("traces_spanmetrics_calls_total", op))
    #expect(calls == 8)
    #expect(written.value("traces_spanmetrics_latency_count", op) == 8)
    func weight(_ state: String) -> Double {
        Array(state.utf8).withUnsafeBytes { SpanWeight.of(traceState: $0) }
    }
    #expect(weight("ot=th:ffffffffffffff") == 0x1p56)
    #expect(weight("ot=th:fffffffffffffff") == 1)
    #expect(weight("ot=th:") == 1)
    #expect(weight("not=th:8") == 1)
    #expect(weight("") == 1)
    #expect(weight("a=b,ot=p:8;th:e ,c=d") == 8)
}

@Test func attributesBecomeLabels() throws {
    let counted = CountedSpans { settings in
        settings.spans.dimensions = ["http.method", "service", "1st", "absent"]
        settings.spans.mappings = [
            SpanMetricsSettings.Mapping(name: "where", sources: ["zone", "none", "n"], join: "/")
        ]
        settings.spans.hasTargetInfo = true
        settings.spans.hasStatusMessage = true
        settings.exemplarLabel = "traceID"
        settings.spans.hasSize = false
    }
    let resource = #"""
        ,{"key":"service.namespace","value":{"stringValue":"prod"}},{"key":"service.instance.id",
        "value":{"stringValue":"i-1"}},{"key":"zone","value":{"stringValue":"eu"}},{"key":"job",
        "value":{"intValue":7}}
        """#
    try counted.take(
        request(
            "shop",
            [
                span(
                    1,
                    attributes: [
                        ("http.method", text("GET")), ("service", text("mine")),
                        ("1st", #"{"boolValue":true}"#), ("n", #"{"intValue":"5"}"#),
                        ("zone", text("span's own")),
                    ])
            ], resource: resource))
    let written = counted.collect()
    let labels = op.merging([
        "http_method": "GET", "__service": "mine", "_1st": "true", "where": "eu/5",
        "job": "prod/shop", "instance": "i-1",
    ]) { _, new in new }
    #expect(written.value("traces_spanmetrics_calls_total", labels) == 1)
    #expect(written.sets("traces_spanmetrics_size_total").isEmpty)
    #expect(
        written.value(
            "traces_target_info",
            ["zone": "eu", "__job": "7", "job": "prod/shop", "instance": "i-1"]) == 1)
    #expect(written.exemplars.values.first?.first?.labels["traceID"] != nil)
}

@Test func seriesAboveTheLimitAreCountedTogether() throws {
    // Room for two sets of labels.
    let counted = CountedSpans { settings in
        settings.maxSeries = 40
        settings.graph.isEnabled = false
    }
    try counted.take(request("shop", (1...9).map { span($0, name: "op \($0)") }))
    let written = counted.collect()
    #expect(written.sets("traces_spanmetrics_calls_total").count == 3)
    #expect(
        written.value("traces_spanmetrics_calls_total", ["metric_overflow": "true"]) == 7)
    #expect(counted.metrics.counts.overflowed == 7)
}

@Test func nativeHistogramsAreWrittenWhereTheyAreWanted() throws {
    let counted = CountedSpans { $0.histograms = .both }
    try counted.take(request("shop", [span(1), span(2)]))
    let written = counted.collect()
    let native = try #require(
        written.histograms[written.labels("traces_spanmetrics_latency", op)])
    #expect(native.map(\.count) == [0, 2])
    #expect(native.last?.schema == 3)
    #expect(written.value("traces_spanmetrics_latency_count", op) == 2)
    let alone = CountedSpans { $0.histograms = .native }
    try alone.take(request("shop", [span(1)]))
    let natively = alone.collect()
    #expect(natively.sets("traces_spanmetrics_latency_count").isEmpty)
    #expect(natively.histograms.count == 1)
    #expect(natively.exemplars.count == 1)
}

@Test func tenantsAreCountedApart() throws {
    let counted = CountedSpans()
    let batch = try counted.decode(Array(request("shop", [span(1)]).utf8))
    counted.take(batch, tenant: Tenant("b"))
    counted.take(batch, tenant: Tenant("a"))
    #expect(counted.collect().outputs.map(\.tenant.name) == ["a", "b"])
}

// MARK: edges

@Test func sidesOfACallMeetInAnyOrder() throws {
    for isServerFirst in [false, true] {
        let counted = CountedSpans { $0.graph.dimensions = ["zone"] }
        let client = request(
            "front", [span(1, kind: 3, millis: 9, attributes: [("zone", text("a"))])])
        let server = request(
            "back",
            [span(2, parent: 1, millis: 4, status: 2, attributes: [("zone", text("b"))])])
        for json in isServerFirst ? [server, client] : [client, server] {
            try counted.take(json)
            counted.clock.advance(seconds: 4)
        }
        let written = counted.collect()
        let edge = ["client": "front", "server": "back", "zone": "b"]
        #expect(written.value("traces_service_graph_request_total", edge) == 1)
        #expect(written.value("traces_service_graph_request_failed_total", edge) == 1)
        #expect(
            written.value("traces_service_graph_request_client_seconds_sum", edge) == 0.009)
        #expect(
            written.value("traces_service_graph_request_server_seconds_sum", edge) == 0.004)
        #expect(counted.metrics.counts.pairedEdges == 1)
        #expect(counted.metrics.counts.waitingEdges == 0)
    }
}

@Test func zipkinsSharedSpansMeet() throws {
    for isServerFirst in [false, true] {
        let counted = CountedSpans()
        let client = request("front", [span(1, parent: 7, kind: 3)])
        let server = request(
            "back",
            [span(1, parent: 7, attributes: [("zipkin.shared", #"{"boolValue":true}"#)])])
        for json in isServerFirst ? [server, client] : [client, server] { try counted.take(json) }
        #expect(
            counted.collect().value(
                "traces_service_graph_request_total", ["client": "front", "server": "back"]) == 1)
    }
}

@Test func sharedSpansThatDoNotSaySoMeetToo() throws {
    let counted = CountedSpans()
    for (parent, sides) in [(0, ["back", "front"]), (7, ["front", "back"])] {
        for side in sides {
            let kind = side == "front" ? 3 : 2
            try counted.take(
                request(side, [span(parent + 1, parent: parent, kind: kind)]))
        }
    }
    #expect(
        counted.collect().value(
            "traces_service_graph_request_total", ["client": "front", "server": "back"]) == 2)
}

@Test func edgesThatWaitAreBounded() throws {
    let counted = CountedSpans { $0.graph.maxWaiting = 2 }
    try counted.take(request("front", (1...5).map { span($0, kind: 3) }))
    #expect(counted.metrics.counts.droppedEdges == 3)
    #expect(counted.metrics.counts.waitingEdges == 2)
    counted.clock.advance(seconds: 11)
    #expect(counted.collect().sets("traces_service_graph_request_total").isEmpty)
    #expect(counted.metrics.counts.waitingEdges == 0)
    #expect(counted.metrics.counts.expiredEdges == 2)
}

@Test func timeInAQueueIsItsOwn() throws {
    let counted = CountedSpans { settings in
        settings.graph.hasMessagingLatency = true
        settings.graph.hasVirtualNodeLabel = true
    }
    let start: Int64 = 1_800_000_000_000_000_000
    try counted.take(request("front", [span(1, kind: 4, millis: 10, start: start)]))
    try counted.take(
        request("back", [span(2, parent: 1, kind: 5, start: start + 250_000_000)]))
    try counted.take(request("front", [span(9, kind: 5), span(8, kind: 5)]))
    counted.clock.advance(seconds: 11)
    let written = counted.collect()
    let edge = ["client": "front", "server": "back", "connection_type": "messaging_system"]
    #expect(
        written.value("traces_service_graph_request_messaging_system_seconds_sum", edge) == 0.24)
    // Two roots of one trace are two edges.
    #expect(
        written.value(
            "traces_service_graph_request_total",
            [
                "client": "user", "server": "front", "connection_type": "virtual_node",
                "virtual_node": "client",
            ]) == 2)
}

@Test func otherSettingsBeginAnew() throws {
    let counted = CountedSpans()
    try counted.take(request("shop", [span(1)]))
    var settings = counted.metrics.settings
    settings.spans.isEnabled = false
    settings.graph.isEnabled = false
    counted.metrics.set(settings)
    try counted.take(request("shop", [span(2)]))
    #expect(counted.collect().outputs.isEmpty)
    #expect(counted.metrics.counts.series == 0)
}
