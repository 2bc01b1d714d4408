// SPDX-License-Identifier: Apache-2.0
// A server on one data directory, and the correlation API's answers as types.

import AsyncHTTPClient
import Base
import Ingest
import FoundationEssentials
import Logging
import NIOCore
import NIOHTTP1
import ServiceLifecycle
import Storage
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Server

/// A running server on a directory that outlives it.
struct CorrelateServer: Sendable {
    let core: Core
    private let port: Int

    /// Opens the directory, serves while `body` runs, and stops.
    ///
    /// - Parameter flush: whether what is in memory becomes parts at the end; without, the next
    ///   start replays the log, as after a crash.
    static func run<R: Sendable>(
        _ path: String, flush: Bool = false, _ body: (CorrelateServer) async throws -> R
    ) async throws -> R {
        var options = ServerOptions()
        options.storagePath = path
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let clock = SystemClock()
        let (metrics, startup) = (SelfMetrics(), Startup(clock: clock))
        let core = try Core.open(
            CoreSettings(options, nil), DataDirectory(path), clock, startup)
        startup.finish(core)
        let endpoint = HTTPEndpoint(
            options: HTTPEndpoint.Options(options),
            observer: SelfObserver(logger: logger, metrics: metrics, clock: clock))
        endpoint.serve(
            makeRoutes(core, startup, metrics, Scraping(options, nil, logger, clock)))
        let (ports, announce) = AsyncStream<Int>.makeStream()
        let group = ServiceGroup(
            services: [
                HTTPListener(
                    host: "127.0.0.1", port: 0, endpoint: endpoint, limits: options.connection,
                    logger: logger
                ) { announce.yield($0) }
            ], logger: logger)
        let running = Task { try await group.run() }
        var iterator = ports.makeAsyncIterator()
        let server = CorrelateServer(core: core, port: await iterator.next() ?? 0)
        let result: Result<R, any Error>
        do { result = .success(try await body(server)) } catch { result = .failure(error) }
        await group.triggerGracefulShutdown()
        try await running.value
        await core.kernel.stop(flush: flush)
        core.queries.stop()
        return try result.get()
    }

    func send(
        _ target: String, _ json: String? = nil
    ) async throws -> (status: Int, body: [UInt8]) {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(target)")
        if let json {
            request.method = .POST
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(string: json))
        }
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
        let body = try await response.body.collect(upTo: 64 << 20)
        return (Int(response.status.code), [UInt8](body.readableBytesView))
    }

    /// Sends JSON that must be taken.
    func post(_ target: String, _ json: String) async throws {
        let (status, body) = try await send(target, json)
        #expect((200..<300).contains(status), "\(String(decoding: body, as: UTF8.self))")
    }

    func get<T: Decodable>(_ target: String, as type: T.Type) async throws -> Envelope<T> {
        let (status, body) = try await send("/api/v1/correlate/" + target)
        let text = String(decoding: body, as: UTF8.self)
        try #require(status == 200, "\(target): \(text)")
        do {
            return try JSONDecoder().decode(Envelope<T>.self, from: Data(body))
        } catch {
            Issue.record("\(target): \(error) in \(text)")
            throw error
        }
    }
}

// MARK: - The contract

struct Envelope<T: Decodable>: Decodable {
    var status: String
    var data: T
    var warnings: [String]?
}

struct CodeData: Decodable, Equatable {
    var file: String?
    var line: Int?
    var function: String?
    var raw: String
}

/// Text or a whole number.
enum ScalarData: Decodable, Equatable {
    case text(String)
    case number(Int)

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        do {
            self = .text(try container.decode(String.self))
        } catch {
            self = .number(try container.decode(Int.self))
        }
    }
}

struct SpanData: Decodable, Equatable {
    var spanID: String
    var parentSpanID: String
    var service: String
    var name: String
    var kind: String
    var startTimeUnixNano: String
    var durationNanos: String
    var status: String
    var statusMessage: String
    var attributes: [String: ScalarData]
    var selfTimeNanos: String
    var criticalPathNanos: String
    var code: CodeData?
}

struct LogData: Decodable, Equatable {
    var timestampUnixNano: String
    var labels: [String: String]
    var structuredMetadata: [String: String]
    var line: String
    var spanID: String?
    var code: CodeData?
}

struct ExemplarData: Decodable, Equatable {
    var labels: [String: String]
    var exemplarLabels: [String: String]
    var timestampUnixNano: String
    var value: String
}

struct TraceData: Decodable, Equatable {
    var traceID: String
    var startTimeUnixNano: String
    var endTimeUnixNano: String
    var durationNanos: String
    var rootService: String
    var rootName: String
    var spanCount: Int
    var errorCount: Int
    var services: [String]
    var spans: [SpanData]?
    var logs: [LogData]?
    var exemplars: [ExemplarData]?
    var partial: Bool
}

struct TraceSummaryData: Decodable, Equatable {
    var traceID: String
    var rootService: String
    var rootName: String
    var startTimeUnixNano: String
    var durationNanos: String
    var spanCount: Int
    var errorCount: Int
}

struct LabelSetData: Decodable, Equatable { var labels: [String: String] }

struct ServiceRowData: Decodable, Equatable {
    var name: String
    var namespace: String
    var aliases: [String]
    var spanCount: Int
    var errorCount: Int
    var p50Nanos: String
    var p95Nanos: String
    var p99Nanos: String
    var logLineCount: Int
    var errorLogLineCount: Int
    var seriesCount: Int
    var lastSeenUnixNano: String
}

