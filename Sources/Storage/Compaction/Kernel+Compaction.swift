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
        guard !isStopping else { return 0 }
        // The manifest first: what is sealed in between is then planned without, which is safe,
        // since it comes after everything else.
        let all = manifest.current.sorted
        let handles = state.withLock { state in
            state.handles.filter { !state.unmergeable.contains($0.key) }
        }
        let runs = CompactionPlanner.plan(
            all, isMergeable: { handles[$0.id] != nil },
            today: utcDay(ofNanos: clock.wallNanos), maxBytes: try maxMergeBytes()
        ).map { $0.compactMap { handles[$0.id] } }
        guard !runs.isEmpty else { return 0 }
        let results = Mutex<[Int: Result<Bool, any Error>]>([:])
        try concurrently(runs.count, width: configuration.compactionParallelism) { [self] index in
            let result = Result { try merge(runs[index]) }
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
    private func maxMergeBytes() throws -> Int {
        let free: Int
        do throws(FileError) {
            free = try files.freeBytes(directory.parts)
        } catch {
            note("merging", error) { $0.failedMerges += 1 }
            throw error
        }
        let spare = max(0, free - configuration.minFreeBytes)
        return min(configuration.maxPartBytes, spare / max(1, configuration.compactionParallelism))
    }

    var isStopping: Bool { stopping.load(ordering: .relaxed) }

    /// Replaces parts by one. The inputs leave the manifest in the commit that adds the output.
    ///
    /// - Returns: false when the inputs could not be merged or the kernel is stopping.
    private func merge(_ inputs: [PartHandle]) throws -> Bool {
        guard let newest = inputs.last?.descriptor, let store = store(of: newest.signal) else {
            return false
        }
        let ids = inputs.map(\.descriptor.id)
        let draft: PartDraft?
        do {
            draft = try store.merge(inputs) { [self] in isStopping }
        } catch is CancellationError {
            return false
        } catch {
            // Merging the same parts would fail for ever. The damaged one, or all of them where the
            // error names none, stay as they are until reopened.
            note("merging \(newest.signal.name) parts \(ids)", error) { $0.failedMerges += 1 }
            let named = ids.filter { PartName.blob($0) == (error as? PartCorruption)?.name }
            state.withLock { $0.unmergeable.formUnion(named.isEmpty ? ids : named) }
            return false
        }
        do {
            let added = try swap(inputs, for: draft)
            store.replace(removed: ids, added: added)
            state.withLock { state in
                for id in ids { state.handles[id] = nil }
                for handle in added { state.handles[handle.descriptor.id] = handle }
                state.counters.merges += 1
                state.counters.partsMerged += ids.count
                state.counters.bytesMerged += draft?.bytes.count ?? 0
                state.counters.countDropped(newest.signal, draft.map { [$0] } ?? [])
            }
        } catch {
            note("merging \(newest.signal.name) parts \(ids)", error) { $0.failedMerges += 1 }
            throw error
        }
        discard(ids.map(PartName.blob))
        return true
    }

    private func swap(_ inputs: [PartHandle], for draft: PartDraft?) throws -> [PartHandle] {
        let ids = inputs.map(\.descriptor.id)
        guard let draft, let signal = inputs.first?.descriptor.signal else {
            try change(PartEdit(removed: ids))
            return []
        }
        let level = inputs.reduce(UInt8(0)) { max($0, $1.descriptor.level) }
        let part = Kernel.descriptor(
            of: draft, id: manifest.reserveIDs(1), signal: signal,
            level: level == .max ? level : level + 1,
            lastSequence: inputs.reduce(0) { max($0, $1.descriptor.lastSequence) },
            wallNanos: clock.wallNanos)
        return try install(
            [part], [(PartName.blob(part.id), draft.bytes)],
            PartEdit(added: [part], removed: ids))
    }
}
