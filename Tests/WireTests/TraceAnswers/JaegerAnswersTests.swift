// SPDX-License-Identifier: Apache-2.0
// Jaeger's and Zipkin's answers.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

@Suite struct JaegerAnswersTests {
    @Test func listsOfTheFirstVersion() {
        #expect(
            text(JaegerAnswers.names(["a", "b"]))
                == #"{"data":["a","b"],"total":2,"limit":0,"offset":0,"errors":null}"#)
        #expect(
            text(JaegerAnswers.operations([.init(name: "GET", kind: "server")]))
                == #"{"data":[{"name":"GET","spanKind":"server"}],"total":1,"limit":0,"#
                + #""offset":0,"errors":null}"#)
        let links = [JaegerAnswers.Dependency(parent: "a", child: "b", callCount: 3)]
        #expect(
            text(JaegerAnswers.dependencies(links))
                == #"{"data":[{"parent":"a","child":"b","callCount":3}],"total":0,"limit":0,"#
                + #""offset":0,"errors":null}"#)
        #expect(
            text(JaegerAnswers.failure(status: 404, "trace not found"))
                == #"{"data":null,"total":0,"limit":0,"offset":0,"#
                + #""errors":[{"code":404,"msg":"trace not found"}]}"#)
        #expect(
            JSONShape.jaeger(.jaegerDependencies).faults(JaegerAnswers.dependencies(links)) == [])
    }

    @Test func listsOfTheThirdVersion() {
        #expect(text(JaegerAnswers.servicesV3(["a"])) == #"{"services":["a"]}"#)
        #expect(
            text(JaegerAnswers.operationsV3([.init(name: "GET", kind: "server")]))
                == #"{"operations":[{"name":"GET","spanKind":"server"}]}"#)
        #expect(
            text(JaegerAnswers.dependenciesV3([.init(parent: "a", child: "b", callCount: 3)]))
                == #"{"dependencies":[{"parent":"a","child":"b","callCount":"3"}]}"#)
        #expect(
            text(JaegerAnswers.failureV3(status: 404, reason: "Not Found", grpcCode: 5, "none"))
                == #"{"error":{"grpcCode":5,"httpCode":404,"message":"none","#
                + #""httpStatus":"Not Found"}}"#)
    }

    @Test func metricFamilies() {
        let family = JaegerMetricFamily(
            kind: .latencies(quantile: 0.95), isByOperation: true,
            series: [
                .init(
                    service: "shop", operation: "GET",
                    points: [
                        .init(millis: 1_631_271_883_806, value: 2.5), .init(millis: 0, value: .nan),
                    ])
            ])
        #expect(JSONShape.jaegerMetrics.faults(family.json()) == [])
        #expect(
            text(family.json())
                == #"{"name":"service_operation_latencies","type":"GAUGE","help":"0.95th quantile "#
                + #"latency, grouped by service & operation","metrics":[{"labels":[{"name":"#
                + #""operation","value":"GET"},{"name":"service_name","value":"shop"}],"#
                + #""metricPoints":[{"gaugeValue":{"doubleValue":2.5},"#
                + #""timestamp":"2021-09-10T11:04:43.806Z"}]}]}"#)
        let calls = JaegerMetricFamily(kind: .calls, isByOperation: false, series: [])
        #expect(text(calls.json()).hasPrefix(#"{"name":"service_call_rate","#))
        let errors = JaegerMetricFamily(kind: .errors, isByOperation: false, series: [])
        #expect(text(errors.json()).hasPrefix(#"{"name":"service_error_rate","#))
    }

    @Test func tracesSayWhatWasDoneToThem() throws {
        let batch = try decodeTraceJSON(fullTraceJSON).batch
        let traces = JaegerTraces(
            batch, warnings: ["a part is missing"], spanWarnings: [1: ["moved by 5ms"]])
        let missing = JaegerAnswers.Failure(
            message: "trace not found", traceID: TraceID(high: 0, low: 1))
        let json = try TraceAnswers.jaegerTraces([traces], failures: [missing])
        #expect(JSONShape.jaeger(.jaegerTraces).faults(json) == [])
        let answer = try JSONValue(parsing: json)
        let trace = answer["data"][0]
        #expect(trace["warnings"].items.map(\.text) == ["a part is missing"])
        #expect(trace["spans"][0].has("warnings") && trace["spans"][0]["warnings"].isNull)
        #expect(
            trace["spans"].items.last?["warnings"].items.map(\.text) == ["moved by 5ms"])
        #expect(
            answer["errors"][0]["traceID"].text
                == "00000000000000000000000000000001")
    }

    @Test func summariesCountOrphansAndErrors() throws {
        let batch = try decodeTraceJSON(fullTraceJSON).batch
        let summary = JaegerTraceSummary(batch, root: 0)
        #expect(summary.spanCount == batch.rowCount)
        #expect(summary.errorCount == batch.statusCodes.count { $0 == 2 })
        let ids = Set(batch.spanIDs)
        #expect(
            summary.orphanCount == batch.parentIDs.count { !$0.isZero && !ids.contains($0) })
        #expect(summary.services.reduce(0) { $0 + $1.spanCount } == batch.rowCount)
        let shape = JSONShape.object([
            "summaries": .array(
                .object([
                    "traceId": .string, "rootServiceName": .string, "rootOperationName": .string,
                    "minStartTimeUnixNano": .integerText, "maxEndTimeUnixNano": .integerText,
                    "spanCount": .uint32, "errorSpanCount": .uint32, "orphanSpanCount": .uint32,
                    "services": .array(
                        .object([
                            "name": .string, "spanCount": .uint32, "errorSpanCount": .uint32,
                        ])),
                ]))
        ])
        #expect(shape.faults(JaegerTraceSummary.json([summary])) == [])
    }
}

