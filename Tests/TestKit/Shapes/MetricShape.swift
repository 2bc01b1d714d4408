// SPDX-License-Identifier: Apache-2.0
// Samples of a fleet of machines on a grid of scrapes.

import Telemetry

/// A fleet whose every sample follows from the seed and its place.
///
/// Sample `i` of the run is series `i % seriesCount` at step `i / seriesCount`; batches hold a run of
/// series at one step, as a scraper's sender makes them, and never span two steps. Counters restart
/// at zero now and then, host by host.
package struct MetricShape: Sendable {
    package let timeline: Timeline
    package let hosts: Int
    package let stepMillis: Int64
    /// Samples per batch; the last batch of a step may be smaller.
    package let batchSamples: Int
    /// Canonical labels of each series, host by host.
    package let series: [Labels]
    private let kinds: [SeriesKind]
    package let seriesPerHost: Int
    /// Metric names, each once.
    package let names: [String]

    /// - Parameter firstHost: number of the first machine.
    package init(
        timeline: Timeline, hosts: Int, stepMillis: Int64 = 15_000, batchSamples: Int,
        firstHost: Int = 0
    ) {
        self.timeline = timeline
        self.hosts = hosts
        self.stepMillis = stepMillis
        self.batchSamples = batchSamples
        var series: [Labels] = []
        var kinds: [SeriesKind] = []
        for host in firstHost..<(firstHost + hosts) {
            Self.forEachSeries(ofHost: host, cluster: timeline.cluster) { labels, kind in
                series.append(labels)
                kinds.append(kind)
            }
        }
        self.series = series
        seriesPerHost = series.count / max(1, hosts)
        self.kinds = kinds
        names = Set(series.compactMap { $0["__name__"] }).sorted()
    }

    package var seriesCount: Int { series.count }
    package var batchesPerStep: Int { (seriesCount + batchSamples - 1) / batchSamples }

    /// Batches that hold the first `samples` samples.
    package func batchCount(samples: Int) -> Int {
        let (steps, rest) = samples.quotientAndRemainder(dividingBy: seriesCount)
        return steps * batchesPerStep + (rest + batchSamples - 1) / batchSamples
    }

    package func millis(step: Int) -> Int64 {
        timeline.startNanos / 1_000_000 + Int64(step) * stepMillis
    }

    /// Step and series of a batch in a run of `samples` samples.
    package func place(batch: Int, samples: Int = .max) -> (step: Int, series: Range<Int>) {
        let (step, chunk) = batch.quotientAndRemainder(dividingBy: batchesPerStep)
        let first = chunk * batchSamples
        let available = samples == .max ? seriesCount : samples - step * seriesCount
        return (step, first..<max(first, min(first + batchSamples, seriesCount, available)))
    }

    package func batch(_ index: Int, samples: Int = .max) -> MetricBatch {
        let place = place(batch: index, samples: samples)
        let millis = millis(step: place.step)
        var batch = MetricBatch()
        batch.arena.reserveCapacity(place.series.count * 160)
        for i in place.series {
            batch.addSample(
                series: batch.addSeries(series[i]), millis: millis,
                value: value(series: i, step: place.step))
        }
        return batch
    }

    /// Value of a series at a step.
    package func value(series: Int, step: Int) -> Double {
        let host = UInt64(series / seriesPerHost)
        let offset = Chance.hash(timeline.seed, host, 77)
        // A machine restarts every 40 to 120 hours of a 15 s grid.
        let life = 9_600 + Int(offset % 19_200)
        let age = (step + Int((offset &>> 32) % UInt64(life))) % life
        let hash = Chance.hash(timeline.seed, UInt64(series), UInt64(step))
        switch kinds[series] {
        case .counter(let rate): return Double(count(series, rate, age, hash))
        case .seconds(let rate): return Double(count(series, rate, age, hash)) / 100
        case .gauge(let level, let swing): return Double(wave(series, level, swing, step, hash))
        case .ratio(let level, let swing):
            return Double(wave(series, level, swing, step, hash)) / 100
        case .constant(let value): return Double(value)
        case .bucket(let rate, let share):
            // All buckets of a histogram share the host's random number, so that they ascend.
            let total = count(0, rate, age, Chance.hash(timeline.seed, host, UInt64(step)))
            return Double(total * share / 1000)
        case .sum(let rate, let mean):
            let total = count(0, rate, age, Chance.hash(timeline.seed, host, UInt64(step)))
            return Double(total * mean) / 1000
        }
    }

    /// A count that grows by 0 to twice the rate per step. Rates differ between series.
    private func count(_ series: Int, _ rate: Int, _ age: Int, _ hash: UInt64) -> Int {
        if rate == 0 { return 0 }
        let own = max(1, rate * (20 + (series &* 7919) % 90) / 64)
        return own * age + Int(hash % UInt64(own))
    }

    /// A triangle with noise.
    private func wave(
        _ series: Int, _ level: Int, _ swing: Int, _ step: Int, _ hash: UInt64
    ) -> Int {
        let period = 60 + (series &* 31) % 400
        let phase = (step + series) % period
        let up = phase * 2 < period ? phase * 2 : (period - phase) * 2
        return max(0, level + swing * up / period - swing / 2 + Int(hash % UInt64(swing / 8 + 1)))
    }

    private static func forEachSeries(
        ofHost host: Int, cluster: String, _ body: (Labels, SeriesKind) -> Void
    ) {
        let number = String(host)
        let instance =
            "host-" + String(repeating: "0", count: max(0, 4 - number.count)) + number + ":9100"
        let shared = [("cluster", cluster), ("instance", instance), ("job", "node")]
        for family in MetricFamilies.plain {
            var sets: [[(String, String)]] = [[("__name__", family.name)] + shared]
            for label in family.labels {
                sets = sets.flatMap { set in label.values.map { set + [(label.name, $0)] } }
            }
            for set in sets { body(Labels(set), family.kind) }
        }
        let name = "http_request_duration_seconds"
        for handler in MetricFamilies.handlers {
            let labels = shared + [("handler", handler.name)]
            for bound in MetricFamilies.bounds {
                body(
                    Labels(labels + [("__name__", name + "_bucket"), ("le", bound.le)]),
                    .bucket(rate: handler.rate, share: bound.share))
            }
            body(
                Labels(labels + [("__name__", name + "_sum")]),
                .sum(rate: handler.rate, mean: 34))
            body(
                Labels(labels + [("__name__", name + "_count")]),
                .bucket(rate: handler.rate, share: 1000))
        }
    }
}
