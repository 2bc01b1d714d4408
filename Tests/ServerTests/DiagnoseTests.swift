// SPDX-License-Identifier: Apache-2.0
// Diagnosis over HTTP: every field, every refusal, and every query of the evidence.

import Base
import Correlation
import FoundationEssentials
import Telemetry
import TestKit
import Testing

@testable import Server

struct DiagnosisData: Decodable {
    struct StretchData: Decodable {
        var startTimeUnixNano: String
        var endTimeUnixNano: String
    }
    struct SuspectData: Decodable {
        var rank: Int
        var service: String
        var operation: String?
        var code: CodeData?
        var codeRange: [CodeData]?
        var resource: String?
        var score: Double
        var summary: String
        var evidence: [EvidenceData]
        var traceIDs: [String]
    }
    struct EvidenceData: Decodable {
        var signal: String
        var text: String
        var query: String
        var language: String
        var baselineQuery: String
        var baseline: Double?
        var window: Double?
    }
    struct CoverageData: Decodable {
        struct Counts: Decodable {
            var spanCount: Int
            var logLineCount: Int
            var logLinesWithTrace: Int
        }
        var baseline: Counts
        var before: Counts
        var window: Counts
        var resourceSeriesCount: Int
        var traceShare: Double
        var notes: [String]
    }
    var window: StretchData
    var baseline: StretchData
    var suspects: [SuspectData]
    var coverage: CoverageData
    var incidentThreshold: Double
    var elapsedSeconds: Double
}

struct DifferenceData: Decodable {
    struct Key: Decodable, Equatable {
        var scope: String
        var key: String
    }
    var scope: String
    var key: String
    var value: String?
    var range: [Double]?
    var selectionShare: Double
    var baselineShare: Double
    var effect: Double
    var support: Int
    var adjustedP: Double
    var sameAs: [Key]
}

struct CoverageAnswerData: Decodable {
    struct Row: Decodable {
        var service: String?
        var spanCount: Int
        var spansWithCodeShare: Double?
        var logLineCount: Int
        var logLinesWithTraceShare: Double?
        var seriesCount: Int
    }
    struct Name: Decodable {
        var name: String
        var signals: [String]
        var proposedAlias: String?
        var proposedIdentity: String?
        var reason: String?
    }
    var total: Row
    var services: [Row]
    var logLinesWithoutService: Int
    var seriesWithoutService: Int
    var unmatched: [Name]
}

/// A shop in which `cart` no longer gets from one line to the next, and burns its processor.
private struct FaultyShop {
    static let second: Int64 = 1_000_000_000
    /// Eight minutes ago, to the second.
    let base = SystemClock().wallNanos / second * second - 480 * second
    /// What `cart` calls itself, in turn.
    var cartNames = ["cart"]
    var baselineStart: Int64 { base }
    var baselineEnd: Int64 { base + 60 * FaultyShop.second }
    var start: Int64 { base + 300 * FaultyShop.second }
    var end: Int64 { base + 360 * FaultyShop.second }