@Suite struct ZipkinAnswersTests {
    @Test func spansKeepWhatZipkinCanSay() throws {
        let batch = try decodeTraceJSON(fullTraceJSON).batch
        let json = try TraceAnswers.zipkinTrace(batch)
        #expect(JSONShape.zipkinTrace.faults(json) == [])
        let spans = try JSONValue(parsing: json).items
        #expect(spans.count == batch.rowCount)
        let span = try #require(spans.first)
        #expect(span["traceId"].text == "5b8efff798038103d269b633813fc60c")
        #expect(span["kind"].text == "SERVER")
        #expect(span["timestamp"].text == "1544712660000000")
        #expect(span["duration"].text == "1000000")
        #expect(span["localEndpoint"]["serviceName"].text == "shop")
        let tags = span["tags"]
        #expect(tags["i"].text == "-5")
        #expect(tags["list"].text == #"[1,"x",null]"#)
        #expect(tags["error"].text == "bad")
        #expect(tags["otel.status_code"].text == "ERROR")
        #expect(tags["otel.scope.name"].text == "lib")
        #expect(tags.has("service.instance.id"))
        #expect(!tags.has("service.name"))
        #expect(tags.has("otlp.link.0"))
        #expect(
            span["annotations"].items.first?["timestamp"].text == "1544712660500000")
        #expect(spans.last?.has("parentId") == true)
        #expect(
            JSONShape.array(.zipkinTrace).faults(try TraceAnswers.zipkinTraces([batch, batch]))
                == [])
    }

    @Test func endpointsAndSharedSpans() throws {
        func span(_ kind: Int, _ attributes: String) -> String {
            #"{"traceId":"00000000000000000000000000000001","spanId":"0000000000000002","#
                + #""name":"x","kind":\#(kind),"startTimeUnixNano":"1500","#
                + #""endTimeUnixNano":"1600","attributes":[\#(attributes)]}"#
        }
        func attribute(_ key: String, _ value: String) -> String {
            #"{"key":"\#(key)","value":{"stringValue":"\#(value)"}}"#
        }
        let peer = [
            attribute("peer.service", "bank"), attribute("network.peer.address", "2001:db8::1"),
            attribute("network.peer.port", "443"),
        ].joined(separator: ",")
        let batch = try decodeTraceJSON(
            #"{"resourceSpans":[{"scopeSpans":[{"spans":[\#(span(3, peer)),\#(span(2, ""))]}]}]}"#
        ).batch
        let json = text(try TraceAnswers.zipkinTrace(batch))
        #expect(
            json.contains(
                #""remoteEndpoint":{"serviceName":"bank","ipv6":"2001:db8::1","port":443}"#),
            "\(json)")
        #expect(json.contains(#""timestamp":1,"duration":1,"#), "\(json)")
        #expect(json.components(of: #""shared":true"#) == 1)
    }

    @Test func lists() {
        #expect(text(ZipkinAnswers.names(["a"])) == #"["a"]"#)
        #expect(
            text(
                ZipkinAnswers.dependencies([
                    .init(parent: "a", child: "b", callCount: 2, errorCount: 1)
                ]))
                == #"[{"parent":"a","child":"b","callCount":2,"errorCount":1}]"#)
    }
}

extension String {
    /// How often a text occurs, without overlaps.
    fileprivate func components(of text: String) -> Int {
        var count = 0
        var rest = self[...]
        while let range = rest.firstRange(of: text) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}
