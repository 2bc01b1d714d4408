// SPDX-License-Identifier: Apache-2.0
// Live tails of logs.

import Base
import FoundationEssentials
import LogQL
import Telemetry
import TestKit
import Testing

@testable import Server

@Suite struct TailTests {
    private static let path = "/loki/api/v1/tail?query="

    private func push(
        _ server: TestServer, app: String = "shop", _ lines: [(nanos: Int64, line: String)]
    ) async throws {
        let values = lines.map { "[\"\($0.nanos)\",\"\($0.line)\",{\"trace_id\":\"t1\"}]" }
        let body =
            "{\"streams\":[{\"stream\":{\"app\":\"\(app)\"},\"values\":[\(values.joined(separator: ","))]}]}"
        let reply = try await server.post(
            "/loki/api/v1/push", "application/json", Array(body.utf8))
        #expect(reply.status == 204, "\(reply.text)")
    }

    /// The lines of a frame.
    private func lines(_ text: String?) throws -> [String] {
        let frame = try JSONDecoder().decode(Frame.self, from: Data((text ?? "").utf8))
        return frame.streams.flatMap { $0.values.map { $0[1] } }
    }

    private struct Frame: Decodable {
        struct Stream: Decodable {
            var stream: [String: String]
            var values: [[String]]
        }
        struct Dropped: Decodable {
            var timestamp: String
            var labels: [String: String]
        }
        var streams: [Stream]
        var dropped_entries: [Dropped]?
    }

    @Test func historyThenWhatArrives() async throws {
        try await withServer { server in
            let now = SystemClock().wallNanos
            try await push(
                server, [(now - 3000, "old a"), (now - 2000, "old b"), (now - 1000, "no")])
            let port = server.port
            let client = try await onThread {
                UncheckedClient(
                    try SocketClient(
                        port: port, Self.path + "%7Bapp%3D%22shop%22%7D%7C%3D%22old%22&limit=10"))
            }
            #expect(client.value.isOpen, "\(client.value.head)")
            let history = try await onThread { client.value.nextText() }
            #expect(try lines(history) == ["old a", "old b"])
            #expect(history?.contains(#""trace_id":"t1""#) == true)
            #expect(history?.contains("encodingFlags") == false)
            try await push(server, [(now + 10, "old d"), (now - 5000, "old c"), (now, "new")])
            let live = try await onThread { client.value.nextText() }
            #expect(try lines(live) == ["old c", "old d"])
            try await push(server, app: "other", [(now, "old x")])
            try await push(server, [(now + 20, "old e")])
            let more = try await onThread { client.value.nextText() }
            #expect(try lines(more) == ["old e"])
            #expect(server.core.tails.watcherCount == 1)
            client.value.send(opcode: 8, [3, 232])
            let end = try await onThread { () -> UInt8? in
                while let frame = client.value.next() {
                    if frame.opcode == SocketClient.Frame.close { return frame.opcode }
                }
                return nil
            }
            #expect(end == SocketClient.Frame.close)
            while server.core.tails.watcherCount > 0 {
                try await Task.sleep(nanoseconds: 10_000_000)
            }
        }
    }

    @Test func categoriesAreApartWhereAskedFor() async throws {
        try await withServer { server in
            let port = server.port
            let client = try await onThread {
                UncheckedClient(
                    try SocketClient(
                        port: port, Self.path + "%7Bapp%3D%22shop%22%7D%7Clogfmt",
                        headers: [("X-Loki-Response-Encoding-Flags", "categorize-labels")]))
            }
            #expect(client.value.isOpen)
            while server.core.tails.watcherCount == 0 {
                try await Task.sleep(nanoseconds: 10_000_000)
            }
            try await push(server, [(SystemClock().wallNanos, "msg=paid")])
            let text = try await onThread { client.value.nextText() } ?? ""
            #expect(text.contains(#""stream":{"app":"shop","service_name":"shop"}"#), "\(text)")
            #expect(text.contains(#""structuredMetadata":{"#))
            #expect(text.contains(#""parsed":{"msg":"paid"}"#))
            #expect(text.hasSuffix(#""encodingFlags":["categorize-labels"]}"#))
        }
    }

