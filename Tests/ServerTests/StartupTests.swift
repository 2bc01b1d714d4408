// SPDX-License-Identifier: Apache-2.0
// What is answered while the log is replayed.

import GRPCCore
import Base
import Storage
import TestKit
import Testing
import Wire

@testable import Server

@Suite struct StartupTests {
    @Test func untilTheDataIsOpenOnlyProbesAreAnswered() async throws {
        let startup = Startup(clock: SystemClock())
        startup.note(ReplayProgress(bytesDone: 3 << 20, bytes: 64 << 20, segments: 4))
        try await withListeners(ServerOptions(), startup) { _, port, grpcPort in
            func send(_ method: String, _ target: String, _ type: String) async throws -> HTTPReply
            {
                try await onThread {
                    try exchange(
                        port: port, method, target, headers: [("Content-Type", type)],
                        body: method == "POST" ? [1, 2, 3] : nil)
                }
            }
            for target in ["/-/healthy", "/health", "/metrics", "/api/v1/status/walreplay"] {
                #expect(try await send("GET", target, "").status == 200, "\(target)")
            }
            let text = "starting: 3.0 of 64.0 MiB of the log replayed after "
            var wrong: [String] = []
            let cases = [
                ("GET", "/-/ready", "", text), ("GET", "/ready", "", text),
                (
                    "GET", "/api/v1/query?query=up", "",
                    #"{"status":"error","errorType":"unavailable","error":"\#(text)"#
                ),
                ("POST", "/api/v1/write", protobuf, text),
                ("POST", "/loki/api/v1/push", "application/json", text),
                ("GET", "/loki/api/v1/labels", "", text),
                ("GET", "/api/search?q=%7B%7D", "", text),
                ("GET", "/prometheus/api/v1/labels", "", "unavailable"),
                (
                    "POST", "/v1/traces", "application/json",
                    #"{"code":14,"message":"\#(text)"#
                ),
                ("POST", "/v1/metrics", protobuf, text),
            ]
            for (method, target, type, expected) in cases {
                let reply = try await send(method, target, type)
                if reply.status != 503 || !reply.text.contains(expected)
                    || reply.headers["retry-after"] != "1"
                {
                    wrong.append("\(target): \(reply.status) \(reply.text)")
                }
            }
            #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
            let call = try await exportOverGRPC(grpcPort, .logs, [])
            #expect(call.code == .unavailable)
            #expect(call.message.hasPrefix("starting: "))
        }
    }

    @Test func statusPagesCountWhatIsThere() async throws {
        try await withServer { server in
            let before = try await server.get("/api/v1/status/walreplay")
            #expect(before.text.contains(#""data":{"min":0,"max":0,"current":0}"#))
            for name in ["one", "two"] {
                for _ in 0..<2 {
                    _ = try await server.post("/api/v1/write", protobuf, remoteWriteBody(name))
                }
            }
            let tsdb = try await server.get("/api/v1/status/tsdb?limit=1")
            #expect(tsdb.text.contains(#""numSeries":2,"numLabelPairs":3"#), "\(tsdb.text)")
            #expect(
                tsdb.text.contains(#""seriesCountByMetricName":[{"name":"one","value":1}]"#))
            #expect(
                tsdb.text.contains(
                    #""labelValueCountByLabelName":[{"name":"__name__","value":2}]"#))
            #expect(
                tsdb.text.contains(
                    #""seriesCountByLabelValuePair":[{"name":"job=test","value":2}]"#))
            #expect(try await server.get("/api/v1/status/tsdb?limit=0").status == 400)
            let chosen = try await server.get(
                "/api/v1/status/tsdb?topN=5&focusLabel=__name__&match[]=two&match[]="
                    + percentEncoded("{job=\"test\",__name__=\"two\"}"))
            #expect(chosen.text.contains(#""totalSeries":1,"totalLabelValuePairs":2"#))
            #expect(
                chosen.text.contains(
                    #""seriesCountByFocusLabelValue":[{"name":"two","value":1}]"#))
            #expect(
                chosen.text.contains(
                    #""seriesCountByLabelName":[{"name":"__name__","value":1},{"name":"job","#))
            let then = try await server.get("/api/v1/status/tsdb?date=2001-02-03")
            #expect(then.text.contains(#""totalSeries":0"#))
            for wrong in ["date=today", "match[]=a%7B", "topN=x"] {
                #expect(try await server.get("/api/v1/status/tsdb?" + wrong).status == 400)
            }
            let info = try await server.get("/api/v1/status/runtimeinfo")
            #expect(info.text.contains(#""storageRetention":"15d""#), "\(info.text)")
            let unknown = try await server.get("/api/v1/nothing")
            #expect(unknown.status == 404)
            #expect(unknown.text == "404 page not found\n")
        }
    }

    @Test func queriesAreFormattedAndVolumesCounted() async throws {
        try await withServer { server in
            let metrics = try await server.get(
                "/api/v1/format_query?query=" + percentEncoded("sum  by(a) ( foo{b='c'} ) # x"))
            #expect(metrics.text == #"{"status":"success","data":"sum by (a) (foo{b=\"c\"})"}"#)
            let logs = try await server.get(
                "/loki/api/v1/format_query?query=" + percentEncoded("{a='b'"))
            #expect(logs.status == 400)
            #expect(logs.text.hasPrefix(#"{"status":"invalid-query","error":""#), "\(logs.text)")

            for (app, line) in [("x", "12345"), ("x", "123"), ("y", "1")] {
                _ = try await server.post(
                    "/loki/api/v1/push", "application/json", lokiBody(app, line))
            }
            let query = percentEncoded("{app=~\".+\"}")
            let stats = try await server.get("/loki/api/v1/index/stats?query=\(query)")
            #expect(stats.text.contains(#""streams":2"#), "\(stats.text)")
            #expect(stats.text.contains(#""bytes":9,"entries":3"#), "\(stats.text)")
            let volume = try await server.get(
                "/loki/api/v1/index/volume?query=\(query)&targetLabels=app&limit=1")
            #expect(volume.text.contains(#"{"metric":{"app":"x"},"value":["#), "\(volume.text)")
            #expect(volume.text.contains(#","8"]"#), "\(volume.text)")
            let byLabel = try await server.get(
                "/loki/api/v1/index/volume?query=\(query)&targetLabels=app&aggregateBy=labels")
            #expect(byLabel.text.contains(#"{"metric":{"app":""},"value":["#), "\(byLabel.text)")
            let wrong = try await server.get(
                "/loki/api/v1/index/volume?query=\(query)&aggregateBy=x")
            #expect(wrong.text == "invalid aggregation option\n")
        }
    }
}
