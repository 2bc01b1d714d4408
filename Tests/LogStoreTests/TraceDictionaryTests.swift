// SPDX-License-Identifier: Apache-2.0
// Trace ids that a part keeps once.

import Base
import Storage
import Telemetry
import Testing

@testable import LogStore

@Suite struct TraceDictionaryTests {
    /// Lines of `traces` traces over four streams; each has some spans, lines without and rows
    /// without a trace.
    private func rows(traces: Int, seed: UInt64, ownSpans: Bool = false) -> [ModelRow] {
        var numbers = SeededNumbers(seed)
        return (0..<traces * 4).map { i in
            let trace = max(0, i / 4 - numbers.below(3))
            var row = ModelRow(
                stream: Labels([("app", "a\(numbers.below(4))")]), nanos: Int64(i) * 1_000_003,
                line: Array("request \(i) done".utf8), metadata: .empty)
            if numbers.chance(90) {
                row.trace = TraceID(high: UInt64(trace) &* 0x9e37_79b9_7f4a_7c15, low: seed | 1)
                if numbers.chance(60) {
                    row.span = SpanID(UInt64(trace * 8 + numbers.below(3) + 1))
                }
            } else if ownSpans {
                row.span = SpanID(77)
            }
            return row
        }
    }

    private func parts(_ driver: Driver) throws -> [LogPart] {
        try driver.handles.map { try LogPart($0) }
    }

    @Test func idsAreKeptOnceAndComeBack() throws {
        let driver = Driver()
        let all = LogRequest(
            tenant: driver.tenant, matchers: [], range: .all, order: .oldestFirst)
        // More than a chunk.
        let rows = rows(traces: 5000, seed: 3)
        driver.append(rows)
        try driver.seal()
        let part = try #require(try parts(driver).first)
        #expect(part.traces.count > 4096 && part.traces.count <= 5000)
        #expect(part.traces.frames.count == 2)
        #expect(try driver.read(all) == rows)
        let kept = part.blocks.reduce(0) { $0 + Int($1.ids.count) }
        #expect(kept < rows.count * 4)
        #expect(driver.store.verify(driver.handles[0]).isEmpty)
    }

    @Test func mergesMakeThemAnew() throws {
        let driver = Driver()
        let all = LogRequest(
            tenant: driver.tenant, matchers: [], range: .all, order: .oldestFirst)
        let rows = rows(traces: 600, seed: 5, ownSpans: true)
        for start in stride(from: 0, to: rows.count, by: 700) {
            driver.append(Array(rows[start..<min(start + 700, rows.count)]))
            try driver.seal()
        }
        #expect(try driver.read(all) == rows)
        try driver.mergeAll()
        #expect(try driver.read(all) == rows)
    }

    /// Merges are bounded by what parts weigh.
    @Test func aPartWeighsItsIDs() throws {
        let driver = Driver()
        let rows = rows(traces: 600, seed: 5)
        driver.append(rows)
        try driver.seal()
        let traces = Set(rows.map(\.trace)).subtracting([.zero]).count
        let spans = Set(rows.filter { !$0.span.isZero }.map { "\($0.trace) \($0.span)" }).count
        let weight = driver.store.mergeWeight(driver.handles[0].descriptor)
        #expect(weight >= max(traces, spans) && weight < max(traces, spans) * 3 / 2)
        #expect(driver.store.maxMergeWeight == TraceTable.maxIDs)
        let plain = Driver()
        plain.append([plainRow(10, "x", stream: Labels([("s", "a")]))])
        try plain.seal()
        #expect(plain.store.mergeWeight(plain.handles[0].descriptor) == 0)
    }

