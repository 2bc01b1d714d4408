// SPDX-License-Identifier: Apache-2.0
// What Grafana's Loki data source and Logs Drilldown ask, as they ask, and what they need of the
// answers.

import Base
import TestKit
import Testing

@testable import Server

@Suite struct LokiGrafanaTests {
    /// What the data source sends along always.
    private static let headers = [
        ("X-Loki-Response-Encoding-Flags", "categorize-labels"),
        ("X-Query-Tags", "Source=logvolhist"),
    ]
    /// A minute ago, in seconds, at a multiple of ten.
    private let start = SystemClock().wallNanos / 10_000_000_000 * 10 - 60
    private var end: Int64 { start + 30 }

    private func push(_ server: TestServer) async throws {
        let values = (0..<12).map { number in
            let line =
                number % 3 == 0
                ? #"{\"level\":\"error\",\"msg\":\"refused\",\"card\":\#(number)}"#
                : "level=info msg=paid order=\(number)"
            return #"["\#(start + Int64(number))000000001","\#(line)",{"trace_id":"t\#(number)"}]"#
        }
        let body =
            #"{"streams":[{"stream":{"app":"shop","pod":"p1"},"values":[\#(values.joined(separator: ","))]}]}"#
        let reply = try await server.post(
            "/loki/api/v1/push", "application/json", Array(body.utf8))
        #expect(reply.status == 204, "\(reply.text)")
    }

    /// A request with the source's headers; its answer, which has to be JSON.
    private func ask(
        _ server: TestServer, _ path: String, _ pairs: [(String, String)]
    ) async throws -> CorpusJSON {
        let query = pairs.map { "\($0.0)=\(percentEncoded($0.1))" }.joined(separator: "&")
        let reply = try await server.send(
            "GET", "/loki/api/v1/\(path)?\(query)", headers: Self.headers)
        #expect(reply.status == 200, "\(path): \(reply.text)")
        return try CorpusJSON(parsing: reply.body)
    }

    private var nanosRange: [(String, String)] {
        [("start", "\(start)000000000"), ("end", "\(end)000000000")]
    }

    /// As Drilldown writes times.
    private var textRange: [(String, String)] {
        [("start", rfc3339(start)), ("end", rfc3339(end))]
    }

    private func rfc3339(_ seconds: Int64) -> String {
        rfc3339Text(nanos: seconds * 1_000_000_000)
    }

    private func rangeQuery(_ query: String, _ more: [(String, String)] = []) -> [(String, String)]
    {
        [("query", query), ("step", "1000ms"), ("direction", "backward")] + nanosRange + more
    }

    private func sum(_ answer: CorpusJSON) -> Double {
        (answer["data"]?["result"]?.array ?? []).reduce(0) { sum, series in
            (series["values"]?.array ?? []).reduce(sum) {
                $0 + (parseFloat($1.array[1].string ?? "") ?? .nan)
            }
        }
    }

