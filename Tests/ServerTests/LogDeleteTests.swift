// SPDX-License-Identifier: Apache-2.0
// Requests to delete logs.

import Base
import Ingest
import LogStore
import Storage
import Telemetry
import TestKit
import Testing

@testable import Server

@Suite struct LogDeleteTests {
    private static let path = "/loki/api/v1/delete"
    private static let start = SystemClock().wallNanos / 1_000_000_000 - 3600

    private func push(_ server: TestServer, _ app: String, _ lines: [String]) async throws {
        let values = lines.enumerated().map {
            "[\"\(Self.start + Int64($0.offset))000000000\",\"\($0.element)\",{\"user\":\"u\($0.offset)\"}]"
        }
        let body =
            "{\"streams\":[{\"stream\":{\"app\":\"\(app)\"},\"values\":[\(values.joined(separator: ","))]}]}"
        let reply = try await server.post(
            "/loki/api/v1/push", "application/json", Array(body.utf8))
        #expect(reply.status == 204)
    }

    private func lines(_ server: TestServer, _ app: String) async throws -> [String] {
        let reply = try await server.get(
            "/loki/api/v1/query_range?query=%7Bapp%3D%22\(app)%22%7D&limit=1000"
                + "&start=\(Self.start - 10)&direction=forward")
        let json = try CorpusJSON(parsing: reply.body)
        return (json["data"]?["result"]?.array ?? []).flatMap { stream in
            (stream["values"]?.array ?? []).compactMap { $0.array[1].string }
        }.sorted()
    }

    private func list(_ server: TestServer) async throws -> [CorpusJSON] {
        let reply = try await server.get(Self.path)
        #expect(reply.status == 200)
        return try CorpusJSON(parsing: reply.body).array
    }

    @Test func deletedLinesAreGoneAtOnceAndForGoodLater() async throws {
        try await withServer {
            $0.enableAdminAPI = true
        } adjust: {
            $0.deleteCancelSeconds = 3600
        } _: { server in
            try await push(server, "one", ["keep", "secret a", "secret b", "keep too"])
            try await push(server, "two", ["secret c"])
            let query = "query=%7Bapp%3D%22one%22%7D+%7C%3D+%22secret%22+%7C+user%3D%22u1%22"
            let reply = try await server.send(
                "POST", "\(Self.path)?\(query)&start=\(Self.start - 1)&max_interval=24h")
            #expect(reply.status == 204, "\(reply.text)")
            #expect(try await lines(server, "one") == ["keep", "keep too", "secret b"])
            #expect(try await lines(server, "two") == ["secret c"])
            let stats = try await server.get(
                "/loki/api/v1/index/stats?query=%7Bapp%3D%22one%22%7D&start=\(Self.start - 10)")
            #expect(stats.text.contains("\"entries\":3"), "\(stats.text)")
            var requests = try await list(server)
            #expect(requests.count == 1)
            #expect(requests[0]["status"]?.string == "received")
            #expect(requests[0]["query"]?.string == #"{app="one"} |= "secret" | user="u1""#)
            #expect(requests[0]["start_time"]?.int == Self.start - 1)
            // The same line again, later: it stays.
            try await push(server, "one", ["x", "secret a"])
            #expect(try await lines(server, "one").contains("secret a"))
            try await server.core.kernel.cleanDeletions(tenant: "anonymous", of: .logs)
            await server.core.deletes.pass()
            requests = try await list(server)
            #expect(requests[0]["status"]?.string == "processed")
            #expect(requests[0]["deleted_lines"]?.int == 1)
            #expect((requests[0]["deleted_bytes"]?.int ?? 0) > 8)
            let id = requests[0]["request_id"]?.string ?? ""
            let late = try await server.send("DELETE", "\(Self.path)?request_id=\(id)")
            #expect(late.status == 400 && late.text.contains("already processed"))
        }
    }

    @Test func aRequestCanBeTakenBack() async throws {
        try await withServer {
            $0.enableAdminAPI = true
        } _: { server in
            try await push(server, "one", ["a", "b"])
            let reply = try await server.send(
                "PUT", "\(Self.path)?query=%7Bapp%3D%22one%22%7D&start=\(Self.start - 1)")
            #expect(reply.status == 204)
            #expect(try await lines(server, "one").isEmpty)
            let series = try await server.get(
                "/loki/api/v1/label/app/values?start=\(Self.start - 10)")
            #expect(series.text.contains("\"data\":[]"), "\(series.text)")
            let id = try await list(server).first?["request_id"]?.string ?? ""
            let missing = try await server.send("DELETE", "\(Self.path)?request_id=0")
            #expect(missing.status == 404)
            #expect(missing.text == "could not find delete request with given id\n")
            let cancelled = try await server.send("DELETE", "\(Self.path)?request_id=\(id)")
            #expect(cancelled.status == 204)
            #expect(try await lines(server, "one") == ["a", "b"])
            #expect(try await list(server).isEmpty)
            // Of nothing, nothing is left at once.
            _ = try await server.send(
                "POST", "\(Self.path)?query=%7Bapp%3D%22none%22%7D&start=\(Self.start - 1)")
            #expect(try await list(server).first?["status"]?.string == "processed")
        }
    }

