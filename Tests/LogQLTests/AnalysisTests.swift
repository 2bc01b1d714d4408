// SPDX-License-Identifier: Apache-2.0
// The analytics pipe: words, tables, orders, neighbours.

import Base
import PromQL
import Telemetry
import TestKit
import Testing

@testable import LogQL

@Suite struct AnalysisTests {
    private static let web = Labels([("app", "web")])
    private static let shop = Labels([("app", "shop")])

    private func logs() -> InMemoryLogs {
        var logs = InMemoryLogs()
        let second: Int64 = 1_000_000_000
        for (i, line) in [
            "path=/a status=200 took=10ms size=1kB user=ann",
            "path=/a status=200 took=30ms size=2kB user=bob",
            "path=/b status=500 took=2s size=3kB user=ann",
            "path=/a status=404 took=20ms size=4kB user=cid",
            "path=/c status=200 took=oops user=ann",
        ].enumerated() {
            logs.add(AnalysisTests.web, nanos: Int64(i) * second, line)
        }
        for i in 0..<6 {
            logs.add(
                AnalysisTests.shop, nanos: Int64(i) * second + 1, "step \(i)",
                metadata: i == 3 ? Labels([("trace_id", "abc")]) : .empty)
        }
        return logs
    }

    private func analyse(
        _ text: String, limit: Int = 100, categories: Bool = false, _ context: ReadContext
    ) throws -> AnalysisResult {
        guard case .analysis(let analysis) = try LogQLParser.parse(text) else {
            throw LogQLQueryError("no analysis: \(text)")
        }
        return try LogQLEngine(reader: logs()).analyse(
            analysis, tenant: .anonymous, startNanos: 0, endNanos: 10_000_000_000, limit: limit,
            separatesCategories: categories, context)
    }

    /// Rows as `{labels} value`, buckets as `{labels} second:value …`.
    private func rows(_ text: String, _ context: ReadContext = ReadContext()) throws -> [String] {
        guard case .table(let result, let isBucketed) = try analyse(text, context),
            case .series(let series) = result.value
        else { return ["no table"] }
        return series.map { one in
            var texts: [String] = []
            for step in 0..<result.steps.count where one.column.kinds[step] == .float {
                let value = floatPlainText(one.column.values[step])
                let second = result.steps.nanos(at: step) / 1_000_000_000
                texts.append(isBucketed ? "\(second):\(value)" : value)
            }
            return "\(one.labels) " + texts.joined(separator: " ")
        }
    }

