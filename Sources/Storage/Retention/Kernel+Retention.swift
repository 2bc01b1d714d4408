// SPDX-License-Identifier: Apache-2.0
// Dropping what has outlived its time.

import Base
import Synchronization

extension Kernel {
    /// Drops parts beyond retention: from the manifest first, then from the readers, then the
    /// blobs.
    package func enforceRetention() async throws {
        try await compactor.run { [self] in
            do {
                try dropExpired()
            } catch {
                note("retention", error) { _ in }
                throw error
            }
        }
    }

    private func dropExpired() throws {
        // Parts that could not be opened expire like all others. One that is in the manifest but
        // not shown yet is just being sealed: it has to wait, or its store would show it for ever.
        let (visible, unreadable) = state.withLock { (Set($0.handles.keys), $0.unreadable) }
        // Its index is sealed with it, so data and index are looked at together all the same.
        let expired = RetentionPlanner.plan(
            manifest.current.sorted.filter {
                visible.contains($0.id) || unreadable.contains($0.id)
            },
            wallNanos: clock.wallNanos,
            retentionSeconds: { [configuration, retention] in
                retention.secondsByClass[$0] ?? configuration.retentionSeconds
            }, maxBytes: configuration.retentionBytes)
        guard !expired.isEmpty else { return }
        try change(PartEdit(removed: expired.map(\.id)))
        for store in stores {
            let ids = expired.filter { $0.signal == store.signal }.map(\.id)
            if !ids.isEmpty { store.replace(removed: ids, added: []) }
        }
        state.withLock { state in
            for part in expired { state.handles[part.id] = nil }
            state.counters.partsExpired += expired.count
        }
        discard(expired.map { PartName.blob($0.id) })
    }
}
