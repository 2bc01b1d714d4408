// SPDX-License-Identifier: Apache-2.0
// Trace ids in lines and metadata.

import Base
import Telemetry
import Testing

@testable import Wire

private let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
private let span = "00f067aa0ba902b7"

private func inLine(_ line: String) -> TraceContext? {
    Array(line.utf8).withUnsafeBytes { TraceContextScan.context(inLine: $0) }
}
private func inLabels(_ pairs: [(name: String, value: String)]) -> TraceContext? {
    Labels(pairs).bytes.withUnsafeBytes { TraceContextScan.context(inLabels: $0) }
}
private func context(_ trace: String, _ span: String? = nil) -> TraceContext? {
    TraceID(hex: trace).map {
        TraceContext(traceID: $0, spanID: span.flatMap { SpanID(hex: $0) } ?? .zero)
    }
}

@Test func linesWithTraceIDs() {
    let both = context(trace, span), one = context(trace)
    let cases: [(String, TraceContext?)] = [
        (#"{"msg":"x","trace_id":"\#(trace)","span_id":"\#(span)"}"#, both),
        (#"{"ctx":{"traceId": "\#(trace)", "spanId" : "\#(span)"}}"#, both),
        (#"{"span_id":"\#(span)","TraceID":"\#(trace)"}"#, both),
        (#"{"otelTraceID":"\#(trace)","otelSpanID":"\#(span)"}"#, both),
        (#"{"trace.id":"\#(trace)","span.id":"\#(span)"}"#, both),
        (#"{"X-B3-TraceId":"\#(trace)","X-B3-SpanId":"\#(span)"}"#, both),
        (#"{"msg":"{\"trace_id\":\"\#(trace)\"}"}"#, one),
        ("level=info trace_id=\(trace) span_id=\(span) msg=x", both),
        ("trace_id:\(trace)\tspan_id:\(span)", both), ("TRACE_ID=\(trace.uppercased())", one),
        ("INFO u.c.UserController#48 TraceID: \(trace) SpanID: \(span) ok", both),
        (#"<34>1 - host app - - [opentelemetry trace_id="\#(trace)"] x"#, one),
        ("traceparent: 00-\(trace)-\(span)-01", both),
        (#""traceparent":"00-\#(trace)-\#(span)-01""#, both),
        (#"{"logging.googleapis.com/trace":"projects/my-app/traces/\#(trace)"}"#, one),
        ("trace=\(trace)", one), ("in trace \(trace)", one), ("[trace: \(trace)]", one),
        ("level=trace stack trace trace_id=\(trace)", one),
        ("trace_id=4bf92f35-77b3-4da6-a3ce-929d0e0e4736", one),
        ("dd.trace_id=1234567890123456789 dd.span_id=16", context("112210f47de98115", "10")),
        (#""dd.trace_id":"\#(trace)""#, one),
        ("trace_id=a3ce929d0e0e4736", context("a3ce929d0e0e4736")),
        ("trace_id=\(trace) parent_span_id=\(span)", one),
        ("trace_id=\(trace) parentSpanId=1111111111111111 spanId=\(span)", both),
        // No ids.
        ("", nil), ("trace", nil), ("race", nil), ("trace_id=", nil), ("trace_id", nil),
        ("trace_id=null", nil), ("trace_id=00000000000000000000000000000000", nil),
        ("id=4bf92f35-77b3-4da6-a3ce-929d0e0e4736", nil), ("trace_id=\(trace)0", nil),
        ("trace_id=\(trace)g", nil), ("trace \(trace.prefix(16))", nil), ("brace \(trace)", nil),
        ("trace 4bf92f35-77b3-4da6-a3ce-929d0e0e4736", nil), ("span_id=\(span)", nil),
        ("traceparent: ff-\(trace)-\(span)-01", nil), ("traceparent: 00-\(trace)", nil),
        ("trace\(trace)", nil), ("grace=\(trace)", nil), ("trace_id=12345", nil),
        ("x trace_id=zzzz92f3577b34da6a3ce929d0e0e473", nil), ("TRACE", nil),
        ("trace_id=4bf9", nil),
    ]
    for (line, expected) in cases { #expect(inLine(line) == expected, "\(line)") }
}

@Test func metadataWithTraceIDs() {
    let both = context(trace, span), one = context(trace)
    #expect(inLabels([("trace_id", trace), ("span_id", span)]) == both)
    #expect(inLabels([("traceID", trace.uppercased())]) == one)
    #expect(inLabels([("traceparent", "00-\(trace)-\(span)-01")]) == both)
    #expect(inLabels([("logging_googleapis_com_trace", "projects/x/traces/\(trace)")]) == one)
    #expect(inLabels([("dd_trace_id", "16"), ("dd_span_id", "17")]) == context("10", "11"))
    #expect(inLabels([("trace_id", "4bf92f35-77b3-4da6-a3ce-929d0e0e4736")]) == one)
    #expect(inLabels([("trace_id", "\(trace) ")]) == nil)
    #expect(inLabels([("trace_id", "none"), ("span_id", span)]) == nil)
    #expect(inLabels([("trace_flags", "01"), ("request", trace)]) == nil)
    #expect(inLabels([]) == nil)
}

@Test func damagedLinesNeverCrash() {
    let line =
        #"{"trace_id":"\#(trace)","span_id":"\#(span)","level":"error"} traceparent: 00-\#(trace)-\#(span)-01 dd.trace_id=12 trace=4bf92f35-77b3-4da6-a3ce-929d0e0e4736"#
    var found = 0
    mutate(Array(line.utf8), rounds: 5000) { bytes in
        bytes.withUnsafeBytes { raw in
            if TraceContextScan.context(inLine: raw) != nil { found += 1 }
            _ = LevelDetection().level(ofLine: raw)
            _ = TraceContextScan.context(inLabels: raw)
            _ = ServiceName.discover(raw)
        }
    }
    #expect(found > 1000)
}
