// SPDX-License-Identifier: Apache-2.0
// Answers that Grafana's Prometheus data source is known to read: the same data stored here gives
// the same answers.

import Base
import TestKit
import Testing

@testable import Server

@Suite(.serialized) struct GrafanaCorpusTests {
    private static let folder = "grafana/prometheus/"

    private func corpus(_ name: String) throws -> CorpusJSON? {
        guard let bytes = Corpora.file(Self.folder + name) else { return nil }
        return try CorpusJSON(parsing: bytes)
    }

    /// A series of an answer, as it has to be stored and asked for.
    private struct AnswerSeries {
        /// Series without a name come from expressions; they are stored under this one.
        private static let standIn = "stands_in"
        let metric: CorpusJSON
        /// Times with values, as in the answer.
        private(set) var points: [CorpusJSON]

        init(metric: CorpusJSON, points: [CorpusJSON]) {
            self.metric = metric
            self.points = points
        }

        /// Moves all times: what is years old is not taken any more.
        mutating func shift(by shiftMillis: Int64) {
            points = points.map { point in
                .array([.number(Double(millis(point) + shiftMillis) / 1000), point.array[1]])
            }
        }

        private var isNamed: Bool { metric["__name__"] != nil }

        var stored: TestSeries {
            var labels = metric.members.map { ($0.key, $0.value.string ?? "") }
            if !isNamed { labels.append(("__name__", Self.standIn)) }
            return TestSeries(
                labels.sorted { $0.0 < $1.0 },
                points.map { point in
                    let text = point.array[1].string ?? ""
                    return (parseFloat(text) ?? .nan, millis(point))
                })
        }

        func millis(_ point: CorpusJSON) -> Int64 {
            Int64(((point.array[0].double ?? 0) * 1000).rounded())
        }

