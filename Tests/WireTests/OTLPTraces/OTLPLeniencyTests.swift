// SPDX-License-Identifier: Apache-2.0
// OTLP spans of every odd form: what is good beside them stays.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

private let trace = "5b8efff798038103d269b633813fc60c"

/// A span with a value of ours in one of its fields.
private func span(_ id: Int, _ changes: [String: String] = [:]) -> String {
    var members = [
        "traceId": "\"\(trace)\"", "spanId": "\"000000000000000\(id)\"", "name": "\"n\"",
        "kind": "2", "startTimeUnixNano": "\"1544712660000000000\"",
        "endTimeUnixNano": "1544712661000000000", "traceState": "\"\"", "flags": "1",
        "parentSpanId": "\"\"", "attributes": #"[{"key":"k","value":{"intValue":"5"}}]"#,
        "events": #"[{"timeUnixNano":"5","name":"e"}]"#,
        "links": #"[{"traceId":"\#(trace)","spanId":"0000000000000001"}]"#,
        "status": #"{"code":1}"#, "droppedAttributesCount": "0",
    ]
    for (name, value) in changes { members[name] = value }
    let texts = members.sorted { $0.key < $1.key }.map { "\"\($0)\":\($1)" }
    return "{" + texts.joined(separator: ",") + "}"
}

private func request(_ spans: [String]) -> String {
    #"{"resourceSpans":[{"scopeSpans":[{"spans":[\#(spans.joined(separator: ","))]}]}]}"#
}

@Test func anyFieldMayBeOfAnyFormAndCostsOneSpanAtMost() throws {
    let forms = [
        "null", "true", "-1", "5", "1.5", "1e30", "1e400", "\"x\"", "\"\"", "\"\\u00e9\"", "[]",
        "[5]", "[[]]", "[null]", "{}", #"{"a":1}"#, #"[{"key":5}]"#,
        #"[{"value":{"intValue":"x"}}]"#, #"[{"value":{"bytesValue":"*"}}]"#, #"{"code":[]}"#,
        "\"\(String(repeating: "0", count: 32))\"",
    ]
    let fields = [
        "traceId", "spanId", "parentSpanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano",
        "traceState", "flags", "attributes", "events", "links", "status", "droppedAttributesCount",
        "droppedEventsCount", "droppedLinksCount", "unknown",
    ]
    for field in fields {
        for form in forms {
            let decoded = try decodeTraceJSON(
                request([span(1), span(2, [field: form]), span(3)]))
            let ids = decoded.batch.spanIDs.map(\.rawValue)
            #expect(ids.first == 1 && ids.last == 3, "\(field): \(form)")
            #expect(decoded.batch.rowCount + decoded.rejected.count == 3)
            // Whatever was kept can be written and read again.
            let again = try decodeTraceProtobuf(OTLPTraces.encode(decoded.batch))
            #expect(again.batch.rowCount == decoded.batch.rowCount, "\(field): \(form)")
        }
    }
}

@Test func fieldsOfProfilesAreAsIfTheyWereNotThere() throws {
    let list = #"""
        [{"key":"a","value":{"stringValueStrindex":5}},{"keyStrindex":7,"value":{"intValue":1}}]
        """#
    let decoded = try decodeTraceJSON(request([span(1, ["attributes": list])]))
    let attributes = try decoded.batch.arena.withSlice(decoded.batch.attributes[0]) {
        try AttributeCoding.decodeList($0)
    }
    #expect(attributes.map(\.key) == ["a", ""])
    #expect(attributes.map(\.value) == [.empty, .int(1)])
    var writer = ProtobufWriter()
    let resource = writer.begin(1)
    let scope = writer.begin(2)
    let span = writer.begin(2)
    writer.bytes(1, [UInt8](repeating: 7, count: 16))
    writer.bytes(2, [UInt8](repeating: 1, count: 8))
    let attribute = writer.begin(9)
    writer.string(1, "a")
    let value = writer.begin(2)
    writer.int32(8, 5)
    writer.end(value)
    writer.int32(3, 7)
    writer.end(attribute)
    for mark in [span, scope, resource] { writer.end(mark) }
    let batch = try decodeTraceProtobuf(writer.bytes).batch
    let sent = try batch.arena.withSlice(batch.attributes[0]) { try AttributeCoding.decodeList($0) }
    #expect(sent.map(\.key) == ["a"] && sent.map(\.value) == [.empty])
}

@Test(.enabled(if: Corpora.folder != nil)) func exampleOfTheSpecificationSurvivesDamage() throws {
    let bytes = try #require(Corpora.file("api/opentelemetry/examples/trace.json"))
    let example = try bytes.withUnsafeBytes { try OTLPTraces.decodeJSON($0) }
    #expect(example.batch.rowCount == 1)
    #expect(example.rejected.count == 0)
    mutate(bytes, rounds: 3000) { damaged in
        _ = try? damaged.withUnsafeBytes { try OTLPTraces.decodeJSON($0) }
    }
    // Its message with a damaged one beside it: a span's damage ends with the span.
    let message = try OTLPTraces.encode(example.batch)
    let inner = try spanMessage(message)
    mutate(inner, rounds: 3000) { damaged in
        var writer = ProtobufWriter()
        let resource = writer.begin(1)
        let scope = writer.begin(2)
        writer.bytes(2, inner)
        writer.bytes(2, damaged, always: true)
        writer.bytes(2, inner)
        writer.end(scope)
        writer.end(resource)
        let decoded = try? writer.bytes.withUnsafeBytes { try OTLPTraces.decodeProtobuf($0) }
        let ids = decoded?.batch.spanIDs ?? []
        let good = example.batch.spanIDs[0]
        #expect(ids.first == good && ids.last == good)
    }
}

/// The first span's message of a request.
private func spanMessage(_ body: [UInt8]) throws -> [UInt8] {
    try body.withUnsafeBytes { bytes in
        var reader = ProtobufReader(bytes)
        for field: UInt32 in [1, 2, 2] {
            while try reader.next(), reader.field != field { try reader.skip() }
            reader = try reader.message()
        }
        return [UInt8](reader.rest)
    }
}