    @Test func whatCannotBeTailedIsRefusedBefore() async throws {
        try await withServer { server in
            let port = server.port
            for (query, text) in [
                ("rate(%7Ba%3D%22b%22%7D%5B1m%5D)", "only log selector is supported"),
                ("%7Ba%3D%22b%22%7D&delay_for=6", "delay_for can't be greater than 5"),
                ("%7Ba%3D%22b%22%7D&limit=h", #"strconv.Atoi: parsing "h": invalid syntax"#),
                ("%7Ba%3D", "parse error"),
            ] {
                let answer = try await onThread {
                    let client = try SocketClient(port: port, Self.path + query)
                    return client.head + client.rest()
                }
                #expect(answer.hasPrefix("HTTP/1.1 400"), "\(answer)")
                #expect(answer.contains(text), "\(answer)")
            }
            let plain = try await server.get(Self.path + "%7Ba%3D%22b%22%7D")
            #expect(plain.status == 400 && plain.text.contains("not using the websocket protocol"))
            let elsewhere = try await onThread {
                try SocketClient(port: port, "/loki/api/v1/labels").head
            }
            #expect(elsewhere.hasPrefix("HTTP/1.1 200"), "\(elsewhere)")
        }
    }

    /// A reader that takes nothing: frames wait up to the bound, the rest is dropped and reported, and
    /// ingest goes on.
    @Test(.timeLimit(.minutes(2))) func stoppedReaderLosesLinesAndIsTold() async throws {
        try await withServer { server in
            let port = server.port
            let client = try await onThread {
                UncheckedClient(try SocketClient(port: port, Self.path + "%7Bapp%3D%22shop%22%7D"))
            }
            while server.core.tails.watcherCount == 0 {
                try await Task.sleep(nanoseconds: 10_000_000)
            }
            let line = String(repeating: "x", count: 4000)
            // More than the sockets' buffers and the frames that may wait hold.
            for round in 0..<60 {
                let now = SystemClock().wallNanos
                try await push(
                    server, (0..<100).map { (now + Int64($0), "\(round) \($0) \(line)") })
            }
            try await push(server, [(SystemClock().wallNanos, "the end")])
            let (lines, dropped) = try await onThread { () -> (Int, Int) in
                var lines = 0, dropped = 0
                while lines + dropped < 6001, let text = client.value.nextText(seconds: 5) {
                    let frame = try JSONDecoder().decode(Frame.self, from: Data(text.utf8))
                    lines += frame.streams.reduce(0) { $0 + $1.values.count }
                    dropped += frame.dropped_entries?.count ?? 0
                }
                return (lines, dropped)
            }
            #expect(dropped > 0 && dropped <= 6001 && lines > 0 && lines + dropped <= 6001)
            #expect(server.core.tails.heldBytes == 0)
        }
    }

    // MARK: - Parts of it

    private func batch(_ text: String) -> LogBatch {
        var batch = LogBatch()
        let stream = batch.addStream(Labels([("a", "b")]))
        let line = batch.arena.count
        batch.arena += Array(text.utf8)
        batch.addRow(
            stream: stream, nanos: 1, line: ByteSlice(offset: line, count: text.utf8.count))
        return batch
    }

    @Test func feedKeepsWhatSomebodyWaitsForWithinItsBounds() {
        let feed = TailFeed(TailFeed.Limits(bytes: 1 << 20, batches: 4))
        let (one, other) = (Tenant("one"), Tenant("other"))
        feed.record(logs: batch("nobody"), tenant: one, generation: 1)
        #expect(feed.heldBytes == 0)
        let watch = feed.watch(one)
        feed.record(logs: batch("x"), tenant: other, generation: 1)
        #expect(feed.heldBytes == 0)
        for i in 0..<6 { feed.record(logs: batch("\(i)"), tenant: one, generation: 1) }
        let slow = feed.watch(one)
        let first = feed.take(watch, byteLimit: 1)
        #expect(first.lost == 2 && first.items.count == 1 && !first.isLast)
        let rest = feed.take(watch, byteLimit: 1 << 20)
        #expect(rest.lost == 0 && rest.items.count == 3 && rest.isLast)
        #expect(feed.take(slow, byteLimit: 1).items.isEmpty)
        feed.record(logs: batch("6"), tenant: one, generation: 1)
        #expect(feed.heldBytes > 0)
        feed.end(watch)
        #expect(feed.take(slow, byteLimit: 1).items.count == 1)
        #expect(feed.heldBytes == 0)
        feed.end(slow)
        #expect(feed.watcherCount == 0)
        // What others get neither wakes nor loses anything here.
        let (mine, theirs) = (feed.watch(one), feed.watch(other))
        for i in 0..<9 { feed.record(logs: batch("\(i)"), tenant: other, generation: 1) }
        #expect(counts(feed.take(mine, byteLimit: 1 << 20)) == [0, 0, 1])
        #expect(counts(feed.take(theirs, byteLimit: 1 << 20)) == [4, 5, 1])
        feed.end(mine)
        feed.end(theirs)
        #expect(feed.heldBytes == 0)
    }

    private func counts(_ step: (items: [TailFeed.Item], lost: Int, isLast: Bool)) -> [Int] {
        [step.items.count, step.lost, step.isLast ? 1 : 0]
    }

    private func line(_ nanos: Int64, _ text: String) -> TailedLine {
        TailedLine(
            labels: Labels([("a", "b")]), entry: LogEntry(nanos: nanos, line: Array(text.utf8)))
    }

    @Test func framesHoldSoMuchAndReportTheRest() throws {
        let frames = TailFrames(categorize: false)
        #expect(frames.next() == nil)
        for i in 0..<1_005 { frames.add(line(Int64(i), "x")) }
        #expect(frames.dropped == 5)
        let first = String(decoding: frames.next() ?? [], as: UTF8.self)
        #expect(first.hasPrefix(#"{"streams":[{"stream":{"a":"b"},"values":[["0","x"],["1","x"]"#))
        #expect(
            first.hasSuffix(
                #""dropped_entries":[{"timestamp":"1000","labels":{"a":"b"}},{"timestamp":"1001","labels":{"a":"b"}},{"timestamp":"1002","labels":{"a":"b"}},{"timestamp":"1003","labels":{"a":"b"}},{"timestamp":"1004","labels":{"a":"b"}}]}"#
            ))
        for _ in 0..<9 { #expect(frames.next() != nil) }
        #expect(frames.next() == nil && frames.isEmpty)
        // Bytes are bounded too, and one line always has room.
        let long = String(repeating: "y", count: 3 << 20)
        #expect(frames.add(line(0, long)) && !frames.add(line(1, long)))
    }

    @Test func delayedLinesComeInOrderOfTime() {
        var pending = TailPending(delayNanos: 100)
        pending.add(line(1_000, "b"), nowNanos: 1_000)
        pending.add(line(990, "a"), nowNanos: 1_010)
        pending.add(line(9_000, "ahead"), nowNanos: 1_010)
        #expect(pending.release(nowNanos: 1_050).isEmpty)
        #expect(pending.release(nowNanos: 1_100).map(\.entry.nanos) == [990, 1_000])
        #expect(pending.release(nowNanos: 1_110).map(\.entry.nanos) == [9_000])
        #expect(pending.isEmpty)
    }
}

/// Handed from thread to thread, never used by two at once.
// No lock: the tests that hold one wait for each thread they give it to.
private final class UncheckedClient: @unchecked Sendable {
    let value: SocketClient
    init(_ value: SocketClient) { self.value = value }
}
