// SPDX-License-Identifier: Apache-2.0
// Rates of operations against a count of the spans.

import Base
import Storage
import Telemetry
import Testing

@testable import TraceStore

/// Compares the rates of a store with a count of its model's spans.
struct RateModel {
    private let minute: Int64 = 60_000_000_000

    private struct Plain {
        var durations: [Int64] = []
        var spans: Set<SpanExemplar> = []
    }

    private func count(
        _ spans: some Sequence<PlainSpan>, _ range: NanosRange
    ) -> [SpanRate.Key: Plain] {
        var result: [SpanRate.Key: Plain] = [:]
        for span in spans {
            let begin = span.start - span.start % minute
            guard range.overlaps(first: begin, last: begin + minute - 1) else { continue }
            let key = SpanRate.Key(
                service: String(decoding: span.resource[2], as: UTF8.self),
                name: String(decoding: span.name, as: UTF8.self), kind: span.kind,
                status: span.status, minuteNanos: begin)
            let nanos = max(0, span.end - span.start)
            result[key, default: Plain()].durations.append(nanos)
            result[key]?.spans.insert(
                SpanExemplar(
                    traceID: span.traceID, spanID: span.spanID, startNanos: span.start,
                    durationNanos: nanos))
        }
        return result
    }

    func check(
        _ model: StoreModel, _ range: NanosRange, services: Set<String>? = nil, _ note: Comment
    ) throws {
        var wanted = count(model.spans.values, range)
        if let services { wanted = wanted.filter { services.contains($0.key.service) } }
        let found = try model.store.rates(
            SpanRateRequest(
                tenant: model.tenant, range: range, services: services, wantsExemplars: true),
            ReadContext())
        #expect(Set(found.map(\.key)) == Set(wanted.keys), note)
        #expect(found.count == wanted.count, note)
        for rate in found {
            let plain = try #require(wanted[rate.key])
            let sorted = plain.durations.sorted()
            #expect(rate.count == UInt64(sorted.count), note)
            #expect(rate.errorCount == (rate.key.status == 2 ? rate.count : 0))
            for q in [0.5, 0.9, 0.99] {
                let rank = max(1, Int((q * Double(sorted.count)).rounded(.up)))
                let exact = Double(sorted[rank - 1])
                let error = abs(Double(rate.durations.quantile(q)) - exact)
                #expect(error <= max(1, exact * 0.01), "\(exact)")
            }
            #expect(rate.exemplars.first?.durationNanos == sorted.last, note)
            #expect(Set(rate.exemplars).isSubset(of: plain.spans), note)
            #expect(rate.exemplars.count == min(2, Set(rate.exemplars).count))
        }
    }
}

@Suite struct RateTests {
    private let rates = RateModel()

    @Test(arguments: 0..<3) func ratesAreThoseOfTheSpans(seed: Int) throws {
        var generator = SpanGenerator(seed: UInt64(seed) + 30)
        generator.spanNanos = 600_000_000_000
        generator.spanIDs = 1_000_000
        var model = StoreModel()
        for round in 0..<6 {
            _ = model.append(generator.batch(rows: 300))
            if round % 2 == 1 { try model.seal() }
            if round == 4 { try model.merge() }
            if round == 5 { try model.reopen() }
            try rates.check(model, .all, "round \(round)")
        }
        let start = Nanos(generator.firstNanos + 100_000_000_000)
        let end = Nanos(generator.firstNanos + 230_000_000_000)
        try rates.check(
            model, NanosRange(first: start, last: end), services: ["cart", "front"], "a range")
        for handle in model.shelf.handles { #expect(model.store.verify(handle) == []) }
    }

    @Test func mergingDropsSpansThatWereSentAgain() throws {
        var generator = SpanGenerator(seed: 9)
        generator.spanIDs = 1_000_000
        var model = StoreModel()
        let batch = generator.batch(rows: 200)
        for _ in 0..<2 {
            _ = model.append(batch)
            try model.seal()
        }
        try model.merge()
        try rates.check(model, .all, "merged")
    }
}
