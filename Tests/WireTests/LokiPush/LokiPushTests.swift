// SPDX-License-Identifier: Apache-2.0
// Loki's push API: both encodings, limits, odd forms, damage.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

func decodePushJSON(_ text: String, _ limits: LogLimits = LogLimits()) throws -> DecodedLogs {
    try Array(text.utf8).withUnsafeBytes { try LokiPush.decodeJSON($0, limits: limits) }
}
func decodePushProtobuf(_ bytes: [UInt8], _ limits: LogLimits = LogLimits()) throws -> DecodedLogs {
    try bytes.withUnsafeBytes { try LokiPush.decodeProtobuf($0, limits: limits) }
}

/// Rows as text, independent of where they lie in the arena.
func describe(_ batch: LogBatch) -> [String] {
    (0..<batch.rowCount).map { i in
        let stream = batch.arena.labels(batch.streams[Int(batch.rowStreams[i])])
        let metadata = Labels(canonical: Array(batch.arena[batch.metadata[i].range]))
        return "\(stream) \(batch.nanos[i]) \(batch.arena.text(batch.lines[i])) \(metadata)"
    }
}

/// One stream of one line in protobuf.
private func push(labels: String, seconds: Int64 = 1, line: String = "x") -> [UInt8] {
    var writer = ProtobufWriter()
    writer.message(1) { stream in
        stream.string(1, labels)
        stream.message(2) { entry in
            entry.message(1) { $0.int64(1, seconds) }
            entry.string(2, line)
        }
    }
    return writer.bytes
}