    @Test func badRequestsAreToldWhy() async throws {
        try await withServer {
            $0.enableAdminAPI = true
        } _: { server in
            let ahead = SystemClock().wallNanos / 1_000_000_000 + 600
            for (parameters, text) in [
                ("start=1", "query not set"),
                ("query=%7Ba%3D%22b%22%7D", "start time not set"),
                (
                    "query=%7Ba%3D%22b%22%7D&start=x",
                    "invalid start time: require unix seconds or RFC3339 format"
                ),
                (
                    "query=%7Ba%3D%22b%22%7D&start=1&end=\(ahead)",
                    "deletes in the future are not allowed"
                ),
                (
                    "query=%7Ba%3D%22b%22%7D&start=2&end=2",
                    "start time can't be greater than or equal to end time"
                ),
            ] {
                let reply = try await server.send("POST", "\(Self.path)?\(parameters)")
                #expect(reply.status == 400 && reply.text == text + "\n", "\(reply.text)")
            }
            let broken = try await server.send("POST", "\(Self.path)?query=%7B&start=1")
            #expect(broken.status == 400 && broken.text.contains("parse error"))
        }
        try await withServer { server in
            let reply = try await server.send(
                "POST", "\(Self.path)?query=%7Ba%3D%22b%22%7D&start=1")
            #expect(reply.status == 500 && reply.text.contains("admin APIs disabled"))
        }
    }

    @Test func requestsSurviveARestartAndACrashBetween() async throws {
        try await withTemporaryDirectory { path in
            var options = ServerOptions()
            options.storagePath = path + "/data"
            let settings = CoreSettings(options, nil)
            func open() throws -> Core {
                try Core.open(
                    settings, DataDirectory(options.storagePath), SystemClock(),
                    Startup(clock: SystemClock()))
            }
            var core = try open()
            core.kernel.start()
            _ = try await core.pipeline.write(
                logs: Self.batch(), tenant: .anonymous)
            let done = try await core.deletes.add(
                query: "{a=\"b\"} |= \"one\"", startNanos: 0, endNanos: .max - 1,
                tenant: .anonymous)
            #expect(done.status == .received)
            // A request that was written down and not carried out before the crash.
            var list = try DeleteRequestFile.read(options.storagePath, LocalFileSystem())
            #expect(list.count == 1)
            await core.stop()
            list.append(
                DeleteRequest(
                    id: "late", tenant: "anonymous", query: "{a=\"b\"} |= \"two\"",
                    startNanos: 0, endNanos: .max - 1, createdNanos: 1))
            try DeleteRequestFile.write(list, to: options.storagePath, LocalFileSystem())

            core = try open()
            core.kernel.start()
            #expect(core.deletes.requests(of: .anonymous).map(\.status) == [.received, .accepted])
            await core.deletes.pass()
            // The second is old enough to be carried out for good, and takes the first with it.
            #expect(
                core.deletes.requests(of: .anonymous).map(\.status) == [.processed, .processed])
            var left: [String] = []
            try core.pipeline.logs.read(
                LogRequest(
                    tenant: .anonymous, matchers: [],
                    range: NanosRange(first: Nanos(.min), last: Nanos(.max))), ReadContext()
            ) { batch in
                left += batch.lines.map { String(decoding: batch.arena[$0.range], as: UTF8.self) }
                return true
            }
            #expect(left == ["three"])
            await core.stop()
        }
    }

    private static func batch() -> LogBatch {
        var batch = LogBatch()
        let stream = batch.addStream(Labels([("a", "b")]))
        for text in ["one", "two", "three"] {
            let start = batch.arena.count
            batch.arena += Array(text.utf8)
            batch.addRow(
                stream: stream, nanos: SystemClock().wallNanos,
                line: ByteSlice(offset: start, count: text.utf8.count))
        }
        return batch
    }

    @Test func damagedListsAreRefused() throws {
        let request = DeleteRequest(
            id: "1", tenant: "t", query: "{a=\"b\"}", startNanos: -1, endNanos: 5, createdNanos: 7,
            status: .received, removedRows: 3, removedBytes: 9)
        let bytes = DeleteRequestFile.encoded([request, request])
        let back = try bytes.withUnsafeBytes { try DeleteRequestFile.decoded($0) }
        #expect(back == [request, request])
        for count in 0..<bytes.count {
            #expect(throws: MalformedBytes.self) {
                _ = try Array(bytes[..<count]).withUnsafeBytes {
                    try DeleteRequestFile.decoded($0)
                }
            }
        }
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 0x10
            if damaged == bytes { continue }
            _ = try? damaged.withUnsafeBytes { try DeleteRequestFile.decoded($0) }
        }
    }
}
