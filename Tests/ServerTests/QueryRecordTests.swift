// SPDX-License-Identifier: Apache-2.0
// The active-query log and the query log.

import Base
import FoundationEssentials
import HTTPTypes
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Server

private func directory(_ disk: FaultyDisk) throws {
    try disk.makeDirectory("/d")
    try disk.syncDirectory("")
}

private func query(
    _ text: String, _ family: QueryDescription.Family = .promql
)
    -> QueryDescription
{
    QueryDescription(family, text, tenant: .anonymous)
}

struct QueryRecordTests {
    @Test func whatDidNotEndIsThereAtTheNextStart() throws {
        let disk = FaultyDisk()
        try directory(disk)
        let clock = ManualClock()
        let first = ActiveQueryLog("/d/queries.active", slots: 3, files: disk, clock: clock)
        #expect(first.unfinished == [])
        let one = first.enter(query("up"))
        let two = first.enter(query("{app=\"a\"}", .logql))
        let three = first.enter(query("{ status = error }", .traceql))
        #expect(first.enter(query("no room")) == nil)
        #expect(first.current.map(\.query.text) == ["up", "{app=\"a\"}", "{ status = error }"])
        first.leave(two)
        let killed = disk.afterKill()
        let second = ActiveQueryLog("/d/queries.active", slots: 3, files: killed, clock: clock)
        #expect(
            second.unfinished == [
                #"{"family":"promql","tenant":"anonymous","query":"up","#
                    + #""timestamp_sec":1800000000}"#,
                #"{"family":"traceql","tenant":"anonymous","query":"{ status = error }","#
                    + #""timestamp_sec":1800000000}"#,
            ])
        // It was begun afresh.
        let third = ActiveQueryLog("/d/queries.active", slots: 3, files: killed, clock: clock)
        #expect(third.unfinished == [])
        first.leave(one)
        first.leave(three)
        first.leave(nil)
        #expect(first.current.isEmpty)
        let ended = ActiveQueryLog("/d/queries.active", slots: 3, files: disk, clock: clock)
        #expect(ended.unfinished == [])
        #expect(disk.contents("/d/queries.active")?.count == 3 * ActiveQueryLog.slotBytes)
    }

    /// Questions without a language stand among the queries that run.
    @Test func questionsAreDescribedAsAsked() throws {
        func described(_ path: String, _ parameters: (String, String)...) -> String? {
            var request = APIRequest(method: .get, path: path)
            request.parameters = parameters.map { (name: $0.0, value: $0.1) }
            return QueryDescription(request).map { "\($0.family) \($0.text)" }
        }
        #expect(
            described("/api/v1/correlate/diagnose", ("start", "1"), ("service", "front"))
                == "correlation diagnose?start=1&service=front")
        #expect(described("/api/v1/correlate/service/front") == "correlation service/front")
        #expect(described("/api/traces", ("service", "a")) == "jaeger traces?service=a")
        #expect(described("/api/v2/traces", ("limit", "3")) == "zipkin traces?limit=3")
        #expect(described("/api/v2/spans") == nil)
        #expect(described("/api/v1/query", ("query", "up")) == "promql up")
        #expect(described("/api/v1/query") == nil)
        let push = APIRequest(method: .post, path: "/api/traces")
        #expect(QueryDescription(push) == nil)
    }

    @Test func longAndUglyTextsFitTheirSlot() throws {
        let disk = FaultyDisk()
        try directory(disk)
        for text in [
            String(repeating: "x", count: 5000), String(repeating: "\u{1}", count: 5000),
            String(repeating: "größe", count: 900), String(repeating: "\"", count: 1023), "",
        ] {
            let log = ActiveQueryLog("/d/q", slots: 2, files: disk, clock: ManualClock())
            _ = log.enter(query(text))
            _ = log.enter(query("after"))
            let next = ActiveQueryLog(
                "/d/q", slots: 2, files: disk.afterKill(), clock: ManualClock())
            #expect(next.unfinished.count == 2)
            #expect(next.unfinished.last?.contains("\"after\"") == true)
        }
        #expect(ActiveQueryLog.shortened("größe", 3) == "gr…")
        #expect(ActiveQueryLog.shortened("größe", 4) == "grö…")
        #expect(ActiveQueryLog.shortened("abc", 3) == "abc")
    }

    @Test func anythingElseInTheFileIsPassedOver() throws {
        let disk = FaultyDisk()
        try directory(disk)
        let file = try disk.create("/d/q")
        try file.write(
            [Array("{\"query\":\"torn\n\u{0}\u{0}[1]\n{\"a\":1} x\n  {} \n".utf8)], at: 0)
        let log = ActiveQueryLog("/d/q", slots: 1, files: disk, clock: ManualClock())
        #expect(log.unfinished == ["{}"])
    }

    @Test func errorsAreCountedReportedOnceAndFailNothing() throws {
        let reports = Mutex([String]())
        let disk = FaultyDisk()
        try directory(disk)
        let log = ActiveQueryLog("/d/q", slots: 4, files: disk, clock: ManualClock()) { text in
            reports.withLock { $0.append(text) }
        }
        disk.fail(.write, times: 100, code: FileError.inputOutput)
        for _ in 0..<3 { log.leave(log.enter(query("up"))) }
        #expect(log.failures == 1, "the file is given up")
        #expect(
            reports.withLock { $0 } == [
                "queries under way are no longer recorded: cannot write /d/q: Input/output error"
            ])
        let nowhere = ActiveQueryLog("/none/q", slots: 4, files: disk, clock: ManualClock())
        #expect(nowhere.failures == 1)
        #expect(nowhere.enter(query("up")) != nil)
        #expect(nowhere.current.count == 1)
    }

    @Test func queriesOfAllFamiliesLeaveALine() async throws {
        try await withTemporaryDirectory { folder in
            let path = folder + "/queries.log"
            try await withServer({ $0.queryLogFile = path }) { server in
                for target in [
                    "/api/v1/query?query=up&time=100",
                    "/api/v1/query_range?query=sum(up)&start=100&end=200&step=10",
                    "/api/v1/query?query=" + percentEncoded("up +"),
                    "/loki/api/v1/query_range?query=" + percentEncoded(#"{app="a"}"#),
                    "/api/search?q=" + percentEncoded("{ status = error }"),
                    "/api/v1/labels", "/api/v1/series?match[]=up",
                ] {
                    _ = try await server.send(
                        "GET", target, headers: [("X-Query-Tags", "Source=logvolhist")])
                }
                #expect(server.core.queries.active?.current.count == 0)
            }
            let text = String(
                decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
            let lines = text.split(separator: "\n")
            #expect(lines.count == 5, "\(text)")
            let expected = [
                [#""family":"promql""#, #""query":"up","start":"100","end":"100"}"#],
                [#""query":"sum(up)","start":"100","end":"200","step":"10"}"#, "execTotalTime"],
                [#""query":"up +""#, #""status":"error","error":""#],
                [
                    #""family":"logql""#, #""tags":"Source=logvolhist""#, #""query":"{app=\"a\"}"#,
                    #""status":"success""#,
                ],
                [#""family":"traceql""#, #""query":"{ status = error }"#, "peakBytes"],
            ]
            for (line, parts) in zip(lines, expected) {
                for part in parts { #expect(line.contains(part), "\(line)") }
                #expect(throws: Never.self) {
                    try Array(line.utf8).withUnsafeBytes { raw in
                        var reader = JSONReader(raw)
                        try reader.skipValue()
                        try reader.end()
                    }
                }
            }
        }
    }

    @Test func aQueryLogThatWasMovedAwayIsBegunAgain() throws {
        let disk = FaultyDisk()
        try directory(disk)
        let clock = ManualClock()
        let log = QueryLogFile("/d/q.log", files: disk, clock: clock)
        let outcome = QueryLogFile.Outcome(ReadContext(), queueNanos: 0)
        log.add(query("one"), outcome)
        try disk.rename("/d/q.log", to: "/d/q.log.1")
        clock.advance(seconds: 2)
        log.add(query("two"), outcome)
        func lines(_ path: String) -> Int {
            disk.contents(path)?.count { $0 == UInt8(ascii: "\n") } ?? 0
        }
        #expect(lines("/d/q.log") == 1 && lines("/d/q.log.1") == 1)
        // Another process goes on where this one ended.
        let next = QueryLogFile("/d/q.log", files: disk, clock: clock)
        next.add(query("three"), outcome)
        #expect(lines("/d/q.log") == 2)
        disk.fail(.write, code: FileError.noSpace)
        next.add(query("lost"), outcome)
        #expect(next.failures == 1)
        next.add(query("four"), outcome)
        #expect(lines("/d/q.log") >= 3)
    }

    @Test func runningQueriesAreListed() async throws {
        try await withServer { server in
            let slot = server.core.queries.active?.enter(query("sum(up)"))
            let reply = try await server.get("/api/v1/status/active_queries")
            #expect(reply.text.contains(#"{"family":"promql","query":"sum(up)","start":""#))
            server.core.queries.active?.leave(slot)
            // How far it is comes from the query's own counters.
            var tagged = query("rate(up[5m])")
            tagged.tags = "Source=test"
            let context = ReadContext()
            try context.count(samples: 12, bytes: 34)
            let other = server.core.queries.active?.enter(tagged, context)
            let progress = try await server.get("/api/v1/status/active_queries")
            #expect(
                progress.text.contains(
                    #""samplesRead":12,"bytesRead":34,"memoryBytes":0,"tags":"Source=test"}"#),
                "\(progress.text)")
            server.core.queries.active?.leave(other)
            let after = try await server.get("/api/v1/status/active_queries")
            #expect(after.text == #"{"status":"success","data":[]}"#)
        }
    }
}