    func sendAll(to server: CorrelateServer) async throws {
        for (from, isFaulty) in [(baselineStart, false), (start, true)] {
            for i in 0..<20 {
                let at = from + Int64(i) * 2 * FaultyShop.second + FaultyShop.second
                try await send(
                    server, at, "\(isFaulty ? "b" : "a")\(10 + i)", isFaulty,
                    cartNames[i % cartNames.count])
            }
        }
        var points: [String] = []
        var time = base - 120 * FaultyShop.second
        while time <= end {
            let value = time > start ? 97.5 : 7.25
            points.append(#"{"timeUnixNano":"\#(time)","asDouble":\#(value)}"#)
            time += 15 * FaultyShop.second
        }
        try await server.post(
            "/v1/metrics",
            """
            {"resourceMetrics":[{"resource":{"attributes":[
            {"key":"service.name","value":{"stringValue":"\(cartNames[0])"}}]},"scopeMetrics":[{"metrics":[
            {"name":"process_cpu_usage_percent","gauge":{"dataPoints":[\(points.joined(separator: ","))]}}]}]}]}
            """)
    }

    private func send(
        _ server: CorrelateServer, _ at: Int64, _ name: String, _ isFaulty: Bool, _ cart: String
    ) async throws {
        let trace = String(repeating: "0", count: 29) + name
        func span(
            _ id: Int, _ parent: Int, _ name: String, _ kind: Int, _ from: Int64, _ to: Int64
        )
            -> String
        {
            """
            {"traceId":"\(trace)","spanId":"000000000000000\(id)",
            "parentSpanId":"\(parent == 0 ? "" : "000000000000000\(parent)")","name":"\(name)",
            "kind":\(kind),"startTimeUnixNano":"\(at + from * 1_000_000)",
            "endTimeUnixNano":"\(at + to * 1_000_000)",
            "attributes":[{"key":"tier","value":{"stringValue":"\(isFaulty ? "gold" : "iron")"}}]}
            """
        }
        func export(_ service: String, _ spans: [String]) -> String {
            """
            {"resourceSpans":[{"resource":{"attributes":[
            {"key":"service.name","value":{"stringValue":"\(service)"}}]},
            "scopeSpans":[{"spans":[\(spans.joined(separator: ","))]}]}]}
            """
        }
        let slow: Int64 = isFaulty ? 400 : 0
        try await server.post(
            "/v1/traces",
            export(
                "front",
                [
                    span(1, 0, "GET /buy", 2, 0, 30 + slow),
                    span(2, 1, "POST cart", 3, 2, 28 + slow),
                ]))
        try await server.post(
            "/v1/traces", export(cart, [span(3, 2, "POST /cart", 2, 4, 26 + slow)]))
        var lines = ["INFO shop.Cart#10 start", "INFO shop.Cart#20 loaded"]
        lines.append(isFaulty ? "ERROR shop.Cart#25 no stock" : "INFO shop.Cart#30 done")
        let values = lines.enumerated().map { index, line in
            let nanos = at + 5_000_000 + Int64(index) * 1_000_000
            return #"["\#(nanos)","\#(line) TraceID: \#(trace) SpanID: 0000000000000003"]"#
        }
        try await server.post(
            "/loki/api/v1/push",
            """
            {"streams":[{"stream":{"app":"\(cart)"},"values":[\(values.joined(separator: ","))]}]}
            """)
    }

    var parameters: String {
        "start=\(start)&end=\(end)&baselineStart=\(baselineStart)&baselineEnd=\(baselineEnd)"
    }
}

@Suite struct DiagnoseTests {
    private func withShop<R: Sendable>(
        _ shop: FaultyShop = FaultyShop(),
        _ body: (CorrelateServer, FaultyShop) async throws -> R
    ) async throws -> R {
        try await withTemporaryDirectory { path in
            try await CorrelateServer.run(path + "/data") { server in
                try await shop.sendAll(to: server)
                return try await body(server, shop)
            }
        }
    }

    private func escaped(_ text: String) -> String {
        text.utf8.map { byte in
            let isPlain =
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte)
                || (0x61...0x7a).contains(byte)
            let digits = String(byte, radix: 16, uppercase: true)
            return isPlain
                ? String(decoding: [byte], as: UTF8.self)
                : "%" + (digits.utf8.count == 1 ? "0" : "") + digits
        }.joined()
    }

