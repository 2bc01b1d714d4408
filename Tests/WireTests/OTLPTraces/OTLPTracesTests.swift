// SPDX-License-Identifier: Apache-2.0
// OTLP traces: both encodings, round trips, bad ids, damage.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

/// One resource, one scope, a root and a child with everything a span may carry.
let fullTraceJSON = #"""
    {"unknown":{"a":[1]},"resourceSpans":[{"scopeSpans":[{"spans":[
      {"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","parentSpanId":"",
       "name":"GET /caf\u00e9","kind":2,"startTimeUnixNano":"1544712660000000000",
       "endTimeUnixNano":1544712661000000000,"traceState":"ot=th:8","flags":257,
       "attributes":[{"key":"s","value":{"stringValue":"a\"b"}},{"key":"i","value":{"intValue":"-5"}},
        {"key":"d","value":{"doubleValue":1.5}},{"value":{"boolValue":true},"key":"b"},
        {"key":"raw","value":{"bytesValue":"AAEC/w=="}},{"key":"none","value":{}},
        {"key":"list","value":{"arrayValue":{"values":[{"intValue":1},{"stringValue":"x"},{}]}}},
        {"key":"map","value":{"kvlistValue":{"values":[{"key":"k","value":{"doubleValue":"NaN"}}]}}}],
       "droppedAttributesCount":1,"droppedEventsCount":"2","droppedLinksCount":3,
       "events":[{"timeUnixNano":"1544712660500000000","name":"exception","droppedAttributesCount":4,
        "attributes":[{"key":"exception.type","value":{"stringValue":"E"}}]}],
       "links":[{"traceId":"00000000000000000000000000000001","spanId":"0000000000000002",
        "traceState":"x=y","flags":1,"droppedAttributesCount":5,"attributes":[]}],
       "status":{"code":2,"message":"bad"}},
      {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b175",
       "parentSpanId":"eee19b7ec3c1b174","name":"query","kind":"SPAN_KIND_CLIENT",
       "startTimeUnixNano":1.5447126601e18,"endTimeUnixNano":"1544712660200000000",
       "status":{"code":"STATUS_CODE_OK"},"attributes":null}],
      "scope":{"name":"lib","version":"1.2","attributes":[{"key":"sa","value":{"intValue":7}}],
       "droppedAttributesCount":1},"schemaUrl":"urn:scope"}],
     "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},
       {"key":"service.namespace","value":{"stringValue":"prod"}},
       {"key":"service.instance.id","value":{"stringValue":"i-1"}}],"droppedAttributesCount":9},
     "schemaUrl":"urn:resource"}]}
    """#

func decodeTraceJSON(_ text: String) throws -> DecodedSpans {
    try Array(text.utf8).withUnsafeBytes { try OTLPTraces.decodeJSON($0) }
}
func decodeTraceProtobuf(_ bytes: [UInt8]) throws -> DecodedSpans {
    try bytes.withUnsafeBytes { try OTLPTraces.decodeProtobuf($0) }
}

/// Everything a batch says about its spans, independent of where it lies in the arena.
func describe(_ batch: SpanBatch) throws -> [String] {
    func list(_ slice: ByteSlice) throws -> String {
        "\(try batch.arena.withSlice(slice) { try AttributeCoding.decodeList($0) })"
    }
    return try (0..<batch.rowCount).map { i in
        let row = batch.row(i)
        let resource = batch.resources[Int(row.resource)], scope = batch.scopes[Int(row.scope)]
        let events = try batch.arena.withSlice(row.events) { try SpanEventCoding.decode($0) }
        let links = try batch.arena.withSlice(row.links) { try SpanLinkCoding.decode($0) }
        return [
            "\(row.traceID) \(row.spanID) \(row.parentID) \(batch.arena.text(row.name)) \(row.kind)",
            "\(row.startNanos) \(row.endNanos) \(row.statusCode) \(batch.arena.text(row.statusMessage))",
            "\(batch.arena.text(row.traceState)) \(row.flags) \(row.droppedAttributes)",
            "\(row.droppedEvents) \(row.droppedLinks)", try list(row.attributes),
            "\(events) \(links)", try list(resource.attributes), "\(resource.droppedAttributes)",
            batch.arena.text(resource.schemaURL), batch.arena.text(resource.serviceName),
            batch.arena.text(resource.serviceNamespace), batch.arena.text(resource.serviceInstance),
            batch.arena.text(scope.name), batch.arena.text(scope.version),
            try list(scope.attributes),
            "\(scope.droppedAttributes)", batch.arena.text(scope.schemaURL),
        ].joined(separator: "|")
    }
}

@Test func jsonTraceIsDecodedWhole() throws {
    let decoded = try decodeTraceJSON(fullTraceJSON)
    let batch = decoded.batch
    #expect(decoded.rejected.count == 0)
    #expect(batch.rowCount == 2)
    #expect(batch.traceIDs[0].description == "5b8efff798038103d269b633813fc60c")
    #expect(batch.spanIDs[0].description == "eee19b7ec3c1b174")
    #expect(batch.parentIDs[0].isZero)
    #expect(batch.parentIDs[1] == batch.spanIDs[0])
    #expect(batch.arena.text(batch.names[0]) == "GET /café")
    #expect(batch.kinds == [2, 3])
    #expect(batch.startNanos == [1_544_712_660_000_000_000, 1_544_712_660_100_000_000])
    #expect(batch.statusCodes == [2, 1])
    #expect(batch.flags == [257, 0])
    #expect(batch.droppedAttributes[0] == 1)
    #expect(batch.droppedEvents[0] == 2)
    #expect(batch.droppedLinks[0] == 3)
    let attributes = try batch.arena.withSlice(batch.attributes[0]) {
        try AttributeCoding.decodeList($0)
    }
    #expect(attributes.map(\.key) == ["s", "i", "d", "b", "raw", "none", "list", "map"])
    #expect(
        attributes.map(\.value)[0..<7] == [
            .string("a\"b"), .int(-5), .double(1.5), .bool(true), .bytes([0, 1, 2, 255]), .empty,
            .array([.int(1), .string("x"), .empty]),
        ])
    let resource = batch.resources[0]
    #expect(batch.arena.text(resource.serviceName) == "shop")
    #expect(batch.arena.text(resource.serviceNamespace) == "prod")
    #expect(batch.arena.text(resource.serviceInstance) == "i-1")
    #expect(batch.arena.text(resource.schemaURL) == "urn:resource")
    #expect(batch.arena.text(batch.scopes[0].name) == "lib")
    let events = try batch.arena.withSlice(batch.events[0]) { try SpanEventCoding.decode($0) }
    #expect(events.map(\.name) == ["exception"])
    #expect(events[0].droppedAttributes == 4)
    let links = try batch.arena.withSlice(batch.links[0]) { try SpanLinkCoding.decode($0) }
    #expect(links.map(\.traceState) == ["x=y"])
}

@Test func protobufTraceSurvivesTheRoundTrip() throws {
    let first = try decodeTraceJSON(fullTraceJSON).batch
    let bytes = try OTLPTraces.encode(first)
    let second = try decodeTraceProtobuf(bytes).batch
    #expect(try describe(first) == describe(second))
    #expect(try OTLPTraces.encode(second) == bytes)
}

@Test func smallestSpanHasTheExpectedBytes() throws {
    let json = #"""
        {"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":
        {"stringValue":"a"}}]},"scopeSpans":[{"spans":[{"traceId":"000102030405060708090a0b0c0d0e0f",
        "spanId":"1011121314151617","name":"n","kind":1,"startTimeUnixNano":1,"endTimeUnixNano":2}]}]}]}
        """#
    let expected: [UInt8] =
        [0x0a, 0x50, 0x0a, 0x15, 0x0a, 0x13, 0x0a, 0x0c] + Array("service.name".utf8)
        + [0x12, 0x03, 0x0a, 0x01, 0x61]
        + [0x12, 0x37, 0x0a, 0x00, 0x12, 0x33]  // scope_spans, empty scope, span
        + [0x0a, 0x10] + Array(0...15) + [0x12, 0x08] + Array(16...23)
        + [0x2a, 0x01, 0x6e, 0x30, 0x01]
        + [0x39, 1, 0, 0, 0, 0, 0, 0, 0, 0x41, 2, 0, 0, 0, 0, 0, 0, 0]
    #expect(try OTLPTraces.encode(decodeTraceJSON(json).batch) == expected)
}

@Test func spansWithUnusableIDsAreCounted() throws {
    func span(_ trace: String, _ id: String, _ parent: String) -> String {
        #"{"traceId":"\#(trace)","spanId":"\#(id)","parentSpanId":"\#(parent)","name":"x"}"#
    }
    let good = "5b8efff798038103d269b633813fc60c", zero = String(repeating: "0", count: 32)
    let spans = [
        span(good, "eee19b7ec3c1b174", ""), span(zero, "eee19b7ec3c1b174", ""),
        span("5b8e", "eee19b7ec3c1b174", ""), span("", "eee19b7ec3c1b174", ""),
        span(good, "0000000000000000", ""), span(good, "12", ""),
        span(good, "zzz19b7ec3c1b174", ""),
        span(good, "eee19b7ec3c1b175", "abc"), span(good, "eee19b7ec3c1b176", "0000000000000000"),
        #"{"name":"no ids"}"#,
    ].joined(separator: ",")
    let decoded = try decodeTraceJSON(
        #"{"resourceSpans":[{"scopeSpans":[{"spans":[\#(spans)]}]}]}"#)
    #expect(decoded.batch.rowCount == 2)
    #expect(decoded.rejected[.traceID] == 4)
    #expect(decoded.rejected[.spanID] == 3)
    #expect(decoded.rejected[.parentID] == 1)
    #expect(
        decoded.rejected.message
            == "4 rejected: trace id must be 16 bytes and not all zero; 3 rejected: span id must be "
            + "8 bytes and not all zero; 1 rejected: parent span id must be empty or 8 bytes")
    // An arena does not keep what belongs to no span.
    #expect(decoded.batch.arena == Array("xx".utf8))
}

@Test func linksWithUnusableIDsCountAsDropped() throws {
    let batch = try decodeTraceJSON(
        #"""
        {"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c",
        "spanId":"eee19b7ec3c1b174","links":[{"traceId":"12"},{"traceId":
        "5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b175"}],"droppedLinksCount":1}]}]}]}
        """#
    ).batch
    #expect(batch.droppedLinks == [2])
    #expect(try batch.arena.withSlice(batch.links[0]) { try SpanLinkCoding.decode($0) }.count == 1)
}

@Test func emptyRequestsAreAccepted() throws {
    #expect(try decodeTraceProtobuf([]).batch.rowCount == 0)
    #expect(try decodeTraceJSON("{}").batch.rowCount == 0)
    #expect(try decodeTraceJSON(#"{"resourceSpans":null}"#).batch.rowCount == 0)
    #expect(throws: MalformedJSON.self) { try decodeTraceJSON("") }
    #expect(throws: MalformedJSON.self) { try decodeTraceJSON("[]") }
    #expect(throws: MalformedBytes.self) { try decodeTraceProtobuf([0x0a, 0x05]) }
}

@Test func attributeNestingIsLimited() throws {
    func nested(_ depth: Int) -> String {
        let open = #"{"arrayValue":{"values":["#, close = "]}}"
        let value = String(repeating: open, count: depth) + String(repeating: close, count: depth)
        return #"""
            {"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c",
            "spanId":"eee19b7ec3c1b174","attributes":[{"key":"deep","value":\#(value)}]}]}]}]}
            """#
    }
    let batch = try decodeTraceJSON(nested(64)).batch
    #expect(throws: Never.self) { try describe(batch) }
    #expect(try describe(decodeTraceProtobuf(OTLPTraces.encode(batch)).batch) == describe(batch))
    let tooDeep = try decodeTraceJSON(nested(65))
    #expect(tooDeep.batch.rowCount == 0)
    #expect(tooDeep.rejected[.malformed] == 1)
    #expect(throws: MalformedJSON.self) { try decodeTraceJSON(nested(5000)) }
}

@Test func damagedTracesNeverCrash() throws {
    let json = Array(fullTraceJSON.utf8)
    let protobuf = try OTLPTraces.encode(decodeTraceJSON(fullTraceJSON).batch)
    mutate(json, rounds: 3000) { bytes in
        _ = try? bytes.withUnsafeBytes { try OTLPTraces.decodeJSON($0) }
    }
    mutate(protobuf, rounds: 6000) { bytes in
        if let batch = try? decodeTraceProtobuf(bytes).batch {
            // What was accepted can be written and read again.
            let again = try? OTLPTraces.encode(batch)
            #expect(again != nil)
        }
    }
}

@Test func sizeOfASpanIsThatOfItsMessage() throws {
    let batch = try decodeTraceJSON(fullTraceJSON).batch
    for row in 0..<batch.rowCount {
        var one = SpanBatch()
        one.arena = batch.arena
        one.resources = [SpanBatch.Resource()]
        one.scopes = [SpanBatch.Scope()]
        var alone = batch.row(row)
        alone.resource = 0
        alone.scope = 0
        one.add(alone)
        let bytes = try OTLPTraces.encode(one)
        let size = try bytes.withUnsafeBytes { try spanCount($0) }
        #expect(size == OTLPTraces.protobufSize(of: row, in: batch))
    }
}

/// Bytes of the only span of a request.
private func spanCount(_ body: UnsafeRawBufferPointer) throws -> Int {
    var reader = ProtobufReader(body)
    for wanted: UInt32 in [1, 2] {
        var inner: ProtobufReader?
        while try reader.next() {
            if reader.field == wanted { inner = try reader.message() } else { try reader.skip() }
        }
        reader = try #require(inner)
    }
    while try reader.next() {
        if reader.field == 2 { return try reader.message().remaining }
        try reader.skip()
    }
    return -1
}

@Test func keysThatRepeatAreLeftOutAndCounted() throws {
    func pairs(_ keys: [String]) -> String {
        keys.enumerated().map { #"{"key":"\#($1)","value":{"intValue":\#($0)}}"# }
            .joined(separator: ",")
    }
    let many = (0..<40).map { "k\($0)" } + ["k39", "k3", "new"]
    let span = #"{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"0000000000000001","#
    let json = #"""
        {"resourceSpans":[{"resource":{"attributes":[\#(pairs(["a", "b", "a"]))],
        "droppedAttributesCount":1},"scopeSpans":[{"spans":[
        \#(span)"attributes":[\#(pairs(["x", "y", "x", "x"]))],"droppedAttributesCount":2},
        \#(span)"attributes":[\#(pairs(many))]}]}]}]}
        """#
    let decoded = try decodeTraceJSON(json)
    let batch = decoded.batch
    #expect(decoded.repeatedKeys == 5)
    #expect(batch.resources[0].droppedAttributes == 2)
    #expect(batch.droppedAttributes == [4, 2])
    let first = try batch.arena.withSlice(batch.attributes[0]) {
        try AttributeCoding.decodeList($0)
    }
    #expect(first.map(\.key) == ["x", "y"])
    #expect(first.map(\.value) == [.int(0), .int(1)])
    let second = try batch.arena.withSlice(batch.attributes[1]) {
        try AttributeCoding.decodeList($0)
    }
    #expect(second.count == 41)
    // Protobuf has the same rule.
    let bytes = try OTLPTraces.encode(batch)
    #expect(try decodeTraceProtobuf(bytes).repeatedKeys == 0)
}

@Test func oneBadSpanDoesNotCostTheOthers() throws {
    let good = #"{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"000000000000000"#
    let json = #"""
        {"resourceSpans":[{"scopeSpans":[{"spans":[\#(good)1","name":"a"},
        \#(good)2","name":5},\#(good)3","attributes":{"a":1}},"text",
        \#(good)4","startTimeUnixNano":"soon"},\#(good)5","name":"b"}]}]}]}
        """#
    let decoded = try decodeTraceJSON(json)
    #expect(decoded.batch.spanIDs.map(\.rawValue) == [1, 5])
    #expect(decoded.rejected[.malformed] == 4)
    #expect(decoded.rejected.message == "4 rejected: span cannot be read")
    #expect(decoded.batch.names.map { decoded.batch.arena.text($0) } == ["a", "b"])
    // What is no JSON is no request.
    #expect(throws: MalformedJSON.self) { try decodeTraceJSON(String(json.dropLast())) }
    var writer = ProtobufWriter()
    let resource = writer.begin(1)
    let scope = writer.begin(2)
    for id: UInt8 in 1...3 {
        let span = writer.begin(2)
        writer.bytes(1, [UInt8](repeating: 7, count: 16))
        writer.bytes(2, [UInt8](repeating: id, count: 8))
        // The second one has a name that reaches beyond its end.
        if id == 2 { writer.rawVarint(0x2a) }
        if id == 2 { writer.rawVarint(99) }
        writer.end(span)
    }
    writer.end(scope)
    writer.end(resource)
    let sent = try decodeTraceProtobuf(writer.bytes)
    #expect(sent.batch.rowCount == 2)
    #expect(sent.rejected[.malformed] == 1)
}
