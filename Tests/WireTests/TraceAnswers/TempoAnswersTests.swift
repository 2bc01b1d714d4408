// SPDX-License-Identifier: Apache-2.0
// Tempo's answers to searches, completion and metrics.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

private let everyType: NamedValues = [
    ("s", .string("a\"b")), ("i", .int(-5)), ("d", .double(1.5)), ("b", .bool(true)),
    ("raw", .bytes([0, 255])), ("list", .array([.string("x"), .empty])),
    ("map", .map([(key: "k", value: .double(.nan))])), ("none", .empty),
]

private func searchAnswer() -> TempoSearchAnswer {
    var statistics = TempoStatistics()
    statistics.inspectedTraces = 3
    statistics.inspectedBytes = 1 << 33
    statistics.inspectedSpans = 42
    statistics.totalBlocks = 2
    statistics.completedJobs = 1
    statistics.totalJobs = 1
    let span = TempoSearchAnswer.Span(
        id: SpanID(7), name: "op", startNanos: 1_700_000_000_000_000_001, durationNanos: 5,
        attributes: everyType)
    let set = TempoSearchAnswer.SpanSet(
        spans: [span], matched: 4, attributes: [("count()", .int(4))])
    return TempoSearchAnswer(
        traces: [
            TempoSearchAnswer.Trace(
                id: TraceID(high: 0, low: 255), rootServiceName: "shop", rootTraceName: "GET /",
                startNanos: 1_700_000_000_000_000_000, durationNanos: 1_500_999_999,
                spanSets: [set],
                services: [.init(name: "bank", spanCount: 2, errorCount: 1)])
        ], statistics: statistics)
}

@Suite struct TempoAnswersTests {
    @Test func searchAnswersSuitAStrictDecoder() throws {
        let json = try searchAnswer().json()
        #expect(JSONShape.tempoSearch.faults(json) == [])
        #expect(
            text(json).hasPrefix(
                #"{"traces":[{"traceID":"000000000000000000000000000000ff","#
                    + #""rootServiceName":"shop","rootTraceName":"GET /","#
                    + #""startTimeUnixNano":"1700000000000000000","durationMs":1500,"spanSet":"#),
            "\(text(json))")
        #expect(
            text(json).hasSuffix(
                #""serviceStats":{"bank":{"spanCount":2,"errorCount":1}}}],"metrics":{"#
                    + #""inspectedTraces":3,"inspectedBytes":"8589934592","totalBlocks":2,"#
                    + #""completedJobs":1,"totalJobs":1,"inspectedSpans":"42"}}"#),
            "\(text(json))")
        #expect(text(json).contains(#""matched":4,"attributes":[{"key":"count()","#))
        let empty = TempoSearchAnswer(traces: [], statistics: TempoStatistics())
        #expect(try text(empty.json()) == #"{"traces":[],"metrics":{}}"#)
    }

    /// Every field that a schema without nesting rules would show: number, wire type, value.
    private func fields(_ bytes: [UInt8]) throws -> [(field: UInt32, value: [UInt8])] {
        try bytes.withUnsafeBytes { raw in
            var reader = ProtobufReader(raw)
            var found: [(field: UInt32, value: [UInt8])] = []
            while try reader.next() {
                switch reader.wireType {
                case 2: found.append((reader.field, Array(try reader.bytes())))
                case 0: found.append((reader.field, Array(String(try reader.uint64()).utf8)))
                default:
                    let number = reader.field
                    found.append((number, Array(String(try reader.double()).utf8)))
                }
            }
            return found
        }
    }

    @Test func searchAnswersAsProtobuf() throws {
        let all = try fields(searchAnswer().protobuf())
        #expect(all.map(\.field) == [1, 2])
        let trace = try fields(all[0].value)
        #expect(trace.map(\.field) == [1, 2, 3, 4, 5, 6, 7, 8])
        #expect(text(trace[0].value) == "000000000000000000000000000000ff")
        #expect(text(trace[4].value) == "1500")
        #expect(trace[5].value == trace[6].value)
        let set = try fields(trace[6].value)
        #expect(set.map(\.field) == [1, 2, 3])
        let span = try fields(set[0].value)
        #expect(span.map(\.field) == [1, 2, 3, 4] + everyType.map { _ in 5 })
        #expect(try fields(trace[7].value).map(\.field) == [1, 2])
        #expect(try fields(all[1].value).map(\.field) == [1, 2, 3, 4, 5, 7])
    }

