// SPDX-License-Identifier: Apache-2.0
// Bad requests get an error that names what is wrong, and harm nothing that is stored.

import Base
import GRPCCore
import Telemetry
import TestKit
import Testing
import Wire

@testable import Server

/// A request with what its answer must be.
private struct Case {
    var name: String
    var target: String
    var type: String
    var headers: [(String, String)] = []
    var body: [UInt8]
    var status: Int
    /// What the answer's text must contain.
    var text: String

    init(
        _ name: String, _ target: String, _ type: String, _ headers: [(String, String)],
        _ body: [UInt8], _ status: Int, _ text: String
    ) {
        self.name = name
        self.target = target
        self.type = type
        self.headers = headers
        self.body = body
        self.status = status
        self.text = text
    }

    /// A protobuf body without a content encoding.
    init(_ name: String, _ target: String, _ body: [UInt8], _ status: Int, _ text: String) {
        self.init(name, target, protobuf, [], body, status, text)
    }
}

private func named(_ name: String, _ more: [(String, String)] = []) -> [(String, String)] {
    [("__name__", name), ("job", "bad")] + more
}

private func snappy(_ series: TestSeries) -> [UInt8] {
    Snappy.compress(remoteWriteMessage([series]))
}

/// Runs the cases, with a good write after each; nothing of those may be missing at the end.
private func run(_ cases: [Case], _ server: TestServer, _ family: String) async throws {
    var wrong: [String] = []
    for (index, one) in cases.enumerated() {
        let reply = try await server.post(one.target, one.type, one.body, headers: one.headers)
        if reply.status != one.status || !reply.text.contains(one.text) {
            wrong.append("\(one.name): \(reply.status) \(reply.text.prefix(300))")
        }
        let good = try await server.post(
            "/api/v1/write", protobuf, remoteWriteBody("after_\(family)_\(index)"))
        if good.status != 204 { wrong.append("after \(one.name): \(good.status) \(good.text)") }
        let line = try await server.post(
            "/loki/api/v1/push", "application/json", lokiBody("after_\(family)", "line \(index)"))
        if line.status != 204 { wrong.append("after \(one.name): \(line.status) \(line.text)") }
    }
    #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
    let count = try await server.get(
        "/api/v1/query?query=" + percentEncoded("count({__name__=~\"after_\(family)_.*\"})"))
    #expect(count.text.contains("\"\(cases.count)\""), "\(count.text)")
    let lines = try await server.get(
        "/loki/api/v1/query?query="
            + percentEncoded("sum(count_over_time({app=\"after_\(family)\"}[1h]))"))
    #expect(lines.text.contains("\"\(cases.count)\""), "\(lines.text)")
}

