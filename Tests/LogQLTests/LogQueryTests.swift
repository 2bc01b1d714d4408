// SPDX-License-Identifier: Apache-2.0
// Log queries end to end.

import Base
import Telemetry
import Testing
import TestKit

@testable import LogQL

@Suite struct LogQueryTests {
    private func logs() -> InMemoryLogs {
        var logs = InMemoryLogs()
        let web = Labels([("app", "web"), ("zone", "north")])
        let db = Labels([("app", "db"), ("zone", "north")])
        logs.add(web, nanos: 100, #"level=info path=/a took=12ms size=2kB"#)
        logs.add(
            db, nanos: 150, #"{"level":"warn","query":{"text":"select 1","rows":7},"tags":["x"]}"#)
        logs.add(web, nanos: 200, #"level=error path=/b took=2s size=3MB msg="no luck""#)
        logs.add(
            web, nanos: 300, "level=info path=/c took=oops",
            metadata: Labels([("trace_id", "abc"), ("zone", "south")]))
        logs.add(db, nanos: 350, "not json")
        logs.add(web, nanos: 400, "\u{1b}[31mred\u{1b}[0m from 10.1.2.3:80")
        return logs
    }

    private func query(
        _ text: String, limit: Int = 0, direction: LogQuery.Direction = .forward,
        _ change: (inout LogQuery) -> Void = { _ in }
    ) throws -> LogQueryResult {
        var query = LogQuery(
            try LogQLParser.parseLogQuery(text), tenant: .anonymous, startNanos: 0, endNanos: 1000,
            limit: limit, direction: direction)
        change(&query)
        return try LogQLEngine(reader: logs()).queryLogs(query, ReadContext())
    }

    /// Lines of all streams by time.
    private func lines(_ text: String) throws -> [String] {
        try query(text).streams.flatMap(\.entries).sorted { $0.nanos < $1.nanos }
            .map { String(decoding: $0.line, as: UTF8.self) }
    }

    static let filters: [(query: String, times: [Int64])] = [
        (#"{app="web"}"#, [100, 200, 300, 400]),
        (#"{zone="north"} |= "info""#, [100, 300]),
        (#"{zone="north"} |= "info" != "oops""#, [100]),
        (#"{zone="north"} |~ "lev.l=(error|warn)""#, [200]),
        (#"{zone="north"} !~ "lev.l""#, [350, 400]),
        (#"{app="web"} |= "path=/a" or "path=/b""#, [100, 200]),
        (#"{app="web"} != "path=/a" or "path=/b""#, [300, 400]),
        (#"{app="web"} |= """#, [100, 200, 300, 400]),
        (#"{app="web"} |> "level=<_> path=<_> took=12ms<_>""#, [100]),
        (#"{app="web"} |= ip("10.0.0.0/8")"#, [400]),
        (#"{app="web"} | logfmt | level="error""#, [200]),
        (#"{app="web"} | logfmt | took > 1s | __error__="""#, [200]),
        (#"{app="web"} | logfmt | size >= 2kB and size < 1MB"#, [100]),
        (#"{app="web"} | logfmt | level="info" and (path="/c" or took=12ms)"#, [100, 300]),
        (#"{app="web"} | zone="north""#, [100, 200, 300, 400]),
        (#"{app="web"} | zone_extracted="south""#, [300]),
        (#"{app="web"} | trace_id="abc""#, [300]),
        (#"{app="db"} | json | query_rows > 5"#, [150]),
        (#"{app="db"} | json | __error__!="""#, [350]),
        (#"{app="db"} | json first="tags[0]" | first="x""#, [150]),
        (#"{app="web"} | pattern "level=<lvl> <_>" | lvl="error""#, [200]),
        (#"{app="web"} | regexp "path=(?P<p>/[bc])" | p=~".+""#, [200, 300]),
        (#"{app="web"} | decolorize |= "red from""#, [400]),
    ]

    @Test func stagesKeepTheRightLines() throws {
        var problems: [String] = []
        for (text, times) in LogQueryTests.filters {
            let found = try query(text).streams.flatMap(\.entries).map(\.nanos).sorted()
            if found != times { problems.append("\(text): \(found), not \(times)") }
        }
        for problem in problems { print("  " + problem) }
        #expect(problems.isEmpty)
    }

    @Test func linesAndLabelsAreRewritten() throws {
        #expect(
            try lines(
                #"{app="web"} | logfmt | path="/b" | line_format "{{.app}}: {{.msg | ToUpper}}""#)
                == ["web: NO LUCK"])
        let stream = try #require(
            try query(
                #"{app="web"} | logfmt | path="/a" | label_format where=path,both="{{.app}}-{{.zone}}" | keep where, both"#
            )
            .streams.first)
        #expect(stream.labels == Labels([("both", "web-north"), ("where", "/a")]))
    }

    @Test func entriesAreGroupedByAllTheirLabels() throws {
        let result = try query(#"{app="web"}"#)
        #expect(
            result.streams.map(\.labels.description) == [
                #"{app="web", trace_id="abc", zone="north", zone_extracted="south"}"#,
                #"{app="web", zone="north"}"#,
            ])
        #expect(result.statistics.linesRead == 4)
        #expect(result.statistics.linesKept == 4)
    }

    @Test func categoriesCanStayApart() throws {
        let result = try query(#"{app="web"} | logfmt | path="/c""#) {
            $0.separatesCategories = true
        }
        let stream = try #require(result.streams.first)
        #expect(stream.labels == Labels([("app", "web"), ("zone", "north")]))
        let entry = try #require(stream.entries.first)
        #expect(entry.metadata == Labels([("trace_id", "abc"), ("zone_extracted", "south")]))
        #expect(entry.parsed == Labels([("level", "info"), ("path", "/c"), ("took", "oops")]))
    }

    @Test func limitTakesFromTheEndThatWasAskedFor() throws {
        func times(_ direction: LogQuery.Direction) throws -> [Int64] {
            let result = try query(#"{zone="north"}"#, limit: 2, direction: direction)
            #expect(result.reachedLimit)
            return result.streams.flatMap(\.entries).map(\.nanos).sorted()
        }
        #expect(try times(.forward) == [100, 150])
        #expect(try times(.backward) == [350, 400])
    }

    @Test func endIsExclusiveAndIntervalThinsOut() throws {
        func times(_ change: (inout LogQuery) -> Void) throws -> [Int64] {
            try query(#"{zone="north"}"#, change).streams.flatMap(\.entries).map(\.nanos).sorted()
        }
        #expect(try times { $0.endNanos = 200 } == [100, 150])
        #expect(try times { $0.startNanos = 350 } == [350, 400])
        #expect(try times { $0.intervalNanos = 100 } == [100, 200, 300, 400])
    }

    private struct Recorder: LogReading {
        let seen: @Sendable (LogRequest) -> Void
        func read(
            _ request: LogRequest, _ context: ReadContext, _ body: (LogBatch) throws -> Bool
        ) throws { seen(request) }
        func streams(_ request: LogRequest, _ context: ReadContext) -> [Labels] { [] }
        func labelNames(_ request: LogRequest, _ context: ReadContext) -> [String] { [] }
        func labelValues(
            _ name: String, _ request: LogRequest, _ context: ReadContext
        ) -> [String] { [] }
        func rows(
            tenant: Tenant, streamHash: UInt64, range: NanosRange, _ context: ReadContext
        ) -> LogBatch { LogBatch() }
    }

    @Test func plainFiltersAreHandedDown() throws {
        let selector = try LogQLParser.parseLogQuery(
            #"{app="a"} |= "x" != "y" or "z" | json |~ "r" |> "one <_> two" | line_format "q" |= "n""#
        )
        #expect(
            try Pipeline(selector.stages, nowNanos: 0).pushedFilters == [
                LineFilter(.contains, "x"), LineFilter(.notContains, "y"),
                LineFilter(.notContains, "z"), LineFilter(.matches, "r"),
                LineFilter(.contains, "one "), LineFilter(.contains, " two"),
            ])
    }
}
