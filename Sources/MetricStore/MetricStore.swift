// SPDX-License-Identifier: Apache-2.0
// Front door of MetricStore: heads, parts and the switch between them.

import Base
import Storage
import Synchronization
import Telemetry

/// Bounds of a metric store.
package struct MetricStoreConfiguration: Sendable {
    /// Most series a tenant may have in a head; 0 = no limit. Samples of further series are refused.
    package var maxSeriesPerTenant = 0
    /// Samples further ahead of the clock than this are refused.
    package var maxFutureMillis: Int64 = 600_000
    /// Bytes that decoded indexes of parts may take together; the least recently used leave first.
    package var indexCacheBytes = 256 << 20
    /// Series that are kept for a time of their own; the first that covers a series decides.
    package var retention: [MetricRetention] = []

    package init() {}
}

/// The store of one signal: metrics of all tenants.
///
/// - *append*: committed batches go to the `Head` of their generation and tenant.
/// - *seal*: a complete head becomes one part per UTC day.
/// - *read*: a request takes one snapshot of heads and parts and answers from it.
///
/// Heads and parts hang off one small locked state; a request copies the references it needs, so
/// sealing, merging and expiring swap under everybody's feet without being seen half-way.
package final class MetricStore: SignalStore, SeriesReading {
    fileprivate struct HeadKey: Hashable {
        var generation: UInt64
        var tenant: Tenant
    }
    fileprivate struct State {
        var heads: [HeadKey: Head] = [:]
        /// By tenant, oldest data first: what was acknowledged first wins when reading.
        var parts: [Tenant: [MetricPart]] = [:]
        /// Metadata of parts and of heads that are gone.
        var metadata: [Tenant: MetadataTable] = [:]
        /// Parts that could not be opened after they were written.
        var faults: [PartCorruption] = []
        /// Parts that could not be opened at the start.
        var missing = MissingParts()
        var retentionClasses = RetentionClassifier()
    }
    private struct Counters: ~Copyable {
        let appended = Atomic<Int>(0)
        let duplicates = Atomic<Int>(0)
        let conflicts = Atomic<Int>(0)
        let outOfOrder = Atomic<Int>(0)
        let exemplars = Atomic<Int>(0)
    }

    /// What a store holds and has done since it was made.
    package struct Statistics: Sendable, Equatable {
        package var headSeries = 0
        package var headBytes = 0
        package var parts = 0
        package var partSamples = 0
        /// Series of all parts: one that is in several counts in each.
        package var partSeries = 0
        /// Bytes of part files but for their section of samples: labels, postings, the tables of
        /// series and times, exemplars, metadata, directories.
        package var partIndexBytes = 0
        /// Bytes of decoded part indexes.
        package var indexBytes = 0
        /// Samples and histograms taken, with those that came out of order.
        package var appended = 0
        package var outOfOrder = 0
        /// Same series, time and value: dropped.
        package var duplicates = 0
        /// Another value for a time that had one: dropped.
        package var conflicts = 0
        package var exemplars = 0
        /// Parts that could not be opened after they were written; their data stays where it was.
        package var faults: [PartCorruption] = []
    }

    package let configuration: MetricStoreConfiguration
    package var signal: Signal { .metrics }
    private let state = Mutex(State())
    private let counters = Counters()
    private let indexUses = Atomic<Int>(0)

    package init(_ configuration: MetricStoreConfiguration) {
        self.configuration = configuration
    }

    // MARK: - Appending

    /// Adds a committed batch to the head of its generation. Takes each of the head's locks at
    /// most once; nothing is allocated per sample of a known series.
    ///
    /// - Parameter sequence: of the log record; this store orders by generation and arrival, and
    ///   takes the number only because all stores are given it.
    /// - Parameter known: what `admit` found out about the same series, so that it is not looked up
    ///   again.
    @discardableResult
    package func append(
        _ batch: MetricBatch, tenant: Tenant, generation: UInt64, sequence: UInt64,
        known: KnownSeries? = nil
    ) -> AppendCounts {
        let head = head(tenant, generation)
        let counts = head.append(
            batch, known?.routing(of: batch) ?? BatchRouting(batch), known: known)
        if !batch.metadata.isEmpty { head.metadata.withLock { $0.add(batch) } }
        count(counts)
        return counts
    }

    /// The head of a tenant and generation, made when there is none.
    func head(_ tenant: Tenant, _ generation: UInt64) -> Head {
        state.withLock { state in
            let key = HeadKey(generation: generation, tenant: tenant)
            if let head = state.heads[key] { return head }
            let head = Head(tenant: tenant, generation: generation)
            state.heads[key] = head
            return head
        }
    }

    func count(_ counts: AppendCounts) {
        counters.appended.wrappingAdd(counts.appended, ordering: .relaxed)
        counters.exemplars.wrappingAdd(counts.exemplars, ordering: .relaxed)
        if counts.duplicates + counts.conflicts + counts.outOfOrder > 0 {
            counters.duplicates.wrappingAdd(counts.duplicates, ordering: .relaxed)
            counters.conflicts.wrappingAdd(counts.conflicts, ordering: .relaxed)
            counters.outOfOrder.wrappingAdd(counts.outOfOrder, ordering: .relaxed)
        }
    }

    package func replay(
        _ payload: UnsafeRawBufferPointer, tenant: String, generation: UInt64, sequence: UInt64
    ) throws {
        append(
            try MetricBatch(decoding: payload), tenant: Tenant(tenant), generation: generation,
            sequence: sequence)
    }

    package var headBytes: Int {
        state.withLock { $0.heads.values.reduce(0) { $0 + $1.byteCount } }
    }

    package var openFaults: [PartCorruption] { state.withLock { $0.faults } }

    package var statistics: Statistics {
        var statistics = state.withLock { state in
            var result = Statistics()
            for head in state.heads.values {
                result.headSeries += head.seriesCount
                result.headBytes += head.byteCount
            }
            for parts in state.parts.values {
                result.parts += parts.count
                result.partSamples += parts.reduce(0) { $0 + $1.sampleCount }
                for part in parts {
                    result.partSeries += part.seriesCount
                    result.partIndexBytes +=
                        part.handle.reader.bytes.count - part.dataSection.storedCount
                }
                result.indexBytes += parts.reduce(0) { $0 + $1.indexBytes }
            }
            result.faults = state.faults
            return result
        }
        statistics.appended = counters.appended.load(ordering: .relaxed)
        statistics.duplicates = counters.duplicates.load(ordering: .relaxed)
        statistics.conflicts = counters.conflicts.load(ordering: .relaxed)
        statistics.outOfOrder = counters.outOfOrder.load(ordering: .relaxed)
        statistics.exemplars = counters.exemplars.load(ordering: .relaxed)
        return statistics
    }

    // MARK: - Snapshots

    /// What a tenant has at one moment, oldest data first.
    struct Snapshot {
        var parts: [MetricPart]
        var heads: [Head]
    }

    func snapshot(_ tenant: Tenant) -> Snapshot {
        state.withLock { state in
            Snapshot(
                parts: state.parts[tenant] ?? [],
                heads: state.heads.values.filter { $0.tenant == tenant }
                    .sorted { $0.generation < $1.generation })
        }
    }

    func heads(generation: UInt64) -> [Head] {
        state.withLock { state in
            state.heads.values.filter { $0.generation == generation }
                .sorted { $0.tenant < $1.tenant }
        }
    }

    /// The index of a part. Where decoding it takes the indexes of all parts over their budget, the
    /// least recently used are forgotten.
    func index(of part: MetricPart) throws(PartCorruption) -> PartIndex {
        let use = indexUses.wrappingAdd(1, ordering: .relaxed).newValue
        part.lastUse.store(use, ordering: .relaxed)
        let isNew = part.indexBytes == 0
        let index = try part.index()
        if isNew { trimIndexes(except: part) }
        return index
    }

    private func trimIndexes(except part: MetricPart) {
        let parts = state.withLock { $0.parts.values.flatMap { $0 } }
        var total = parts.reduce(0) { $0 + $1.indexBytes }
        guard total > configuration.indexCacheBytes else { return }
        let byAge = parts.sorted {
            $0.lastUse.load(ordering: .relaxed) < $1.lastUse.load(ordering: .relaxed)
        }
        for old in byAge where total > configuration.indexCacheBytes && old !== part {
            total -= old.indexBytes
            old.dropIndex()
        }
    }

    /// Metadata of everything a tenant has.
    func metadata(_ tenant: Tenant) -> MetadataTable {
        // Heads first: one that is dropped in between has left its entries in the table.
        let heads = snapshot(tenant).heads
        var table = state.withLock { $0.metadata[tenant] ?? MetadataTable() }
        for head in heads { table.merge(head.metadata.withLock { $0 }) }
        return table
    }

    // MARK: - Parts

    package func useRetentionClasses(_ numbers: [UInt8]) {
        let classes = RetentionClassifier(configuration.retention, numbers)
        state.withLock { $0.retentionClasses = classes }
    }

    var retentionClasses: RetentionClassifier { state.withLock { $0.retentionClasses } }

    package func open(_ part: PartHandle) throws {
        let opened = try MetricPart(part)
        let metadata = try opened.metadata()
        state.withLock { $0.add(opened, metadata) }
    }

    package func missing(_ part: PartDescriptor, _ fault: PartCorruption) {
        state.withLock { $0.missing.add(part, fault) }
    }

    /// Tells a query which parts of its range could not even be opened.
    func noteMissing(_ tenant: Tenant, _ range: MillisRange, _ context: ReadContext) {
        let faults = state.withLock {
            $0.missing.faults(
                tenant: tenant.name, from: nanos(ofMillis: range.first.rawValue),
                to: nanos(ofMillis: range.last.rawValue))
        }
        for fault in faults { context.noteMissing(fault) }
    }

    package func sealed(generation: UInt64, parts: [PartHandle]) {
        switch opened(parts) {
        case .success(let opened):
            state.withLock { state in
                for (key, head) in state.heads where key.generation == generation {
                    let metadata = head.metadata.withLock { $0 }
                    state.metadata[key.tenant, default: MetadataTable()].merge(metadata)
                    state.heads[key] = nil
                }
                for (part, metadata) in opened { state.add(part, metadata) }
            }
        case .failure(let fault):
            // The head goes on answering: better held twice than lost to readers.
            state.withLock { $0.faults.append(fault) }
        }
    }

    /// The part with this id as readers see it.
    func opened(_ id: UInt64) -> MetricPart? {
        state.withLock { state in
            for parts in state.parts.values {
                if let part = parts.first(where: { $0.handle.descriptor.id == id }) { return part }
            }
            return nil
        }
    }

    package func replace(removed: [UInt64], added: [PartHandle]) {
        switch opened(added) {
        case .success(let opened):
            let removed = Set(removed)
            state.withLock { state in
                state.missing.remove(removed)
                for tenant in Array(state.parts.keys) {
                    state.parts[tenant]?.removeAll {
                        removed.contains($0.handle.descriptor.id)
                    }
                }
                for (part, metadata) in opened { state.add(part, metadata) }
            }
        case .failure(let fault):
            state.withLock { $0.faults.append(fault) }
        }
    }

    private func opened(
        _ handles: [PartHandle]
    ) -> Result<[(MetricPart, MetadataTable)], PartCorruption> {
        do throws(PartCorruption) {
            var result: [(MetricPart, MetadataTable)] = []
            for handle in handles {
                // Only its deletions changed: nothing is read again.
                if let known = opened(handle.descriptor.id), known.handle.reader === handle.reader {
                    result.append((try MetricPart(known, handle), MetadataTable()))
                    continue
                }
                let part = try MetricPart(handle)
                result.append((part, try part.metadata()))
            }
            return .success(result)
        } catch { return .failure(error) }
    }
}

extension MetricStore.State {
    fileprivate mutating func add(_ part: MetricPart, _ metadata: MetadataTable) {
        let tenant = Tenant(part.handle.descriptor.tenant)
        self.metadata[tenant, default: MetadataTable()].merge(metadata)
        parts[tenant, default: []].append(part)
        parts[tenant]?.sort { MetricPart.isOlder($0.handle, $1.handle) }
    }
}

extension MetricPart {
    /// Order of acknowledgement.
    static func isOlder(_ a: PartHandle, _ b: PartHandle) -> Bool {
        PartDescriptor.isOlder(a.descriptor, b.descriptor)
    }
}
