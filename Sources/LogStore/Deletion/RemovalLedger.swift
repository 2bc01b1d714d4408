// SPDX-License-Identifier: Apache-2.0
// Counts of what merging left out.

import Synchronization

/// What merges left out for the sake of deletions: counted when the merge has taken effect.
final class RemovalLedger: Sendable {
    private struct State {
        /// By ids of the merged parts, until their merge takes effect.
        var pending: [Set<UInt64>: [String: LogRemoval]] = [:]
        var done: [String: LogRemoval] = [:]
    }
    private let state = Mutex(State())
    /// Merges whose end may be awaited; more than can run at once.
    private static let maxPending = 1024

    func note(_ removed: [String: LogRemoval], mergeOf ids: [UInt64]) {
        guard !removed.isEmpty else { return }
        state.withLock { state in
            if state.pending.count >= Self.maxPending { state.pending = [:] }
            state.pending[Set(ids)] = removed
        }
    }

    /// Parts were replaced: if by a merge, it has taken effect.
    func settle(_ ids: [UInt64]) {
        state.withLock { state in
            guard let removed = state.pending.removeValue(forKey: Set(ids)) else { return }
            state.done.merge(removed, uniquingKeysWith: +)
        }
    }

    func take() -> [String: LogRemoval] {
        state.withLock { state in
            defer { state.done = [:] }
            return state.done
        }
    }
}
