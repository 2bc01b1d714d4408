// SPDX-License-Identifier: Apache-2.0
// Queries over data of which only buckets are left.

import Base
import Telemetry
import Testing

@testable import PromQL

/// One counter over two days, one sample a minute: the first day in buckets of an hour, the second
/// as it came. The counter starts over at 10:30 of the first day.
private struct TwoDays: SeriesReading {
    static let day: Int64 = 86_400_000
    static let hour: Int64 = 3_600_000
    let isCoarse: Bool
    /// Everything ends here.
    var last: Int64 = 2 * day

    static func value(_ minute: Int64) -> Double {
        Double(minute < 630 ? minute * 10 : (minute - 630) * 10)
    }

    private struct OneSeries: SeriesSet {
        let columns: SampleColumns
        var count: Int { columns.count > 0 ? 1 : 0 }
        func labels(_ index: Int) -> Labels { Labels([("__name__", "requests_total")]) }
        func read(_ index: Int, into out: inout SampleColumns, _ context: ReadContext) throws {
            out = columns
        }
    }

    func select(_ request: SeriesRequest, _ context: ReadContext) throws -> any SeriesSet {
        var columns = SampleColumns()
        func add(_ millis: Int64, _ value: Double, _ count: Double = 1) {
            guard request.range.overlaps(first: millis, last: millis), millis <= last else {
                return
            }
            columns.append(millis: millis, value: value)
            guard request.aggregate == .sum, isCoarse else { return }
            if columns.count == 1 { columns.counts = [1] }
            columns.counts[columns.count - 1] = count
        }
        var minute: Int64 = 0
        while minute < 2 * 1440 {
            guard isCoarse, minute < 1440 else {
                add(minute * 60_000, TwoDays.value(minute))
                minute += 1
                continue
            }
            let values = (minute..<(minute + 60)).map { TwoDays.value($0) }
            let end = (minute + 59) * 60_000
            switch request.aggregate {
            case .min: add(end, values.reduce(.infinity) { Swift.min($0, $1) })
            case .max: add(end, values.reduce(0) { Swift.max($0, $1) })
            case .sum: add(end, values.reduce(0, +), 60)
            case .counter where minute == 600:
                add(629 * 60_000, TwoDays.value(629))
                add(630 * 60_000, TwoDays.value(630))
                add(end, values[59])
            case .counter where minute == 0:
                add(0, values[0])
                add(end, values[59])
            default: add(end, values[59])
            }
            minute += 60
        }
        return OneSeries(columns: columns)
    }

    func coarseRanges(_ tenant: Tenant, _ range: MillisRange) -> [CoarseRange] {
        let first = MillisRange(first: Millis(0), last: Millis(TwoDays.day - 1))
        guard isCoarse, range.overlaps(first: 0, last: TwoDays.day - 1) else { return [] }
        return [CoarseRange(range: first, resolutionMillis: TwoDays.hour)]
    }

    func labelNames(_ request: SeriesRequest, _ context: ReadContext) throws -> [String] { [] }
    func labelValues(
        _ name: String, _ request: SeriesRequest, _ context: ReadContext
    ) throws -> [String] { [] }
    func exemplars(_ request: SeriesRequest, _ context: ReadContext) throws -> [Exemplar] { [] }
    func metadata(
        _ tenant: Tenant, family: String?
    ) throws -> [(String, [MetricMetadata])] { [] }
}

struct DownsampledDataTests {
    private func answer(
        _ query: String, at millis: Int64, isCoarse: Bool = true
    ) throws -> (value: Double?, infos: [String]) {
        let engine = PromQLEngine(reader: TwoDays(isCoarse: isCoarse))
        let result = try engine.query(query, at: Millis(millis), context: ReadContext())
        guard case .vector(let samples) = result.value else { return (nil, result.infos) }
        guard case .float(let value)? = samples.first?.value else { return (nil, result.infos) }
        return (value, result.infos)
    }

