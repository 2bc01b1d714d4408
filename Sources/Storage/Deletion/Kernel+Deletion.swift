// SPDX-License-Identifier: Apache-2.0
// Deleting a part of what parts hold.

import Base
import Synchronization

extension Kernel {
    /// Marks content of one tenant and signal as deleted. When this returns the deletion is durable
    /// and readers no longer see what it covers.
    ///
    /// **What it covers.** Everything acknowledged before the call is sealed into parts first, and
    /// the deletion is an attribute of those parts (`PartDescriptor.deletions`). What is acknowledged
    /// after the deletion is in other parts, so the same rows may be written again. Because the
    /// marks are made in one manifest edit, a deletion takes effect whole or not at all, and a
    /// restart has nothing to put in order.
    ///
    /// - Parameters:
    ///   - range: times of the data, inclusive, in nanoseconds: parts outside are not asked.
    ///   - resolve: given the tenant's parts of that signal in the range, oldest first; answers with
    ///     the new value of `deletions` of those that change, by part id. Runs on a background
    ///     thread while nothing is merged or dropped.
    /// - Throws: what keeps the head from being sealed (a full disk), `KernelError.store` when a part
    ///   in the range cannot be read, so that nobody knows what to delete in it, `MetaStoreError`, and
    ///   what `resolve` throws. Nothing is deleted then, except that after
    ///   `MetaStoreError.unavailable` and a crash the deletion may turn out to have happened.
    package func delete(
        _ signal: Signal, tenant: String, range: ClosedRange<Int64>,
        _ resolve: @escaping @Sendable ([PartHandle]) throws -> [UInt64: [UInt8]]
    ) async throws {
        try await sealAll()
        try await exclusively { [self] in
            let chosen = try deletable(signal, tenant, range)
            let deletions = try resolve(chosen).filter { id, bytes in
                chosen.contains { $0.descriptor.id == id && $0.descriptor.deletions != bytes }
            }
            let changed = chosen.compactMap { handle in
                deletions[handle.descriptor.id].map { handle.deleting($0) }
            }
            guard !changed.isEmpty else { return }
            try change(PartEdit(added: changed.map(\.descriptor)))
            show(changed, of: signal)
            state.withLock { $0.counters.deletions += 1 }
        }
    }

    /// The parts that a deletion has to look at, in order of arrival.
    private func deletable(
        _ signal: Signal, _ tenant: String, _ range: ClosedRange<Int64>
    ) throws -> [PartHandle] {
        func concerns(_ part: PartDescriptor) -> Bool {
            part.signal == signal && part.tenant == tenant
                && part.minNanos <= range.upperBound && range.lowerBound <= part.maxNanos
        }
        let set = manifest.current
        // A part that is sealed at this moment is not among them: it came later.
        let (shown, unreadable) = state.withLock { (Array($0.handles.values), $0.unreadable) }
        if let lost = set.sorted.first(where: { unreadable.contains($0.id) && concerns($0) }) {
            throw KernelError.store(
                signal: signal,
                problem: "part \(PartName.blob(lost.id)) cannot be read, so nothing can be deleted "
                    + "in its time range: restore it from a backup, or delete outside it")
        }
        return shown.filter { concerns($0.descriptor) }
            .sorted { PartDescriptor.isOlder($0.descriptor, $1.descriptor) }
    }

    private func show(_ changed: [PartHandle], of signal: Signal) {
        store(of: signal)?.replace(removed: changed.map(\.descriptor.id), added: changed)
        state.withLock { state in
            for handle in changed { state.handles[handle.descriptor.id] = handle }
        }
    }

    /// Rewrites the tenant's parts that carry deletions without what is deleted. Returns when none
    /// of those that carried some at the call does so any more.
    ///
    /// - Parameter signal: whose parts; nil = of all.
    /// - Throws: what kept a part from being rewritten; its deletions go on being honoured.
    package func cleanDeletions(tenant: String, of signal: Signal? = nil) async throws {
        let ids = state.withLock { state in
            state.handles.values.filter {
                $0.descriptor.tenant == tenant && !$0.descriptor.deletions.isEmpty
                    && (signal == nil || signal == $0.descriptor.signal)
            }.map(\.descriptor.id)
        }
        // One job per part, so that deletions and retention get their turn in between.
        for id in ids.sorted() {
            var isDone = false
            while !isDone { isDone = try await compactor.run { [self] in try clean(id) } }
        }
    }

    /// - Returns: false when it was interrupted and has to be tried again.
    private func clean(_ id: UInt64) throws -> Bool {
        guard let handle = state.withLock({ $0.handles[id] }),
            !handle.descriptor.deletions.isEmpty
        else { return true }
        guard !isStopping else { throw CommitError.stopped }
        let (size, spare) = (handle.descriptor.byteCount, try spareBytes())
        guard size <= UInt64(spare) else {
            throw KernelError.store(
                signal: handle.descriptor.signal,
                problem: "rewriting part \(PartName.blob(id)) needs \(size) bytes and \(spare) are "
                    + "free above the reserve: free space on the disk")
        }
        switch try merge([handle]) {
        case .done: return true
        case .interrupted:
            if isStopping { throw CommitError.stopped }
            return false
        case .failed(let error): throw error
        }
    }
}
