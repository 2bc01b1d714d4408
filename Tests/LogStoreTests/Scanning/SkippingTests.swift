// SPDX-License-Identifier: Apache-2.0
// Which blocks a search opens, and what it stops at.

import Base
import Storage
import Telemetry
import TestKit
import Testing

@testable import LogStore

@Suite struct SkippingTests {
    /// Forty blocks, each in a frame of its own; block n has ids of its own and a word of its own.
    private func filled() throws -> Driver {
        let driver = Driver {
            $0.blockRows = 50
            $0.lineFrameBytes = 1
        }
        driver.append(
            (0..<2000).map { number in
                let block = number / 50
                let word = String(repeating: "xyz", count: 1 + block % 7) + "\(block % 2)"
                let id = trace(number)
                return ModelRow(
                    stream: Labels([("app", "a")]), nanos: Int64(number) * 1_000_000,
                    line: Array(
                        "request \(number) \(word) trace=\(id) took \(number % 90)ms \(block == 9 ? "failed" : "done")"
                            .utf8),
                    metadata: .empty, trace: id)
            })
        try driver.seal()
        return driver
    }

    private func trace(_ number: Int) -> TraceID {
        TraceID(high: mixed(UInt64(number)), low: mixed(UInt64(number) + 1_000_000))
    }

    private func read(
        _ driver: Driver, _ filters: [LineFilter], limit: Int = 0, order: LogRequest.Order = .any
    ) throws -> (rows: [ModelRow], context: ReadContext) {
        let context = ReadContext()
        var rows: [ModelRow] = []
        try driver.store.read(
            LogRequest(
                tenant: driver.tenant, matchers: [], range: .all, order: order, filters: filters,
                limit: limit), context
        ) {
            rows += $0.modelRows
            return limit == 0 || rows.count < limit
        }
        return (rows, context)
    }

    @Test func blocksWithoutTheWordsAreNotOpened() throws {
        let driver = try filled()
        let absent = try read(driver, [LineFilter(.contains, "kaleidoscope")])
        #expect(absent.rows.isEmpty)
        #expect(absent.context.blockCount(.skippedByWords) == 40)
        #expect(absent.context.bytesRead == 0)
        let once = try read(driver, [LineFilter(.contains, "fail")])
        #expect(once.rows.count == 50)
        #expect(once.context.blockCount(.read) == 1)
        #expect(once.context.blockCount(.skippedByWords) == 39)
        // Words that the needle bounds must be whole.
        #expect(try read(driver, [LineFilter(.contains, " fail ")]).context.bytesRead == 0)
        #expect(try read(driver, [LineFilter(.contains, "uest 7 x")]).context.bytesRead > 0)
        // What is excluded skips nothing.
        #expect(try read(driver, [LineFilter(.notContains, "failed")]).rows.count == 1950)
    }

    @Test func blocksWithoutTheIDAreNotOpened() throws {
        let driver = try filled()
        var opened = 0
        for number in stride(from: 3, to: 2000, by: 97) {
            let found = try read(driver, [LineFilter(.contains, trace(number).description)])
            #expect(found.rows.map(\.trace) == [trace(number)])
            opened += found.context.blockCount(.read) + found.context.blockCount(.searched)
        }
        // One each, and about one in 256 of the others by mistake.
        #expect(opened >= 21 && opened < 35)
        let absent = try read(driver, [LineFilter(.contains, trace(5000).description)])
        #expect(absent.context.blockCount(.skippedByIDs) >= 38)
        // A piece of an id may lie in any longer one.
        let piece = String(trace(777).description.dropFirst(3).prefix(20))
        #expect(try read(driver, [LineFilter(.contains, piece)]).rows.map(\.trace) == [trace(777)])
    }

