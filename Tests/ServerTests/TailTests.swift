// SPDX-License-Identifier: Apache-2.0
// Live tails of logs.

import Base
import FoundationEssentials
import Ingest
import LogQL
import Telemetry
import TestKit
import Testing

@testable import Server

@Suite struct TailTests {
    private static let path = "/loki/api/v1/tail?query="

    private func push(
        _ server: TestServer, tenant: String? = nil, app: String = "shop",
        _ lines: [(nanos: Int64, line: String)]
    ) async throws {
        let values = lines.map { "[\"\($0.nanos)\",\"\($0.line)\",{\"trace_id\":\"t1\"}]" }
        let body =
            "{\"streams\":[{\"stream\":{\"app\":\"\(app)\"},\"values\":[\(values.joined(separator: ","))]}]}"
        let reply = try await server.post(
            "/loki/api/v1/push", "application/json", Array(body.utf8),
            headers: tenant.map { [("X-Scope-OrgID", $0)] } ?? [])
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

    private func open(
        _ server: TestServer, _ target: String, tenant: String
    ) async throws -> UncheckedClient {
        let port = server.port
        return try await onThread {
            UncheckedClient(
                try SocketClient(
                    port: port, Self.path + target, headers: [("X-Scope-OrgID", tenant)]))
        }
    }

    @Test func severalTenantsAreOneTail() async throws {
        try await withServer({ $0.tenancy = .header }) { server in
            let now = SystemClock().wallNanos
            for (tenant, offset) in [("alpha", 0), ("beta", 1), ("gamma", 2)] as [(String, Int64)] {
                let lines = (0..<2).map { number in
                    (now - 9_000_000 + Int64(number) * 10 + offset, "\(tenant) \(number)")
                }
                try await push(server, tenant: tenant, lines)
            }
            let both = try await open(server, "%7Bapp%3D%22shop%22%7D", tenant: "beta|alpha|beta")
            let one = try await open(
                server, "%7Bapp%3D%22shop%22,__tenant_id__%3D~%22al.*%22%7D", tenant: "alpha|beta")
            #expect(both.value.isOpen && one.value.isOpen, "\(both.value.head) \(one.value.head)")
            let history = try await onThread { both.value.nextText() }
            #expect(try tenantLines(history) == ["alpha 0", "beta 0", "alpha 1", "beta 1"])
            let chosen = try await onThread { one.value.nextText() }
            #expect(try tenantLines(chosen) == ["alpha 0", "alpha 1"])
            // A tail is one of each tenant it watches.
            #expect(server.core.tails.watcherCount(Tenant("alpha")) == 2)
            #expect(server.core.tails.watcherCount(Tenant("beta")) == 1)
            #expect(server.core.tails.watcherCount(Tenant("alpha|beta")) == 0)
            for tenant in ["gamma", "beta", "alpha"] {
                try await push(server, tenant: tenant, [(now, "\(tenant) new")])
            }
            var live: [String] = []
            while live.count < 2, let text = try await onThread({ both.value.nextText() }) {
                live += try tenantLines(text)
            }
            #expect(live.sorted() == ["alpha new", "beta new"])
            let alone = try await onThread { one.value.nextText() }
            #expect(try tenantLines(alone) == ["alpha new"])
        }
    }

    /// The lines of a frame, all of which begin with the tenant that their stream names, by time.
    private func tenantLines(_ text: String?) throws -> [String] {
        let frame = try JSONDecoder().decode(Frame.self, from: Data((text ?? "").utf8))
        let found = frame.streams.flatMap { stream in
            let tenant = stream.stream["__tenant_id__"] ?? "nobody"
            #expect(stream.values.allSatisfy { $0[1].hasPrefix(tenant) }, "\(text ?? "")")
            return stream.values
        }
        return found.sorted { $0[0] < $1[0] }.map { $0[1] }
    }

    @Test func theLimitOfEachTenantHoldsForATailOfSeveral() async throws {
        try await withServer {
            $0.tenancy = .header
        } adjust: {
            $0.tenantLimits.byTenant["beta", default: TenantLimits()].logs.maxTails = 1
        } _: { server in
            let first = try await open(server, "%7Ba%3D%22b%22%7D", tenant: "alpha|beta")
            #expect(first.value.isOpen, "\(first.value.head)")
            while server.core.tails.watcherCount == 0 {
                try await Task.sleep(nanoseconds: 10_000_000)
            }
            let second = try await open(server, "%7Ba%3D%22b%22%7D", tenant: "beta|gamma")
            #expect(second.value.head.hasPrefix("HTTP/1.1 400"), "\(second.value.head)")
            let rest = try await onThread { second.value.rest() }
            #expect(rest.contains("max concurrent tail requests limit exceeded"), "\(rest)")
            let others = try await open(server, "%7Ba%3D%22b%22%7D", tenant: "alpha|gamma")
            #expect(others.value.isOpen, "\(others.value.head)")
            let many = (0...100).map { "t\($0)" }.joined(separator: "|")
            let refused = try await open(server, "%7Ba%3D%22b%22%7D", tenant: many)
            #expect(refused.value.head.hasPrefix("HTTP/1.1 400"), "\(refused.value.head)")
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
    /// ingest goes on. A reader of two tenants has no more room than one of one.
    @Test(.timeLimit(.minutes(2)), arguments: [["one"], ["one", "two"]])
    func stoppedReaderLosesLinesAndIsTold(_ tenants: [String]) async throws {
        try await withServer({ $0.tenancy = .header }) { server in
            let client = try await open(
                server, "%7Bapp%3D%22shop%22%7D", tenant: tenants.joined(separator: "|"))
            while server.core.tails.watcherCount == 0 {
                try await Task.sleep(nanoseconds: 10_000_000)
            }
            let line = String(repeating: "x", count: 4000)
            // More than the sockets' buffers and the frames that may wait hold.
            for round in 0..<60 {
                let now = SystemClock().wallNanos
                try await push(
                    server, tenant: tenants[round % tenants.count],
                    (0..<100).map { (now + Int64($0), "\(round) \($0) \(line)") })
            }
            try await push(server, tenant: "one", [(SystemClock().wallNanos, "the end")])
            let (lines, reports) = try await onThread { () -> (Int, [Frame.Dropped]) in
                var lines = 0
                var reports: [Frame.Dropped] = []
                while lines + reports.count < 6001, let text = client.value.nextText(seconds: 5) {
                    let frame = try JSONDecoder().decode(Frame.self, from: Data(text.utf8))
                    lines += frame.streams.reduce(0) { $0 + $1.values.count }
                    reports += frame.dropped_entries ?? []
                }
                return (lines, reports)
            }
            let dropped = reports.count
            #expect(dropped > 0 && dropped <= 6001 && lines > 0 && lines + dropped <= 6001)
            let named = Set(reports.compactMap { $0.labels["__tenant_id__"] }).sorted()
            #expect(named == (tenants.count > 1 ? tenants : []))
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
        let watch = feed.watch([one])
        feed.record(logs: batch("x"), tenant: other, generation: 1)
        #expect(feed.heldBytes == 0)
        for i in 0..<6 { feed.record(logs: batch("\(i)"), tenant: one, generation: 1) }
        let slow = feed.watch([one])
        let first = feed.take(watch, byteLimit: 1)
        #expect(first.lost.map(\.count) == [2] && first.items.count == 1 && !first.isLast)
        let rest = feed.take(watch, byteLimit: 1 << 20)
        #expect(rest.lost.isEmpty && rest.items.count == 3 && rest.isLast)
        #expect(feed.take(slow, byteLimit: 1).items.isEmpty)
        feed.record(logs: batch("6"), tenant: one, generation: 1)
        #expect(feed.heldBytes > 0)
        feed.end(watch)
        #expect(feed.take(slow, byteLimit: 1).items.count == 1)
        #expect(feed.heldBytes == 0)
        feed.end(slow)
        #expect(feed.watcherCount == 0)
        // What others get neither wakes nor loses anything here.
        let (mine, theirs) = (feed.watch([one]), feed.watch([other]))
        for i in 0..<9 { feed.record(logs: batch("\(i)"), tenant: other, generation: 1) }
        #expect(counts(feed.take(mine, byteLimit: 1 << 20)) == [0, 0, 1])
        #expect(counts(feed.take(theirs, byteLimit: 1 << 20)) == [4, 5, 1])
        feed.end(mine)
        feed.end(theirs)
        #expect(feed.heldBytes == 0)
    }

    private func counts(_ step: TailFeed.Step) -> [Int] {
        [step.items.count, step.lost.reduce(0) { $0 + $1.count }, step.isLast ? 1 : 0]
    }

    private func texts(_ step: TailFeed.Step) -> [String] {
        step.items.map { "\($0.tenant) \($0.batch.arena.text($0.batch.lines[0]))" }
    }

    @Test func feedGivesTheBatchesOfSeveralTenantsInOrderOfArrival() {
        let feed = TailFeed(TailFeed.Limits(bytes: 1 << 20, batches: 4))
        let (one, other, third) = (Tenant("one"), Tenant("other"), Tenant("third"))
        let nobody = feed.watch([])
        let both = feed.watch([one, other])
        #expect(feed.watcherCount == 2 && feed.watcherCount(one) == 1)
        for i in 0..<4 {
            feed.record(logs: batch("\(i)"), tenant: i % 2 == 0 ? other : one, generation: 1)
        }
        feed.record(logs: batch("x"), tenant: third, generation: 1)
        let first = feed.take(both, byteLimit: 1)
        #expect(texts(first) == ["other 0"] && !first.isLast)
        let rest = feed.take(both, byteLimit: 1 << 20)
        #expect(texts(rest) == ["one 1", "other 2", "one 3"] && rest.isLast && rest.lost.isEmpty)
        #expect(feed.heldBytes == 0)
        // Each list has bounds of its own, and each tells what it lost.
        for i in 0..<6 { feed.record(logs: batch("\(i)"), tenant: other, generation: 1) }
        feed.record(logs: batch("y"), tenant: one, generation: 1)
        let late = feed.take(both, byteLimit: 1 << 20)
        #expect(texts(late) == ["other 2", "other 3", "other 4", "other 5", "one y"])
        #expect(late.lost.map(\.tenant) == [other] && late.lost.map(\.count) == [2])
        #expect(counts(feed.take(nobody, byteLimit: 1)) == [0, 0, 1])
        feed.record(logs: batch("z"), tenant: one, generation: 1)
        feed.end(both)
        feed.end(nobody)
        feed.end(nobody)
        #expect(counts(feed.take(both, byteLimit: 1)) == [0, 0, 1])
        #expect(feed.watcherCount == 0 && feed.watcherCount(one) == 0 && feed.heldBytes == 0)
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
