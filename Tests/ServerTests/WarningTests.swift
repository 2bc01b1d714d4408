// SPDX-License-Identifier: Apache-2.0
// Answers over damaged data say that they lack something.

import Base
import HTTPTypes
import Telemetry
import TestKit
import Testing

@testable import Server

/// Readers that answer, and miss something.
private struct Lossy: SeriesReading, LogReading, SpanReading {
    static let fault = "part 000000000007.part damaged at offset 42: checksum differs"
    let spans: InMemorySpans

    func select(_ request: SeriesRequest, _ context: ReadContext) throws -> any SeriesSet {
        context.noteMissing(Lossy.fault)
        return try InMemorySeries().empty
    }
    func labelNames(_ request: SeriesRequest, _ context: ReadContext) throws -> [String] {
        context.noteMissing(Lossy.fault)
        return []
    }
    func labelValues(
        _ name: String, _ request: SeriesRequest, _ context: ReadContext
    ) throws -> [String] {
        context.noteMissing(Lossy.fault)
        return []
    }
    func exemplars(_ request: SeriesRequest, _ context: ReadContext) throws -> [Exemplar] {
        context.noteMissing(Lossy.fault)
        return []
    }
    func metadata(
        _ tenant: Tenant, family: String?
    ) throws -> [(String, [MetricMetadata])] { [] }

    func read(
        _ request: LogRequest, _ context: ReadContext, _ body: (LogBatch) throws -> Bool
    ) throws { context.noteMissing(Lossy.fault) }
    func streams(_ request: LogRequest, _ context: ReadContext) throws -> [Labels] {
        context.noteMissing(Lossy.fault)
        return []
    }
    func labelNames(_ request: LogRequest, _ context: ReadContext) throws -> [String] {
        context.noteMissing(Lossy.fault)
        return []
    }
    func labelValues(
        _ name: String, _ request: LogRequest, _ context: ReadContext
    ) throws -> [String] {
        context.noteMissing(Lossy.fault)
        return []
    }
    func rows(
        tenant: Tenant, streamHash: UInt64, range: NanosRange, _ context: ReadContext
    ) throws -> LogBatch { LogBatch() }

    func trace(_ id: TraceID, tenant: Tenant, _ context: ReadContext) throws -> SpanBatch {
        context.noteMissing(Lossy.fault)
        return try spans.trace(id, tenant: tenant, context)
    }
    func search(
        newestFirst request: SpanRequest, _ context: ReadContext,
        _ body: (SpanBatch, _ restStartNanos: Int64) throws -> Bool
    ) throws {}
    func tagNames(
        _ tenant: Tenant, range: NanosRange, _ context: ReadContext
    ) throws -> [AttributeScope: [String]] { [:] }
    func tagValues(
        _ subject: SpanCondition.Subject, _ request: SpanRequest, limit: Int,
        _ context: ReadContext
    ) throws -> [AttributeValue] { [] }
}

extension InMemorySeries {
    fileprivate var empty: any SeriesSet {
        get throws {
            try select(
                SeriesRequest(tenant: .anonymous, matchers: [], range: .all), ReadContext())
        }
    }
}

@Test func answersOverDamagedDataCarryAWarning() async throws {
    var spans = InMemorySpans()
    spans.add(InMemorySpans.Span(trace: 2, id: 3))
    let lossy = Lossy(spans: spans)
    let service = QueryService(
        metrics: lossy, logs: lossy, traces: lossy, clock: SystemClock(), limits: QueryLimits(),
        threads: 1)
    defer { service.stop() }
    func request(
        _ parameters: [(name: String, value: String)], _ path: [String: String] = [:]
    ) -> APIRequest {
        var request = APIRequest(method: .get, path: "/", parameters: parameters)
        request.pathParameters = path
        return request
    }
    let range = [(name: "start", value: "1"), ("end", "2"), ("step", "1")]
    let up = (name: "query", value: "up")
    let logs = (name: "query", value: #"{a="b"}"#)
    let count = (name: "query", value: #"sum(rate({a="b"}[1m]))"#)
    let matches = (name: "match[]", value: "up")
    let id = ["id": "2"]
    let prometheus = QueryEndpoints(service: service)
    let series = SeriesEndpoints(service: service)
    let loki = LokiQueryEndpoints(service: service)
    let traces = TraceEndpoints(service: service)
    let answers: [(String, APIResponse)] = [
        ("query", try await prometheus.query(request([up]))),
        ("query_range", try await prometheus.queryRange(request(range + [up]))),
        ("labels", try await series.labels(request([]))),
        ("label values", try await series.labelValues(request([], ["name": "job"]))),
        ("series", try await series.series(request([matches]))),
        ("exemplars", try await series.exemplars(request(range + [up]))),
        ("loki query", try await loki.query(request([count]))),
        ("loki query_range", try await loki.queryRange(request(range + [logs]))),
        ("loki metric range", try await loki.queryRange(request(range + [count]))),
        ("loki labels", try await loki.labels(request(range))),
        ("loki label values", try await loki.labelValues(request(range, ["name": "a"]))),
        ("loki series", try await loki.series(request(range))),
        ("jaeger trace", try await traces.byID(request([], id))),
        ("tempo trace v2", try await traces.byIDv2(request([], id))),
    ]
    for (name, answer) in answers {
        let text = String(decoding: answer.body, as: UTF8.self)
        #expect(answer.status == .ok, "\(name)")
        #expect(text.contains(Lossy.fault), "\(name): \(text)")
        #expect(
            text.contains(name.hasPrefix("tempo") ? "PARTIAL" : #""warnings":["#),
            "\(name): \(text)")
    }
    await #expect(throws: APIError.self, "an unknown trace may be one that cannot be read") {
        try await traces.byID(request([], ["id": "99"]))
    }
}
