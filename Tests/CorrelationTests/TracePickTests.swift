// SPDX-License-Identifier: Apache-2.0
// Newest, failed and slowest traces of a service.

import Base
import Correlation
import Storage
import Telemetry
import Testing

@Suite struct TracePickTests {
    private func id(_ n: Int) -> TraceID { TraceID(high: 7, low: UInt64(n)) }

    /// One span of `front` per number: later, and every seventh failed; slowest in the middle.
    private func spans(_ numbers: [Int], step: Int64 = 1_000_000_000) -> SpanBatch {
        spanBatch(
            numbers.map { n in
                TestSpan(
                    service: "front", trace: id(n), start: noon + Int64(n) * step,
                    duration: Int64((n * 37) % 1009) + 1, isError: n % 7 == 0)
            })
    }

    private func expected(_ numbers: [Int]) -> ServiceTraces {
        var traces = ServiceTraces()
        traces.recent = numbers.sorted(by: >).prefix(20).map(id)
        traces.errors = numbers.filter { $0 % 7 == 0 }.sorted(by: >).prefix(20).map(id)
        traces.slow = numbers.sorted { a, b in
            let x = (a * 37) % 1009, y = (b * 37) % 1009
            return x == y ? a > b : x > y
        }.prefix(20).map(id)
        return traces
    }

    private func traces(_ index: Correlation, _ range: NanosRange = .all) -> ServiceTraces {
        index.traces(ofService: "front", tenant: tenant, range: range, limit: 20)
    }

    @Test func theNewestFailedAndSlowestAreKept() throws {
        // A thousand seconds are more than three times five minutes; in any order of arrival.
        let numbers = (0..<1000).map { ($0 * 617) % 1000 }
        let index = Correlation()
        var shelf = Shelf()
        for (generation, start) in stride(from: 0, to: 1000, by: 250).enumerated() {
            let generation = UInt64(generation)
            index.record(
                spans: spans(Array(numbers[start..<(start + 250)])), tenant: tenant,
                generation: generation)
            // The last one stays a head.
            if generation < 3 {
                index.sealed(
                    generation: generation,
                    parts: try shelf.add(try index.seal(generation: generation)))
            }
        }
        #expect(traces(index) == expected(numbers))
        let inputs = shelf.handles
        let merged = try #require(try index.merge(inputs) { false }.first)
        index.replace(removed: inputs.map(\.descriptor.id), added: try shelf.add([merged]))
        #expect(traces(index) == expected(numbers))
        #expect(
            index.traces(ofService: "back", tenant: tenant, range: .all, limit: 20)
                == ServiceTraces())
        #expect(traces(index, NanosRange(first: .min, last: Nanos(noon - 1))).recent == [])
    }

    @Test func aCutStretchSaysThatItIsOne() {
        let index = Correlation()
        index.record(
            spans: spans(Array(0..<290), step: 1_000_000), tenant: tenant, generation: 1)
        #expect(!traces(index).isCut)
        let early = traces(
            index, NanosRange(first: Nanos(noon), last: Nanos(noon + 50_000_000)))
        #expect(early.isCut)
        // Few traces: all are known, whatever the range.
        let few = Correlation()
        few.record(spans: spans([1, 2, 3]), tenant: tenant, generation: 1)
        let some = traces(few, NanosRange(first: .min, last: Nanos(noon + 2_000_000_000)))
        #expect(some.recent == [id(2), id(1)])
        #expect(!some.isCut)
    }

    /// Spans of one trace in several batches are one pick, wherever they lie.
    @Test func aTraceIsNamedOnce() throws {
        let index = Correlation()
        index.record(spans: spanBatch(frontSpans), tenant: tenant, generation: 1)
        var shelf = Shelf()
        index.sealed(generation: 1, parts: try shelf.add(try index.seal(generation: 1)))
        index.record(spans: spanBatch(frontSpans), tenant: tenant, generation: 2)
        #expect(traces(index).recent == [traceA])
        #expect(traces(index).errors == [])
    }

    /// Parts of an earlier form are refused by the name of what they lack.
    @Test func earlierPartsAreRefused() throws {
        let index = Correlation()
        index.record(spans: spanBatch(frontSpans), tenant: tenant, generation: 1)
        let draft = try #require(try index.seal(generation: 1).first)
        let reader = try PartReader(SharedBytes(draft.bytes), name: "new")
        for kind in reader.sections.map(\.kind) {
            var writer = PartWriter(signal: .correlation)
            for section in reader.sections where section.kind != kind {
                writer.add(
                    kind: section.kind, try reader.read(section.kind),
                    section.coding == 1 ? .zstd(level: 1) : .raw)
            }
            var old = draft
            old.bytes = writer.finish()
            var shelf = Shelf()
            let handle = try #require(try shelf.add([old]).first)
            let fault = #expect(throws: PartCorruption.self) { try Correlation().open(handle) }
            #expect(fault?.problem == "section \(kind) is missing")
        }
    }

    @Test func bothSidesOfASharedSpanAreACall() {
        let index = Correlation()
        index.record(
            spans: spanBatch([
                TestSpan(service: "front", id: 2, parent: 1, kind: 3),
                TestSpan(service: "back", id: 2, parent: 1, kind: 2),
            ]), tenant: tenant, generation: 1)
        let front = index.service("front", tenant: tenant, range: .all)
        #expect(front?.downstream.map(\.service) == ["back"])
        #expect(front?.downstream.map(\.callCount) == [1])
    }

    @Test func linesOfTwoRecordsCountOnceAfterRecovery() throws {
        var writer = ByteWriter()
        logBatch().encode(into: &writer)
        let index = Correlation()
        for sequence in UInt64(0)..<2 {
            try writer.bytes.withUnsafeBytes {
                try index.observe(
                    $0, from: .logs, tenant: tenant.name, generation: 0, sequence: sequence)
            }
        }
        let front = index.service("front", tenant: tenant, range: .all)
        #expect(front?.summary.logLineCount == 3)
        #expect(front?.summary.errorLogLineCount == 1)
    }
}
