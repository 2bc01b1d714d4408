// SPDX-License-Identifier: Apache-2.0
// Many series: what selecting, counting and listing them costs.

import Base
import MetricStore
import PromQL
import Storage
import Telemetry

/// 100,000 series × 1 hour at 15 seconds in a real store, all in the head or sealed into a part.
///
/// 50 metrics of 1,000 series (`crowd_metric_N`), and `crowd_wide` with 50,000 values of `path`;
/// timestamps jitter, one series in a hundred has gone stale.
struct Crowd {
    static let scrapes = 240
    static var end: Int64 { Fleet.start + Int64(scrapes - 1) * Fleet.scrapeMillis }

    let store = MetricStore(MetricStoreConfiguration())

    init(inParts: Bool) throws {
        var random = SplitMix64(seed: 3)
        let labels = Crowd.labels()
        for scrape in 0..<Crowd.scrapes {
            let millis =
                Fleet.start + Int64(scrape) * Fleet.scrapeMillis - Int64(random.next() % 5)
            var batch = MetricBatch()
            for (i, one) in labels.enumerated() {
                let isStale = scrape == Crowd.scrapes - 1 && i % 100 == 99
                batch.addSample(
                    series: batch.addSeries(one), millis: millis,
                    value: isStale
                        ? Double(bitPattern: StaleMarker.bits)
                        : Double((i + scrape * (i % 13)) * 5) / 4)
            }
            _ = store.append(
                batch, tenant: .anonymous, generation: 1, sequence: UInt64(scrape))
        }
        if inParts {
            let parts = try store.seal(generation: 1).enumerated().map { number, draft in
                try handle(draft, id: UInt64(number + 1))
            }
            store.sealed(generation: 1, parts: parts)
        }
    }

    private static func labels() -> [Labels] {
        var all: [Labels] = []
        for metric in 0..<50 {
            for i in 0..<1000 {
                all.append(
                    Labels([
                        ("__name__", "crowd_metric_\(metric)"), ("job", "job-\(i % 10)"),
                        ("instance", "10.0.\(i / 100).\(i % 100):9100"),
                        ("mode", "mode-\(metric % 7)"),
                    ]))
            }
        }
        for i in 0..<50_000 {
            all.append(
                Labels([
                    ("__name__", "crowd_wide"), ("job", "job-\(i % 10)"),
                    ("path", "/shop/item-\(i)"),
                ]))
        }
        return all
    }

    /// The cases over such a store.
    static func cases(_ engine: PromQLEngine, _ store: MetricStore) throws -> [Case] {
        func instant(_ name: String, _ query: String) -> Case {
            Case(name: name) { context in
                Case.size(try engine.query(query, at: Millis(end), context: context).value)
            }
        }
        func request(_ matchers: [LabelMatcher]) -> SeriesRequest {
            SeriesRequest(
                tenant: .anonymous, matchers: matchers,
                range: MillisRange(first: Millis(Fleet.start), last: Millis(end)))
        }
        func values(_ name: String, _ label: String, _ matchers: [LabelMatcher]) -> Case {
            Case(name: name) { try store.labelValues(label, request(matchers), $0).count }
        }
        let all = [try LabelMatcher("__name__", .notEqual, "")]
        let withNine = [try LabelMatcher("path", .matches, ".*9.*")]
        let wide = LabelMatcher(equal: "__name__", "crowd_wide")
        return [
            instant("instant", #"{__name__!=""}"#),
            instant("instant-wide", "crowd_wide"),
            instant("count-all", #"count({__name__!=""})"#),
            instant("count-wide", "count(crowd_wide)"),
            instant("count-by-job", #"count by (job) ({__name__!=""})"#),
            instant("group-by-name", #"group by (__name__) ({__name__!=""})"#),
            instant("count-by-name", #"count by (__name__) ({__name__!=""})"#),
            instant("sum-by-job", #"sum by (job) ({__name__!=""})"#),
            instant("regex-wide", #"crowd_wide{path=~".*9.*"}"#),
            instant("regex-count", #"count(crowd_wide{path=~".*9.*"})"#),
            instant("regex-not", #"count(crowd_wide{path!~".*9.*"})"#),
            instant("regex-digits", #"count(crowd_wide{path=~".*item-[0-9]{3}"})"#),
            values("values-of-job", "instance", [LabelMatcher(equal: "job", "job-3")]),
            values("values-of-name", "__name__", [LabelMatcher(equal: "job", "job-3")]),
            values("values-regex", "path", withNine),
            values("values-wide", "path", [wide]),
            Case(name: "names-of-wide") {
                try store.labelNames(request([wide]), $0).count
            },
            Case(name: "names-of-all") { try store.labelNames(request(all), $0).count },
            Case(name: "series-job") {
                try store.select(request([LabelMatcher(equal: "job", "job-3")]), $0).count
            },
            Case(name: "series-all") { try store.select(request(all), $0).count },
        ]
    }
}