    @Test func theDataSourceFindsWhatItNeeds() async throws {
        try await withServer { server in
            try await push(server)
            // "Save & test": one frame with the value 2.
            let test = try await ask(
                server, "query",
                [
                    ("query", "vector(1)+vector(1)"), ("time", "4000000000"),
                    ("direction", "backward"),
                ])
            #expect(test["data"]?["resultType"]?.string == "vector")
            let values = test["data"]?["result"]?.array ?? []
            #expect(values.count == 1 && values[0]["value"]?.array[1].string == "2")

            let lines = try await ask(
                server, "query_range", rangeQuery(#"{app="shop"} | logfmt"#, [("limit", "5")]))
            let data = lines["data"]
            #expect(data?["resultType"]?.string == "streams")
            #expect(data?["encodingFlags"]?.array.map(\.string) == ["categorize-labels"])
            let processed = data?["stats"]?["summary"]?["totalLinesProcessed"]?.double ?? 0
            #expect(processed > 0)
            let entries = (data?["result"]?.array ?? []).flatMap { $0["values"]?.array ?? [] }
            #expect(entries.count == 5)
            for entry in entries {
                #expect(entry.array.count == 3)
                #expect(entry.array[2]["structuredMetadata"]?["trace_id"]?.string != nil)
            }

            // The volume of lines by level, which is a query of its own.
            let volume = try await ask(
                server, "query_range",
                rangeQuery(
                    #"sum by (level, detected_level) (count_over_time({app="shop"} | drop __error__ [1s]))"#
                ))
            let levels = Set(
                (volume["data"]?["result"]?.array ?? []).compactMap {
                    $0["metric"]?["detected_level"]?.string
                })
            #expect(levels == ["info", "error"])
            #expect(sum(volume) == 12)

            let names = try await ask(server, "labels", nanosRange)
            #expect(names["data"]?.array.map(\.string) == ["app", "pod", "service_name"])
            let pods = try await ask(server, "label/pod/values", nanosRange)
            #expect(pods["data"]?.array.map(\.string) == ["p1"])
            let shards = try await ask(server, "label/__stream_shard__/values", nanosRange)
            let shardValues = shards["data"]?.array ?? []
            #expect(shards["status"]?.string == "success" && shardValues.isEmpty)
            let series = try await ask(
                server, "series", [("match[]", #"{app="shop"}"#)] + nanosRange)
            #expect(series["data"]?.array.first?["pod"]?.string == "p1")
            let size = try await ask(
                server, "index/stats", [("query", #"{app="shop"}"#)] + nanosRange)
            for member in ["streams", "chunks", "bytes", "entries"] {
                #expect(size[member]?.double != nil, "\(member)")
            }
            let pretty = try await ask(server, "format_query", [("query", #"{app="shop"}|="x""#)])
            #expect(pretty["data"]?.string == #"{app="shop"} |= "x""#)

            // "Show context": both directions from a line's own nanosecond.
            let pivot = "\(start + 5)000000001"
            let before = try await ask(
                server, "query_range",
                [
                    ("query", #"{app="shop"}"#), ("start", "\(start - 100)000000000"),
                    ("end", pivot), ("direction", "backward"), ("limit", "2"),
                ])
            let after = try await ask(
                server, "query_range",
                [
                    ("query", #"{app="shop"}"#), ("start", pivot),
                    ("end", "\(end)000000000"), ("direction", "forward"), ("limit", "2"),
                ])
            func times(_ answer: CorpusJSON) -> [String] {
                (answer["data"]?["result"]?.array ?? []).flatMap { $0["values"]?.array ?? [] }
                    .compactMap { $0.array[0].string }.sorted()
            }
            #expect(times(before) == ["\(start + 3)000000001", "\(start + 4)000000001"])
            #expect(times(after) == [pivot, "\(start + 6)000000001"])

            let wrong = try await server.get("/loki/api/v1/query_range?query=%7B")
            #expect(wrong.status == 400 && wrong.text.contains("parse error"))
            let none = try await server.get("/loki/api/v1/nothing")
            #expect(none.status == 404 && none.text.contains("page not found"))
        }
    }

    @Test func drilldownFindsWhatItNeeds() async throws {
        try await withServer { server in
            try await push(server)
            let volume = try await ask(
                server, "index/volume",
                [("query", #"{service_name=~".+"}"#), ("limit", "5000")] + textRange)
            let first = volume["data"]?["result"]?.array.first
            #expect(first?["metric"]?["service_name"]?.string == "shop")
            let bytes = parseFloat(first?["value"]?.array[1].string ?? "") ?? 0
            #expect(bytes > 0)
            let labels = try await ask(server, "detected_labels", [("query", "")] + textRange)
            let detected = (labels["detectedLabels"]?.array ?? []).compactMap {
                $0["label"]?.string
            }
            #expect(Set(detected).isSuperset(of: ["service_name", "pod"]))
            let fields = try await ask(
                server, "detected_fields",
                [
                    (
                        "query",
                        #"{service_name="shop"} | json | logfmt | drop __error__, __error_details__"#
                    )
                ]
                    + textRange)
            let found = (fields["fields"]?.array ?? []).compactMap { $0["label"]?.string }
            #expect(Set(found).isSuperset(of: ["msg", "order", "card"]))
            let chain =
                #"{service_name="shop"} | json | logfmt | drop __error__, __error_details__ | msg="refused""#
            let byField = try await ask(
                server, "query_range",
                [("query", "sum(count_over_time(\(chain) [1s])) by (card)"), ("step", "1s")]
                    + textRange)
            #expect(sum(byField) == 4)
            let lines = try await ask(
                server, "query_range", [("query", chain), ("limit", "100")] + textRange)
            let refused = (lines["data"]?["result"]?.array ?? []).reduce(0) {
                $0 + ($1["values"]?.array.count ?? 0)
            }
            #expect(refused == 4)
            let patterns = try await ask(
                server, "patterns",
                [("query", #"{service_name="shop"}"#), ("step", "10s")] + textRange)
            #expect(patterns["status"]?.string == "success")
            let templates = patterns["data"]?.array ?? []
            #expect(!templates.isEmpty)
            let limits = try await server.get("/loki/api/v1/drilldown-limits")
            let answer = try CorpusJSON(parsing: limits.body)
            #expect(answer["limits"]?["volume_enabled"]?.bool == true)
            #expect(answer["limits"]?["discover_service_name"] != nil)
            #expect(answer["pattern_ingester_enabled"]?.bool == true)
            #expect(answer["version"]?.string != nil)
        }
    }
}