    /// Windows that begin and end with buckets: what is exact is the same as over raw samples.
    @Test(
        arguments: [
            "min_over_time(requests_total[6h])", "max_over_time(requests_total[6h])",
            "sum_over_time(requests_total[6h])", "count_over_time(requests_total[6h])",
            "avg_over_time(requests_total[6h])", "last_over_time(requests_total[6h])",
            "resets(requests_total[6h])", "count_over_time(requests_total[1d])",
            "sum_over_time(requests_total[30h])", "count_over_time(requests_total[30h])",
            "avg_over_time(requests_total[30h])", "max_over_time(requests_total[30h])",
            "resets(requests_total[30h])", "requests_total", "count(requests_total)",
        ])
    func exactFunctions(_ query: String) throws {
        // Ends of buckets of the first day, and a time of the second day.
        for hour in [12, 20, 34] as [Int64] {
            let end = hour * TwoDays.hour - 60_000
            // Of 30 hours that end on the second day the first one cuts no bucket.
            let coarse = try answer(query, at: end)
            let raw = try answer(query, at: end, isCoarse: false)
            #expect(coarse.value == raw.value, "\(query) at \(hour) h")
            #expect(coarse.value != nil || hour < 30)
            #expect(raw.infos == [])
            if hour < 24 || query.contains("30h") {
                #expect(
                    coarse.infos.contains { $0.contains("down-sampled to one point per 1h") },
                    "\(coarse.infos)")
            }
        }
    }

    @Test func increaseFollowsResetsInsideBuckets() throws {
        let end = 20 * TwoDays.hour - 60_000
        let coarse = try #require(try answer("increase(requests_total[19h])", at: end).value)
        let raw = try #require(
            try answer("increase(requests_total[19h])", at: end, isCoarse: false).value)
        // They differ by what is extrapolated to the ends of the range.
        #expect((coarse - raw).magnitude < raw * 0.06, "\(coarse) \(raw)")
    }

    @Test func aSampleOfABucketCountsForABucketLonger() throws {
        // Half past: the newest sample is 31 minutes old.
        #expect(try answer("requests_total", at: 5 * TwoDays.hour + 1_800_000).value == 2990)
        #expect(try answer("count(requests_total)", at: 5 * TwoDays.hour + 1_800_000).value == 1)
        #expect(try answer("timestamp(requests_total)", at: 5 * TwoDays.hour).value == 17_940)
        // Range queries see a value at each step.
        let engine = PromQLEngine(reader: TwoDays(isCoarse: true))
        let result = try engine.queryRange(
            "requests_total", start: Millis(2 * TwoDays.hour), end: Millis(30 * TwoDays.hour),
            stepMillis: 600_000, context: ReadContext())
        guard case .matrix(let series) = result.value else {
            Issue.record("no matrix")
            return
        }
        #expect(series.map(\.floats.count) == [28 * 6 + 1])
        #expect(result.infos.count == 1)
    }

    @Test func rawDaysKeepTheirLookback() throws {
        var store = TwoDays(isCoarse: true)
        store.last = 30 * TwoDays.hour
        let engine = PromQLEngine(reader: store)
        func value(_ minutes: Int64) throws -> Int {
            let result = try engine.query(
                "requests_total", at: Millis(store.last + minutes * 60_000),
                context: ReadContext())
            guard case .vector(let samples) = result.value else { return -1 }
            return samples.count
        }
        #expect(try value(4) == 1)
        #expect(try value(6) == 0)
    }

    @Test func explainSaysSo() throws {
        let engine = PromQLEngine(reader: TwoDays(isCoarse: true))
        let plan = try engine.explainRange(
            "rate(requests_total[6h])", start: Millis(10 * TwoDays.hour),
            end: Millis(20 * TwoDays.hour), stepMillis: 600_000, context: ReadContext())
        #expect("\(plan)".contains("down-sampled to one point per 1h"))
    }
}