    static let tables: [(query: String, rows: [String])] = [
        (#"{app="web"} | stats count()"#, [#"{__name__="count"} 5"#]),
        (
            #"{app="web"} | logfmt | stats count() as n, avg(took) by (path) | sort by (n desc)"#,
            [
                #"{__name__="n", path="/a"} 3"#, #"{__name__="avg_took", path="/a"} 0.02"#,
                #"{__name__="n", path="/b"} 1"#, #"{__name__="avg_took", path="/b"} 2"#,
                #"{__name__="n", path="/c"} 1"#,
            ]
        ),
        (
            #"{app="web"} | logfmt | stats sum(bytes(size)), max(took), min(took), first(status), last(status)"#,
            [
                #"{__name__="sum_size"} 10000"#, #"{__name__="max_took"} 2"#,
                #"{__name__="min_took"} 0.01"#, #"{__name__="first_status"} 200"#,
                #"{__name__="last_status"} 200"#,
            ]
        ),
        (
            #"{app="web"} | logfmt | stats count_uniq(user), count(size), median(status), quantile(0.99, status), stdvar(status)"#,
            [
                #"{__name__="count_uniq_user"} 3"#, #"{__name__="count_size"} 4"#,
                #"{__name__="median_status"} 200"#, #"{__name__="p99_status"} 496.16"#,
                "stdvar",
            ]
        ),
        (
            #"{app="shop"} | stats count() every 2s"#,
            [#"{__name__="count"} 0:2 2:2 4:2"#]
        ),
        (
            #"{app=~".+"} | stats bytes() by (app) every 5s"#,
            [#"{__name__="bytes", app="shop"} 0:30 5:6"#, #"{__name__="bytes", app="web"} 0:219"#]
        ),
        (
            #"{app="web"} | logfmt | top 2 by (path)"#,
            [#"{__name__="count", path="/a"} 3"#, #"{__name__="count", path="/b"} 1"#]
        ),
        (
            #"{app="web"} | logfmt | uniq by (status, app) | limit 2"#,
            [
                #"{__name__="count", app="web", status="200"} 3"#,
                #"{__name__="count", app="web", status="404"} 1"#,
            ]
        ),
        (
            #"{app="web"} | logfmt user | facets 2"#,
            [
                #"{__name__="count", field="app", value="web"} 5"#,
                #"{__name__="count", field="user", value="ann"} 3"#,
                #"{__name__="count", field="user", value="bob"} 1"#,
            ]
        ),
        (#"{app="none"} | stats count()"#, []),
    ]

    @Test func tablesHoldTheRightNumbers() throws {
        for (query, expected) in AnalysisTests.tables {
            let found = try rows(query)
            // The variance is compared as a number below.
            let texts = zip(found, expected).map { $1 == "stdvar" ? $1 : $0 }
            #expect(texts == expected && found.count == expected.count, "\(query): \(found)")
        }
        let values = [200.0, 200, 500, 404, 200]
        let mean = values.reduce(0, +) / 5
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 5
        let row = try #require(try rows(#"{app="web"} | logfmt | stats stdvar(status)"#).first)
        let found = try #require(Double(row.split(separator: " ").last ?? ""))
        #expect(abs(found - variance) < 1e-6)
    }

    @Test func whatIsNoNumberIsToldAndLeftOut() throws {
        let context = ReadContext()
        #expect(
            try rows(#"{app="web"} | logfmt | stats avg(user), count()"#, context)
                == [#"{__name__="count"} 5"#])
        #expect(context.warnings == ["avg_user leaves out 5 lines whose user is no number"])
        let other = ReadContext()
        _ = try rows(#"{app="web"} | json | stats count() by (level)"#, other)
        #expect(other.warnings.first?.hasPrefix("5 lines could not be parsed") == true)
    }

    @Test func facetsNameTheLabelsThatTellLinesApart() throws {
        var logs = InMemoryLogs()
        for i in 0..<1_500 { logs.add(AnalysisTests.web, nanos: Int64(i), "n=\(i) k=\(i % 2)") }
        guard
            case .analysis(let analysis) = try LogQLParser.parse(
                #"{app="web"} | logfmt | facets 5"#)
        else {
            Issue.record("no analysis")
            return
        }
        let context = ReadContext()
        guard
            case .table(let table, _) = try LogQLEngine(reader: logs).analyse(
                analysis, tenant: .anonymous, startNanos: 0, endNanos: 2_000, limit: 0, context),
            case .series(let series) = table.value
        else {
            Issue.record("no table")
            return
        }
        #expect(series.compactMap { $0.labels["field"] } == ["app", "k", "k"])
        #expect(context.warnings == ["left out, as they have more than 1000 values: n"])
    }

    private func lines(_ text: String, limit: Int = 100) throws -> [String] {
        guard case .lines(let result) = try analyse(text, limit: limit, ReadContext()) else {
            return ["no lines"]
        }
        return result.streams.flatMap(\.entries).map { String(decoding: $0.line, as: UTF8.self) }
    }

    @Test func linesAreSortedByLabels() throws {
        let format = #"| line_format "{{.path}} {{.took}}""#
        #expect(
            try lines(#"{app="web"} | logfmt \#(format) | sort by (took desc)"#)
                == ["/c oops", "/b 2s", "/a 30ms", "/a 20ms", "/a 10ms"])
        #expect(
            try lines(#"{app="web"} | logfmt \#(format) | sort by (path, took) | limit 3"#)
                == ["/a 10ms", "/a 20ms", "/a 30ms"])
        #expect(try lines(#"{app="web"} | logfmt \#(format) | limit 2"#) == ["/c oops", "/a 20ms"])
    }

    @Test func longSortsHoldNoMoreThanTwiceTheirAnswer() throws {
        var logs = InMemoryLogs()
        for i in 0..<20_000 {
            logs.add(AnalysisTests.web, nanos: Int64(i), "n=\((i * 7919) % 20_000)")
        }
        guard
            case .analysis(let analysis) = try LogQLParser.parse(
                #"{app="web"} | logfmt | sort by (n) | limit 5"#)
        else {
            Issue.record("no analysis")
            return
        }
        let context = ReadContext(memoryLimitBytes: 1 << 20)
        let result = try LogQLEngine(reader: logs).analyse(
            analysis, tenant: .anonymous, startNanos: 0, endNanos: 20_000, limit: 100, context)
        guard case .lines(let found) = result else {
            Issue.record("no lines")
            return
        }
        #expect(
            found.streams.flatMap(\.entries).map { String(decoding: $0.line, as: UTF8.self) }
                == (0..<5).map { "n=\($0)" })
    }

    @Test func contextShowsNeighboursOfTheSameStream() throws {
        guard
            case .lines(let result) = try analyse(
                #"{app=~".+"} |= "step 3" | context before 2 after 1"#, ReadContext())
        else {
            Issue.record("no lines")
            return
        }
        let found = result.streams.flatMap { stream in
            stream.entries.map { "\(stream.labels) " + String(decoding: $0.line, as: UTF8.self) }
        }
        #expect(
            found == [
                #"{app="shop", context="after"} step 4"#,
                #"{app="shop", context="before"} step 2"#,
                #"{app="shop", context="before"} step 1"#,
                #"{app="shop", context="match", trace_id="abc"} step 3"#,
            ])
    }

    @Test func overlappingContextsShowEachLineOnce() throws {
        guard
            case .lines(let result) = try analyse(
                #"{app="shop"} |~ "step [234]" | context before 1 after 1"#, categories: true,
                ReadContext())
        else {
            Issue.record("no lines")
            return
        }
        let entries = result.streams.flatMap(\.entries)
        #expect(
            entries.map {
                "\($0.parsed["context"] ?? "") " + String(decoding: $0.line, as: UTF8.self)
            }
                == [
                    "after step 5", "match step 4", "match step 3", "match step 2",
                    "before step 1",
                ])
    }

    @Test func analysesPrintAndParseBack() throws {
        for text in [
            #"{app="web"} | logfmt | stats count(), avg(duration(took)) as t by (path) every 1m0s"#,
            #"{app="web"} | stats quantile(0.5, x), count() by (a, b) | sort by (count desc, a) | limit 3"#,
            #"{app="web"} | top 10 by (a)"#, #"{app="web"} | facets 10"#,
            #"{app="web"} | uniq by (a) | sort by (count desc)"#,
            #"{app="web"} | sort by (a desc) | limit 5"#, #"{app="web"} | limit 5"#,
            #"{app="web"} |= "x" | context before 2 after 0"#,
        ] {
            let printed = try LogQLParser.parse(text).description
            #expect(printed == text)
            #expect(try LogQLParser.parse(printed).description == printed)
        }
    }

    @Test func wordsStayLabelsWhereTheyAreCompared() throws {
        for text in [
            #"{app="web"} | logfmt | stats="x""#, #"{app="web"} | top > 5"#,
            #"{app="web"} | sort =~ "a""#, #"{app="web"} | limit >= 2kB and context != "y""#,
            #"{app="web"} | facets=ip("10.0.0.1")"#, #"{app="web"} | uniq<1s"#,
        ] {
            guard case .log = try LogQLParser.parse(text) else {
                Issue.record("not a log query: \(text)")
                continue
            }
        }
    }

    @Test func whatCannotBeAnsweredIsRefusedWithItsPlace() {
        for (text, part) in [
            (#"{app="web"} | stats"#, "stats knows"),
            (#"{app="web"} | stats median()"#, "median needs a label"),
            (#"{app="web"} | stats bytes(x)"#, "bytes() takes no label"),
            (#"{app="web"} | stats count(), count()"#, "two columns are named count"),
            (#"{app="web"} | stats quantile(2, x)"#, "from 0 to 1"),
            (#"{app="web"} | stats count() by ()"#, "by needs a label"),
            (#"{app="web"} | stats count() every 0s"#, "expecting DURATION"),
            (#"{app="web"} | stats count() | sort by (x)"#, "cannot sort by x: there is count"),
            (#"{app="web"} | stats count() | logfmt"#, "unexpected |"),
            (#"{app="web"} | top 0 by (x)"#, "whole number from 1"),
            (#"{app="web"} | top 5"#, "expecting by"),
            (#"{app="web"} | context"#, "before n"),
            (#"{app="web"} | context before 5000"#, "0 to 1000"),
            (#"{app="web"} | limit 5 | sort by (a)"#, "sort comes before limit"),
            (#"{app="web"} | uniq by (a) | stats count()"#, "may follow an analysis"),
            (#"count_over_time({app="web"} | stats count() [5m])"#, "unexpected"),
            (#"{app="web"} | facets + 1"#, "an analysis of log lines"),
        ] {
            do {
                _ = try LogQLParser.parse(text)
                Issue.record("accepted: \(text)")
            } catch {
                #expect(error.description.contains(part), "\(text): \(error)")
            }
        }
    }

    @Test func groupsCountAsMemoryOfTheQuery() throws {
        var logs = InMemoryLogs()
        for i in 0..<20_000 { logs.add(AnalysisTests.web, nanos: Int64(i), "n=\(i)") }
        for text in [
            #"{app="web"} | logfmt | stats count_uniq(n)"#,
            #"{app="web"} | logfmt | stats median(n)"#,
        ] {
            guard case .analysis(let analysis) = try LogQLParser.parse(text) else { continue }
            let context = ReadContext(memoryLimitBytes: 100_000)
            #expect(throws: QueryInterruption.memoryLimit(bytes: 100_000), "\(text)") {
                try LogQLEngine(reader: logs).analyse(
                    analysis, tenant: .anonymous, startNanos: 0, endNanos: 20_000, limit: 0,
                    context)
            }
        }
        let context = ReadContext(memoryLimitBytes: 100_000)
        guard
            case .analysis(let analysis) = try LogQLParser.parse(
                #"{app="web"} | logfmt | stats count() by (n)"#),
            case .table(let result, _) = try LogQLEngine(reader: logs).analyse(
                analysis, tenant: .anonymous, startNanos: 0, endNanos: 20_000, limit: 0, context),
            case .series(let series) = result.value
        else {
            Issue.record("no table")
            return
        }
        #expect(series.count > 100 && series.count < 20_000)
        #expect(context.warnings.count == 1)
    }
}
