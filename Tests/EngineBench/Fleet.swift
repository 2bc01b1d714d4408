// SPDX-License-Identifier: Apache-2.0
// The data that the queries run over.

import Base
import MetricStore
import Storage
import Telemetry

/// A fleet of machines as an exporter shows it, in the parts and the head of a real store.
///
/// - `node_cpu_seconds_total`: 10,000 counters of hundredths of seconds.
/// - `node_memory_bytes`: a gauge per machine, in pages; `node_uname_info`: 1 per machine.
/// - `request_duration_seconds_bucket`: classic histograms of 12 buckets, 6,000 series.
/// - `wide`: 100,000 series of a few samples, one value of `path` each.
struct Fleet {
    static let start: Int64 = 1_768_514_400_000
    static let scrapeMillis: Int64 = 15_000
    /// Scrapes in four hours.
    static let scrapes = 960
    static let machines = 156
    static var end: Int64 { start + Int64(scrapes - 1) * scrapeMillis }

    let store = MetricStore(MetricStoreConfiguration())
    private var random = SplitMix64(seed: 11)
    private var labels: [Labels] = []
    private var values: [Double] = []
    private var kinds: [Kind] = []
    private var nextID: UInt64 = 1

    private enum Kind { case seconds, pages, constant, bucket(rank: Int) }

    /// Fills the store: a part an hour, the last minutes in a head.
    init() throws {
        addSeries()
        var generation: UInt64 = 1
        for scrape in 0..<Fleet.scrapes {
            append(scrape, generation)
            if scrape == Fleet.scrapes - 40 { appendWide(generation) }
            if scrape % 240 == 239, scrape < Fleet.scrapes - 1 {
                try seal(generation)
                generation += 1
            } else if scrape == Fleet.scrapes - 20 {
                try seal(generation)
                generation += 1
            }
        }
    }

    private mutating func add(_ kind: Kind, _ name: String, _ pairs: [(String, String)]) {
        labels.append(Labels([("__name__", name), ("job", "node")] + pairs))
        values.append(0)
        kinds.append(kind)
    }

    private mutating func addSeries() {
        let modes = ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"]
        let bounds = [
            "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf",
        ]
        for machine in 0..<Fleet.machines {
            let instance = ("instance", "10.0.\(machine / 100).\(machine % 100):9100")
            for cpu in 0..<8 {
                for mode in modes {
                    add(
                        .seconds, "node_cpu_seconds_total",
                        [instance, ("cpu", "\(cpu)"), ("mode", mode)])
                }
            }
            add(.pages, "node_memory_bytes", [instance])
            add(.constant, "node_uname_info", [instance, ("nodename", "host\(machine)")])
            if machine >= 100 { continue }
            for handler in 0..<5 {
                for (rank, bound) in bounds.enumerated() {
                    add(
                        .bucket(rank: rank), "request_duration_seconds_bucket",
                        [instance, ("handler", "/api/\(handler)"), ("le", bound)])
                }
            }
        }
    }

    private mutating func append(_ scrape: Int, _ generation: UInt64) {
        // Timestamps jitter by some milliseconds, as real ones do.
        let millis =
            Fleet.start + Int64(scrape) * Fleet.scrapeMillis + Int64(random.next() % 5)
        var batch = MetricBatch()
        var below = 0.0
        for i in labels.indices {
            let noise = random.next()
            switch kinds[i] {
            case .seconds:
                values[i] = ((values[i] * 100).rounded() + Double(noise % 1500)) / 100
            case .pages: values[i] = 4e9 + Double(noise % 4096) * 4096
            case .constant: values[i] = 1
            case .bucket(let rank):
                below = rank == 0 ? Double(noise % 3) : below + Double(noise % 3)
                values[i] += below
            }
            batch.addSample(series: batch.addSeries(labels[i]), millis: millis, value: values[i])
        }
        _ = store.append(
            batch, tenant: .anonymous, generation: generation, sequence: UInt64(scrape))
    }

    private mutating func appendWide(_ generation: UInt64) {
        let wide = (0..<100_000).map {
            Labels([
                ("__name__", "wide"), ("path", "/shop/item-\($0)"), ("zone", "z\($0 % 7)"),
            ])
        }
        for step in 0..<4 {
            var batch = MetricBatch()
            let millis = Fleet.end - 300_000 + Int64(step) * 60_000
            for (i, item) in wide.enumerated() {
                batch.addSample(
                    series: batch.addSeries(item), millis: millis, value: Double(i * step))
            }
            _ = store.append(batch, tenant: .anonymous, generation: generation, sequence: 0)
        }
    }

    private mutating func seal(_ generation: UInt64) throws {
        let parts = try store.seal(generation: generation).map { draft in
            nextID += 1
            return try handle(draft, id: nextID - 1)
        }
        store.sealed(generation: generation, parts: parts)
    }
}

/// A draft as the store opens it, without a file.
func handle(_ draft: PartDraft, id: UInt64) throws -> PartHandle {
    let reader = try PartReader(SharedBytes(draft.bytes), name: "part-\(id)")
    let descriptor = PartDescriptor(
        id: id, signal: .metrics, tenant: draft.tenant, day: draft.day, level: 0,
        minNanos: draft.minNanos, maxNanos: draft.maxNanos, rowCount: draft.rowCount,
        byteCount: UInt64(draft.bytes.count), lastSequence: 0)
    return PartHandle(descriptor: descriptor, reader: reader)
}