@Suite struct BadInputTests {
    @Test func remoteWrite() async throws {
        try await withServer { server in
            let now = nowMillis
            let path = "/api/v1/write"
            #expect(
                try await server.post(path, protobuf, remoteWriteBody("taken", 1, millis: now))
                    .status == 204)
            let manyLabels = TestSeries(
                named("many_labels", (0..<100_000).map { ("l\($0)", "v") }), [(1, now)])
            var badName = TestSeries(named("bad_name"), [(1, now)])
            badName.labels.append(([0x6c, 0xff, 0xfe], Array("v".utf8)))
            var badValue = TestSeries(named("bad_value"), [(1, now)])
            badValue.labels.append((Array("z".utf8), [0xc3, 0x28]))
            let cases = [
                Case("noise", path, BadBodies.noise, 400, "not a valid snappy block"),
                Case("truncated", path, BadBodies.truncatedSnappy, 400, "not a valid snappy block"),
                Case("4 GiB", path, BadBodies.hugeSnappy, 413, "exceeds 33554432 bytes"),
                Case("empty body", path, [], 400, "not a valid snappy block"),
                Case(
                    "noise in snappy", path, Snappy.compress(BadBodies.noise), 400,
                    "remote write request:"),
                // 1.0 leaves out series with invalid labels and says nothing, as Prometheus does.
                Case("many labels", path, snappy(manyLabels), 204, ""),
                Case("invalid name", path, snappy(badName), 204, ""),
                Case("invalid value", path, snappy(badValue), 204, ""),
                Case(
                    "duplicate label", path,
                    snappy(TestSeries(named("twice", [("a", "1"), ("a", "2")]), [(1, now)])), 204,
                    ""),
                Case(
                    "empty name", path,
                    snappy(TestSeries(named("nameless", [("", "1")]), [(1, now)])), 204, ""),
                Case(
                    "unsorted", path,
                    snappy(
                        TestSeries([("z", "1"), ("__name__", "unsorted"), ("a", "1")], [(1, now)])),
                    204, ""),
                Case(
                    "future", path, snappy(TestSeries(named("future"), [(1, now + 700_000)])), 400,
                    "out of bounds: timestamp is too far in the future"),
                Case(
                    "another value", path, remoteWriteBody("taken", 2, millis: now), 400,
                    "duplicate sample for timestamp"),
                Case("type", path, "text/plain", [], remoteWriteBody("t"), 415, "got text/plain"),
                Case(
                    "message", path, protobuf + ";proto=some.Thing", [], remoteWriteBody("t"), 415,
                    "unknown remote write protobuf message some.Thing"),
                Case(
                    "encoding", path, protobuf, [("Content-Encoding", "gzip")],
                    remoteWriteBody("t"), 415, "gzip encoding (compression) is not accepted"),
            ]
            try await run(cases, server, "rw")
            let names = try await server.get("/api/v1/label/__name__/values")
            for absent in ["many_labels", "bad_name", "bad_value", "twice", "nameless", "future"] {
                #expect(!names.text.contains("\"\(absent)\""), "\(absent) is stored")
            }
            #expect(names.text.contains("\"unsorted\""))
            let taken = try await server.get("/api/v1/query?query=taken")
            #expect(taken.text.contains(",\"1\"]"), "\(taken.text)")
        }
    }

    @Test func otlpOverHTTP() async throws {
        try await withServer { server in
            let shortIDs = otlpTraceMessage(
                service: "s", name: "n", traceID: [1, 2, 3], spanID: goodSpanID)
            let shortSpan = otlpTraceMessage(
                service: "s", name: "n", traceID: goodTraceID, spanID: [1])
            let jsonIDs = Array(
                """
                {"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"abc","spanId":"0102",\
                "name":"n","startTimeUnixNano":"1","endTimeUnixNano":"2"}]}]}]}
                """.utf8)
            var cases: [Case] = []
            for signal in OTLPSignal.allCases {
                let path = "/v1/\(signal)"
                let text = "\(signal) request:"
                cases += [
                    Case("noise \(signal)", path, BadBodies.noise, 400, text),
                    Case("JSON noise", path, "application/json", [], BadBodies.noise, 400, text),
                    Case(
                        "deep JSON", path, "application/json", [],
                        BadBodies.deepJSON("resource\(signal)"), 400, text),
                    Case("empty", path, [], 200, ""),
                    Case("empty JSON", path, "application/json", [], [], 400, text),
                    Case(
                        "type", path, "text/csv", [], [1], 415, "Content-Type \"text/csv\" not"),
                    Case(
                        "encoding", path, protobuf, [("Content-Encoding", "br")], [1], 415,
                        "Content-Encoding \"br\" not supported"),
                    Case(
                        "not gzip", path, protobuf, [("Content-Encoding", "gzip")],
                        BadBodies.noise, 400, "not valid gzip data"),
                    Case(
                        "gzip bomb", path, protobuf, [("Content-Encoding", "gzip")],
                        BadBodies.gzipBomb, 413, "exceeds 67108864 bytes after decompression"),
                    Case(
                        "zstd bomb", path, protobuf, [("Content-Encoding", "zstd")],
                        BadBodies.zstdBomb, 413, "exceeds 67108864 bytes after decompression"),
                    Case(
                        "4 GiB", path, protobuf, [("Content-Encoding", "snappy")],
                        BadBodies.hugeSnappy, 413, "exceeds 67108864 bytes after decompression"),
                ]
            }
            cases += [
                Case("short trace id", "/v1/traces", shortIDs, 200, "trace"),
                Case("short span id", "/v1/traces", shortSpan, 200, "span"),
                Case(
                    "short ids in JSON", "/v1/traces", "application/json", [], jsonIDs, 200,
                    "\"rejectedSpans\":\"1\""),
            ]
            try await run(cases, server, "otlp")

            // A record with a wrong id belongs to no trace, and is kept all the same.
            let odd = try await server.post(
                "/v1/logs", protobuf,
                otlpLogMessage(
                    service: "odd_log", line: Array("kept line".utf8), traceID: [1, 2]))
            #expect(odd.status == 200)
            let invalid = try await server.post(
                "/v1/logs", protobuf,
                otlpLogMessage(service: "odd_log", line: [0x41, 0xff, 0x42]))
            #expect(invalid.status == 200)
            let kept = try await server.get(
                "/loki/api/v1/query_range?query="
                    + percentEncoded("{service_name=\"odd_log\"}"))
            #expect(kept.text.contains("kept line"), "\(kept.text)")
            let future = try await server.post(
                "/v1/metrics", protobuf,
                otlpGaugeMessage(service: "s", name: "future_gauge", millis: nowMillis + 700_000))
            #expect(future.status == 200)
            #expect(future.text.contains("too far in the future"), "\(future.text)")
        }
    }

    @Test func otlpOverGRPC() async throws {
        try await withServer { server in
            for signal in OTLPSignal.allCases {
                let noise = try await server.export(signal, BadBodies.noise)
                #expect(noise.code == .invalidArgument)
                #expect(noise.message.contains("\(signal) request:"), "\(noise.message)")
                let empty = try await server.export(signal, [])
                #expect(empty.answer == [])
            }
            let short = try await server.export(
                .traces,
                otlpTraceMessage(service: "s", name: "n", traceID: [1], spanID: goodSpanID))
            let text = String(decoding: short.answer ?? [], as: UTF8.self)
            #expect(text.contains("trace"), "\(short)")
            let large = try await server.export(
                .logs, [UInt8](repeating: 0, count: OTLPIntake.bodyLimit + 1))
            #expect(large.code == .resourceExhausted, "\(large.message)")
            let good = try await server.export(
                .metrics, otlpGaugeMessage(service: "grpc", name: "good_gauge"))
            #expect(good.answer == [])
            let read = try await server.get("/api/v1/query?query=good_gauge")
            #expect(read.text.contains("good_gauge"))
        }
    }

    @Test func lokiPush() async throws {
        try await withServer { server in
            let path = "/loki/api/v1/push"
            let json = "application/json"
            let nanos = nowMillis * 1_000_000
            func push(_ text: String) -> [UInt8] { Array(text.utf8) }
            let longLine = String(repeating: "x", count: 3 << 20)
            let labels = (0..<100_000).map { "\"l\($0)\":\"v\"" }.joined(separator: ",")
            let cases = [
                Case("noise", path, BadBodies.noise, 400, "not a valid snappy block"),
                Case("truncated", path, BadBodies.truncatedSnappy, 400, "not a valid snappy block"),
                Case("4 GiB", path, BadBodies.hugeSnappy, 413, "exceeds 67108864 bytes"),
                Case(
                    "noise in snappy", path, Snappy.compress(BadBodies.noise), 400,
                    "push request:"),
                Case("empty body", path, [], 400, "not a valid snappy block"),
                Case("JSON noise", path, json, [], BadBodies.noise, 400, "push request:"),
                Case("empty JSON", path, json, [], [], 400, "push request:"),
                Case(
                    "deep JSON", path, json, [], BadBodies.deepJSON("streams"), 400,
                    "push request:"),
                Case(
                    "gzip bomb", path, json, [("Content-Encoding", "gzip")], BadBodies.gzipBomb,
                    413, "exceeds 67108864 bytes after decompression"),
                Case(
                    "encoding", path, json, [("Content-Encoding", "br")], [1], 415,
                    "Content-Encoding \"br\" not supported"),
                Case(
                    "no streams", path, json, [], push(#"{"streams":[]}"#), 422,
                    "at least one valid stream is required for ingestion"),
                Case(
                    "no labels", path, json, [],
                    push(#"{"streams":[{"stream":{},"values":[["\#(nanos)","x"]]}]}"#), 400,
                    "at least one label pair is required per stream"),
                Case(
                    "number for a time", path, json, [],
                    push(#"{"streams":[{"stream":{"a":"b"},"values":[[\#(nanos),"x"]]}]}"#), 400,
                    "push request:"),
                Case(
                    "many labels", path, json, [],
                    push(
                        #"{"streams":[{"stream":{\#(labels)},"values":[["\#(nanos)","x"]]}]}"#),
                    400, "label names; limit"),
                Case(
                    "invalid UTF-8", path, json, [],
                    push(#"{"streams":[{"stream":{"a":"b"},"values":[["\#(nanos)","x"#)
                        + [0xff] + push(#""]]}]}"#), 204, ""),
                Case(
                    "future", path, json, [],
                    lokiBody("future", "x", nanos: nanos + 700_000_000_000), 400,
                    "timestamp too new"),
                Case(
                    "long line", path, json, [], lokiBody("long", longLine), 400, "max entry size"),
            ]
            try await run(cases, server, "loki")
            // What is not UTF-8 is taken and shown with replacement characters.
            let kept = try await server.get(
                "/loki/api/v1/query_range?query=" + percentEncoded("{a=\"b\"}"))
            #expect(kept.status == 200)
            #expect(kept.text.contains("x\u{fffd}"), "\(kept.text)")
        }
    }

    @Test func aBodyAboveTheLimitIsRefusedBeforeItIsRead() async throws {
        try await withServer { server in
            let port = server.port
            for target in ["/v1/traces", "/loki/api/v1/push", "/api/v1/write"] {
                let reply = try await onThread { () -> HTTPReply? in
                    let connection = try RawConnection(port: port)
                    connection.send(
                        "POST \(target) HTTP/1.1\r\nHost: x\r\nContent-Type: \(protobuf)\r\n"
                            + "Content-Length: 70000000\r\n\r\nabc")
                    return connection.receiveAll(seconds: 10).flatMap { HTTPReply($0) }
                }
                #expect(reply?.status == 413)
                #expect(reply?.headers["connection"] == "close")
                #expect(reply?.text.contains("request body of 70000000 bytes exceeds") == true)
                let chunked = try await onThread { () -> HTTPReply? in
                    let connection = try RawConnection(port: port)
                    connection.send(
                        "POST \(target) HTTP/1.1\r\nHost: x\r\nContent-Type: \(protobuf)\r\n"
                            + "Transfer-Encoding: chunked\r\n\r\n")
                    let chunk =
                        Array("100000\r\n".utf8) + [UInt8](repeating: 0, count: 1 << 20)
                        + Array("\r\n".utf8)
                    for _ in 0..<80 where !connection.send(chunk) { break }
                    return connection.receiveAll(seconds: 20).flatMap { HTTPReply($0) }
                }
                #expect(chunked?.status == 413, "\(target): \(chunked?.text ?? "no answer")")
            }
        }
    }

    @Test func aChunkedBodyIsTaken() async throws {
        try await withServer { server in
            let port = server.port
            let body = remoteWriteBody("chunked")
            let reply = try await onThread { () -> HTTPReply? in
                let connection = try RawConnection(port: port)
                connection.send(
                    "POST /api/v1/write HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                        + "Content-Type: \(protobuf)\r\nTransfer-Encoding: chunked\r\n\r\n")
                for byte in body { connection.send(Array("1\r\n".utf8) + [byte, 13, 10]) }
                connection.send("0\r\n\r\n")
                return connection.receiveAll(seconds: 10).flatMap { HTTPReply($0) }
            }
            #expect(reply?.status == 204)
            let read = try await server.get("/api/v1/query?query=chunked")
            #expect(read.text.contains("\"chunked\""))
        }
    }
}
