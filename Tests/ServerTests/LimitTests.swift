// SPDX-License-Identifier: Apache-2.0
// Limits of queries and of memory, each with the text that a client sees.

import Base
import GRPCCore
import Glibc
import HTTPTypes
import Ingest
import Synchronization
import Telemetry
import TestKit
import Testing
import Wire

@testable import Server

/// Work that holds a query's place until it is let go or cancelled.
private final class Blocker: Sendable {
    let started = Atomic<Int>(0)
    let cancelled = Atomic<Int>(0)
    private let released = Atomic<Bool>(false)

    func release() { released.store(true, ordering: .relaxed) }

    func hold(_ context: ReadContext) throws {
        started.wrappingAdd(1, ordering: .relaxed)
        while !released.load(ordering: .relaxed) {
            do { try context.check() } catch {
                cancelled.wrappingAdd(1, ordering: .relaxed)
                throw error
            }
            usleep(2000)
        }
    }

    /// Waits until so many hold a place, or gives up after ten seconds.
    func waitFor(started count: Int) async throws {
        try await eventually { self.started.load(ordering: .relaxed) >= count }
    }
}

/// Polls until a condition holds; a test fails when it does not within ten seconds.
func eventually(_ holds: () async throws -> Bool) async throws {
    for _ in 0..<1000 {
        if try await holds() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record("did not come true within ten seconds")
}

@Suite struct LimitTests {
    @Test func queriesAboveTheConcurrencyWaitAndWritesGoOn() async throws {
        try await withServer { server in
            let blocker = Blocker()
            let holders = (0..<20).map { _ in
                Task { try await server.core.queries.run { try blocker.hold($0) } }
            }
            try await blocker.waitFor(started: 2)
            try await eventually { server.core.queries.gate.waiting >= 1 }

            let write = try await server.post(
                "/api/v1/write", protobuf, remoteWriteBody("written_meanwhile"))
            #expect(write.status == 204)
            let push = try await server.post(
                "/loki/api/v1/push", "application/json", lokiBody("meanwhile", "line"))
            #expect(push.status == 204)

            let late = try await server.get("/api/v1/query?query=written_meanwhile&timeout=0.2")
            #expect(late.status == 503)
            #expect(
                late.text
                    == #"{"status":"error","errorType":"timeout","error":"query timed out in query queue"}"#
            )
            let patient = Task { try await server.get("/api/v1/query?query=written_meanwhile") }
            try await eventually { server.core.queries.gate.waiting >= 17 }
            blocker.release()
            for holder in holders { try await holder.value }
            let answer = try await patient.value
            #expect(answer.status == 200)
            #expect(answer.text.contains("written_meanwhile"))
            #expect(server.core.queries.gate.waiting == 0)
        }
    }

    @Test func moreQueriesThanMayWaitAreRefused() async throws {
        try await withServer({ $0.queryConcurrency = 1 }, adjust: { $0.queries.waiting = 1 }) {
            server in
            let blocker = Blocker()
            let running = Task { try await server.core.queries.run { try blocker.hold($0) } }
            try await blocker.waitFor(started: 1)
            let waiting = Task { try await server.core.queries.run { _ in } }
            try await eventually { server.core.queries.gate.waiting == 1 }
            for target in ["/api/v1/labels", "/loki/api/v1/labels", "/api/search?q=%7B%7D"] {
                let reply = try await server.get(target)
                #expect(reply.status == 429, "\(target): \(reply.text)")
                #expect(reply.text.contains("too many outstanding requests"))
                #expect(reply.headers["retry-after"] == "1")
            }
            blocker.release()
            try await running.value
            try await waiting.value
            #expect(try await server.get("/api/v1/labels").status == 200)
        }
    }

    @Test func aClientThatGoesAwayEndsItsQuery() async throws {
        try await withServer { server in
            let blocker = Blocker()
            server.endpoint.serve([
                Route([.get], "/hold", .prometheus) { _ in
                    try await server.core.queries.run { try blocker.hold($0) }
                    return .noContent
                }
            ])
            let port = server.port
            try await onThread {
                let connection = try RawConnection(port: port)
                connection.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
                while blocker.started.load(ordering: .relaxed) == 0 { usleep(1000) }
                connection.close()
            }
            try await eventually { blocker.cancelled.load(ordering: .relaxed) == 1 }
        }
    }

    @Test func aQueryThatWaitsEndsWhenItsClientGoesAway() async throws {
        try await withServer({ $0.queryConcurrency = 1 }) { server in
            let blocker = Blocker()
            let running = Task { try await server.core.queries.run { try blocker.hold($0) } }
            try await blocker.waitFor(started: 1)
            let port = server.port
            let gate = server.core.queries.gate
            try await onThread {
                let connection = try RawConnection(port: port)
                connection.send("GET /api/v1/labels HTTP/1.1\r\nHost: x\r\n\r\n")
                while gate.waiting == 0 { usleep(1000) }
                connection.close()
            }
            try await eventually { gate.waiting == 0 }
            blocker.release()
            try await running.value
        }
    }

    @Test func eachFamilySaysThatTimeIsUp() async throws {
        try await withServer({ $0.queryTimeoutSeconds = 1e-9 }) { server in
            let metrics = try await server.get("/api/v1/query?query=up")
            #expect(metrics.status == 503)
            #expect(metrics.text.contains(#""errorType":"timeout""#))
            #expect(metrics.text.contains("query timed out in expression evaluation"))
            let logs = try await server.get("/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D")
            #expect(logs.status == 504)
            #expect(logs.text.contains("query timed out after"))
            let traces = try await server.get("/api/search?q=%7B%7D")
            #expect(traces.status == 503)
            #expect(traces.text.contains("query timed out after"))
        }
    }

    @Test func aQueryThatReadsTooMuchIsRefused() async throws {
        try await withServer({ $0.querySamples = 5 }) { server in
            let now = nowMillis
            let samples = (0..<20).map { (value: Double($0), millis: now - Int64($0) * 1000) }
            let body = Snappy.compress(
                remoteWriteMessage([
                    TestSeries([("__name__", "many"), ("job", "x")], samples.reversed())
                ]))
            #expect(try await server.post("/api/v1/write", protobuf, body).status == 204)
            let reply = try await server.get(
                "/api/v1/query?query=sum(count_over_time(many%5B1h%5D))")
            #expect(reply.status == 422)
            #expect(
                reply.text
                    == #"{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}"#
            )
            for index in 0..<20 {
                _ = try await server.post(
                    "/loki/api/v1/push", "application/json",
                    lokiBody("many", "line \(index)", nanos: now * 1_000_000 - Int64(index)))
            }
            let logs = try await server.get(
                "/loki/api/v1/query_range?query=%7Bapp%3D%22many%22%7D%7C%3D%22line%22")
            #expect(logs.status == 400)
            #expect(logs.text.contains("query would read more than 5 samples"))
        }
    }

    @Test func aQueryThatNeedsTooMuchMemoryIsRefused() async throws {
        try await withServer({ $0.queryMemoryBytes = 64 }) { server in
            #expect(
                try await server.post("/api/v1/write", protobuf, remoteWriteBody("m")).status == 204
            )
            let end = nowMillis / 1000 + 1
            let reply = try await server.get(
                "/api/v1/query_range?query=m&start=\(end - 600)&end=\(end)&step=1")
            #expect(reply.status == 422)
            #expect(reply.text.contains("query needs more than its memory limit of 64 bytes"))
            #expect(reply.text.contains("--query.memory-limit"))
        }
    }

    @Test func theLargestQueryGivesWayToTheOthers() throws {
        let budget = ReadBudget(limitBytes: 1000)
        let (large, small) = (ReadContext(budget: budget), ReadContext(budget: budget))
        budget.enter(large)
        budget.enter(small)
        try large.reserve(900)
        try small.reserve(50)
        try small.reserve(60)
        try small.check()
        #expect(throws: QueryInterruption.sharedMemoryLimit(bytes: 1000)) { try large.check() }
        budget.leave(large)
        #expect(budget.heldBytes == 110)
        try small.reserve(800)
        small.release(910)
        budget.leave(small)
        #expect(budget.heldBytes == 0)
    }

    @Test func newSeriesAreRefusedBeforeMemoryIsExceeded() async throws {
        let limit = 400_000
        try await withServer(adjust: { $0.limits.headBytes = limit }) { server in
            var refusal: HTTPReply?
            var accepted = 0
            for round in 0..<200 where refusal == nil {
                let now = nowMillis
                let series = (0..<50).map {
                    TestSeries(
                        [("__name__", "churn"), ("id", "\(round)-\($0)")], [(1, now)])
                }
                let reply = try await server.post(
                    "/api/v1/write", protobuf, Snappy.compress(remoteWriteMessage(series)))
                if reply.status == 204 { accepted += 50 } else { refusal = reply }
            }
            #expect(refusal?.status == 503)
            #expect(refusal?.headers["retry-after"] == "2")
            #expect(refusal?.text.contains("heads hold \(limit) bytes, the most they may") == true)
            // One batch may go over the edge, not more.
            #expect(server.core.pipeline.headBytes < limit + 200_000)
            let spans = try await server.post(
                "/v1/traces", protobuf,
                otlpTraceMessage(
                    service: "s", name: "n", traceID: goodTraceID, spanID: goodSpanID))
            #expect(spans.status == 503)
            let logs = try await server.post(
                "/loki/api/v1/push", "application/json", lokiBody("a", "b"))
            #expect(logs.status == 503)
            let count = try await server.get("/api/v1/query?query=count(churn)")
            #expect(count.text.contains("\"\(accepted)\""), "\(count.text)")
        }
    }

    @Test func aFullIngestQueueIsSaidInEachFamilysWay() async throws {
        try await withServer(adjust: { $0.limits.batchesInFlight = 0 }) { server in
            let write = try await server.post("/api/v1/write", protobuf, remoteWriteBody("m"))
            #expect(write.status == 503)
            #expect(write.headers["retry-after"] == "1")
            let push = try await server.post(
                "/loki/api/v1/push", "application/json", lokiBody("a", "b"))
            #expect(push.status == 429)
            #expect(push.headers["retry-after"] == "1")
            let message = otlpGaugeMessage(service: "s", name: "m")
            let otlp = try await server.post("/v1/metrics", protobuf, message)
            #expect(otlp.status == 429)
            #expect(otlp.headers["retry-after"] == "1")
            for reply in [write, push, otlp] {
                #expect(reply.text.contains("too many requests at once: retry later"))
            }
            let call = try await server.export(.metrics, message)
            #expect(call.code == .unavailable)
        }
    }
}
