// SPDX-License-Identifier: Apache-2.0
// Front door of LogStore.

import Base
import Storage
import Synchronization
import Telemetry

/// Sizes and levels of a log store.
package struct LogStoreConfiguration: Sendable {
    /// Locks that a tenant's streams are shared among; rounded up to a power of two.
    package var shardCount = 16
    /// Lines and metadata of a block, in bytes before compression.
    package var blockBytes = 1 << 20
    /// Most rows of a block.
    package var blockRows = 16_384
    /// Lines of neighbouring blocks are compressed, and searched for, together up to this size; bytes
    /// before compression.
    package var lineFrameBytes = LogFormat.lineFrameTarget
    /// Bytes of lines and metadata for each byte that a block spends on the ranges of its numbers.
    package var bytesPerRangeByte = 16 << 10
    /// zstd level at sealing and at small merges, whose output is soon merged again. On real logs
    /// level 3 is slower than 1 and no smaller.
    package var sealLevel: Int32 = 1
    /// zstd level of merges whose inputs have at least `denseMergeBytes`: about 8 % smaller than
    /// level 1 for four times the work.
    package var mergeLevel: Int32 = 6
    package var denseMergeBytes = 16 << 20
    /// Largest sum of a merge's inputs, in bytes: while it is made, the output is in memory, twice at
    /// its end.
    package var mergedBytes = 128 << 20
    /// Bytes of lines that blocks have, on average of those that share a frame, to be merged as they
    /// are. Smaller ones are joined.
    package var carriedBlockBytes = 256 << 10
    /// Memory for decompressed frames, in bytes.
    package var frameCacheBytes = 64 << 20
    /// Selectors of the kernel's retention rules, in their order.
    package var retention: [[[LabelMatcher]]] = []
    /// The retention class of a stream that no rule covers; asked once per stream of a head that is
    /// sealed, and of a merge.
    package var retentionClass: @Sendable (Tenant, Labels) -> UInt8 = { _, _ in 0 }

    /// What queries of deletions mean; without one a part that carries a deletion is not readable.
    package var deletionLanguage: LogDeletionLanguage = { _ in
        throw LogDeletionLanguageMissing()
    }

    package init() {}
}

/// A store that was opened without a language for deletions has parts with some.
struct LogDeletionLanguageMissing: Error, CustomStringConvertible {
    var description: String { "no language for queries of deletions" }
}

