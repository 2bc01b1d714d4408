// SPDX-License-Identifier: Apache-2.0
// Who sends which metric.

import Base
import Synchronization
import Telemetry

/// Whoever a batch of metrics came from, as far as it can be told.
package struct MetricSender: Sendable, Hashable {
    /// The route it came in by; `scrape` for what this server fetched or made itself.
    package var via: String
    /// The peer's address; of a scrape the label `instance`.
    package var address: String
    /// The user agent; of a scrape the label `job`.
    package var agent: String

    /// Most bytes of each text.
    private static let textBytes = 200

    package init(via: String, address: String, agent: String) {
        func cut(_ text: String) -> String {
            text.utf8.count <= MetricSender.textBytes
                ? text : String(decoding: text.utf8.prefix(MetricSender.textBytes), as: UTF8.self)
        }
        self.via = via
        self.address = cut(address)
        self.agent = cut(agent)
    }

    /// The sender of the request that the current task answers; nil outside of requests.
    @TaskLocal package static var current: MetricSender?
}

/// Remembers for each metric who sent it lately.
///
/// Looks at 16 series of a batch at most, other ones each time, so that its cost does not grow with
/// the batch; a metric that keeps coming is found sooner or later. Bounded: 20,000 metrics with the
/// eight senders that were seen last. Two metrics whose names have the same 64-bit hash are taken
/// for one.
package final class SenderTable: Sendable {
    package struct Entry: Sendable, Equatable {
        package var sender: MetricSender
        package var lastMillis: Int64
        /// Batches in which the metric was seen, not all in which it was.
        package var batches: Int
    }

    private struct Metric: Sendable {
        var tenant: String
        var name: [UInt8]
        var entries: [Entry] = []
    }
    /// By the hash of tenant and name.
    private let metrics = Mutex<[UInt64: Metric]>([:])
    private let turn = Atomic<Int>(0)

    private static let looksPerBatch = 16
    private static let metricLimit = 20_000
    private static let sendersPerMetric = 8

    package init() {}

    func note(_ batch: MetricBatch, _ tenant: Tenant, nowMillis: Int64) {
        let count = batch.series.count
        guard count > 0 else { return }
        let given = MetricSender.current
        let seed = SenderTable.seed(tenant)
        let stride = max(1, (count + SenderTable.looksPerBatch - 1) / SenderTable.looksPerBatch)
        let first = turn.wrappingAdd(1, ordering: .relaxed).oldValue % stride
        batch.arena.withUnsafeBytes { arena in
            metrics.withLock { metrics in
                var last: UInt64?
                for index in Swift.stride(from: first, to: count, by: stride) {
                    let labels = UnsafeRawBufferPointer(
                        rebasing: arena[batch.series[index].slice.range])
                    guard let name = value(of: "__name__", labels) else { continue }
                    let hash = hash64(name, seed: seed)
                    // Names that repeat are noted once.
                    if hash == last { continue }
                    last = hash
                    if metrics[hash] == nil {
                        if metrics.count >= SenderTable.metricLimit { continue }
                        metrics[hash] = Metric(tenant: tenant.name, name: Array(name))
                    }
                    SenderTable.note(
                        given ?? scraped(labels), nowMillis,
                        in: &metrics[hash, default: Metric(tenant: "", name: [])].entries)
                }
            }
        }
    }

    private static func seed(_ tenant: Tenant) -> UInt64 {
        var name = tenant.name
        return name.withUTF8 { hash64(UnsafeRawBufferPointer($0)) }
    }

    private static func note(
        _ sender: MetricSender, _ nowMillis: Int64, in list: inout [Entry]
    ) {
        if let index = list.firstIndex(where: { $0.sender == sender }) {
            list[index].lastMillis = nowMillis
            list[index].batches += 1
            return
        }
        if list.count >= sendersPerMetric,
            let oldest = list.indices.min(by: { list[$0].lastMillis < list[$1].lastMillis })
        {
            list.remove(at: oldest)
        }
        list.append(Entry(sender: sender, lastMillis: nowMillis, batches: 1))
    }

    private func scraped(_ labels: UnsafeRawBufferPointer) -> MetricSender {
        func text(_ name: StaticString) -> String {
            value(of: name, labels).map { String(decoding: $0, as: UTF8.self) } ?? ""
        }
        return MetricSender(via: "scrape", address: text("instance"), agent: text("job"))
    }

    private func value(
        of name: StaticString, _ labels: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer? {
        let name = name.bytes
        return labelValue(of: name, in: labels)
    }

    /// Senders of a metric, or of all of the tenant's; by metric, the latest first.
    package func senders(
        of metric: String?, tenant: Tenant
    ) -> [(metric: String, entry: Entry)] {
        let found = metrics.withLock { metrics -> [(String, [Entry])] in
            if let metric {
                var metric = metric
                let seed = SenderTable.seed(tenant)
                let hash = metric.withUTF8 { hash64(UnsafeRawBufferPointer($0), seed: seed) }
                return metrics[hash].map { [(metric, $0.entries)] } ?? []
            }
            return metrics.values.filter { $0.tenant == tenant.name }.map {
                (String(decoding: $0.name, as: UTF8.self), $0.entries)
            }
        }
        return found.sorted { $0.0 < $1.0 }.flatMap { metric, list in
            list.sorted { $0.lastMillis > $1.lastMillis }.map { (metric, $0) }
        }
    }
}
