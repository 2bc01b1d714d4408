// SPDX-License-Identifier: Apache-2.0
// OTLP logs: mapping to streams, both encodings, limits, damage.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

private let received = OTLPLogs.Options(receivedNanos: 77)

func decodeLogJSON(_ text: String, _ options: OTLPLogs.Options = received) throws -> DecodedLogs {
    try Array(text.utf8).withUnsafeBytes { try OTLPLogs.decodeJSON($0, options) }
}
func decodeLogProtobuf(
    _ bytes: [UInt8], _ options: OTLPLogs.Options = received
) throws -> DecodedLogs {
    try bytes.withUnsafeBytes { try OTLPLogs.decodeProtobuf($0, options) }
}

let fullLogJSON = #"""
    {"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},
     {"key":"k8s.pod.name","value":{"stringValue":"p-1"}},{"key":"host.name","value":{"stringValue":"h"}},
     {"key":"os","value":{"kvlistValue":{"values":[{"key":"type","value":{"stringValue":"linux"}}]}}}]},
     "scopeLogs":[{"scope":{"name":"lib","version":"1","attributes":[{"key":"sc","value":{"intValue":"3"}}]},
      "logRecords":[
      {"timeUnixNano":"10","observedTimeUnixNano":"11","severityNumber":17,"severityText":"ERROR",
       "traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","flags":1,
       "eventName":"ev","droppedAttributesCount":2,"body":{"stringValue":"hello\n"},
       "attributes":[{"key":"http.status","value":{"intValue":500}},{"key":"ok","value":{"boolValue":false}},
        {"key":"host.name","value":{"stringValue":"own"}},{"key":"d","value":{"doubleValue":0.5}},
        {"key":"none","value":{}},{"key":"l","value":{"arrayValue":{"values":[{"intValue":1},{}]}}}]},
      {"observedTimeUnixNano":12,"severityNumber":"SEVERITY_NUMBER_INFO2","traceId":"12","body":
       {"kvlistValue":{"values":[{"key":"b","value":{"intValue":1}},{"key":"a","value":{"doubleValue":2}}]}}},
      {"body":{"intValue":"5"}},{}]}]}]}
    """#

@Test func recordsBecomeRowsAsLokiMapsThem() throws {
    let decoded = try decodeLogJSON(fullLogJSON)
    let stream = #"{k8s_pod_name="p-1", service_name="shop"}"#
    let shared = #"os_type="linux", sc="3", scope_name="lib", scope_version="1""#
    #expect(decoded.errors.isEmpty)
    #expect(
        describe(decoded.batch) == [
            "\(stream) 10 hello\n "
                + #"{d="0.5", dropped_attributes_count="2", event_name="ev", flags="1", host_name="own", "#
                + #"http_status="500", l="[1,null]", observed_timestamp="11", ok="false", "#
                + #"os_type="linux", sc="3", scope_name="lib", scope_version="1", "#
                + #"severity_number="17", severity_text="ERROR", span_id="eee19b7ec3c1b174", "#
                + #"trace_id="5b8efff798038103d269b633813fc60c"}"#,
            #"\#(stream) 12 {"b":1,"a":2} {host_name="h", \#(shared), severity_number="10"}"#,
            #"\#(stream) 77 5 {host_name="h", \#(shared)}"#,
            #"\#(stream) 77  {host_name="h", \#(shared)}"#,
        ])
    #expect(decoded.batch.traceIDs[0].description == "5b8efff798038103d269b633813fc60c")
    #expect(decoded.batch.spanIDs[0].description == "eee19b7ec3c1b174")
    #expect(decoded.batch.traceIDs[1].isZero)
}

@Test func orderOfMembersDoesNotMatter() throws {
    let a =
        #"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}],"#
        + #""scope":{"name":"s"}}],"resource":{"attributes":[{"key":"service.name","value":"#
        + #"{"stringValue":"a"}}]}}]}"#
    #expect(describe(try decodeLogJSON(a).batch) == [#"{service_name="a"} 77 x {scope_name="s"}"#])
}

@Test func serviceNameIsDiscovered() throws {
    func stream(_ key: String) throws -> String {
        let batch = try decodeLogJSON(
            #"{"resourceLogs":[{"resource":{"attributes":[{"key":"\#(key)","value":{"stringValue":"v"}}]},"#
                + #""scopeLogs":[{"logRecords":[{"timeUnixNano":"1"}]}]}]}"#
        ).batch
        return batch.arena.labels(batch.streams[0]).description
    }
    #expect(try stream("container.name") == #"{container_name="v", service_name="v"}"#)
    #expect(try stream("host.name") == #"{service_name="unknown_service"}"#)
}

@Test func protobufLogsSurviveTheRoundTrip() throws {
    let first = try decodeLogJSON(fullLogJSON).batch
    let bytes = OTLPLogs.encode(first)
    let second = try decodeLogProtobuf(bytes).batch
    #expect(describe(second) == describe(first))
    #expect(second.traceIDs == first.traceIDs)
    #expect(second.spanIDs == first.spanIDs)
    #expect(OTLPLogs.encode(second) == bytes)
}

@Test func smallestRecordHasTheExpectedBytes() throws {
    let batch = try decodePushJSON(
        #"{"streams":[{"stream":{"service_name":"a"},"values":[["2","hi"]]}]}"#
    ).batch
    let resource: [UInt8] =
        [0x0a, 0x15, 0x0a, 0x13, 0x0a, 0x0c] + Array("service.name".utf8)
        + [0x12, 0x03, 0x0a, 0x01, 0x61]
    let record: [UInt8] = [0x09, 2, 0, 0, 0, 0, 0, 0, 0, 0x2a, 4, 0x0a, 2, 0x68, 0x69]
    let scopeLogs: [UInt8] = [0x12, UInt8(record.count)] + record
    let inner = resource + [0x12, UInt8(scopeLogs.count)] + scopeLogs
    #expect(OTLPLogs.encode(batch) == [0x0a, UInt8(inner.count)] + inner)
}

@Test func publicExamplesAreAccepted() throws {
    for name in ["logs", "events"] {
        guard let file = Corpora.file("api/opentelemetry/examples/\(name).json") else { continue }
        let decoded = try file.withUnsafeBytes { try OTLPLogs.decodeJSON($0, received) }
        #expect(decoded.batch.rowCount > 0)
        #expect(decoded.errors.isEmpty)
        #expect(
            describe(decodeAgain(decoded.batch)) == describe(decoded.batch))
    }
    func decodeAgain(_ batch: LogBatch) -> LogBatch {
        (try? decodeLogProtobuf(OTLPLogs.encode(batch)).batch) ?? LogBatch()
    }
}

@Test func requestsThatWouldFillMemoryAreRefused() throws {
    var options = received
    options.limits.maxDecodedBytes = 100_000
    let value = String(repeating: "v", count: 5000)
    let records = Array(repeating: "{}", count: 100).joined(separator: ",")
    let json =
        #"{"resourceLogs":[{"resource":{"attributes":[{"key":"big","value":{"stringValue":"\#(value)"}}]},"#
        + #""scopeLogs":[{"logRecords":[\#(records)]}]}]}"#
    #expect(throws: MalformedBytes.self) { try decodeLogJSON(json, options) }
    #expect(try decodeLogJSON(json).batch.rowCount == 100)
}

@Test func manyScopesOfALargeResourceStayCheap() throws {
    let pairs = (0..<1000).map { #"{"key":"k\#($0)","value":{"stringValue":"v"}}"# }
    let scopes = Array(repeating: "{}", count: 50_000) + [#"{"logRecords":[{}]}"#]
    let decoded = try decodeLogJSON(
        #"{"resourceLogs":[{"resource":{"attributes":[\#(pairs.joined(separator: ","))]},"#
            + #""scopeLogs":[\#(scopes.joined(separator: ","))]}]}"#)
    #expect(decoded.batch.rowCount == 1)
    let count = Labels(canonical: Array(decoded.batch.arena[decoded.batch.metadata[0].range])).count
    #expect(count == 1000)
}

@Test func tooMuchMetadataLeavesOutTheRecord() throws {
    var options = received
    options.limits.maxMetadataCount = 5
    let decoded = try decodeLogJSON(fullLogJSON, options)
    #expect(decoded.batch.rowCount == 2)
    #expect(decoded.rejectedRows == 2)
    #expect(decoded.message.contains("too many structured metadata labels"))
}

@Test func damagedLogsNeverCrash() throws {
    let protobuf = OTLPLogs.encode(try decodeLogJSON(fullLogJSON).batch)
    mutate(Array(fullLogJSON.utf8), rounds: 3000) { bytes in
        _ = try? bytes.withUnsafeBytes { try OTLPLogs.decodeJSON($0, received) }
    }
    mutate(protobuf, rounds: 6000) { bytes in
        guard var batch = try? decodeLogProtobuf(bytes).batch else { return }
        LogEnrichment().apply(to: &batch)
        #expect(batch.metadata.allSatisfy { batch.arena.withSlice($0) { isCanonicalLabels($0) } })
    }
}
