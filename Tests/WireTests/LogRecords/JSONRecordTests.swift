// SPDX-License-Identifier: Apache-2.0
// JSON lines and Elasticsearch's bulk requests.

import Base
import Telemetry
import Testing

@testable import Wire

private let arrival: Int64 = 1_700_000_000_000_000_000

private func lines(
    _ text: String, limits: LogLimits = LogLimits(),
    _ change: (inout LogRecordMapping) -> Void = { _ in }
) throws -> DecodedLogs {
    var mapping = LogRecordMapping()
    change(&mapping)
    return try Array(text.utf8).withUnsafeBytes {
        try JSONLines.decode($0, mapping, receivedNanos: arrival, limits: limits)
    }
}

private func bulk(_ text: String, index: String = "") throws -> ElasticBulk.Request {
    try Array(text.utf8).withUnsafeBytes {
        try ElasticBulk.decode($0, index: index, LogRecordMapping(), receivedNanos: arrival)
    }
}

@Suite struct JSONRecordTests {
    @Test func fieldsBecomeLabelsLineAndMetadata() throws {
        let got = try lines(
            #"""
            {"@timestamp":"2023-11-14T22:13:20.5Z","message":"caf\u00e9","service":{"name":"shop"},"a":{"b":{"c":1}},"list":[1,"x"],"ok":true,"none":null,"empty":""}
            {"_msg":"second","message":"kept","app":"api","time":1700000001}
            """#)
        #expect(
            describe(got.batch) == [
                #"{service_name="shop"} 1700000000500000000 café {a_b_c="1", list="[1,\"x\"]", ok="true"}"#,
                #"{app="api", service_name="api"} 1700000001000000000 second {message="kept"}"#,
            ])
    }

    @Test func aRecordWithoutMessageIsTheLine() throws {
        let got = try lines(#"{"a":1,"pod":"p", "t":2}"#) { $0.extraFields = [.init("dc", "eu")] }
        #expect(
            describe(got.batch) == [
                #"{pod="p", service_name="unknown_service"} 1700000000000000000 {"a":1,"pod":"p", "t":2} {dc="eu"}"#
            ])
    }

    @Test func theSenderChoosesFields() throws {
        let got = try lines(
            #"{"when":"1700000000123","m":{"text":"x"},"host":"h","k":"v","k2":"w","z":1}"#
        ) {
            $0.streamFields = ["k", "absent"]
            $0.messageFields = ["m.text"]
            $0.timeFields = ["when"]
            $0.isTimeFieldGiven = true
            $0.ignoredFields = ["z", "k2*"]
            $0.labels = [.init("job", "test")]
        }
        #expect(
            describe(got.batch) == [
                #"{job="test", k="v", service_name="test"} 1700000000123000000 x {host="h"}"#
            ])
        let bad = try lines(#"{"when":"soon","msg":"x"}"#) {
            $0.timeFields = ["when"]
            $0.isTimeFieldGiven = true
        }
        #expect(bad.rejectedRows == 1 && bad.message.contains("is no time"))
        // A field that was only guessed to be the time is as good as any other.
        let guessed = try lines(#"{"time":"soon","msg":"x"}"#)
        #expect(describe(guessed.batch).first?.hasSuffix(#" x {time="soon"}"#) == true)
    }

    @Test func badLinesCostOnlyThemselves() throws {
        let got = try lines(
            "{\"msg\":\"a\"}\nnonsense\n\n[]\n{\"msg\":\"b\"} {}\n{\"msg\":\"c\"}\r\n")
        #expect(got.batch.rowCount == 2 && got.rejectedRows == 3)
        #expect(got.message.contains("line 2: malformed JSON"))
        let array = try lines(#" [{"msg":"a"}, 1, {"msg":"b"}]"#)
        #expect(array.batch.rowCount == 2 && array.rejectedRows == 1)
        #expect(throws: MalformedJSON.self) { try lines(#"[{"msg":"a"}"#) }
    }

    @Test(arguments: [
        ("1700000000", 1_700_000_000_000_000_000), ("1700000000.5", 1_700_000_000_500_000_000),
        ("1700000000123", 1_700_000_000_123_000_000),
        ("1700000000123456", 1_700_000_000_123_456_000),
        ("1700000000123456789", 1_700_000_000_123_456_789), ("1.7e9", 1_700_000_000_000_000_000),
        ("-1.5", -1_500_000_000), ("2023-11-14T22:13:20Z", 1_700_000_000_000_000_000),
        ("2023-11-14 22:13:20,25", 1_700_000_000_250_000_000),
        ("2023-11-14T23:13:20+0100", 1_700_000_000_000_000_000),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000_000_000_000),
    ]) func times(_ text: String, _ want: Int) {
        let got = Array(text.utf8).withUnsafeBytes { RecordTime.nanos($0) }
        #expect(got == Int64(want))
    }

    @Test(arguments: ["", "x", "1e400", "NaN", "2023", "12:00", "99999999999999999999", "1.2.3"])
    func noTimes(_ text: String) {
        let got = Array(text.utf8).withUnsafeBytes { RecordTime.nanos($0) }
        #expect(got == nil || text == "2023")
    }

    @Test func recordsAreBounded() throws {
        var limits = LogLimits()
        limits.maxMetadataBytes = 1000
        limits.maxLineBytes = 1000
        let wide = "{" + (0..<500).map { "\"k\($0)\":\"v\"" }.joined(separator: ",") + "}"
        let name = String(repeating: "n", count: 2000)
        let got = try lines(
            "\(wide)\n{\"msg\":\"\(String(repeating: "x", count: 3000))\"}\n{\"\(name)\":1}\n"
                + "{\"msg\":\"kept\"}\n", limits: limits)
        #expect(got.batch.rowCount == 1 && got.rejectedRows == 3)
        limits.maxDecodedBytes = 500
        #expect(throws: MalformedBytes.self) {
            try lines(String(repeating: "{\"msg\":\"hello\"}\n", count: 200), limits: limits)
        }
    }

    @Test func bulkItemsHaveTheirOutcomes() throws {
        let got = try bulk(
            """
            {"index":{"_index":"app","_id":"7"}}
            {"message":"one","trace.id":"0af7651916cd43dd8448eb211c80319c"}
            {"create":{}}
            {"message":"two"}
            {"delete":{"_id":"7"}}
            {"update":{"_id":"7"}}
            {"doc":{}}
            {"create":{"_index":"x","require_alias":false}}
            not json
            {"create":{}}

            """, index: "standard")
        #expect(got.items.map(\.action) == [.index, .create, .delete, .update, .create, .create])
        #expect(got.items[0].outcome == .row(0) && got.items[1].outcome == .row(1))
        #expect(got.items[0].index == "app" && got.items[0].id == "7")
        #expect(got.items[1].index == "standard")
        for item in got.items[2...] {
            guard case .refused = item.outcome else {
                Issue.record("\(item)")
                continue
            }
        }
        #expect(
            describe(got.logs.batch).first == #"{service_name="unknown_service"} "#
                + #"1700000000000000000 one {_id="7", _index="app", trace_id="0af7651916cd43dd8448eb211c80319c"}"#
        )
        for text in ["{}\n{}\n", "[]\n", "{\"index\":1}\n{}\n", "{\"put\":{}}\n{}\n", "x\n"] {
            #expect(throws: MalformedBulk.self) { try bulk(text) }
        }
    }

    @Test func damageNeverCrashes() throws {
        let document =
            #"{"@timestamp":"2023-11-14T22:13:20.5Z","message":"caf\u00e9","service":{"name":"shop"},"list":[1,"x"],"n":-1.5e3}"#
        var rows = 0
        mutate(Array("\(document)\n\(document)\n".utf8), rounds: 6000) { bytes in
            rows += bytes.withUnsafeBytes {
                (try? JSONLines.decode($0, LogRecordMapping(), receivedNanos: 1))?.batch.rowCount
                    ?? 0
            }
        }
        let pair = "{\"create\":{\"_index\":\"i\"}}\n\(document)\n"
        mutate(Array((pair + pair).utf8), rounds: 6000) { bytes in
            rows += bytes.withUnsafeBytes {
                (try? ElasticBulk.decode($0, index: "", LogRecordMapping(), receivedNanos: 1))?.logs
                    .batch.rowCount ?? 0
            }
        }
        #expect(rows > 1000)
    }
}
