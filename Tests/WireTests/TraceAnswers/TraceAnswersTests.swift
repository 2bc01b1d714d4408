// SPDX-License-Identifier: Apache-2.0
// Answers of trace APIs.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

private func json(_ bytes: [UInt8]) throws -> JSONValue { try JSONValue(parsing: bytes) }

@Test func otlpJSONSurvivesTheRoundTrip() throws {
    let batch = try decodeTraceJSON(fullTraceJSON).batch
    let text = String(decoding: try TraceAnswers.otlpJSON(batch), as: UTF8.self)
    #expect(try describe(decodeTraceJSON(text).batch) == describe(batch))
}

@Test func tempoProtobufIsATraceInAnEnvelope() throws {
    let batch = try decodeTraceJSON(fullTraceJSON).batch
    let trace = try TraceAnswers.tempoTrace(batch)
    #expect(try describe(decodeTraceProtobuf(trace).batch) == describe(batch))
    func fields(_ bytes: [UInt8]) throws -> [UInt32: [UInt8]] {
        try bytes.withUnsafeBytes { raw in
            var reader = ProtobufReader(raw)
            var found: [UInt32: [UInt8]] = [:]
            while try reader.next() {
                found[reader.field] =
                    reader.wireType == 2
                    ? Array(try reader.bytes()) : [UInt8(clamping: try reader.uint64())]
            }
            return found
        }
    }
    #expect(try fields(TraceAnswers.tempoTraceByID(batch)) == [1: trace])
    #expect(
        try fields(TraceAnswers.tempoTraceByID(batch, .partial("too late")))
            == [1: trace, 3: [1], 4: Array("too late".utf8)])
    #expect(try TraceAnswers.tempoTraceByID(SpanBatch()) == [0x0a, 0])
}

