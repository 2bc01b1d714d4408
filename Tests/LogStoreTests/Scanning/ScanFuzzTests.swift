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

        init(seed: UInt64) throws {
            var maker = LineMaker(seed: seed)
            driver = Driver {
                $0.blockRows = [9, 60, 250][maker.numbers.below(3)]
                $0.lineFrameBytes = [1, 600, 6_000][maker.numbers.below(3)]
                $0.carriedBlockBytes = [0, 500, 256 << 10][maker.numbers.below(3)]
                $0.denseMergeBytes = maker.numbers.chance(50) ? 0 : 16 << 20
                $0.frameCacheBytes = maker.numbers.chance(50) ? 0 : 1 << 20
            }
            streams = (0..<(1 + maker.numbers.below(4))).map { Labels([("app", "a\($0)")]) }
            self.maker = maker
            let sources = 1 + self.maker.numbers.below(3)
            for source in 0..<sources {
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
                metadata: trace.isZero || maker.numbers.chance(50)
                    ? .empty : Labels([("trace_id", trace.description)]),
                // Metadata may have ids that nobody lifted out of it.
                trace: maker.numbers.chance(70) ? trace : .zero)
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
            return request
        }
    }

    @Test func filtersFindWhatPlainLinesHold() throws {
        var failures: [String] = []
        let runs = try FuzzTime.forEach(count: 12) { seed in
            var fixture = try Fixture(seed: seed)
            for _ in 0..<40 {
                let request = fixture.request()
                var got = try fixture.driver.read(request)
                // Of regular expressions stores may err towards more rows.
                let kinds = request.filters.map(\.kind)
                if kinds.contains(.matches) || kinds.contains(.notMatches) {
                    got.removeAll { row in
                        !request.filters.allSatisfy { fixture.model.passes(row.line, $0) }
                    }
                }
                if let problem = difference(got, fixture.model.read(request)) {
                    failures.append("seed \(seed), \(request.filters): \(problem)")
                }
            }
            for handle in fixture.driver.handles {
                failures += fixture.driver.store.verify(handle).map { "seed \(seed): \($0)" }
            }
            return failures.count < 5
        }
        #expect(failures.isEmpty, "\(runs) runs: \(failures.joined(separator: "\n"))")
    }
}
