// SPDX-License-Identifier: Apache-2.0
// Data that all tests of this target write and look for.

import Base
import TestKit
import Testing
import Wire

let traceID = "0af7651916cd43dd8448eb211c80319c"

/// Writes a sample, a line that names a trace, and that trace's two spans.
func writeAllSignals(_ server: ServerProcess) async throws {
    let nanos = SystemClock().wallNanos
    var metrics = ProtobufWriter()
    metrics.message(1) { series in
        for (name, value) in [("__name__", "shop_orders_total"), ("job", "shop")] {
            series.message(1) {
                $0.string(1, name)
                $0.string(2, value)
            }
        }
        series.message(2) {
            $0.double(1, 42)
            $0.int64(2, nanos / 1_000_000)
        }
    }
    let write = try await server.post(
        "/api/v1/write", "application/x-protobuf", Snappy.compress(metrics.bytes))
    #expect(write.status == 204, "\(write.text)")

    let line = "order failed trace_id=\(traceID)"
    let push = try await server.post(
        "/loki/api/v1/push", "application/json",
        Array(
            """
            {"streams":[{"stream":{"service_name":"shop"},"values":[["\(nanos)","\(line)"]]}]}
            """.utf8))
    #expect(push.status == 204, "\(push.text)")

    func span(_ id: String, _ parent: String, _ name: String, _ code: Int) -> String {
        """
        {"traceId":"\(traceID)","spanId":"\(id)","parentSpanId":"\(parent)","name":"\(name)",\
        "kind":2,"startTimeUnixNano":"\(nanos)","endTimeUnixNano":"\(nanos + 5_000_000)",\
        "status":{"code":\(code)}}
        """
    }
    let service = #"{"key":"service.name","value":{"stringValue":"shop"}}"#
    let spans =
        span("b7ad6b7169203331", "", "POST /order", 0) + ","
        + span("b7ad6b7169203332", "b7ad6b7169203331", "charge", 2)
    let traces = try await server.post(
        "/v1/traces", "application/json",
        Array(
            """
            {"resourceSpans":[{"resource":{"attributes":[\(service)]},\
            "scopeSpans":[{"spans":[\(spans)]}]}]}
            """.utf8), port: server.otlpPort)
    #expect(traces.status == 200, "\(traces.text)")
}

/// Everything that `writeAllSignals` wrote is there, and each signal leads to the others.
func expectAllSignals(_ server: ServerProcess) async throws {
    let reads = [
        ("/api/v1/query?query=last_over_time(shop_orders_total%5B1h%5D)", "\"42\""),
        (
            "/loki/api/v1/query_range?query=" + percentEncoded("{service_name=\"shop\"}"),
            "order failed"
        ),
        ("/api/search?q=" + percentEncoded("{ status = error }"), traceID),
        ("/api/traces/\(traceID)", "POST /order"),
        ("/api/v1/correlate/trace/\(traceID)", "order failed"),
        ("/api/v1/correlate/services", "shop"),
    ]
    for (target, text) in reads {
        let reply = try await server.get(target)
        #expect(reply.status == 200, "\(target)")
        #expect(reply.text.contains(text), "\(target): \(reply.text.prefix(500))")
    }
}