/// Log lines: heads in memory, parts on disk, one reading protocol over both.
///
/// - A *stream* is a label set. In a head its rows lie in append-only chunks in order of arrival
///   (`HeadStream`); in a part they lie in blocks of one stream and one stretch of time, sorted
///   (`LogPart`, `LogFormat`).
/// - Any order of times is accepted. Rows of equal time keep the order of their log records.
/// - A row with the stream, time, line and metadata of another is dropped: by the head when it
///   arrives, by reading and merging when the two lie in different sources.
/// - Every read takes a snapshot (`ReadPlan`) and runs one merge over it (`RowMerge`); sealing and
///   merging are the same merge into a `LogPartBuilder`.
///
/// Never does I/O itself: parts come from the kernel and go to it.
package final class LogStore: SignalStore, LogReading {
    struct State {
        /// By generation; two at most.
        var heads: [UInt64: Head] = [:]
        /// By tenant, in order of arrival.
        var parts: [String: [LogPart]] = [:]
        /// Of the parts, by id.
        var mergeWeights: [UInt64: Int] = [:]
        var faults: [PartCorruption] = []
        /// Parts that could not be opened at the start.
        var missing = MissingParts()
    }

    let configuration: LogStoreConfiguration
    let cache: FrameCache
    private let shardCount: Int
    private let state = Mutex(State())
    let removals = RemovalLedger()
    private let classifier = Mutex(RetentionClassifier())

    package init(_ configuration: LogStoreConfiguration = LogStoreConfiguration()) {
        self.configuration = configuration
        cache = FrameCache(limitBytes: configuration.frameCacheBytes)
        var count = 1
        while count < min(configuration.shardCount, 1 << 15) { count *= 2 }
        shardCount = count
    }

    package var signal: Signal { .logs }

    // MARK: - Appending

    /// Adds a batch to a head; its rows can be read when this returns.
    ///
    /// - Parameters:
    ///   - batch: canonical labels and metadata, slices inside the arena, as decoders make it.
    ///   - sequence: number of the log record: orders rows of equal time.
    /// - Complexity: O(rows); takes each of the tenant's locks at most once.
    @discardableResult
    package func append(
        _ batch: LogBatch, tenant: Tenant, generation: UInt64, sequence: UInt64
    ) -> LogAppendCounts {
        var counts = LogAppendCounts()
        if batch.rowCount == 0 { return counts }
        let head = head(generation)
        let grown = head.tenant(tenant).append(batch, sequence: sequence, &counts)
        head.byteCount.wrappingAdd(grown, ordering: .relaxed)
        // Shards take rows in their own order.
        counts.duplicateRows.sort()
        return counts
    }

    private func head(_ generation: UInt64) -> Head {
        state.withLock { state in
            if let found = state.heads[generation] { return found }
            let made = Head(generation: generation, shardCount: shardCount)
            state.heads[generation] = made
            return made
        }
    }

    package func replay(
        _ payload: UnsafeRawBufferPointer, tenant: String, generation: UInt64, sequence: UInt64
    ) throws {
        append(
            try LogBatch(decoding: payload), tenant: Tenant(tenant), generation: generation,
            sequence: sequence)
    }

    package var headBytes: Int {
        state.withLock { state in
            state.heads.values.reduce(0) { $0 + $1.byteCount.load(ordering: .relaxed) }
        }
    }

    // MARK: - Parts

    package func open(_ part: PartHandle) throws {
        let opened = try LogPart(part, configuration.deletionLanguage)
        state.withLock { LogStore.add([opened], to: &$0) }
    }

    package func useRetentionClasses(_ numbers: [UInt8]) {
        classifier.withLock { $0 = RetentionClassifier(configuration.retention, numbers) }
    }

    /// Tells the retention class of a tenant's streams by the rules of today.
    func retentionClasses(of tenant: Tenant) -> (Labels) -> UInt8 {
        let (classifier, otherwise) = (classifier.withLock { $0 }, configuration.retentionClass)
        return { classifier.number(of: $0) ?? otherwise(tenant, $0) }
    }

    /// See `maxMergeWeight`.
    package func mergeWeight(_ part: PartDescriptor) -> Int {
        state.withLock { $0.mergeWeights[part.id] ?? 0 }
    }

    package func missing(_ part: PartDescriptor, _ fault: PartCorruption) {
        state.withLock { $0.missing.add(part, fault) }
    }

    /// Tells a query which parts of its range could not even be opened.
    func noteMissing(_ tenant: Tenant, _ range: NanosRange, _ context: ReadContext) {
        let faults = state.withLock {
            $0.missing.faults(
                tenant: tenant.name, from: range.first.rawValue, to: range.last.rawValue)
        }
        for fault in faults { context.noteMissing(fault) }
    }

    private static func add(_ parts: [LogPart], to state: inout State) {
        for part in parts {
            state.parts[part.descriptor.tenant, default: []].append(part)
            state.mergeWeights[part.descriptor.id] = part.mergeWeight
        }
        for tenant in Set(parts.map(\.descriptor.tenant)) {
            state.parts[tenant]?.sort { PartDescriptor.isOlder($0.descriptor, $1.descriptor) }
        }
    }

    /// Opens what can be opened.
    ///
    /// - Parameter known: open parts: one whose deletions alone have changed is not read again.
    private func open(
        _ handles: [PartHandle], known: [LogPart] = []
    ) -> (parts: [LogPart], faults: [PartCorruption]) {
        var parts: [LogPart] = []
        var faults: [PartCorruption] = []
        let language = configuration.deletionLanguage
        for handle in handles {
            let same = known.first { $0.descriptor.id == handle.descriptor.id }
            do throws(PartCorruption) {
                if let same {
                    parts.append(try LogPart(same, handle, language))
                } else {
                    parts.append(try LogPart(handle, language))
                }
            } catch { faults.append(error) }
        }
        return (parts, faults)
    }

    package func sealed(generation: UInt64, parts: [PartHandle]) {
        let opened = open(parts)
        state.withLock { state in
            LogStore.add(opened.parts, to: &state)
            state.faults += opened.faults
            // Rows of a part that does not open stay readable in the head; those of the others are
            // then there twice, which reading removes.
            if opened.faults.isEmpty { state.heads[generation] = nil }
        }
    }

    package func replace(removed: [UInt64], added: [PartHandle]) {
        let known = state.withLock { state in
            Set(added.map(\.descriptor.tenant)).flatMap { state.parts[$0] ?? [] }
        }
        let opened = open(added, known: known)
        removals.settle(removed)
        let removed = Set(removed)
        state.withLock { state in
            state.faults += opened.faults
            state.missing.remove(removed)
            for id in removed { state.mergeWeights[id] = nil }
            for tenant in state.parts.keys.sorted() {
                state.parts[tenant]?.removeAll { removed.contains($0.descriptor.id) }
                if state.parts[tenant]?.isEmpty ?? false { state.parts[tenant] = nil }
            }
            LogStore.add(opened.parts, to: &state)
        }
    }

    /// Parts that the kernel handed over after sealing or merging and that did not open.
    package var openFaults: [PartCorruption] { state.withLock { $0.faults } }

    // MARK: - Snapshots

    /// A tenant's parts in order of arrival and its heads by generation, as they are together now.
    func snapshot(_ tenant: Tenant) -> (parts: [LogPart], heads: [TenantHead]) {
        let (parts, heads) = state.withLock { state in
            (state.parts[tenant.name] ?? [], Array(state.heads.values))
        }
        let tenantHeads = heads.sorted { $0.generation < $1.generation }.compactMap {
            $0.existing(tenant)
        }
        return (parts, tenantHeads)
    }

    /// A tenant's parts in order of arrival.
    func parts(of tenant: Tenant) -> [LogPart] { state.withLock { $0.parts[tenant.name] ?? [] } }

    /// The heads of all tenants in one generation.
    func tenantHeads(_ generation: UInt64) -> [TenantHead] {
        state.withLock { $0.heads[generation] }?.allTenants() ?? []
    }
}
