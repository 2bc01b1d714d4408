// SPDX-License-Identifier: Apache-2.0
// Early stop, filters, look-ups.

import Base
import Storage
import Telemetry
import Testing

@testable import LogStore

@Suite struct ReadingTests {
    private func filled(_ streams: Int, _ rows: Int) throws -> Driver {
        let driver = Driver { $0.blockRows = 100 }
        for stream in 0..<streams {
            let labels = Labels([("app", "a"), ("n", "\(stream)")])
            driver.append(
                (0..<rows).map {
                    plainRow(Int64($0) * 1_000_000_000 + Int64(stream), "\($0)", stream: labels)
                })
        }
        try driver.seal()
        return driver
    }

    @Test func aReaderThatStopsEarlyTouchesFewBlocks() throws {
        let driver = try filled(5, 4_000)
        for order in [LogRequest.Order.newestFirst, .oldestFirst] {
            let context = ReadContext()
            var got: [ModelRow] = []
            try driver.store.read(
                LogRequest(
                    tenant: driver.tenant, matchers: [], range: .all, order: order, limit: 100),
                context
            ) {
                got += $0.modelRows
                return false
            }
            #expect(got.count == 100)
            #expect(context.samplesRead <= 1000)
            let numbers = (0..<20).flatMap { [String](repeating: "\($0)", count: 5) }
            let want =
                order == .oldestFirst
                ? numbers : numbers.compactMap { Int($0) }.map { "\(3_999 - $0)" }
            #expect(lineTexts(got) == want)
        }
    }