    @Test func theFaultIsNamed() async throws {
        try await withShop { server, shop in
            let answer = try await server.get("diagnose?" + shop.parameters, as: DiagnosisData.self)
            let data = answer.data
            #expect(answer.warnings == nil)
            #expect(data.window.startTimeUnixNano == String(shop.start))
            #expect(data.window.endTimeUnixNano == String(shop.end))
            #expect(data.baseline.startTimeUnixNano == String(shop.baselineStart))
            #expect(data.baseline.endTimeUnixNano == String(shop.baselineEnd))
            #expect(data.coverage.window.spanCount == 60)
            #expect(data.coverage.window.logLineCount == 60)
            #expect(data.coverage.window.logLinesWithTrace == 60)
            #expect(data.coverage.baseline.spanCount == 60)
            #expect(data.coverage.before.spanCount == 0)
            #expect(data.coverage.resourceSeriesCount == 1)
            #expect(data.coverage.traceShare == 1)
            #expect(
                data.coverage.notes == [
                    "no log lines of front", "no metrics of resources of front",
                ])
            let first = try #require(data.suspects.first)
            #expect(first.rank == 1)
            #expect(first.service == "cart")
            #expect(first.resource == "cpu")
            #expect(first.score > data.incidentThreshold)
            #expect(first.score <= 1)
            #expect(!first.summary.isEmpty)
            #expect(first.traceIDs.count == 5)
            #expect(
                first.traceIDs.allSatisfy { $0.hasPrefix(String(repeating: "0", count: 29) + "b") })
            #expect(Set(first.evidence.map(\.signal)) == ["metrics", "logs", "traces"])
            let place = try #require(data.suspects.first { $0.codeRange != nil })
            #expect(place.service == "cart")
            #expect(place.operation == "POST /cart")
            #expect(place.code?.raw == "shop.Cart#25")
            #expect(place.codeRange?.map(\.raw) == ["shop.Cart#20", "shop.Cart#30"])
        }
    }

    /// What the text says is what the query gives.
    @Test func evidenceCanBeRun() async throws {
        try await withShop { server, shop in
            let data = try await server.get("diagnose?" + shop.parameters, as: DiagnosisData.self)
                .data
            try await runEvidence(of: data, server, shop)
        }
    }

    private func runEvidence(
        of data: DiagnosisData, _ server: CorrelateServer, _ shop: FaultyShop
    ) async throws {
        var languages: Set<String> = []
        for evidence in data.suspects.flatMap(\.evidence) {
            languages.insert(evidence.language)
            let window = try await run(
                server, evidence.query, evidence.language, shop.start, shop.end)
            #expect((window ?? 0) == (evidence.window ?? 0), "\(evidence.query)")
            let baseline = try await run(
                server, evidence.baselineQuery, evidence.language, shop.baselineStart,
                shop.baselineEnd)
            #expect((baseline ?? 0) == (evidence.baseline ?? 0), "\(evidence.baselineQuery)")
        }
        #expect(languages == ["promql", "logql", "traceql"])
    }

    /// Two names of one service, one of which means something in regular expressions.
    @Test func anOverriddenServiceIsAskedForByAllItsNames() async throws {
        try await withShop(FaultyShop(cartNames: ["cart-a", "Cart.(b)|x"])) { server, shop in
            server.core.correlation.setOverrides(
                try IdentityOverrides([
                    IdentityOverride(name: "cart", aliases: ["cart-a", "Cart.(b)|x"])
                ]))
            for scope in ["", "&service=cart", "&service=cart-a"] {
                let data = try await server.get(
                    "diagnose?" + shop.parameters + scope, as: DiagnosisData.self
                ).data
                #expect(data.suspects.first?.service == "cart")
                #expect(Set(data.suspects.map(\.service)).isSubset(of: ["cart", "front"]))
                try await runEvidence(of: data, server, shop)
                let evidence = data.suspects.filter { $0.service == "cart" }.flatMap(\.evidence)
                let spans = evidence.filter {
                    $0.language == "traceql" && !$0.query.contains(#"= "front""#)
                }
                let names = #"=~ "Cart\\.\\(b\\)\\|x|cart-a""#
                #expect(!spans.isEmpty && spans.allSatisfy { $0.query.contains(names) })
                // All twenty requests, not the ten of one name.
                #expect(spans.contains { $0.window == 20 || $0.baseline == 20 })
                let lines = evidence.filter { $0.language == "logql" }
                let label = #"=~"Cart\\.\\(b\\)\\|x|cart-a""#
                #expect(!lines.isEmpty && lines.allSatisfy { $0.query.contains(label) })
                #expect(lines.contains { $0.window == 20 || $0.baseline == 20 })
            }
            let coverage = try await server.get(
                "coverage?start=\(shop.baselineStart)&end=\(shop.end)",
                as: CoverageAnswerData.self
            ).data
            #expect(coverage.services.map(\.service) == ["cart", "front"])
        }
    }

    /// A selector stands in the query itself.
    @Test func aSelectedServiceIsAskedForByItsSelector() async throws {
        try await withShop(FaultyShop(cartNames: ["cart", "basket"])) { server, shop in
            let selector = try LabelMatcher("app", .matches, "cart|basket")
            server.core.correlation.setOverrides(
                try IdentityOverrides([
                    IdentityOverride(
                        name: "goods", aliases: ["cart", "basket"], selectors: [[selector]])
                ]))
            let data = try await server.get(
                "diagnose?" + shop.parameters, as: DiagnosisData.self
            ).data
            #expect(data.suspects.first?.service == "goods")
            try await runEvidence(of: data, server, shop)
            let lines = data.suspects.flatMap(\.evidence).filter { $0.language == "logql" }
            #expect(lines.allSatisfy { $0.query.contains(#"{app=~"cart|basket"}"#) })
            #expect(lines.contains { $0.window == 20 })
        }
    }

    private func run(
        _ server: CorrelateServer, _ query: String, _ language: String, _ start: Int64,
        _ end: Int64
    ) async throws -> Double? {
        if language == "traceql" { return try await spans(server, query, start, end) }
        let path = language == "logql" ? "/loki/api/v1/query" : "/api/v1/query"
        let time = language == "logql" ? String(end) : String(end / FaultyShop.second)
        let (status, body) = try await server.send("\(path)?query=\(escaped(query))&time=\(time)")
        #expect(status == 200, "\(query): \(String(decoding: body, as: UTF8.self))")
        guard case .object(let answer) = try CorpusJSON(parsing: body),
            case .object(let data)? = answer["data"], case .array(let result)? = data["result"],
            case .object(let sample)? = result.first, case .array(let value)? = sample["value"],
            value.count == 2, case .string(let text) = value[1]
        else { return nil }
        #expect(result.count == 1)
        return Double(text)
    }

    /// The one number of a metrics query over spans.
    private func spans(
        _ server: CorrelateServer, _ query: String, _ start: Int64, _ end: Int64
    ) async throws -> Double? {
        let (status, body) = try await server.send(
            "/api/metrics/query?q=\(escaped(query))&start=\(start)&end=\(end)")
        #expect(status == 200, "\(query): \(String(decoding: body, as: UTF8.self))")
        guard case .object(let answer) = try CorpusJSON(parsing: body),
            case .array(let series)? = answer["series"], case .object(let one)? = series.first,
            case .number(let value)? = one["value"]
        else { return nil }
        return value
    }

    @Test func nothingDiffers() async throws {
        try await withShop { server, shop in
            let half = shop.baselineStart + 31 * FaultyShop.second
            let answer = try await server.get(
                "diagnose?start=\(half)&end=\(shop.baselineEnd)&baselineStart=\(shop.baselineStart)"
                    + "&baselineEnd=\(half - 1)", as: DiagnosisData.self)
            #expect(answer.data.suspects.isEmpty)
            #expect(answer.warnings == ["nothing differs between window and baseline"])
            let empty = try await server.get(
                "diagnose?start=1000&end=1060", as: DiagnosisData.self)
            #expect(empty.data.suspects.isEmpty)
            #expect(empty.data.baseline.startTimeUnixNano == "939999999999")
            #expect(empty.warnings?.count == 1)
        }
    }

    @Test(arguments: [
        ("diagnose", 400), ("diagnose?start=1", 400), ("diagnose?start=2&end=1", 400),
        ("diagnose?start=1&end=2&baselineStart=1", 400),
        ("diagnose?start=1&end=2&trace=xyz", 400),
        ("diagnose?start=1&end=2&service=a&trace=1", 400),
        ("diagnose?start=1&end=2&match[]=%7B", 400),
        ("diagnose?start=1&end=2&limit=0", 400),
        ("diagnose?start=1&end=2&service=nobody", 404),
        ("diagnose?start=1&end=2&trace=1234", 404),
        ("diagnose?start=1&end=2&match[]=nothing", 404),
        ("compare", 400), ("compare?query=%7B", 400),
        ("compare?query=%7B%7D&language=sql", 400),
        ("compare?query=%7B%7D%20%7C%20rate()", 400),
        ("coverage?start=x", 400),
    ])
    func refusals(_ target: String, _ expected: Int) async throws {
        try await withTemporaryDirectory { path in
            try await CorrelateServer.run(path + "/data") { server in
                let (status, body) = try await server.send("/api/v1/correlate/" + target)
                #expect(status == expected, "\(target): \(String(decoding: body, as: UTF8.self))")
            }
        }
    }

    @Test func oneServiceOnly() async throws {
        try await withShop { server, shop in
            let front = try await server.get(
                "diagnose?service=front&" + shop.parameters, as: DiagnosisData.self)
            #expect(front.data.suspects.first?.service == "cart")
            let one = try await server.get(
                "diagnose?service=cart&limit=1&" + shop.parameters, as: DiagnosisData.self)
            #expect(one.data.suspects.map(\.service) == ["cart"])
            let series = try await server.get(
                "diagnose?match[]=process_cpu_usage_percent&" + shop.parameters,
                as: DiagnosisData.self)
            #expect(series.data.suspects.allSatisfy { $0.service == "cart" })
        }
    }

    @Test func attributesThatDiffer() async throws {
        try await withShop { server, shop in
            let range = "start=\(shop.baselineStart)&end=\(shop.end)"
            let slow = escaped(#"{ resource.service.name = "cart" && duration > 100ms }"#)
            let rest = escaped(#"{ resource.service.name = "cart" && duration < 100ms }"#)
            let answer = try await server.get(
                "compare?query=\(slow)&baseline=\(rest)&\(range)", as: [DifferenceData].self)
            // Both are on the same rows, so they are one difference.
            let first = try #require(answer.data.first { $0.effect > 0 })
            #expect(
                Set([first.key] + first.sameAs.map(\.key)).isSuperset(of: ["duration", "tier"]))
            #expect((first.selectionShare, first.baselineShare, first.effect) == (1, 0, 1))
            #expect(first.support == 20)
            let others = try await server.get(
                "compare?query=\(slow)&\(range)", as: [DifferenceData].self)
            #expect(
                others.data.contains { difference in
                    difference.effect > 0
                        && ([difference.key] + difference.sameAs.map(\.key)).contains("tier")
                })

            let errors = escaped(#"{app="cart"} |= "ERROR""#)
            let lines = try await server.get(
                "compare?query=\(errors)&\(range)", as: [DifferenceData].self)
            #expect(lines.data.contains { $0.key == "detected_level" && $0.value == "error" })
            let same = try await server.get(
                "compare?query=\(slow)&baseline=\(slow)&\(range)", as: [DifferenceData].self)
            #expect(same.data.isEmpty)
            #expect(same.warnings == ["no difference found"])
        }
    }

    @Test func coverageOfTheShop() async throws {
        try await withShop { server, shop in
            let answer = try await server.get(
                "coverage?start=\(shop.baselineStart)&end=\(shop.end)", as: CoverageAnswerData.self)
            let data = answer.data
            #expect(data.services.map(\.service) == ["cart", "front"])
            #expect(data.total.spanCount == 120)
            #expect(data.total.logLineCount == 120)
            #expect(data.total.logLinesWithTraceShare == 1)
            #expect(data.total.spansWithCodeShare == 0)
            #expect(data.services[1].logLinesWithTraceShare == nil)
            #expect(data.unmatched.map(\.name) == ["front"])
            let signals = try #require(data.unmatched.first?.signals)
            #expect(signals.contains("traces"))
            #expect(!signals.contains("logs"))
        }
    }
}
