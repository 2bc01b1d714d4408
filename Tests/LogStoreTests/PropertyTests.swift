// SPDX-License-Identifier: Apache-2.0
// Random rows through head, parts and merges, compared with the naive model.

import Storage
import Telemetry
import Testing

@testable import LogStore

/// First difference of two row lists, or nil.
func difference(_ got: [ModelRow], _ want: [ModelRow]) -> String? {
    for (index, pair) in zip(got, want).enumerated() where pair.0 != pair.1 {
        return "row \(index) of \(want.count): got \(pair.0), want \(pair.1)"
    }
    return got.count == want.count ? nil : "got \(got.count) rows, want \(want.count)"
}

@Suite struct PropertyTests {
    /// Streams may come in any order when no order is asked for; rows of one stream ascend.
    private func byStream(_ rows: [ModelRow]) -> [ModelRow] {
        rows.enumerated().sorted {
            let order = Labels.compare($0.element.stream, $1.element.stream)
            return order == 0 ? $0.offset < $1.offset : order < 0
        }.map(\.element)
    }

    private func requests(_ maker: inout RowMaker) throws -> [LogRequest] {
        let whole = NanosRange.all
        let middle = NanosRange(
            first: Nanos(maker.start - 600_000_000_000), last: Nanos(maker.start + 200_000_000))
        let matcherSets: [[LabelMatcher]] = [
            [], [LabelMatcher(equal: "app", "app-1")],
            [try LabelMatcher("app", .matches, "app-[12]"), try LabelMatcher("level", .equal, "")],
            [try LabelMatcher("level", .notEqual, "info")],
            [try LabelMatcher("región", .matches, ".+")],
            [try LabelMatcher("instance", .notMatches, "i[0-5]?")],
            [LabelMatcher(equal: "app", "nothing")],
        ]
        let filterSets: [[LineFilter]] = [
            [], [LineFilter(.contains, "error")], [LineFilter(.notContains, "GET")],
            [LineFilter(.contains, "n=1"), LineFilter(.notContains, "info")],
            [LineFilter(.contains, "failed to"), LineFilter(.contains, "=4")],
            [LineFilter(.contains, "")], [LineFilter(.notContains, "")],
        ]
        // A few of all combinations: the states and seeds between them meet the others.
        let conditionSets: [[LabelMatcher]] = [
            [], [], [LabelMatcher(equal: "pod", "p-1")],
            [try LabelMatcher("pod", .matches, "p-[12]|"), LabelMatcher(equal: "app", "app-1")],
            [try LabelMatcher("request", .notEqual, "")], [LabelMatcher(equal: "zone", "")],
            [try LabelMatcher("trace_id", .matches, ".*[0-7]")],
            [try LabelMatcher("span_id", .notMatches, "[0-7].*")],
            [LabelMatcher(equal: "level", "error")],
        ]
        let orders: [LogRequest.Order] = [.any, .oldestFirst, .newestFirst, .newestFirst]
        return orders.map { order -> LogRequest in
            var request = LogRequest(
                tenant: Tenant("t"),
                matchers: matcherSets[maker.numbers.below(matcherSets.count)],
                range: maker.numbers.chance(60) ? whole : middle, order: order,
                filters: filterSets[maker.numbers.below(filterSets.count)],
                limit: maker.numbers.below(3) * 7)
            request.conditions = conditionSets[maker.numbers.below(conditionSets.count)]
            return request
        } + [LogRequest(tenant: Tenant("t"), matchers: [], range: whole, order: .oldestFirst)]
    }

    private func compare(
        _ driver: Driver, _ model: Model, _ maker: inout RowMaker, _ state: String
    ) throws -> [String] {
        var failures: [String] = []
        for request in try requests(&maker) {
            var got = try driver.read(request)
            var want = model.read(request)
            if request.order == .any {
                got = byStream(got)
                want = byStream(want)
            }
            if let problem = difference(got, want) {
                failures.append("\(state), \(request.order) \(request.matchers): \(problem)")
            }
        }
        return failures
    }

    @Test(arguments: 1...20)
    func readsWhatTheModelReads(seed: Int) throws {
        var maker = RowMaker(seed: UInt64(seed), streamCount: 4 + seed * 2)
        let driver = Driver {
            $0.blockRows = [7, 40, 16_384][seed % 3]
            $0.blockBytes = [2_000, 1 << 20][seed % 2]
            $0.carriedBlockBytes = [0, 200, 256 << 10][seed % 3]
            $0.shardCount = [1, 4, 16][seed % 3]
            $0.frameCacheBytes = [0, 1 << 20][seed % 2]
        }
        var model = Model()
        var failures: [String] = []
        var accepted = 0, duplicates = 0, sent = 0
        for round in 0..<6 {
            for _ in 0..<4 {
                let rows = maker.rows(1 + maker.numbers.below(60))
                let counts = driver.append(rows)
                accepted += counts.accepted
                duplicates += counts.duplicates
                sent += rows.count
                for row in rows { model.append(row) }
            }
            failures += try compare(driver, model, &maker, "round \(round), head")
            if round % 2 == 1 {
                try driver.seal()
                failures += try compare(driver, model, &maker, "round \(round), sealed")
            }
            if round == 3 {
                try driver.mergeAll()
                failures += try compare(driver, model, &maker, "round \(round), merged")
            }
        }
        #expect(accepted + duplicates == sent)
        #expect(accepted >= model.rows.count)
        try driver.mergeAll()
        failures += try compare(driver, model, &maker, "at the end")
        for handle in driver.handles {
            failures += driver.store.verify(handle).map { "verify: \($0)" }
        }
        let inParts = driver.handles.reduce(0) { $0 + Int($1.descriptor.rowCount) }
        #expect(inParts == model.rows.count)
        #expect(failures.isEmpty, "seed \(seed): \(failures.prefix(3).joined(separator: "\n"))")
    }
}
