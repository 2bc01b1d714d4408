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
/// Looks at 64 series of a batch at most, other ones each time, so that its cost does not grow with
/// the batch; a metric that keeps coming is found sooner or later. Bounded: 20,000 metrics with the
/// eight senders that were seen last.
package final class SenderTable: Sendable {
    package struct Entry: Sendable, Equatable {
        package var sender: MetricSender
        package var lastMillis: Int64
        /// Batches in which the metric was seen, not all in which it was.
        package var batches: Int
    }

    private struct Key: Hashable, Sendable {
        var tenant: String
        var metric: [UInt8]
    }
    private let entries = Mutex<[Key: [Entry]]>([:])
    private let turn = Atomic<Int>(0)

    private static let looksPerBatch = 64
    private static let metrics = 20_000
    private static let sendersPerMetric = 8

    package init() {}

    func note(_ batch: MetricBatch, _ tenant: Tenant, nowMillis: Int64) {
        let count = batch.series.count
        guard count > 0 else { return }
        let given = MetricSender.current
        let stride = max(1, count / SenderTable.looksPerBatch)
        let first = turn.wrappingAdd(1, ordering: .relaxed).oldValue % stride
        // One lock for the batch; names that repeat are noted once.
        var seen: [(name: [UInt8], sender: MetricSender)] = []
        var index = first
        while index < count, seen.count < SenderTable.looksPerBatch {
            batch.arena.withSlice(batch.series[index].slice) { labels in
                guard let name = value(of: "__name__", labels) else { return }
                if let last = seen.last, last.name == name { return }
                seen.append((name, given ?? scraped(labels)))
            }
            index += stride
        }
        entries.withLock { entries in
            for (name, sender) in seen {
                let key = Key(tenant: tenant.name, metric: name)
                guard entries[key] != nil || entries.count < SenderTable.metrics else { continue }
                SenderTable.note(sender, nowMillis, in: &entries[key, default: []])
            }
        }
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
    ) -> [UInt8]? {
        let name = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        return labelValue(of: name, in: labels).map { Array($0) }
    }

    /// Senders of a metric, or of all of the tenant's; by metric, the latest first.
    package func senders(
        of metric: String?, tenant: Tenant
    ) -> [(metric: String, entry: Entry)] {
        let found = entries.withLock { entries in
            if let metric {
                let key = Key(tenant: tenant.name, metric: Array(metric.utf8))
                return entries[key].map { [(metric, $0)] } ?? []
            }
            return entries.filter { $0.key.tenant == tenant.name }.map {
                (String(decoding: $0.key.metric, as: UTF8.self), $0.value)
            }
        }
        return found.sorted { $0.0 < $1.0 }.flatMap { metric, list in
            list.sorted { $0.lastMillis > $1.lastMillis }.map { (metric, $0) }
        }
    }
}
