// SPDX-License-Identifier: Apache-2.0
// Clients that are slow, silent, endless or out of their minds.

import Base
import TestKit
import Testing

@testable import Server

@Suite(.serialized) struct ConnectionTests {
    /// What came back from a client that sends bytes one by one for ever, and how often it could.
    private func trickle(
        _ server: TestServer, _ head: String, _ piece: String
    ) async throws -> (reply: HTTPReply?, pieces: Int, isClosed: Bool) {
        let port = server.port
        return try await onThread {
            let connection = try RawConnection(port: port)
            connection.send(head)
            var all: [UInt8] = []
            var pieces = 0
            // Thirty seconds, against limits of less than one.
            for _ in 0..<300 {
                connection.send(piece)
                pieces += 1
                guard let some = connection.receive(seconds: 0.1) else { continue }
                if some.isEmpty { return (HTTPReply(all), pieces, true) }
                all += some
            }
            return (HTTPReply(all), pieces, false)
        }
    }

    @Test func aSlowBodyIsCutOffWith408() async throws {
        try await withServer({ $0.setReadTimeout(seconds: 0.5) }) { server in
            for target in ["/api/v1/write", "/v1/traces", "/loki/api/v1/push"] {
                let result = try await trickle(
                    server,
                    "POST \(target) HTTP/1.1\r\nHost: x\r\nContent-Type: \(protobuf)\r\n"
                        + "Content-Length: 1000000\r\n\r\n", "x")
                #expect(result.isClosed)
                #expect(result.reply?.status == 408)
                #expect(
                    result.reply?.text.contains("not received within 0.5 seconds") == true,
                    "\(result.reply?.text ?? "no answer")")
            }
            #expect(try await server.get("/ready").status == 200)
        }
    }

    @Test func aSlowHeadIsCutOff() async throws {
        try await withServer({ $0.setReadTimeout(seconds: 0.5) }) { server in
            let result = try await trickle(server, "GET /ready HTTP/1.1\r\n", "x")
            #expect(result.isClosed)
            #expect(result.reply == nil || result.reply?.status == 400)
        }
    }

    @Test func headersWithoutEndAreCutOff() async throws {
        try await withServer({ $0.connection.headBytes = 1 << 20 }) { server in
            let port = server.port
            for piece in ["X-Header: value\r\n", String(repeating: "a", count: 1000)] {
                let sent = try await onThread { () -> Int? in
                    let connection = try RawConnection(port: port)
                    connection.send("GET /ready?")
                    var sent = 0
                    let line = String(repeating: piece, count: 100)
                    while sent < 100 << 20 {
                        guard connection.send(line) else { return sent }
                        sent += line.utf8.count
                        if connection.receive(seconds: 0) != nil { return sent }
                    }
                    return nil
                }
                #expect(sent != nil)
            }
            #expect(try await server.get("/ready").status == 200)
        }
    }

    @Test func aThousandSilentConnectionsDisturbNobody() async throws {
        try await withServer { server in
            let port = server.port
            let statuses = try await onThread { () -> [Int] in
                var silent: [RawConnection] = []
                for _ in 0..<1000 { silent.append(try RawConnection(port: port)) }
                let target = "/api/v1/write"
                let write = try exchange(
                    port: port, "POST", target, headers: [("Content-Type", protobuf)],
                    body: remoteWriteBody("among_the_silent"))
                let read = try exchange(
                    port: port, "GET", "/api/v1/query?query=among_the_silent")
                silent.removeAll()
                return [write.status, read.status]
            }
            #expect(statuses == [204, 200])
        }
    }

    @Test func garbageAfterAGoodRequestEndsTheConnectionOnly() async throws {
        try await withServer { server in
            let port = server.port
            let all = try await onThread { () -> String in
                let connection = try RawConnection(port: port)
                connection.send(
                    Array("GET /ready HTTP/1.1\r\nHost: x\r\n\r\n".utf8) + BadBodies.noise)
                return String(
                    decoding: connection.receiveAll(seconds: 60) ?? [], as: UTF8.self)
            }
            #expect(all.hasPrefix("HTTP/1.1 200 OK") || all.hasPrefix("HTTP/1.1 400"))
            for garbage in [BadBodies.noise, Array("GET\r\n\r\n".utf8), [0, 0, 0]] {
                try await onThread {
                    let connection = try RawConnection(port: port)
                    connection.send(garbage)
                    _ = connection.receive(seconds: 0.5)
                }
            }
            #expect(try await server.get("/ready").status == 200)
        }
    }

    @Test func largeAnswersAreCompressedForThoseWhoTakeIt() async throws {
        try await withServer { server in
            let plain = try await server.get("/metrics")
            #expect(plain.headers["content-encoding"] == nil)
            let packed = try await server.send(
                "GET", "/metrics", headers: [("Accept-Encoding", "br, gzip;q=0.5")])
            #expect(packed.headers["content-encoding"] == "gzip")
            let unpacked = try packed.body.withUnsafeBytes {
                try Deflate.decompress($0, .gzip, limit: 1 << 20)
            }
            #expect(String(decoding: unpacked, as: UTF8.self).contains("tern_ingest_items_total"))
            let refused = try await server.send(
                "GET", "/metrics", headers: [("Accept-Encoding", "gzip;q=0")])
            #expect(refused.headers["content-encoding"] == nil)
        }
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
        try await withServer { server in
            let port = server.port
            let all = try await onThread { () -> String in
                let connection = try RawConnection(port: port)
                let head = " HTTP/1.1\r\nHost: x\r\n"
                connection.send(
                    "GET /ready\(head)\r\nGET /api/nothing\(head)\r\n"
                        + "GET /api/echo\(head)Connection: close\r\n\r\n")
                return String(
                    decoding: connection.receiveAll(seconds: 60) ?? [], as: UTF8.self)
            }
            let bodies = ["ready\n", "404 page not found\n", "echo"]
            var rest = all[...]
            for body in bodies {
                let found = rest.firstRange(of: "\r\n\r\n" + body)
                #expect(found != nil, "\(body) in \(all)")
                if let found { rest = rest[found.upperBound...] }
            }
        }
    }

    @Test func queriesOfAMegabyteAndNestedOnesAreAnswered() async throws {
        try await withServer { server in
            let huge = "up" + String(repeating: "+1", count: 500_000)
            let deep = String(repeating: "(", count: 100_000) + "1"
            let braces = String(repeating: "{", count: 100_000)
            let form = "application/x-www-form-urlencoded"
            let targets = [
                "/api/v1/query", "/api/v1/format_query", "/loki/api/v1/query_range",
                "/loki/api/v1/format_query", "/api/v1/query_exemplars",
            ]
            var wrong: [String] = []
            for text in [huge, deep, braces] {
                // A megabyte is slow to decode in a debug build: one path takes it for all.
                for target in text == huge ? [targets[0]] : targets {
                    let reply = try await server.post(
                        target, form, Array(("query=" + percentEncoded(text)).utf8))
                    if !(200..<500).contains(reply.status) || reply.body.isEmpty {
                        wrong.append("\(target) \(text.prefix(10)): \(reply.status)")
                    }
                }
                let search = try await server.get(
                    "/api/search?q=" + percentEncoded(String(text.prefix(60_000))))
                if search.status != 400 {
                    wrong.append("search \(text.prefix(10)): \(search.status)")
                }
            }
            let long = try await server.get(
                "/api/v1/query?query="
                    + percentEncoded("vector(1)" + String(repeating: " ", count: 300_000)))
            if long.status != 200 { wrong.append("long URL: \(long.status) \(long.text)") }
            #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
            #expect(try await server.get("/ready").status == 200)
        }
    }

    @Test func regularExpressionsCannotRunAway() async throws {
        try await withServer { server in
            _ = try await server.post(
                "/loki/api/v1/push", "application/json",
                lokiBody("regex", String(repeating: "a", count: 100_000)))
            let bombs = ["(a*)*b", "(a|aa)+$b", "((((a*)*)*)*)*c", "(x+x+)+y", "a{0,500}a{0,500}b"]
            var wrong: [String] = []
            for bomb in bombs {
                let logs = try await server.get(
                    "/loki/api/v1/query_range?query="
                        + percentEncoded("{app=\"regex\"} |~ `\(bomb)`"))
                if logs.status != 200 { wrong.append("\(bomb): \(logs.status) \(logs.text)") }
                let metrics = try await server.get(
                    "/api/v1/query?query=" + percentEncoded("up{job=~\"\(bomb)\"}"))
                if metrics.status != 200 { wrong.append("\(bomb): \(metrics.status)") }
            }
            for text in ["(", "a{1000}{1000}{1000}", "[", "(?P<x", #"\"#] {
                let reply = try await server.get(
                    "/api/v1/query?query=" + percentEncoded("up{job=~`\(text)`}"))
                if reply.status != 400 || !reply.text.contains("error") {
                    wrong.append("\(text): \(reply.status) \(reply.text)")
                }
            }
            #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
        }
    }
}