    @Test func tagAnswers() throws {
        var statistics = TempoStatistics()
        statistics.inspectedBytes = 9
        let tags = TempoTagsAnswer(
            scopes: [.init(name: "span", tags: ["b", "a"]), .init(name: "event", tags: ["a"])],
            statistics: statistics)
        #expect(text(tags.json()) == #"{"tagNames":["a","b"],"metrics":{"inspectedBytes":"9"}}"#)
        #expect(
            text(tags.jsonV2())
                == #"{"scopes":[{"name":"span","tags":["b","a"]},{"name":"event","tags":["a"]}],"#
                + #""metrics":{"inspectedBytes":"9"}}"#)
        #expect(JSONShape.tempoTags.faults(tags.json()) == [])
        #expect(JSONShape.tempoTagsV2.faults(tags.jsonV2()) == [])
        #expect(try fields(tags.protobuf()).map { text($0.value) }.prefix(2) == ["a", "b"])
        let scopes = try fields(tags.protobufV2())
        #expect(scopes.map(\.field) == [1, 1, 2])
        #expect(try fields(scopes[0].value).map { text($0.value) } == ["span", "b", "a"])
        let values = TempoTagValuesAnswer(
            values: [.init(type: "int", text: "5"), .init(type: "keyword", text: "ok")],
            statistics: TempoStatistics())
        #expect(text(values.json()) == #"{"tagValues":["5","ok"],"metrics":{}}"#)
        #expect(JSONShape.tempoTagValues.faults(values.json()) == [])
        #expect(JSONShape.tempoTagValuesV2.faults(values.jsonV2()) == [])
        #expect(try fields(values.protobuf()).map { text($0.value) } == ["5", "ok", ""])
        #expect(
            try fields(fields(values.protobufV2())[0].value).map { text($0.value) }
                == ["int", "5"])
    }

    @Test func seriesAnswers() throws {
        let series = TempoSeriesAnswer.Series(
            labels: [("__name__", .string("rate")), ("p", .double(0.9))],
            samples: [.init(millis: 1000, value: 0.5), .init(millis: 2000, value: .nan)],
            exemplars: [.init(labels: [("trace:id", .string("ff"))], value: 2, millis: 1500)])
        var answer = TempoSeriesAnswer(series: [series], statistics: TempoStatistics())
        let range = try answer.rangeJSON()
        #expect(JSONShape.tempoRange.faults(range) == [])
        #expect(
            text(range)
                == #"{"series":[{"labels":[{"key":"__name__","value":{"stringValue":"rate"}},"#
                + #"{"key":"p","value":{"doubleValue":0.9}}],"samples":[{"timestampMs":"1000","#
                + #""value":0.5},{"timestampMs":"2000","value":"NaN"}],"exemplars":[{"labels":"#
                + #"[{"key":"trace:id","value":{"stringValue":"ff"}}],"value":2,"#
                + #""timestampMs":"1500"}]}],"metrics":{}}"#)
        answer.series[0].samples = [.init(millis: 2000, value: 3)]
        #expect(JSONShape.tempoInstant.faults(try answer.instantJSON()) == [])
        #expect(try text(answer.instantJSON()).contains(#"}}],"value":3}],"metrics":{}}"#))
        answer.incomplete = "more than 1 series"
        #expect(
            try text(answer.rangeJSON()).hasSuffix(
                #","status":"PARTIAL","message":"more than 1 series"}"#))
        let wire = try fields(answer.rangeProtobuf())
        #expect(wire.map(\.field) == [1, 2, 3, 4])
        #expect(try fields(wire[0].value).map(\.field) == [1, 1, 2, 4])
        let instant = try fields(answer.instantProtobuf())
        #expect(try fields(instant[0].value).map(\.field) == [1, 1, 2])
    }

    @Test func shapesRefuseWhatStrictDecodersRefuse() {
        let shape = JSONShape.tempoSearch
        for (json, fault) in [
            (#"{"traces":[],"metrics":{"backendReads":"1"}}"#, "unknown name \"backendReads\""),
            (#"{"traces":[],"metrics":{"inspectedBytes":1}}"#, "an integer in a string"),
            (#"{"traces":[],"metrics":{"totalJobs":"1"}}"#, "an integer"),
            (#"{"metrics":{}}"#, "lacks \"traces\""),
            (#"{"traces":[{"durationMs":1.5}],"metrics":{}}"#, "outside"),
        ] {
            let faults = shape.faults(Array(json.utf8))
            #expect(faults.count == 1 && faults[0].contains(fault), "\(faults)")
        }
    }
}

@Suite struct TempoRequestsTests {
    private func read<T>(
        _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws -> T
    ) rethrows -> T {
        try bytes.withUnsafeBytes { try body($0) }
    }

    private func searchMessage() -> [UInt8] {
        var writer = ProtobufWriter()
        writer.message(1) { entry in
            entry.string(1, "service.name")
            entry.string(2, "shop")
        }
        writer.uint32(2, 10)
        writer.uint32(3, 20)
        writer.uint32(4, 5)
        writer.uint32(5, 100)
        writer.uint32(6, 200)
        writer.string(8, "{ true }")
        writer.uint32(9, 7)
        writer.string(11, "later")
        return writer.bytes
    }

    @Test func requestsAreRead() throws {
        let search = try read(searchMessage(), TempoRequests.search)
        var expected = TempoRequests.Search()
        expected.tags = [.init(key: "service.name", value: "shop")]
        expected.minDurationMillis = 10
        expected.maxDurationMillis = 20
        expected.limit = 5
        expected.start = 100
        expected.end = 200
        expected.query = "{ true }"
        expected.spansPerSpanSet = 7
        #expect(search == expected)

        var writer = ProtobufWriter()
        writer.string(1, "span")
        writer.string(2, "{ }")
        writer.uint32(3, 1)
        writer.uint32(4, 2)
        writer.uint32(5, 3)
        let tags = try read(writer.bytes, TempoRequests.tags)
        #expect(tags == .init(scope: "span", query: "{ }", start: 1, end: 2, limit: 3))

        writer = ProtobufWriter()
        writer.string(1, "span.a")
        writer.string(2, "{ }")
        writer.uint32(4, 1)
        writer.uint32(5, 2)
        writer.uint32(6, 3)
        let values = try read(writer.bytes, TempoRequests.tagValues)
        #expect(values == .init(name: "span.a", query: "{ }", start: 1, end: 2, limit: 3))

        writer = ProtobufWriter()
        writer.string(1, "{ } | rate()")
        writer.uint64(2, 1)
        writer.uint64(3, 2)
        writer.uint64(4, 3)
        writer.uint32(16, 4)
        writer.uint32(17, 5)
        let metrics = try read(writer.bytes, TempoRequests.metrics)
        #expect(
            metrics
                == .init(
                    query: "{ } | rate()", start: 1, end: 2, step: 3, exemplars: 4, maxSeries: 5))
    }

    /// Damage is refused or read as something, and costs no more than its size.
    @Test func damagedRequestsAreSurvived() {
        mutate(searchMessage(), rounds: 4000) { bytes in
            bytes.withUnsafeBytes { raw in
                let search = try? TempoRequests.search(raw)
                #expect((search?.query.utf8.count ?? 0) <= 3 * bytes.count)
                #expect((search?.tags.count ?? 0) <= bytes.count)
                _ = try? TempoRequests.tags(raw)
                _ = try? TempoRequests.tagValues(raw)
                _ = try? TempoRequests.metrics(raw)
            }
        }
    }
}
