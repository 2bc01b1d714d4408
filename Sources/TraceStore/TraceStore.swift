// SPDX-License-Identifier: Apache-2.0
// Front door of TraceStore.

import Base
import Storage
import Synchronization
import Telemetry

/// Sizes of a trace store.
package struct TraceStoreConfiguration: Sendable {
    /// Rows of a block in a part: what one look-up decodes at least.
    package var blockRows = 2048
    /// Rows that a block has to go from part to part as it is when parts are merged. Smaller ones
    /// are joined.
    package var carriedBlockRows = 1024
    /// Most operations (service and span name) of such a block. One that has more is taken apart, so
    /// that the spans of each operation come to lie together as parts grow.
    package var carriedBlockOperations = 8
    /// Memory for the directories of parts, in bytes.
    package var directoryCacheBytes = 64 << 20

    package init() {}
}

/// The store of spans. A row is a span, not a trace: what is searched together (one service, one
/// operation, one stretch of time) lies together, and an exact index leads from a trace id to its
/// rows.
///
/// - `append` puts spans into the *head* of their generation, sharded by trace id.
/// - `seal` turns a head into parts: one per UTC day of the spans' start, rows sorted by service,
///   name and start, in blocks of columns (`TraceFormat`).
/// - `trace`, `search`, `tagNames` and `tagValues` read heads and parts together.
/// - `merge` joins parts.
///
/// A span is the same as another when trace id, span id, kind and start are; the first one
/// acknowledged stays. Duplicates are left out by `append` (within the heads), by every reading
/// and by every merge.
///
/// Reading takes one snapshot (heads and parts) and holds no lock while it works.
package final class TraceStore: SignalStore {
    struct Snapshot: Sendable {
        /// By generation, then tenant.
        var heads: [UInt64: [String: TraceHead]] = [:]
        var parts: [StoredPart] = []
        /// Parts that could not be opened at the start.
        var missing = MissingParts()
        /// Why parts handed over later did not open.
        var faults: [PartCorruption] = []
    }
    let configuration: TraceStoreConfiguration
    private let state = Mutex(Snapshot())
    private let directories: DirectoryCache
    private let mergedDuplicates = Atomic<Int>(0)

    package init(_ configuration: TraceStoreConfiguration = TraceStoreConfiguration()) {
        self.configuration = configuration
        directories = DirectoryCache(limitBytes: configuration.directoryCacheBytes)
    }

    package var signal: Signal { .traces }

    /// Duplicate spans that merging has dropped since start.
    package var duplicatesDroppedByMerging: Int { mergedDuplicates.load(ordering: .relaxed) }

    func snapshot() -> Snapshot { state.withLock { $0 } }

    func countMergedDuplicates(_ n: Int) { mergedDuplicates.wrappingAdd(n, ordering: .relaxed) }

    // MARK: - Writing

    /// Adds spans to the head of a generation. Safe from several threads.
    ///
    /// - Parameter sequence: the log record that holds them. Identity is in the spans themselves, so
    ///   a record applied twice leaves one copy whatever its number.
    /// - Returns: how many were added and which rows were duplicates of spans in the heads.
    @discardableResult
    package func append(
        _ batch: SpanBatch, tenant: Tenant, generation: UInt64, sequence: UInt64
    ) -> SpanAppendCounts {
        let (head, older) = state.withLock { state -> (TraceHead, [TraceHead]) in
            let older = state.heads.filter { $0.key != generation }
                .compactMap { $0.value[tenant.name] }
            if let head = state.heads[generation]?[tenant.name] { return (head, older) }
            let head = TraceHead()
            state.heads[generation, default: [:]][tenant.name] = head
            return (head, older)
        }
        let duplicates = head.append(batch, older: older)
        return SpanAppendCounts(
            accepted: batch.rowCount - duplicates.count, duplicateRows: duplicates)
    }

    package func replay(
        _ payload: UnsafeRawBufferPointer, tenant: String, generation: UInt64, sequence: UInt64
    ) throws {
        append(
            try SpanBatch(decoding: payload), tenant: Tenant(tenant), generation: generation,
            sequence: sequence)
    }

    package var headBytes: Int {
        snapshot().heads.values.reduce(0) { sum, heads in
            heads.values.reduce(sum) { $0 + $1.byteCount }
        }
    }

    // MARK: - Parts

    /// Memory of the directories of parts that are kept, roughly.
    package var directoryBytes: Int { directories.byteCount }

    package func open(_ part: PartHandle) throws {
        let opened = try StoredPart(part, directories)
        state.withLock { $0.parts.append(opened) }
    }

    package func missing(_ part: PartDescriptor, _ fault: PartCorruption) {
        state.withLock { $0.missing.add(part, fault) }
    }

    package func sealed(generation: UInt64, parts: [PartHandle]) {
        // A part that was written a moment ago and does not open is a fault of the disk; the head
        // then stays readable as long as the process lives.
        let (opened, faults) = opened(parts)
        state.withLock { state in
            state.parts += opened
            state.faults += faults
            if faults.isEmpty { state.heads[generation] = nil }
        }
    }

    package func replace(removed: [UInt64], added: [PartHandle]) {
        // When an output does not open, its inputs stay: their files live as long as we hold them.
        let (opened, faults) = opened(added)
        let gone = Set(removed)
        state.withLock { state in
            state.faults += faults
            guard faults.isEmpty else { return }
            state.missing.remove(gone)
            state.parts.removeAll { gone.contains($0.id) }
            state.parts += opened
            directories.remove(gone)
        }
    }

    package var openFaults: [PartCorruption] { state.withLock { $0.faults } }

    private func opened(
        _ parts: [PartHandle]
    ) -> (parts: [StoredPart], faults: [PartCorruption]) {
        var opened: [StoredPart] = []
        var faults: [PartCorruption] = []
        for part in parts {
            do throws(PartCorruption) { opened.append(try StoredPart(part, directories)) } catch {
                faults.append(error)
            }
        }
        return (opened, faults)
    }
}

/// What `TraceStore.append` did.
package struct SpanAppendCounts: Sendable, Equatable {
    package var accepted: Int
    /// Rows of the batch that were left out, ascending: they must not be counted again elsewhere.
    package var duplicateRows: [Int]
    package var duplicates: Int { duplicateRows.count }

    package init(accepted: Int, duplicateRows: [Int]) {
        self.accepted = accepted
        self.duplicateRows = duplicateRows
    }
}