@Test func tempoJSONHasBase64IDsAndEnumNames() throws {
    let batch = try decodeTraceJSON(
        #"""
        {"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a"}}]},
        "scopeSpans":[{"scope":{"name":"s"},"spans":[{"traceId":"000102030405060708090a0b0c0d0e0f",
        "spanId":"1011121314151617","parentSpanId":"1011121314151618","name":"n","kind":3,
        "startTimeUnixNano":"1","endTimeUnixNano":"2","attributes":[{"key":"i","value":{"intValue":"7"}},
        {"key":"d","value":{"doubleValue":0.00001}}],"status":{"code":2}}]}]}]}
        """#
    ).batch
    let span =
        #"{"traceId":"AAECAwQFBgcICQoLDA0ODw==","spanId":"EBESExQVFhc=","#
        + #""parentSpanId":"EBESExQVFhg=","name":"n","kind":"SPAN_KIND_CLIENT","#
        + #""startTimeUnixNano":"1","endTimeUnixNano":"2","attributes":[{"key":"i","value":"#
        + #"{"intValue":"7"}},{"key":"d","value":{"doubleValue":0.00001}}],"#
        + #""status":{"code":"STATUS_CODE_ERROR"}}"#
    let list =
        #"[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a"}}]},"#
        + #""scopeSpans":[{"scope":{"name":"s"},"spans":[\#(span)]}]}]"#
    #expect(
        String(decoding: try TraceAnswers.tempoTraceJSON(batch), as: UTF8.self)
            == #"{"batches":\#(list)}"#)
    #expect(
        String(decoding: try TraceAnswers.tempoTraceByIDJSON(batch), as: UTF8.self)
            == #"{"trace":{"resourceSpans":\#(list)},"status":"COMPLETE"}"#)
    #expect(
        String(decoding: try TraceAnswers.tempoTraceByIDJSON(batch, .partial("x")), as: UTF8.self)
            == #"{"trace":{"resourceSpans":\#(list)},"status":"PARTIAL","message":"x"}"#)
}

@Test func jaegerJSONOfThePublicPair() throws {
    guard let input = Corpora.file("traceql/jaeger/otlp2jaeger-in.json"),
        let output = Corpora.file("traceql/jaeger/otlp2jaeger-out.json")
    else { return }
    let batch = try input.withUnsafeBytes { try OTLPTraces.decodeJSON($0).batch }
    #expect(try json(TraceAnswers.jaegerTraces(batch)).sorted == json(output).sorted)
}

@Test func jaegerJSONTellsEverything() throws {
    let answer = try json(TraceAnswers.jaegerTraces(decodeTraceJSON(fullTraceJSON).batch))
    let trace = try #require(answer["data"].items.first)
    #expect(trace["traceID"].text == "5b8efff798038103d269b633813fc60c")
    let span = try #require(trace["spans"].items.first)
    let tags = span["tags"].items.map {
        "\($0["key"].text) \($0["type"].text) \($0["value"].text)"
    }
    #expect(
        tags == [
            "otel.library.name string lib", "otel.library.version string 1.2", "s string a\"b",
            "i int64 -5", "d float64 1.5", "b bool true", "raw binary AAEC/w==", "none string ",
            #"list string [1,"x",null]"#, #"map string {"k":"NaN"}"#, "span.kind string server",
            "otel.status_code string ERROR", "error bool true",
            "otel.status_description string bad",
            "w3c.tracestate string ot=th:8",
        ])
    #expect(span["references"].items.map { $0["refType"].text } == ["FOLLOWS_FROM"])
    #expect(span["startTime"].text == "1544712660000000")
    #expect(span["duration"].text == "1000000")
    #expect(span["logs"].items.first?["timestamp"].text == "1544712660500000")
    #expect(
        span["logs"].items.first?["fields"].items.map { $0["key"].text }
            == ["event", "exception.type"])
    #expect(
        trace["spans"].items.last?["references"].items.first?["refType"].text == "CHILD_OF"
    )
    let process = trace["processes"]["p1"]
    #expect(process["serviceName"].text == "shop")
    #expect(
        process["tags"].items.map { $0["key"].text }
            == ["service.namespace", "service.instance.id"])
}

@Test func jaegerTracesAreToldApart() throws {
    func span(_ trace: Int, _ span: Int) -> String {
        let id = String(repeating: "0", count: 31) + "\(trace)"
        return #"{"traceId":"\#(id)","spanId":"000000000000000\#(span)","name":"x"}"#
    }
    let batch = try decodeTraceJSON(
        #"{"resourceSpans":[{"scopeSpans":[{"spans":[\#(span(1, 1)),\#(span(2, 2))]}]},"#
            + #"{"scopeSpans":[{"spans":[\#(span(1, 3))]}]}]}"#
    ).batch
    let data = try json(TraceAnswers.jaegerTraces(batch))["data"].items
    #expect(data.map { $0["spans"].items.count } == [2, 1])
    // Resources without attributes are one process.
    #expect(data.first?["processes"].members.map(\.name) == ["p1"])
    #expect(
        data.first?["processes"]["p1"]["serviceName"].text == "OTLPResourceNoServiceName")
}

@Test func publicTracesAreAccepted() throws {
    var files = Corpora.names(under: "traceql/servicegraph").filter { $0.hasPrefix("trace-") }
        .map { "traceql/servicegraph/\($0)" }
    if Corpora.folder != nil { files.append("api/opentelemetry/examples/trace.json") }
    for name in files {
        let file = try #require(Corpora.file(name))
        let decoded = try file.withUnsafeBytes { try OTLPTraces.decodeJSON($0) }
        #expect(decoded.batch.rowCount > 0, "\(name)")
        #expect(decoded.rejected.count == 0, "\(name)")
        let again = try decodeTraceProtobuf(OTLPTraces.encode(decoded.batch)).batch
        #expect(try describe(again) == describe(decoded.batch), "\(name)")
        #expect(throws: Never.self) { try json(TraceAnswers.jaegerTraces(decoded.batch)) }
        #expect(throws: Never.self) { try json(TraceAnswers.tempoTraceJSON(decoded.batch)) }
    }
}
