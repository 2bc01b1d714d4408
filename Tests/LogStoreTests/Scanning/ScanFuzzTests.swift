// SPDX-License-Identifier: Apache-2.0
// Line filters over blocks that are skipped, searched in pieces and rebuilt, against plain lines.

import Base
import Storage
import Telemetry
import TestKit
import Testing

@testable import LogStore

/// `TERN_FUZZ_SECONDS=600` runs for ten minutes instead of a moment; see `FuzzTime`.
@Suite struct ScanFuzzTests {
    private struct Fixture {
        let driver: Driver
        var model = Model()
        var maker: LineMaker
        let streams: [Labels]
        /// Largest number of the sources, by source; what is no number is now and then between.
        private var greatest: [Int] = []
        private var oddities: [Int] = []

        init(seed: UInt64) throws {
            var maker = LineMaker(seed: seed)
            driver = Driver {
                $0.blockRows = [9, 60, 250][maker.numbers.below(3)]
                $0.lineFrameBytes = [1, 600, 6_000][maker.numbers.below(3)]
                $0.carriedBlockBytes = [0, 500, 256 << 10][maker.numbers.below(3)]
                $0.denseMergeBytes = maker.numbers.chance(50) ? 0 : 16 << 20
                $0.frameCacheBytes = maker.numbers.chance(50) ? 0 : 1 << 20
                $0.bytesPerRangeByte = maker.numbers.chance(70) ? 1 : 200
            }
            streams = (0..<(1 + maker.numbers.below(4))).map {
                // The last one's own label stands before the metadata's.
                Labels([("app", "a\($0)")] + ($0 == 3 ? [("size", "30")] : []))
            }
            self.maker = maker
            let sources = 1 + self.maker.numbers.below(3)
            for source in 0..<sources {
                greatest.append([3, 40, 1_000][self.maker.numbers.below(3)])
                oddities.append([0, 0, 4][self.maker.numbers.below(3)])
                try fill(source)
                if source < sources - 1 || self.maker.numbers.chance(70) { try driver.seal() }
                if self.maker.numbers.chance(40) { try driver.mergeAll() }
            }
        }

        private mutating func fill(_ source: Int) throws {
            for _ in 0..<3 {
                let rows = (0..<(20 + maker.numbers.below(100))).map { _ in row(source) }
                driver.append(rows)
                for row in rows { model.append(row) }
            }
        }

        private mutating func row(_ source: Int) -> ModelRow {
            let line = maker.line()
            let trace = maker.lifted(line)
            return ModelRow(
                stream: streams[maker.numbers.below(streams.count)],
                nanos: Int64(source * 500 + maker.numbers.below(1_000)) * 1_000_000, line: line,
                metadata: metadata(source, trace),
                // Metadata may have ids that nobody lifted out of it.
                trace: maker.numbers.chance(70) ? trace : .zero)
        }

        private mutating func metadata(_ source: Int, _ trace: TraceID) -> Labels {
            var pairs: [(String, String)] = []
            if !trace.isZero, maker.numbers.chance(50) {
                pairs.append(("trace_id", trace.description))
            }
            if maker.numbers.chance(60) {
                pairs.append(("status", ["200", "404", "503"][maker.numbers.below(3)]))
            }
            if maker.numbers.chance(40) {
                let odd = ["", "x", "7ms", "-0", "1e2", "+5", "-4", "0.5", "-0.25"]
                let number = maker.numbers.below(greatest[source])
                let text =
                    maker.numbers.chance(oddities[source])
                    ? odd[maker.numbers.below(odd.count)]
                    : maker.numbers.chance(20) ? "\(number).5" : "\(number)"
                if !text.isEmpty { pairs.append(("size", text)) }
            }
            return Labels(pairs)
        }

        private mutating func condition() -> NumberCondition {
            let comparisons: [NumberCondition.Comparison] = [
                .equal, .notEqual, .greater, .greaterOrEqual, .less, .lessOrEqual,
            ]
            let values = [0, 3, 30, 200, 300, 404, 503, 2.5, -1, 999, .infinity, .nan]
            return NumberCondition(
                ["status", "size", "missing"][maker.numbers.below(10) / 9 + maker.numbers.below(2)],
                comparisons[maker.numbers.below(comparisons.count)],
                values[maker.numbers.below(values.count)], takesMinus: maker.numbers.chance(70))
        }

        mutating func filter() -> LineFilter {
            if maker.numbers.chance(15) {
                let pattern = maker.pattern()
                if (try? RegularExpression(pattern)) != nil {
                    return LineFilter(maker.numbers.chance(80) ? .matches : .notMatches, pattern)
                }
            }
            let text = maker.needle()
            switch maker.numbers.below(10) {
            case 0..<6: return LineFilter(.contains, text)
            default: return LineFilter(.notContains, text)
            }
        }

        mutating func request() -> LogRequest {
            var request = LogRequest(
                tenant: driver.tenant, matchers: [],
                range: maker.numbers.chance(70)
                    ? .all : NanosRange(first: Nanos(300_000_000), last: Nanos(800_000_000)),
                order: maker.numbers.chance(50) ? .oldestFirst : .newestFirst,
                filters: (0..<(maker.numbers.chance(70) ? 1 : 2)).map { _ in filter() },
                limit: maker.numbers.chance(80) ? 0 : 5)
            if maker.numbers.chance(25) {
                var id = model.rows.randomElement(using: &maker.numbers)?.trace.description ?? ""
                if maker.numbers.chance(10) { id = id.uppercased() }
                request.conditions = [LabelMatcher(equal: "trace_id", id)]
            }
            if maker.numbers.chance(40) {
                request.numbers = (0..<(1 + maker.numbers.below(2))).map { _ in condition() }
                if maker.numbers.chance(50) { request.filters = [] }
            }
            return request
        }
    }

    @Test func filtersFindWhatPlainLinesHold() throws {
        var failures: [String] = []
        var skipped = 0
        let runs = try FuzzTime.forEach(count: 12) { seed in
            var fixture = try Fixture(seed: seed)
            for _ in 0..<40 {
                let request = fixture.request()
                let context = ReadContext()
                var got = try fixture.driver.read(request, context)
                skipped += context.blockCount(.skippedByNumbers)
                // Of regular expressions and numbers stores may err towards more rows.
                got.removeAll { row in
                    !request.numbers.allSatisfy { fixture.model.passes(row, $0) }
                }
                let kinds = request.filters.map(\.kind)
                if kinds.contains(.matches) || kinds.contains(.notMatches) {
                    got.removeAll { row in
                        !request.filters.allSatisfy { fixture.model.passes(row.line, $0) }
                    }
                }
                if let problem = difference(got, fixture.model.read(request)) {
                    failures.append(
                        "seed \(seed), \(request.filters) \(request.numbers): \(problem)")
                }
            }
            for handle in fixture.driver.handles {
                failures += fixture.driver.store.verify(handle).map { "seed \(seed): \($0)" }
            }
            return failures.count < 5
        }
        #expect(failures.isEmpty, "\(runs) runs: \(failures.joined(separator: "\n"))")
        #expect(skipped > 100)
    }
}