@Test func jsonPushIsDecoded() throws {
    let decoded = try decodePushJSON(
        #"""
        {"other":[],"streams":[null,{"stream":{"b":"2","a":"1","n":12,"t":true,"o":{ "x": 1 },"e":""},
        "values":[["1570818238000000000","line \"one\"\n"],null,
        ["1570818238000000001","two",{"z":"9","a.b":"1","0x":"q","gone":""},"extra"]]},
        {"values":[["5","early"]],"stream":{"a":"1"}}]}
        """#)
    #expect(decoded.errors.isEmpty)
    #expect(decoded.streamCount == 2)
    #expect(
        describe(decoded.batch) == [
            #"{a="1", b="2", n="12", o="{ \"x\": 1 }", t="true"} 1570818238000000000 line "one""#
                + "\n {}",
            #"{a="1", b="2", n="12", o="{ \"x\": 1 }", t="true"} 1570818238000000001 two "#
                + #"{a_b="1", key_0x="q", z="9"}"#,
            #"{a="1"} 5 early {}"#,
        ])
}

@Test func olderJSONFormIsDecoded() throws {
    let decoded = try decodePushJSON(
        #"""
        {"streams":[{"labels":"{app=\"x\"}","entries":[{"ts":"1970-01-01T00:00:01.5Z","line":"a"},
        {"ts":"1970-01-01T01:00:00+01:00","line":"b"}]}]}
        """#)
    #expect(describe(decoded.batch) == [#"{app="x"} 1500000000 a {}"#, #"{app="x"} 0 b {}"#])
}

@Test func wrongJSONPushesAreRefused() {
    let bodies = [
        "", "[]", #"{"streams":{}}"#, #"{"streams":[{"stream":{"a":"b"},"values":[[1,"x"]]}]}"#,
        #"{"streams":[{"stream":{"a":"b"},"values":[["1",{"x":1}]]}]}"#,
        #"{"streams":[{"stream":{"a":"b"},"values":[["1","x",{"a":1}]]}]}"#,
        #"{"streams":[{"stream":{"a":"b"},"values":[["1","x",{"a":{}}]]}]}"#,
        #"{"streams":[{"stream":{"a":"b"},"values":[["1"]]}]}"#,
        #"{"streams":[{"stream":{"a":"b"},"values":[[]]}]}"#,
        #"{"streams":[{"stream":{"a":"b"},"values":[["1.5","x"]]}]}"#,
        #"{"streams":[{"stream":{"a":"b"},"values":[["","x"]]}]}"#,
        #"{"streams":[{"stream":{"a":None},"values":[]}]}"#,
        #"{"streams":[{"labels":"{a=\"b\"}","entries":[{"line":"x"}]}]}"#,
        #"{"streams":[{"labels":"{a=\"b\"}","entries":[{"ts":"yesterday","line":"x"}]}]}"#,
    ]
    for body in bodies {
        #expect(throws: MalformedJSON.self, "\(body)") { try decodePushJSON(body) }
    }
}

@Test func protobufPushSurvivesTheRoundTrip() throws {
    let first = try decodePushJSON(
        #"""
        {"streams":[{"stream":{"app":"a\"\\\n","odd name":"x"},"values":[["-1","before 1970"],
        ["1570818238000000001","two",{"trace_id":"abc"}]]},{"stream":{"app":"b"},"values":[["0",""]]}]}
        """#
    ).batch
    let bytes = LokiPush.encodeProtobuf(first)
    let second = try decodePushProtobuf(bytes)
    #expect(second.errors.isEmpty)
    #expect(describe(second.batch) == describe(first))
    let json = LokiPush.encodeJSON(first)
    #expect(
        try describe(decodePushJSON(String(decoding: json, as: UTF8.self)).batch) == describe(first)
    )
}

@Test func protobufPushHasTheExpectedBytes() throws {
    let batch = try decodePushJSON(
        #"{"streams":[{"stream":{"a":"b"},"values":[["1000000002","hi",{"k":"v"}]]}]}"#
    ).batch
    let entry: [UInt8] =
        [0x0a, 4, 0x08, 1, 0x10, 2, 0x12, 2, 0x68, 0x69, 0x1a, 6, 0x0a, 1, 0x6b, 0x12, 1, 0x76]
    let stream: [UInt8] = [0x0a, 7] + Array(#"{a="b"}"#.utf8) + [0x12, 18] + entry
    #expect(LokiPush.encodeProtobuf(batch) == [0x0a, UInt8(stream.count)] + stream)
}

@Test func labelTextFollowsThePromQLMetricParser() throws {
    let good: [(String, String)] = [
        (#"{a="b"}"#, #"{a="b"}"#),
        (
            #"{ "foo"="bar2",   "environment"="prod"  ,}"#,
            #"{environment="prod", foo="bar2"}"#
        ),
        (#"up{a='b'}"#, #"{__name__="up", a="b"}"#), ("{a=`b\\n`}", #"{a="b\\n"}"#),
        (#"{a="\x41\u00e9\101\n\"", b='\''}"#, "{a=\"Aé\u{41}\\n\\\"\", b=\"'\"}"),
        (#"{"up", a="b"}"#, #"{__name__="up", a="b"}"#), (#"{a="b", e=""}"#, #"{a="b"}"#),
        (#"{"k8s.pod"="x"}"#, #"{"k8s.pod"="x"}"#),
    ]
    for (text, expected) in good {
        let decoded = try decodePushProtobuf(push(labels: text))
        #expect(decoded.errors.isEmpty, "\(text)")
        #expect(describe(decoded.batch) == ["\(expected) 1000000000 x {}"], "\(text)")
    }
    let bad = [
        #"{a="b""#, #"{a=b}"#, #"{a}"#, #"{="b"}"#, #"{a="b"}}"#, #"{a="b" c="d"}"#, "{`a`}",
        #"{a="\q"}"#, #"{a="\x4"}"#, #"{a="\ud800"}"#, #"{a="\400"}"#, #"{1a="b"}"#, "", "{,}",
        #"{a="b",,}"#, #"{a=~"b"}"#,
    ]
    for text in bad {
        let decoded = try decodePushProtobuf(push(labels: text))
        #expect(decoded.batch.rowCount == 0, "\(text)")
        #expect(decoded.rejectedRows == 1, "\(text)")
        #expect(
            decoded.errors.first?.hasPrefix("Error parsing labels '\(text)'") == true, "\(text)")
    }
}

@Test func limitsLeaveOutOnlyWhatExceedsThem() throws {
    var limits = LogLimits()
    limits.maxLabelNames = 2
    limits.maxLabelNameBytes = 12
    limits.maxLabelValueBytes = 4
    limits.maxLineBytes = 5
    limits.maxMetadataBytes = 6
    limits.maxMetadataCount = 2
    let decoded = try decodePushJSON(
        #"""
        {"streams":[{"stream":{"a":"1","b":"2","c":"3"},"values":[["1","x"]]},
        {"stream":{"a":"1","b":"2","service_name":"s"},"values":[["2","ok"],["3","longer"],
        ["4","x",{"ab":"12345"}],["5","x",{"a":"1","b":"2","c":"3"}],["6","fine",{"a":"1","b":"2"}]]},
        {"stream":{"too_long_name":"1"},"values":[["7","x"]]},
        {"stream":{"a":"12345"},"values":[["8","x"],["9","x"]]},{"stream":{},"values":[["10","x"]]}]}
        """#, limits)
    #expect(
        describe(decoded.batch) == [
            #"{a="1", b="2", service_name="s"} 2 ok {}"#,
            #"{a="1", b="2", service_name="s"} 6 fine {a="1", b="2"}"#,
        ])
    #expect(decoded.rejectedRows == 8)
    #expect(
        decoded.errors == [
            #"entry for stream '{a="1", b="2", c="3"}' has 3 label names; limit 2"#,
            #"max entry size '5' bytes exceeded for stream '{a="1", b="2", service_name="s"}' while "#
                + "adding an entry with length '6' bytes",
            #"stream '{a="1", b="2", service_name="s"}' has structured metadata too large: "#
                + "'7' bytes, limit: '6' bytes",
            #"stream '{a="1", b="2", service_name="s"}' has too many structured metadata labels: "#
                + "'3', limit: '2'",
            #"stream '{too_long_name="1"}' has label name too long: 'too_long_name'"#,
            #"stream '{a="12345"}' has label value too long: '12345'"#,
            "error at least one label pair is required per stream",
        ])
}

@Test func hostileNumbersOfLabelsStayCheap() throws {
    // Quadratic work on any of these would take minutes.
    let many = 100_000
    let members = (0..<many).map { #""l\#(many - $0)":"v""# }.joined(separator: ",")
    let asLabels = try decodePushJSON(
        #"{"streams":[{"stream":{\#(members)},"values":[["1","x"]]}]}"#)
    #expect(asLabels.rejectedRows == 1)
    #expect(asLabels.errors == ["entry for stream has 100000 label names; limit 64"])
    let asMetadata = try decodePushJSON(
        #"{"streams":[{"stream":{"a":"b"},"values":[["1","x",{\#(members)}]]}]}"#)
    #expect(asMetadata.rejectedRows == 1)
    let text = "{" + (0..<many).map { #"l\#(many - $0)="v""# }.joined(separator: ",") + "}"
    #expect(try decodePushProtobuf(push(labels: text)).rejectedRows == 1)
    let pairs = (0..<many).map {
        #"{"key":"l\#(many - $0)","value":{"stringValue":"v"}}"#
    }.joined(separator: ",")
    let map = #"{"kvlistValue":{"values":[\#(pairs)]}}"#
    for key in ["service.name", "other"] {
        let logs = try decodeLogJSON(
            #"{"resourceLogs":[{"resource":{"attributes":[{"key":"\#(key)","value":\#(map)}]},"#
                + #""scopeLogs":[{"logRecords":[{},{}]}]}]}"#)
        #expect(logs.rejectedRows == 2, "\(key)")
    }
}

@Test func duplicateLabelNamesAreRefused() throws {
    let decoded = try decodePushProtobuf(push(labels: #"{a="1", b="2", a="3"}"#))
    #expect(decoded.errors == [#"stream '{a="1", b="2"}' has duplicate label name: 'a'"#])
    #expect(decoded.rejectedRows == 1)
}

@Test func timesOutOfRangeAreRefused() throws {
    let decoded = try decodePushProtobuf(push(labels: #"{a="b"}"#, seconds: .max))
    #expect(decoded.batch.rowCount == 0)
    #expect(decoded.rejectedRows == 1)
}

@Test func equalStreamsOfAPushBecomeOne() throws {
    let batch = try decodePushJSON(
        #"""
        {"streams":[{"stream":{"a":"1"},"values":[["1","x"]]},{"stream":{"a":"2"},"values":[["2","y"]]},
        {"stream":{"a":"1"},"values":[["3","z"]]}]}
        """#
    ).batch
    #expect(batch.streams.count == 2)
    #expect(batch.rowStreams == [0, 1, 0])
}

@Test func namesAreCleanedAsLokiDoes() {
    let cases: [(String, String?)] = [
        ("a", "a"), ("http.method", "http_method"), ("a..b", "a_b"), ("a__b", "a_b"),
        ("0day", "key_0day"), ("__name__", "__name__"), ("__a.b__", "__a_b__"), ("_a", "_a"),
        ("é", nil), ("", nil), ("___", nil), ("a-b/c", "a_b_c"), ("a_", "a_"), ("x.é.y", "x_y"),
    ]
    for (name, expected) in cases {
        var out: [UInt8] = []
        let isGood = Array(name.utf8).withUnsafeBytes { appendCompliantLabelName($0, to: &out) }
        #expect((isGood ? String(decoding: out, as: UTF8.self) : nil) == expected, "\(name)")
        if Array(name.utf8).withUnsafeBytes({ isCompliantLabelName($0) }) {
            #expect(name == expected)
        }
    }
}

@Test func damagedPushesNeverCrash() throws {
    let json = #"""
        {"streams":[{"stream":{"app":"a\u00e9"},"values":[["1","one \"x\"",{"k":"v\n","trace_id":"ab"}],
        ["2","two"]]},{"labels":"{a=\"b\", c='\\x41'}","entries":[{"ts":"2020-01-01T00:00:00Z",
        "line":"x"}]}]}
        """#
    let batch = try decodePushJSON(json).batch
    mutate(Array(json.utf8), rounds: 4000) { bytes in
        _ = try? bytes.withUnsafeBytes { try LokiPush.decodeJSON($0) }
    }
    mutate(LokiPush.encodeProtobuf(batch), rounds: 6000) { bytes in
        if let batch = try? decodePushProtobuf(bytes).batch {
            #expect(
                batch.streams.allSatisfy { ref in
                    batch.arena.withSlice(ref.slice) { isCanonicalLabels($0) }
                })
            #expect(
                batch.metadata.allSatisfy { batch.arena.withSlice($0) { isCanonicalLabels($0) } })
            _ = LokiPush.encodeJSON(batch)
        }
    }
}

@Test func jsonLabelNamesThatAreNoLabelNamesRefuseTheirStreamOnly() throws {
    let text = #"""
        {"streams":[{"stream":{"a b":"c"},"values":[["1","x"]]},{"stream":{"a":"c"},"values":[["1","y"]]}]}
        """#
    let decoded = try Array(text.utf8).withUnsafeBytes { bytes throws(MalformedJSON) in
        try LokiPush.decodeJSON(bytes)
    }
    #expect(decoded.batch.rowCount == 1)
    #expect(decoded.rejectedRows == 1)
    #expect(decoded.errors.count == 1)
    #expect(decoded.errors.first?.contains(#""a b" is not a label name"#) == true)
}
