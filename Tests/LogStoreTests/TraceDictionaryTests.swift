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
                        $0, rows: Int(block.rows), part: TraceReader(part, nil))
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