    /// A query of few lines opens few blocks, whatever filters it has.
    @Test func aLimitedSearchStopsEarly() throws {
        let driver = try filled()
        for (order, first) in [(LogRequest.Order.newestFirst, 1999), (.oldestFirst, 0)] {
            let plain = try read(driver, [], limit: 10, order: order)
            #expect(plain.rows.first?.nanos == Int64(first) * 1_000_000)
            #expect(plain.context.blockCount(.read) == 1)
            // "ms" is in every line and no word; "5ms" in every fifth or so.
            let filtered = try read(
                driver, [LineFilter(.contains, "5ms"), LineFilter(.notContains, "zzz")], limit: 10,
                order: order)
            #expect(filtered.rows.count >= 10)
            #expect(filtered.context.blockCount(.read) <= 3)
        }
        // The only block that has the word is found without the newer ones being opened.
        let failed = try read(
            driver, [LineFilter(.contains, "failed")], limit: 10, order: .newestFirst)
        #expect(failed.context.blockCount(.read) == 1)
        #expect(failed.context.blockCount(.searched) == 0)
    }

    /// Rows of one time keep their order when a block of them is put together in two pieces.
    @Test func limitedSearchesKeepTheOrderOfEqualTimes() throws {
        let driver = Driver()
        var model = Model()
        for source in 0..<2 {
            let rows = (0..<300).map { number in
                plainRow(Int64(number / 100), "request \(number) of source \(source) is done")
            }
            driver.append(rows)
            for row in rows { model.append(row) }
            try driver.seal()
        }
        for order in [LogRequest.Order.oldestFirst, .newestFirst] {
            for limit in [1, 7, 40] {
                let request = LogRequest(
                    tenant: driver.tenant, matchers: [], range: .all, order: order, limit: limit)
                #expect(try difference(driver.read(request), model.read(request)) == nil)
            }
        }
    }

    @Test func blocksWithoutTheMetadataKeepTheirLinesClosed() throws {
        let driver = Driver {
            $0.blockRows = 50
            $0.lineFrameBytes = 1
        }
        let named = Labels([("level", "error")]), plain = Labels([("app", "a")])
        driver.append(
            (0..<1000).map { number in
                let id = number % 100 < 50 ? trace(number) : .zero
                var pairs = [("pod", "p-\(number / 100)")]
                if !id.isZero { pairs.append(("trace_id", id.description)) }
                return ModelRow(
                    stream: number % 500 < 250 ? named : plain, nanos: Int64(number),
                    line: Array("line \(number) of the test".utf8),
                    metadata: Labels(pairs), trace: number % 3 == 0 ? .zero : id)
            })
        try driver.seal()
        func read(_ conditions: [LabelMatcher]) throws -> (rows: [ModelRow], context: ReadContext) {
            let context = ReadContext()
            var request = LogRequest(tenant: driver.tenant, matchers: [], range: .all)
            request.conditions = conditions
            var rows: [ModelRow] = []
            try driver.store.read(request, context) {
                rows += $0.modelRows
                return true
            }
            return (rows, context)
        }
        let pod = try read([LabelMatcher(equal: "pod", "p-3")])
        #expect(pod.rows.count == 100)
        #expect(pod.context.blockCount(.read) == 2)
        #expect(pod.context.blockCount(.skippedByMetadata) == 18)
        for number in [5, 103, 849] {
            let found = try read([LabelMatcher(equal: "trace_id", trace(number).description)])
            #expect(found.rows.map(\.nanos) == [Int64(number)])
            #expect(found.context.blockCount(.skippedByIDs) >= 17)
        }
        // A stream's own label comes first.
        let level = try read([LabelMatcher(equal: "level", "error")])
        #expect(level.rows.count == 500)
        #expect(level.context.blockCount(.read) == 10)
    }