struct ServiceData: Decodable, Equatable {
    struct Operation: Decodable, Equatable {
        var name: String
        var kind: String
        var count: Int
        var errorCount: Int
        var p50Nanos: String
        var p95Nanos: String
        var p99Nanos: String
    }
    struct Edge: Decodable, Equatable {
        var service: String
        var callCount: Int
        var errorCount: Int
        var p95Nanos: String
    }
    struct Version: Decodable, Equatable {
        var version: String
        var firstSeenUnixNano: String
    }
    struct Alias: Decodable, Equatable {
        var alias: String
        var source: String
        var rule: String
    }
    var name: String
    var spanCount: Int
    var logLineCount: Int
    var instances: [String]
    var metricNames: [String]
    var streams: [LabelSetData]
    var operations: [Operation]
    var upstream: [Edge]
    var downstream: [Edge]
    var versions: [Version]
    var recentTraces: [TraceSummaryData]
    var errorTraces: [TraceSummaryData]
    var slowTraces: [TraceSummaryData]
    var identity: [Alias]?
}

struct SeriesData: Decodable, Equatable {
    var labels: [String: String]
    var service: String?
    var exemplars: [ExemplarData]
    var streams: [LabelSetData]
    var traces: [TraceSummaryData]
}

struct LogLineData: Decodable, Equatable {
    var log: LogData
    var service: String?
    var trace: TraceSummaryData?
    var span: SpanData?
    var series: [LabelSetData]
}

// MARK: - A small world

/// A shop: `front` calls `back`, which fails and says where; both log, `front` counts.
struct Shop: Sendable {
    static let trace = "5b8efff798038103d269b633813fc60c"
    /// Nanoseconds, two minutes ago.
    let base: Int64

    init() { base = SystemClock().wallNanos / 1_000_000_000 * 1_000_000_000 - 120_000_000_000 }

    func span(
        _ id: String, parent: String = "", _ name: String, kind: Int, _ from: Int64, _ to: Int64,
        error: Bool = false, trace: String = Shop.trace, more: String = ""
    ) -> String {
        """
        {"traceId":"\(trace)","spanId":"\(id)","parentSpanId":"\(parent)","name":"\(name)",
        "kind":\(kind),"startTimeUnixNano":"\(base + from)","endTimeUnixNano":"\(base + to)",
        "status":{"code":\(error ? 2 : 0)}\(more)}
        """
    }

    func export(_ service: String, _ spans: [String]) -> String {
        """
        {"resourceSpans":[{"resource":{"attributes":[
        {"key":"service.name","value":{"stringValue":"\(service)"}},
        {"key":"service.version","value":{"stringValue":"1.2"}}]},
        "scopeSpans":[{"spans":[\(spans.joined(separator: ","))]}]}]}
        """
    }

    var front: String {
        export(
            "front",
            [
                span(
                    "00000000000000a1", "GET /cart", kind: 2, 0, 100_000_000,
                    more: """
                        ,"attributes":[{"key":"code.filepath","value":{"stringValue":"cart.go"}},
                        {"key":"code.lineno","value":{"intValue":"12"}},
                        {"key":"code.function","value":{"stringValue":"main.cart"}}]
                        """),
                span(
                    "00000000000000a2", parent: "00000000000000a1", "call", kind: 3, 10_000_000,
                    80_000_000),
            ])
    }

    var back: String {
        export(
            "back",
            [
                span(
                    "00000000000000b1", parent: "00000000000000a2", "Load", kind: 2, 20_000_000,
                    70_000_000, error: true,
                    more: """
                        ,"events":[{"timeUnixNano":"\(base)","name":"exception","attributes":[
                        {"key":"exception.stacktrace","value":{"stringValue":
                        "E: no\\n\\tat shop.Db.load(Db.java:42)"}}]}]
                        """)
            ])
    }

    /// A line of each service, with the trace in the line.
    func push(job: String, app: String, line: String, at offset: Int64) -> String {
        """
        {"streams":[{"stream":{"job":"\(job)","pod":"\(app)-0"},
        "values":[["\(base + offset)","\(line)"]]}]}
        """
    }

    var frontLine: String {
        push(
            job: "shop/front", app: "front",
            line: "level=info caller=cart.go:30 trace_id=\(Shop.trace) span_id=00000000000000a1",
            at: 5_000_000)
    }

    var backLine: String {
        push(
            job: "shop/back", app: "back",
            line: "level=error msg=no trace_id=\(Shop.trace) span_id=00000000000000b1",
            at: 60_000_000)
    }

    /// A counter of `front` with an exemplar of the trace.
    var metrics: MetricBatch {
        var batch = MetricBatch()
        let series = batch.addSeries(
            Labels([("__name__", "requests_total"), ("job", "shop/front"), ("instance", "f:80")]))
        let millis = base / 1_000_000 + 50
        batch.addSample(series: series, millis: millis, value: 7)
        let labels = Labels([("trace_id", Shop.trace)])
        batch.exemplarLabels.append(labels.bytes.withUnsafeBytes { batch.arena.keep($0) })
        batch.exemplarSeries.append(series)
        batch.exemplarMillis.append(millis)
        batch.exemplarValues.append(0.1)
        return batch
    }

    func sendAll(to server: CorrelateServer) async throws {
        try await server.post("/v1/traces", front)
        try await server.post("/v1/traces", back)
        try await server.post("/loki/api/v1/push", frontLine)
        try await server.post("/loki/api/v1/push", backLine)
        _ = try await server.core.pipeline.write(metrics: metrics, tenant: .anonymous)
    }
}
