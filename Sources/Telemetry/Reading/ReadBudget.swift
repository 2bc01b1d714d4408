// SPDX-License-Identifier: Apache-2.0
// Memory that all queries share.

import Synchronization

/// Bytes that all running queries together may hold.
///
/// When they need more, the one that holds most is ended, so that small queries survive a large
/// one and the process survives them all.
package final class ReadBudget: Sendable {
    package let limitBytes: Int
    private let held = Atomic<Int>(0)
    private let running = Mutex<[ReadContext]>([])

    package init(limitBytes: Int) { self.limitBytes = limitBytes }

    package var heldBytes: Int { held.load(ordering: .relaxed) }

    /// Lets a query take part until `leave`.
    package func enter(_ context: ReadContext) { running.withLock { $0.append(context) } }

    /// Ends the part of a query and gives back what it still holds.
    package func leave(_ context: ReadContext) {
        running.withLock { $0.removeAll { $0 === context } }
        held.wrappingSubtract(context.heldBytes, ordering: .relaxed)
    }

    /// Takes bytes for what is left when a query has ended: an answer that is being sent.
    package func share(_ byteCount: Int) -> Share { Share(of: self, byteCount) }

    /// Bytes that are given back when the share goes.
    package final class Share: Sendable {
        private let budget: ReadBudget
        private let byteCount: Int

        fileprivate init(of budget: ReadBudget, _ byteCount: Int) {
            self.budget = budget
            self.byteCount = byteCount
            budget.held.wrappingAdd(byteCount, ordering: .relaxed)
        }

        deinit { budget.release(byteCount) }
    }

    func reserve(_ byteCount: Int) {
        guard held.wrappingAdd(byteCount, ordering: .relaxed).newValue > limitBytes else { return }
        running.withLock { $0.max { $0.heldBytes < $1.heldBytes } }?.evict()
    }

    func release(_ byteCount: Int) { held.wrappingSubtract(byteCount, ordering: .relaxed) }
}
