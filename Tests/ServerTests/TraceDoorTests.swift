// SPDX-License-Identifier: Apache-2.0
// The ways in for spans besides OTLP, and the metrics made of spans, over HTTP.

import Base
import GRPCCore
import Ingest
import TestKit
import Testing
import Wire

@testable import Server

private let now = SystemClock().wallNanos
private let json = "application/json"

/// A span of Zipkin's in JSON.
private func zipkin(_ id: String, trace: String, extra: String = "") -> String {
    #"""
    {"traceId":"\#(trace)","id":"\#(id)","kind":"SERVER","name":"get /","timestamp":\#(now / 1000),
    "duration":2500,"localEndpoint":{"serviceName":"front"}\#(extra)}
    """#
}

@Suite struct TraceDoorTests {
    @Test func zipkinSpansInJSON() async throws {
        try await withServer { server in
            let body = "[" + zipkin("a1", trace: "463ac35c9f6413ad") + "]"
            for path in ["/api/v2/spans", "/zipkin/api/v2/spans"] {
                let reply = try await server.post(path, json, Array(body.utf8))
                #expect(reply.status == 202, "\(reply.text)")
                #expect(reply.text.isEmpty)
            }
            let trace = try await server.get("/api/traces/463ac35c9f6413ad")
            #expect(trace.status == 200 && trace.text.contains("front"), "\(trace.text)")

            let mixed = "[\(zipkin("b1", trace: "2")),{\"traceId\":\"x\",\"id\":\"1\"}]"
            let partly = try await server.post("/api/v2/spans", json, Array(mixed.utf8))
            #expect(partly.status == 202)
            #expect(partly.text.hasPrefix("1 of 2 spans not stored: 1 rejected: trace id"))
            let none = try await server.post(
                "/api/v2/spans", json, Array(#"[{"traceId":"x","id":"1"}]"#.utf8))
            #expect(none.status == 400)
            for bad in ["", "{", "[{]", "{}"] {
                let reply = try await server.post("/api/v2/spans", json, Array(bad.utf8))
                #expect(reply.status == 400, "\(bad): \(reply.text)")
            }
            let other = try await server.post("/api/v2/spans", "text/xml", Array(body.utf8))
            #expect(other.status == 415)
            let counters = server.startup.traceDoors[.zipkin]
            #expect(counters.spans == 3)
            #expect(counters.rejected == 2)
            let page = try await server.get("/metrics").text
            #expect(page.contains(#"tern_trace_door_spans_total{door="zipkin"} 3"#))
        }
    }

    @Test func zipkinSpansInProtobuf() async throws {
        try await withServer { server in
            var writer = ProtobufWriter()
            let span = writer.begin(1)
            writer.bytes(1, [UInt8](repeating: 7, count: 16))
            writer.bytes(3, [UInt8](repeating: 1, count: 8))
            writer.fixed64(6, UInt64(now / 1000))
            writer.end(span)
            let reply = try await server.post(
                "/api/v2/spans", "application/x-protobuf", writer.bytes)
            #expect(reply.status == 202, "\(reply.text)")
            let id = String(repeating: "07", count: 16)
            #expect(try await server.get("/api/traces/\(id)").status == 200)
        }
    }

    @Test func jaegerBatchesInThrift() async throws {
        try await withServer { server in
            // Batch { process { serviceName }, spans [ { ids, name, flags, start, duration } ] }
            func big<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
                stride(from: T.bitWidth - 8, through: 0, by: -8).map {
                    UInt8(truncatingIfNeeded: value >> T($0))
                }
            }
            func field(_ type: UInt8, _ id: Int16, _ value: [UInt8]) -> [UInt8] {
                [type] + big(id) + value
            }
            func text(_ text: String) -> [UInt8] { big(Int32(text.utf8.count)) + Array(text.utf8) }
            func long(_ id: Int16, _ value: Int64) -> [UInt8] { field(10, id, big(value)) }
            let span =
                long(1, 5) + long(2, 0) + long(3, 9) + long(4, 0) + field(11, 5, text("op"))
                + field(8, 7, big(Int32(1))) + long(8, now / 1000) + long(9, 7) + [0]
            let body =
                field(12, 1, field(11, 1, text("shop")) + [0])
                + field(15, 2, [12] + big(Int32(1)) + span) + [0]
            for (path, type) in [
                ("/api/traces?format=jaeger.thrift", "application/x-thrift"),
                ("/api/traces", "application/vnd.apache.thrift.binary"),
            ] {
                let reply = try await server.post(path, type, body)
                #expect(reply.status == 202, "\(reply.text)")
            }
            let trace = try await server.get("/api/traces/5")
            #expect(trace.text.contains("shop"), "\(trace.text)")
            let cut = try await server.post(
                "/api/traces", "application/x-thrift", Array(body.dropLast(4)))
            #expect(cut.status == 400)
            let format = try await server.post(
                "/api/traces?format=zipkin.thrift", "application/x-thrift", body)
            #expect(format.status == 400)
            #expect(try await server.post("/api/traces", json, body).status == 415)
        }
    }

    @Test func spansBecomeMetrics() async throws {
        try await withServer { server in
            let body = "[\(zipkin("a1", trace: "77")),\(zipkin("a2", trace: "77"))]"
            for _ in 0..<2 {
                // Sent again, as after a lost answer.
                _ = try await server.post("/api/v2/spans", json, Array(body.utf8))
            }
            await server.core.writeSpanMetrics(millis: SystemClock().wallNanos / 1_000_000) {
                Issue.record("\($0)")
            }
            let query = percentEncoded(
                #"traces_spanmetrics_calls_total{service="front",span_name="get /"}"#)
            let reply = try await server.get("/api/v1/query?query=" + query)
            #expect(reply.text.contains(#""span_kind":"SPAN_KIND_SERVER""#), "\(reply.text)")
            #expect(reply.text.contains(#""2"]"#), "\(reply.text)")
            let metadata = try await server.get(
                "/api/v1/metadata?metric=traces_spanmetrics_latency")
            #expect(metadata.text.contains("histogram"), "\(metadata.text)")
            let exemplars = try await server.get(
                "/api/v1/query_exemplars?query=traces_spanmetrics_latency_bucket&start="
                    + "\(now / 1_000_000_000 - 60)&end=\(now / 1_000_000_000 + 600)")
            #expect(
                exemplars.text.contains(#""trace_id":"00000000000000000000000000000077""#),
                "\(exemplars.text)")
            let page = try await server.get("/metrics").text
            #expect(page.contains("tern_span_metrics_spans_total 2"))
        }
    }

    @Test func otherOriginsMaySendWhereTheyAreListed() async throws {
        let origin = ("Origin", "https://shop.example")
        let asked = [
            origin, ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "content-type,content-encoding"),
        ]
        try await withServer { options in
            options.corsOrigin = try? RegularExpression(#"https://shop\.example"#)
        } _: { server in
            let reply = try await server.send("OPTIONS", "/v1/traces", headers: asked)
            #expect(reply.status == 204)
            #expect(reply.headers["access-control-allow-origin"] == "https://shop.example")
            let allowed = reply.headers["access-control-allow-headers"] ?? ""
            #expect(allowed.contains("Content-Type") && allowed.contains("Content-Encoding"))
            let sent = try await server.post(
                "/v1/traces", json, Array("{}".utf8), headers: [origin])
            #expect(sent.status == 200)
            #expect(sent.headers["access-control-allow-origin"] == "https://shop.example")
            let other = try await server.send(
                "OPTIONS", "/v1/traces", headers: [("Origin", "https://other.example")])
            #expect(other.headers["access-control-allow-origin"] == nil)
        }
        try await withServer { server in
            let reply = try await server.send("OPTIONS", "/v1/traces", headers: asked)
            #expect(reply.headers["access-control-allow-origin"] == nil)
        }
    }

    @Test func oneBadSpanIsAPartialSuccess() async throws {
        try await withServer { server in
            let good =
                #"{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"00000000000000a1","name":"x","#
                + #""startTimeUnixNano":"\#(now)","endTimeUnixNano":"\#(now)"}"#
            let bad = #"{"traceId":5}"#
            let body = #"{"resourceSpans":[{"scopeSpans":[{"spans":[\#(bad),\#(good)]}]}]}"#
            let reply = try await server.post("/v1/traces", json, Array(body.utf8))
            #expect(reply.status == 200)
            #expect(
                reply.text
                    == #"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"1 rejected: span cannot be read"}}"#
            )
        }
    }

    @Test func exportersAreToldWhenToComeAgain() throws {
        let error = APIError(.tooManyRequests, "busy", retryAfterSeconds: 3).rpcError
        #expect(error.code == .unavailable)
        let details = try #require(
            error.metadata[binaryValues: "grpc-status-details-bin"].first { _ in true })
        // google.rpc.Status with an Any of google.rpc.RetryInfo, whose delay is 3 s.
        let expected: [UInt8] =
            [0x08, 14, 0x12, 4] + Array("busy".utf8) + [0x1a, 0x30, 0x0a, 0x28]
            + Array("type.googleapis.com/google.rpc.RetryInfo".utf8) + [0x12, 4, 0x0a, 2, 0x08, 3]
        #expect(details == expected)
        #expect(APIError(.badData, "no").rpcError.metadata.isEmpty)
        #expect(APIError(.tooLarge, "no").rpcError.code == .resourceExhausted)
    }
}

@Suite struct SpanMetricsConfigurationTests {
    private func parse(_ text: String) throws -> SpanMetricsSettings {
        try Configuration.parse("span_metrics:\n" + text).spanMetrics
    }

    @Test func sectionIsRead() throws {
        let settings = try parse(
            """
              interval: 30s
              exemplar_label: traceID
              histograms: both
              stale_after: 1h
              max_series: 5000
              spans:
                histogram_buckets: [0.1, 1]
                dimensions: [http.method]
                dimension_mappings:
                  - name: where
                    source_labels: [zone, host]
                    join: /
                intrinsic_dimensions:
                  status_message: true
                  span_kind: false
                enable_target_info: true
                subprocessors: [Latency, Count]
              service_graphs:
                wait: 20s
                max_items: 7
                dimensions: [zone]
                enable_client_server_prefix: true

            """)
        #expect(settings.intervalSeconds == 30)
        #expect(settings.exemplarLabel == "traceID")
        #expect(settings.histograms == .both)
        #expect(settings.maxSeries == 5000)
        #expect(settings.spans.buckets == [0.1, 1])
        #expect(settings.spans.mappings.map(\.sources) == [["zone", "host"]])
        #expect(settings.spans.hasStatusMessage && !settings.spans.hasSpanKind)
        #expect(settings.spans.hasTargetInfo && !settings.spans.hasSize)
        #expect(settings.graph.waitSeconds == 20)
        #expect(settings.graph.hasSidePrefix)
        #expect(try !parse("  enabled: false\n").isEnabled)
        #expect(try Configuration.parse("").spanMetrics == SpanMetricsSettings())
    }

    @Test(
        arguments: [
            ("  interval: 0s\n", "between 1s and 1h"), ("  histograms: odd\n", "classic, native"),
            ("  exemplar_label: a-b\n", "no name of a label"),
            ("  spans:\n    histogram_buckets: [2, 1]\n", "must ascend"),
            ("  spans:\n    dimensions: [a.b, a_b]\n", "several dimensions make the label a_b"),
            ("  spans:\n    subprocessors: [Odd]\n", "none of Latency, Count, Size"),
            ("  spans:\n    histogram_buckets: [x]\n", "list of numbers"),
            ("  service_graphs:\n    wait: 2h\n", "at most 1h"),
            ("  odd: 1\n", "odd"),
        ])
    func faultsAreNamed(_ text: String, _ reason: String) {
        #expect {
            _ = try parse(text)
        } throws: { "\($0)".contains(reason) }
    }
}