        /// A query for this series alone, which loses a name that stands in.
        var query: String {
            let conditions = metric.members.map { "\($0.key)=\(quotedText($0.value.string ?? ""))" }
            if isNamed { return "{\(conditions.joined(separator: ","))}" }
            return "--{\((conditions + ["__name__=\"\(Self.standIn)\""]).joined(separator: ","))}"
        }

        /// Start, end and step in milliseconds of the range that has exactly these points.
        var grid: (start: Int64, end: Int64, step: Int64) {
            let times = points.map { millis($0) }
            let step = zip(times.dropFirst(), times).map { $0 - $1 }.min() ?? 1000
            return (times.first ?? 0, times.last ?? 0, step)
        }
    }

    /// The series of an answer, each moved so that its last sample is of now.
    private func recent(_ answer: CorpusJSON, _ key: String) -> [AnswerSeries] {
        var series = (answer["data"]?["result"]?.array ?? []).map { one in
            let value = one[key] ?? .null
            // The value of a vector is one point, those of a matrix are a list.
            let isPoint = value.array.first?.double != nil
            return AnswerSeries(
                metric: one["metric"] ?? .null, points: isPoint ? [value] : value.array)
        }
        let now = nowMillis
        for index in series.indices { series[index].shift(by: now - series[index].grid.end) }
        return series
    }

    private func store(_ series: [AnswerSeries], on server: TestServer) async throws {
        let message = remoteWriteMessage(series.map(\.stored))
        let stored = try await server.post("/api/v1/write", protobuf, Snappy.compress(message))
        #expect(stored.status == 204, "\(stored.text)")
    }

    private func ask(
        _ server: TestServer, _ path: String, _ pairs: [(String, String)]
    ) async throws -> CorpusJSON {
        let form = pairs.map { "\($0.0)=\(percentEncoded($0.1))" }.joined(separator: "&")
        let reply = try await server.post(
            "/api/v1/" + path, "application/x-www-form-urlencoded", Array(form.utf8))
        #expect(reply.status == 200, "\(reply.text)")
        return try CorpusJSON(parsing: reply.body)
    }

    private func seconds(_ millis: Int64) -> String {
        var text: [UInt8] = []
        appendSeconds(millis: millis, into: &text)
        return String(decoding: text, as: UTF8.self)
    }

    @Test(arguments: [
        "answers/prom-matrix.json", "answers/prom-matrix-with-nans.json",
        "answers/prom-query-range.json", "answers/prom-query-range-big.json",
        "query-result-pairs/range_auto.result.json",
        "query-result-pairs/range_infinity.result.json",
        "query-result-pairs/range_missing.result.json",
        "query-result-pairs/range_nan.result.json",
        "query-result-pairs/range_simple.result.json",
    ])
    func rangesComeBackAsTheyWere(_ name: String) async throws {
        guard let answer = try corpus(name) else { return }
        let series = recent(answer, "values")
        #expect(!series.isEmpty)
        try await withServer { server in
            try await store(series, on: server)
            for one in series {
                let grid = one.grid
                let got = try await ask(
                    server, "query_range",
                    [
                        ("query", one.query), ("start", seconds(grid.start)),
                        ("end", seconds(grid.end)), ("step", seconds(grid.step)),
                        ("lookback_delta", "1ms"),
                    ])
                #expect(got["data"]?["resultType"]?.string == "matrix")
                let result = got["data"]?["result"]?.array ?? []
                #expect(result.count == 1)
                #expect(result.first?["metric"] == one.metric)
                #expect(result.first?["values"]?.array == one.points, "\(one.query)")
            }
        }
    }

    @Test func vectorsComeBackAsTheyWere() async throws {
        guard let answer = try corpus("answers/prom-vector.json") else { return }
        let series = recent(answer, "value")
        #expect(!series.isEmpty)
        try await withServer { server in
            try await store(series, on: server)
            for one in series {
                let got = try await ask(
                    server, "query",
                    [("query", one.query), ("time", seconds(one.grid.start))])
                let result = got["data"]?["result"]?.array ?? []
                #expect(result.count == 1)
                #expect(result.first?["metric"] == one.metric)
                #expect(result.first?["value"] == one.points[0])
            }
        }
    }

    @Test func scalarsAndStringsComeBackAsTheyWere() async throws {
        try await withServer { server in
            for (name, query) in [("prom-scalar", "0.00002482"), ("prom-string", "\"example\"")] {
                guard let answer = try corpus("answers/\(name).json") else { return }
                let got = try await ask(
                    server, "query", [("query", query), ("time", "1651680139.104")])
                #expect(got == answer, "\(name)")
            }
        }
    }

    @Test func seriesAndLabelsComeBackAsTheyWere() async throws {
        guard let answer = try corpus("answers/prom-series.json"),
            let labels = try corpus("answers/prom-labels.json")
        else { return }
        let millis = nowMillis
        let point = CorpusJSON.array([.number(Double(millis) / 1000), .string("1")])
        try await withServer { server in
            let wanted = answer["data"]?.array ?? []
            try await store(
                wanted.map { AnswerSeries(metric: $0, points: [point]) }, on: server)
            let got = try await ask(server, "series", [("match[]", "{job=~\".+\"}")])
            let found = (got["data"]?.array ?? []).map(\.labels).sorted { "\($0)" < "\($1)" }
            #expect(found == wanted.map(\.labels).sorted { "\($0)" < "\($1)" })
            // One series that has all the labels.
            let names = labels["data"]?.array.compactMap(\.string) ?? []
            let all = CorpusJSON.object(
                Dictionary(uniqueKeysWithValues: names.map { ($0, .string("all")) }))
            try await store([AnswerSeries(metric: all, points: [point])], on: server)
            #expect(try await ask(server, "labels", []) == labels)
        }
    }

    @Test func healthChecksPass() async throws {
        guard let bytes = Corpora.file("grafana/health-checks.json") else { return }
        let checks = try CorpusJSON(parsing: bytes).array
        #expect(!checks.isEmpty)
        try await withServer { server in
            for check in checks {
                let path = check["path"]?.string ?? ""
                // Jaeger's API is not part of this server yet; the path answers 404.
                if check["dataSource"]?.string == "jaeger" { continue }
                let form = (check["parameters"]?.members ?? [:])
                    .map { "\($0.key)=\(percentEncoded($0.value.string ?? ""))" }
                    .joined(separator: "&")
                for method in (check["method"]?.string ?? "").split(separator: " ")
                where method != "or" {
                    let isGet = method == "GET"
                    let reply = try await server.send(
                        String(method), isGet && !form.isEmpty ? "\(path)?\(form)" : path,
                        headers: isGet
                            ? [] : [("Content-Type", "application/x-www-form-urlencoded")],
                        body: isGet ? nil : Array(form.utf8))
                    #expect(reply.status == 200, "\(method) \(path): \(reply.text)")
                    guard check["parameters"] != nil else { continue }
                    let result = try CorpusJSON(parsing: reply.body)["data"]?["result"]?.array ?? []
                    // A scalar is its time and its value; a vector has one element with them.
                    let point = result.first?["value"]?.array ?? result
                    #expect(point.last?.string == "2", "\(method) \(path): \(reply.text)")
                }
            }
        }
    }
}
