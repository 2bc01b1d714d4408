// SPDX-License-Identifier: Apache-2.0
// Random batches that look like trouble.

import Base
import Telemetry

/// Makes batches of a small world of series around a midnight: scrapes on a grid, jitter, late and
/// repeated samples, special values, histograms, start timestamps.
struct BatchGenerator {
    var random: SplitMix64
    /// 2026-01-15 22:00 UTC: two hours before a part boundary.
    static let origin: Int64 = 1_768_514_400_000
    private var now = BatchGenerator.origin
    private let pool: [Labels]

    init(seed: UInt64, series: Int = 40) {
        random = SplitMix64(seed: seed)
        var pool: [Labels] = []
        for i in 0..<series {
            var pairs: [(name: String, value: String)] = [
                ("__name__", ["up", "http_requests_total", "temperature", "größe"][i % 4]),
                ("job", "job-\(i % 3)"), ("instance", "host\(i):9100"),
            ]
            if i % 2 == 0 { pairs.append(("path", "/a/\(i % 5)")) }
            if i % 7 == 0 { pairs.append(("zone", ["eu", "us"][i % 2])) }
            pool.append(Labels(pairs))
        }
        self.pool = pool
    }

    mutating func below(_ n: Int) -> Int { Int(random.next() % UInt64(n)) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

    mutating func value(_ series: Int, _ millis: Int64) -> Double {
        switch series % 8 {
        case 0: Double((millis - BatchGenerator.origin) / 1000)
        case 1: 1
        case 2: Double(below(100_000)) / 100
        case 3: Double(bitPattern: random.next())
        case 4: [0.0, -0.0, .infinity, -.infinity, Double.leastNonzeroMagnitude, 1e308][below(6)]
        case 5: chance(20) ? StaleMarker.value : Double(below(4)) * 4096
        case 6: Double(bitPattern: 0x7ff8_0000_0000_0000 | UInt64(below(1000)))
        default: 20 + Double(below(1000)) / 7
        }
    }

    mutating func histogram() -> NativeHistogram {
        var result = NativeHistogram()
        result.schema = 3
        result.count = Double(below(1000))
        result.sum = chance(10) ? StaleMarker.value : Double(below(10_000)) / 8
        result.positiveSpans = [NativeHistogram.Span(offset: Int32(below(9)) - 4, length: 3)]
        result.positiveBuckets = (0..<3).map { _ in Double(below(50)) }
        result.isInteger = true
        return result
    }

    /// The next batch; time goes on by up to a minute.
    mutating func next() -> MetricBatch {
        var batch = MetricBatch()
        now += chance(60) ? 15_000 : Int64(below(60_000))
        let numbers = (0..<pool.count).map { batch.addSeries(pool[$0]) }
        for _ in 0..<(1 + below(pool.count)) {
            let series = below(pool.count)
            var millis = now
            switch below(20) {
            case 0: millis += Int64(below(5)) - 2
            case 1: millis -= Int64(below(7_200_000))
            case 2: millis -= 15_000
            default: break
            }
            // One series of every nine starts over now and then; one of every ten has histograms.
            let start = series % 9 == 0 ? BatchGenerator.origin + now / 600_000 : 0
            if series % 10 == 7, chance(70) {
                batch.addHistogram(
                    series: numbers[series], millis: millis, histogram(), startMillis: start)
            } else {
                batch.addSample(
                    series: numbers[series], millis: millis, value: value(series, millis),
                    startMillis: start)
            }
        }
        return batch
    }

    mutating func range() -> MillisRange {
        if chance(20) { return .all }
        let first = BatchGenerator.origin + Int64(below(14_400_000)) - 3_600_000
        return MillisRange(first: Millis(first), last: Millis(first + Int64(below(3_600_000))))
    }

    mutating func matchers() throws -> [LabelMatcher] {
        let all: [LabelMatcher] = [
            try matcher("__name__", .equal, "up"), try matcher("__name__", .notEqual, "up"),
            try matcher("job", .matches, "job-1|job-2"), try matcher("job", .matches, "job-.*"),
            try matcher("job", .notMatches, "job-[01]"), try matcher("path", .equal, ""),
            try matcher("path", .notEqual, ""), try matcher("path", .matches, ".*"),
            try matcher("path", .matches, ".+"), try matcher("path", .matches, "|/a/0"),
            try matcher("path", .notMatches, ""), try matcher("path", .notMatches, ".+"),
            try matcher("path", .notMatches, "/a/(0|2)"), try matcher("path", .notEqual, "/a/4"),
            try matcher("zone", .equal, "eu"), try matcher("zone", .notMatches, "eu|"),
            try matcher("absent", .equal, ""), try matcher("absent", .notEqual, ""),
            try matcher("absent", .notEqual, "x"), try matcher("absent", .matches, "x?"),
            try matcher("instance", .matches, "host1.*"), try matcher("instance", .equal, "none"),
            try matcher("instance", .matches, "host[0-9]:9100"),
            try matcher("__name__", .equal, "größe"), try matcher("__name__", .matches, "gr.+e"),
        ]
        return (0..<below(4)).map { _ in all[below(all.count)] }
    }
}
