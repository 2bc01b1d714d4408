// SPDX-License-Identifier: Apache-2.0
// A small shop in memory, with a past and a window.

import Base
import Correlation
import Telemetry
import TestKit

@testable import Diagnosis

/// Requests go from `front` over `cart` to `stock`; every service writes lines in its spans.
struct Scenario {
    static let second: Int64 = 1_000_000_000
    static let base: Int64 = 1_700_000_000 * second
    static let baseline = NanosRange(
        first: Nanos(base), last: Nanos(base + 60 * second))
    static let window = NanosRange(
        first: Nanos(base + 120 * second), last: Nanos(base + 180 * second))

    /// One request; times in milliseconds.
    struct Request {
        var gap: Int64 = 1
        var cartOwn: Int64 = 4
        var stockGap: Int64 = 1
        var stockOwn: Int64 = 5
        var cartLines = [
            "INFO shop.Cart#10 start", "INFO shop.Cart#20 loaded", "INFO shop.Cart#30 done",
        ]
        var frontLines = ["INFO shop.Front#5 begin", "INFO shop.Front#9 end"]
        var stockFails = false
        var stockAttributes: [(String, AttributeValue)] = []
        var callsStock = true
    }

    var spans = InMemorySpans()
    var logs = InMemoryLogs()
    var series = InMemorySeries()
    private var next: UInt64 = 1

    init() { spans.batchRows = 50 }

    /// Thirty requests in each of baseline and window.
    static func build(_ change: (inout Request) -> Void) -> Scenario {
        var scenario = Scenario()
        scenario.fill(Scenario.baseline) { _ in }
        scenario.fill(Scenario.window, change)
        return scenario
    }

    mutating func fill(
        _ range: NanosRange, requests: Int = 30, _ change: (inout Request) -> Void
    ) {
        for i in 0..<requests {
            var request = Request()
            // Some variety, the same in all stretches.
            request.cartOwn += Int64(i % 3)
            request.stockOwn += Int64(i % 2)
            change(&request)
            send(request, at: range.first.rawValue + Int64(i) * 2 * Scenario.second)
        }
    }

    private mutating func id() -> UInt64 {
        next += 1
        return next
    }

    mutating func send(_ request: Request, at nanos: Int64) {
        let ms: Int64 = 1_000_000
        let trace = id()
        var now = nanos
        func span(
            _ id: UInt64, _ parent: UInt64, _ service: String, _ name: String, _ kind: UInt8
        ) -> InMemorySpans.Span {
            var span = InMemorySpans.Span(trace: trace, id: id)
            span.parent = parent
            span.service = service
            span.name = name
            span.kind = kind
            return span
        }
        var front = span(id(), 0, "front", "GET /buy", 2)
        front.start = now
        now += 2 * ms
        var toCart = span(id(), front.id, "front", "POST cart", 3)
        toCart.start = now
        now += request.gap * ms
        var cart = span(id(), toCart.id, "cart", "POST /cart", 2)
        cart.start = now
        now += request.cartOwn * ms
        if request.callsStock {
            var toStock = span(id(), cart.id, "cart", "GET stock", 3)
            toStock.start = now
            now += request.stockGap * ms
            var stock = span(id(), toStock.id, "stock", "GET /stock", 2)
            stock.start = now
            stock.status = request.stockFails ? 2 : 0
            stock.attributes = request.stockAttributes
            stock.duration = request.stockOwn * ms
            now += stock.duration
            toStock.duration = now - toStock.start
            spans.add(stock)
            spans.add(toStock)
        }
        cart.duration = now - cart.start
        toCart.duration = now - toCart.start
        now += ms
        front.duration = now - front.start
        for (service, id, lines, start) in [
            ("front", front.id, request.frontLines, front.start),
            ("cart", cart.id, request.cartLines, cart.start),
        ] {
            for (index, line) in lines.enumerated() {
                log(service, line, at: start + Int64(index) * 1000, trace, id)
            }
        }
        spans.add(cart)
        spans.add(toCart)
        spans.add(front)
    }

    mutating func log(
        _ service: String, _ line: String, at nanos: Int64, _ trace: UInt64 = 0, _ span: UInt64 = 0
    ) {
        var metadata: [(name: String, value: String)] = []
        if trace != 0 {
            metadata = [
                ("trace_id", TraceID(high: 0, low: trace).description),
                ("span_id", SpanID(span).description),
            ]
        }
        logs.add(
            Labels([("service_name", service)]), nanos: nanos, line, metadata: Labels(metadata))
    }

    /// A gauge of every service, once in 15 seconds from a quarter of an hour before the window.
    mutating func gauge(_ name: String, _ value: (_ service: String, _ isWindow: Bool) -> Double) {
        for service in ["front", "cart", "stock"] {
            var columns = SampleColumns()
            let start = Scenario.window.first.rawValue - 840 * Scenario.second
            var i: Int64 = 0
            while start + i * 15 * Scenario.second <= Scenario.window.last.rawValue {
                let nanos = start + i * 15 * Scenario.second
                let noise = 1 + Double(i % 5) / 50
                columns.append(
                    millis: nanos / 1_000_000,
                    value: value(service, nanos > Scenario.window.first.rawValue) * noise)
                i += 1
            }
            series.append(
                Labels([("__name__", name), ("service_name", service), ("pod", service + "-0")]),
                columns)
        }
    }

    var sources: SignalSources {
        SignalSources(
            spans: spans, logs: TracedLogs(logs: logs), metrics: series, index: Correlation())
    }

    var request: DiagnosisRequest {
        DiagnosisRequest(
            tenant: .anonymous, window: Scenario.window, baseline: Scenario.baseline)
    }

    func diagnose(
        _ request: DiagnosisRequest? = nil, limits: ReadLimits = ReadLimits()
    ) throws -> DiagnosisAnswer {
        try Diagnosis(sources, limits: limits).diagnose(
            request ?? self.request, ReadContext())
    }
}

/// Lines with the ids that their metadata names, as ingest lifts them.
struct TracedLogs: LogReading {
    let logs: InMemoryLogs

    func read(
        _ request: LogRequest, _ context: ReadContext, _ body: (LogBatch) throws -> Bool
    ) throws {
        try logs.read(request, context) { batch in
            var batch = batch
            for row in 0..<batch.rowCount {
                let metadata = Labels(canonical: Array(batch.arena[batch.metadata[row].range]))
                batch.traceIDs[row] = metadata["trace_id"].flatMap { TraceID(hex: $0) } ?? .zero
                batch.spanIDs[row] = metadata["span_id"].flatMap { SpanID(hex: $0) } ?? .zero
            }
            return try body(batch)
        }
    }

    func streams(_ request: LogRequest, _ context: ReadContext) throws -> [Labels] {
        try logs.streams(request, context)
    }

    func labelNames(_ request: LogRequest, _ context: ReadContext) throws -> [String] {
        try logs.labelNames(request, context)
    }

    func labelValues(
        _ name: String, _ request: LogRequest, _ context: ReadContext
    ) throws -> [String] {
        try logs.labelValues(name, request, context)
    }

    func rows(
        tenant: Tenant, streamHash: UInt64, range: NanosRange, _ context: ReadContext
    ) throws -> LogBatch {
        try logs.rows(tenant: tenant, streamHash: streamHash, range: range, context)
    }
}