    @Test func aReadIsCutByItsDeadlineAndItsBudgets() throws {
        let driver = try filled(2, 2000)
        let all = LogRequest(tenant: driver.tenant, matchers: [], range: .all)
        let cancelled = ReadContext()
        cancelled.cancel()
        #expect(throws: QueryInterruption.cancelled) {
            try driver.store.read(all, cancelled) { _ in true }
        }
        #expect(throws: QueryInterruption.rowLimit(name: "samples", limit: 500)) {
            try driver.store.read(all, ReadContext(sampleLimit: 500)) { _ in true }
        }
        #expect(throws: QueryInterruption.memoryLimit(bytes: 1000)) {
            try driver.store.read(all, ReadContext(memoryLimitBytes: 1000)) { _ in true }
        }
        // What was reserved is given back: a scan of many blocks holds few at once.
        let context = ReadContext(memoryLimitBytes: 20_000)
        var rows = 0
        try driver.store.read(all, context) {
            rows += $0.rowCount
            return true
        }
        #expect(rows == 4000)
    }

    @Test func filtersSeeLinesAndNotWhereTheyMeet() throws {
        let driver = Driver()
        let texts = ["xa", "bx", "ab", "", "xxab", "a", "b", "aab", "a\nb"]
        driver.append(texts.enumerated().map { plainRow(Int64($0.offset), $0.element) })
        func read(_ filters: [LineFilter]) throws -> [String] {
            lineTexts(
                try driver.read(
                    LogRequest(
                        tenant: driver.tenant, matchers: [], range: .all, order: .oldestFirst,
                        filters: filters)))
        }
        for round in 0..<2 {
            #expect(try read([LineFilter(.contains, "ab")]) == ["ab", "xxab", "aab"])
            #expect(
                try read([LineFilter(.notContains, "ab")]) == ["xa", "bx", "", "a", "b", "a\nb"])
            #expect(
                try read([LineFilter(.contains, "a"), LineFilter(.contains, "x")])
                    == ["xa", "xxab"])
            #expect(try read([LineFilter(.matches, "^a+b$")]) == ["ab", "aab"])
            #expect(try read([LineFilter(.notMatches, "x|b")]) == ["", "a"])
            #expect(throws: RegexError.self) { try read([LineFilter(.matches, "(")]) }
            if round == 0 { try driver.seal() }
        }
    }

    /// A dot meets bytes that are not UTF-8 in some engines: such rows are left to the engine.
    @Test func patternsKeepLinesThatAreNotText() throws {
        let driver = Driver()
        driver.append([
            ModelRow(
                stream: Labels([("a", "b")]), nanos: 1, line: [0x61, 0xff, 0x62], metadata: .empty)
        ])
        let request = LogRequest(
            tenant: driver.tenant, matchers: [], range: .all, filters: [LineFilter(.matches, "a.b")]
        )
        #expect(try driver.read(request).count == 1)
    }

    @Test(arguments: 1...3)
    func lookUpsAgreeWithTheModel(seed: Int) throws {
        var maker = RowMaker(seed: UInt64(seed), streamCount: 30)
        let driver = Driver { $0.blockRows = 20 }
        var model = Model()
        for round in 0..<4 {
            let rows = maker.rows(400)
            for row in rows { model.append(row) }
            driver.append(rows)
            if round < 3 { try driver.seal() }
        }
        let context = ReadContext()
        let matcherSets: [[LabelMatcher]] = [
            [], [try LabelMatcher("level", .matches, "info|error")],
            [try LabelMatcher("level", .equal, ""), try LabelMatcher("app", .notEqual, "app-2")],
            [try LabelMatcher("none", .notMatches, ".*")],
            [try LabelMatcher("none", .matches, ".*")],
            [try LabelMatcher("instance", .matches, "i1.")],
        ]
        for matchers in matcherSets {
            let request = LogRequest(tenant: driver.tenant, matchers: matchers, range: .all)
            let want = Set(model.rows.map(\.stream).filter { model.matches($0, matchers) })
            #expect(try driver.store.streams(request, context) == want.sorted())
            let names = Set(want.flatMap { $0.pairs.map(\.name) })
            #expect(
                try driver.store.labelNames(request, context)
                    == names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
            for name in names {
                let values = Set(want.compactMap { $0[name] })
                #expect(
                    try driver.store.labelValues(name, request, context)
                        == values.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
            }
        }
        for _ in 0..<40 {
            let row = model.rows[maker.numbers.below(model.rows.count)]
            let found = try driver.store.rows(
                tenant: driver.tenant, streamHash: row.stream.hash,
                range: NanosRange(first: Nanos(row.nanos - 1000), last: Nanos(row.nanos)), context)
            #expect(
                found.modelRows
                    == model.rows.filter {
                        $0.stream == row.stream && row.nanos - 1000 <= $0.nanos
                            && $0.nanos <= row.nanos
                    })
        }
        for _ in 0..<60 {
            let row = model.rows[maker.numbers.below(model.rows.count)]
            let range = NanosRange(
                first: Nanos(row.nanos - Int64(maker.numbers.below(1_000_000))),
                last: Nanos(row.nanos + Int64(maker.numbers.below(1_000_000))))
            let found = try driver.store.rows(
                ofTrace: row.trace, tenant: driver.tenant, streamHash: row.stream.hash,
                range: range, context)
            #expect(
                found.modelRows
                    == model.rows.filter {
                        $0.stream == row.stream && range.contains($0.nanos)
                            && $0.trace == row.trace
                    })
        }
        let absent = try driver.store.rows(
            tenant: driver.tenant, streamHash: 1,
            range: NanosRange(first: Nanos(maker.start), last: Nanos(maker.start)), context)
        #expect(absent.rowCount == 0)
    }

    @Test func streamsAreThoseOfTheRange() throws {
        let driver = Driver()
        let a = Labels([("s", "a")]), b = Labels([("s", "b")])
        driver.append([plainRow(10, "x", stream: a), plainRow(20, "x", stream: b)])
        for round in 0..<2 {
            let range = NanosRange(first: Nanos(15), last: Nanos(25))
            let request = LogRequest(tenant: driver.tenant, matchers: [], range: range)
            #expect(try driver.store.streams(request, ReadContext()) == [b])
            #expect(try driver.read(request).map(\.stream) == [b])
            if round == 0 { try driver.seal() }
        }
    }

    /// A reader keeps what it began with.
    @Test func aReadGoesOnWhileItsPartsGoAway() throws {
        let driver = try filled(2, 3000)
        var rows = 0
        try driver.store.read(
            LogRequest(
                tenant: driver.tenant, matchers: [], range: .all, order: .oldestFirst, limit: 10),
            ReadContext()
        ) {
            if rows == 0 {
                driver.store.replace(removed: driver.handles.map(\.descriptor.id), added: [])
            }
            rows += $0.rowCount
            return true
        }
        #expect(rows == 6000)
        let all = LogRequest(tenant: driver.tenant, matchers: [], range: .all)
        #expect(try driver.read(all).isEmpty)
    }
}
