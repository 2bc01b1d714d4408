// SPDX-License-Identifier: Apache-2.0
// Merging parts.

import Base
import Synchronization

extension Kernel {
    /// Merges whatever is worth merging now, until nothing is.
    package func compactNow() async throws {
        try await compactor.run { [self] in
            while try mergePass() > 0 {}
        }
    }

    /// One round of merges that do not touch each other.
    ///
    /// - Returns: how many were done.
    private func mergePass() throws -> Int {
        guard !mustYield else { return 0 }
        // The manifest first: what is sealed in between is then planned without, which is safe,
        // since it comes after everything else.
        let all = manifest.current.sorted
        let handles = state.withLock { state in
            state.handles.filter { !state.unmergeable.contains($0.key) }
        }
        let maxBytes = try maxMergeBytes()
        let runs = CompactionPlanner.plan(
            all, isMergeable: { handles[$0.id] != nil },
            today: utcDay(ofNanos: clock.wallNanos),
            weight: { store(of: $0.signal)?.mergeWeight($0) ?? Int(clamping: $0.rowCount) },
            limits: { [self] signal in
                let store = store(of: signal)
                return MergeLimits(
                    bytes: min(maxBytes, store?.maxMergedBytes ?? .max),
                    weight: store?.maxMergeWeight ?? .max)
            }
        ).map { $0.compactMap { handles[$0.id] } }
        guard !runs.isEmpty else { return 0 }
        let results = Mutex<[Int: Result<Bool, any Error>]>([:])
        try concurrently(runs.count, width: configuration.compactionParallelism) { [self] index in
            let result = Result {
                if case .done = try merge(runs[index]) { true } else { false }
            }
            results.withLock { $0[index] = result }
        }
        var done = 0
        for (_, result) in results.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
            if try result.get() { done += 1 }
        }
        if done > 0 { Allocator.releaseFreePages() }
        return done
    }

    /// The largest sum of inputs to merge now. Inputs and output are there at the same time, and
    /// that must not take the reserve on which commits go on: with a full disk nothing is merged.
    func maxMergeBytes() throws -> Int {
        min(
            configuration.maxPartBytes,
            try spareBytes() / max(1, configuration.compactionParallelism))
    }

    /// Space on the disk above the reserve.
    func spareBytes() throws -> Int {
        let free: Int
        do throws(FileError) {
            free = try files.freeBytes(directory.parts)
        } catch {
            note("merging", error) { $0.failedMerges += 1 }
            throw error
        }
        return max(0, free - configuration.minFreeBytes)
    }

    var isStopping: Bool { stopping.load(ordering: .relaxed) }

    /// Whether merges that run have to end without result.
    var mustYield: Bool { isStopping || exclusive.load(ordering: .relaxed) > 0 }

    /// Runs `body` while nothing is merged or dropped. Merges under way end within some 10 ms,
    /// unless they are writing their output already, and are done again later.
    func exclusively<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        exclusive.wrappingAdd(1, ordering: .relaxed)
        defer { exclusive.wrappingSubtract(1, ordering: .relaxed) }
        return try await compactor.run(body)
    }

    /// What came of a merge.
    enum MergeOutcome {
        case done
        /// The kernel is stopping or somebody else has to work on the parts.
        case interrupted
        /// The inputs cannot be merged.
        case failed(any Error)
    }

    /// Replaces parts by one per retention class, which lack what was deleted. The inputs leave the manifest in the
    /// commit that adds the output. Runs on the compactor.
    ///
    /// - Parameter resolutionMillis: of the buckets to make; nil merges what is there.
    func merge(
        _ inputs: [PartHandle], resolutionMillis: Int64? = nil
    ) throws -> MergeOutcome {
        guard let newest = inputs.last?.descriptor, let store = store(of: newest.signal) else {
            return .interrupted
        }
        let ids = inputs.map(\.descriptor.id)
        let drafts: [PartDraft]
        do {
            if let resolutionMillis {
                drafts = try store.downsample(inputs, resolutionMillis: resolutionMillis) {
                    [self] in mustYield
                }
            } else {
                drafts = try store.merge(inputs) { [self] in mustYield }
            }
        } catch is CancellationError {
            return .interrupted
        } catch {
            // Merging the same parts would fail for ever. The damaged one, or all of them where the
            // error names none, stay as they are until reopened.
            note("merging \(newest.signal.name) parts \(ids)", error) { $0.failedMerges += 1 }
            let named = ids.filter { PartName.blob($0) == (error as? PartCorruption)?.name }
            state.withLock { $0.unmergeable.formUnion(named.isEmpty ? ids : named) }
            return .failed(error)
        }
        do {
            let added = try swap(inputs, for: drafts)
            store.replace(removed: ids, added: added)
            state.withLock { state in
                for id in ids { state.handles[id] = nil }
                for handle in added { state.handles[handle.descriptor.id] = handle }
                state.counters.merges += 1
                if resolutionMillis != nil { state.counters.partsDownsampled += ids.count }
                state.counters.partsMerged += ids.count
                state.counters.bytesMerged += drafts.reduce(0) { $0 + $1.bytes.count }
                state.counters.countDropped(newest.signal, drafts)
            }
        } catch {
            note("merging \(newest.signal.name) parts \(ids)", error) { $0.failedMerges += 1 }
            throw error
        }
        discard(ids.map(PartName.blob))
        return .done
    }

    private func swap(_ inputs: [PartHandle], for drafts: [PartDraft]) throws -> [PartHandle] {
        let ids = inputs.map(\.descriptor.id)
        guard !drafts.isEmpty, let signal = inputs.first?.descriptor.signal else {
            try change(PartEdit(removed: ids))
            return []
        }
        let level = inputs.reduce(UInt8(0)) { max($0, $1.descriptor.level) }
        let first = manifest.reserveIDs(drafts.count)
        let parts = drafts.enumerated().map { index, draft in
            Kernel.descriptor(
                of: draft, id: first + UInt64(index), signal: signal,
                level: level == .max ? level : level + 1,
                lastSequence: inputs.reduce(0) { max($0, $1.descriptor.lastSequence) },
                wallNanos: clock.wallNanos)
        }
        return try install(
            parts, zip(parts, drafts).map { (PartName.blob($0.id), $1.bytes) },
            PartEdit(added: parts, removed: ids))
    }
}