    @Test func filtersKnowTheirMembers() throws {
        for count in [1, 2, 3, 10, 1000, 20_000] {
            let keys = (0..<count).map { mixed(UInt64($0)) }
            let filter = try #require(XorFilter.encode(keys))
            #expect(filter.count < 60 + count * 5 / 4)
            try filter.withUnsafeBytes { filter in
                for key in keys { #expect(try XorFilter.mayContain(key, filter)) }
                var mistakes = 0
                for key in 0..<10_000 {
                    if try XorFilter.mayContain(mixed(UInt64(key) + 1 << 40), filter) {
                        mistakes += 1
                    }
                }
                #expect(mistakes < 100)
            }
        }
        for bytes in [[], [1], [UInt8](repeating: 1, count: 10)] as [[UInt8]] {
            #expect(throws: MalformedBytes.self) {
                try bytes.withUnsafeBytes { try XorFilter.mayContain(1, $0) }
            }
        }
    }

    @Test func idsAreFoundInLines() {
        func ids(_ text: String) -> [(String, HexRuns.Kind)] {
            var found: [(String, HexRuns.Kind)] = []
            let bytes = Array(text.utf8)
            bytes.withUnsafeBytes { buffer in
                HexRuns.forEach(in: buffer) { range, kind, _ in
                    found.append((String(decoding: bytes[range], as: UTF8.self), kind))
                }
            }
            return found
        }
        #expect(ids("").isEmpty)
        #expect(ids("deadbeefdeadbee").isEmpty)
        #expect(ids("deadbeefdeadbeef").map(\.0) == ["deadbeefdeadbeef"])
        #expect(ids("x=DEADbeef00112233g").map(\.0) == ["DEADbeef00112233"])
        #expect(ids("1700000000123456789").isEmpty)
        let uuid = "123e4567-e89b-12d3-a456-426614174000"
        for text in [uuid, "ab\(uuid)cd", "{\(uuid)}"] {
            #expect(ids(text).map(\.0) == [uuid])
            #expect(ids(text).map(\.1) == [.uuid])
        }
        #expect(ids("e4567-e89b-12d3-a456-426614174000").isEmpty)
    }

    /// Whatever the bytes, an index is refused or gives units of the part.
    @Test func damagedIndexesNeverCrash() throws {
        let driver = try filled()
        let part = try LogPart(driver.handles[0])
        let sections = [
            try part.reader.read(LogFormat.Section.words),
            try part.reader.read(LogFormat.Section.identifiers),
        ]
        let place = part.search.words.place
        let dictionary = try part.frame(place.frame, nil).withBytes {
            Array($0[Int(place.offset)..<(Int(place.offset) + Int(place.count))])
        }
        let words = NeedleWord.words(of: Array("failed request".utf8))
        var numbers = SeededNumbers(3)
        var refused = 0
        for round in 0..<6_000 {
            var bytes = [sections[0], sections[1], dictionary]
            let kind = round % 3
            for _ in 0...numbers.below(3) {
                let at = numbers.below(bytes[kind].count)
                switch numbers.below(3) {
                case 0: bytes[kind][at] = UInt8(truncatingIfNeeded: numbers.next())
                case 1: bytes[kind].remove(at: at)
                default: bytes[kind].insert(0xff, at: at)
                }
            }
            do {
                _ = try SearchIndex(words: bytes[0], ids: bytes[1], frames: part.frames)
                let found = try bytes[2].withUnsafeBytes { bytes in
                    let words = try WordDictionary(
                        bytes, words: part.search.words.count, units: 40)
                    try words.check()
                    return try words.units(having: NeedleWord.words(of: Array("failed".utf8)))
                }
                #expect(found.allSatisfy { $0.count == 40 })
            } catch is MalformedBytes { refused += 1 }
        }
        #expect(refused > 2000)
        #expect(words.count == 2)
    }
}

@Test func digitsAreCounted() {
    var number: UInt64 = 1
    for digits in 1...20 {
        #expect(decimalDigits(number) == digits)
        #expect(decimalDigits(number - 1) == max(1, digits - 1))
        if digits < 20 { number *= 10 }
    }
    #expect(decimalDigits(.max) == 20)
}