    /// An id that comes once is not referred to.
    @Test func idsThatComeOnceStayInTheirBlocks() throws {
        let driver = Driver()
        let all = LogRequest(
            tenant: driver.tenant, matchers: [], range: .all, order: .oldestFirst)
        let rows = (0..<300).map { i in
            ModelRow(
                stream: Labels([("app", "a\(i % 3)")]), nanos: Int64(i), line: [65],
                metadata: .empty,
                trace: TraceID(high: 1, low: UInt64(i + 1)), span: SpanID(UInt64(i + 9)))
        }
        driver.append(rows)
        try driver.seal()
        #expect(try parts(driver).first?.traces.count == 0)
        #expect(Set(try driver.read(all)) == Set(rows))
    }

    @Test func fewRowsHaveTheSameIDs() throws {
        let driver = Driver()
        driver.append(rows(traces: 5000, seed: 11))
        try driver.seal()
        let part = try #require(try parts(driver).first)
        var numbers = SeededNumbers(6)
        for number in part.blocks.indices {
            let block = part.blocks[number]
            let all = try part.ids(number, nil)
            #expect(all.count == Int(block.rows))
            for most in [1, 3, 40, 400] {
                let wanted = Set((0..<most).map { _ in UInt32(numbers.below(all.count)) }).sorted()
                let few = try part.ids(number, nil, only: wanted)
                #expect(few.count == all.count)
                #expect(wanted.allSatisfy { few[Int($0)] == all[Int($0)] })
            }
        }
    }

    @Test func differencesAreAddedUpEightAtATime() throws {
        var numbers = SeededNumbers(8)
        for _ in 0..<300 {
            let widest = [1, 64, 200, 1 << 40][numbers.below(4)]
            let values = (0..<numbers.below(60)).map { _ in
                Int64(numbers.below(widest)) - Int64(widest / 2)
            }
            var writer = ByteWriter()
            for value in values { writer.zigzag(value) }
            let first = numbers.below(values.count + 1)
            let sums = try writer.bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                let sums = [
                    try reader.sumOfZigzags(first), try reader.sumOfZigzags(values.count - first),
                ]
                #expect(reader.isAtEnd)
                return sums
            }
            #expect(sums[0] == Int(values[..<first].reduce(0, +)))
            #expect(sums[1] == Int(values[first...].reduce(0, +)))
            #expect(throws: MalformedBytes.self) {
                try writer.bytes.withUnsafeBytes { bytes in
                    var reader = ByteReader(bytes)
                    _ = try reader.sumOfZigzags(values.count + 1)
                }
            }
        }
    }

    @Test func damagedReferencesNeverCrash() throws {
        let driver = Driver()
        driver.append(rows(traces: 300, seed: 9))
        try driver.seal()
        let part = try #require(try parts(driver).first)
        let block = part.blocks[0]
        let column = try part.column(block.ids, 0, nil) { bytes, _ in [UInt8](bytes) }
        var numbers = SeededNumbers(4)
        var refused = 0
        for _ in 0..<4000 {
            var bytes = column
            for _ in 0...numbers.below(3) {
                bytes[numbers.below(bytes.count)] = UInt8(truncatingIfNeeded: numbers.next())
            }
            if numbers.chance(20) { bytes.removeLast(numbers.below(bytes.count)) }
            do {
                _ = try bytes.withUnsafeBytes {
                    try IdentifierColumns.decode(
                        $0, rows: Int(block.rows),
                        only: numbers.chance(50) ? nil : [1, 7, UInt32(block.rows - 1)],
                        part: TraceReader(part, nil))
                }
            } catch { refused += 1 }
        }
        #expect(refused > 1000)
        #expect(throws: MalformedBytes.self) { _ = try TraceDictionary([1], frameCount: 4) }
        #expect(throws: MalformedBytes.self) { _ = try TraceDictionary([1, 4], frameCount: 4) }
        let reader = TraceReader(part, nil)
        #expect(throws: PartCorruption.self) { _ = try reader.trace(part.traces.count) }
        #expect(throws: PartCorruption.self) { _ = try reader.span(50, ofTrace: 0) }
    }
}
