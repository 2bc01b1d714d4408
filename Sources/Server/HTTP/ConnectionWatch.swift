// SPDX-License-Identifier: Apache-2.0
// Tells work that its client has gone.

import Synchronization

/// Whether the client of a connection still listens, for work done on its behalf.
package final class ConnectionWatch: Sendable {
    /// The connection that the current task answers.
    @TaskLocal package static var current: ConnectionWatch?

    private struct State {
        var isClosed = false
        var isLate = false
        var nextToken = 0
        var actions: [Int: @Sendable () -> Void] = [:]
    }
    private let state = Mutex(State())

    package init() {}

    /// Has `action` done when the client closes; at once when it has already.
    ///
    /// - Returns: a token for `forget`.
    package func onClose(_ action: @escaping @Sendable () -> Void) -> Int {
        let (token, isClosed) = state.withLock { state in
            state.nextToken += 1
            if !state.isClosed { state.actions[state.nextToken] = action }
            return (state.nextToken, state.isClosed)
        }
        if isClosed { action() }
        return token
    }

    package func forget(_ token: Int) {
        state.withLock { _ = $0.actions.removeValue(forKey: token) }
    }

    /// Whether the body of the current request was ended for it because it took too long.
    var isLate: Bool { state.withLock { $0.isLate } }

    /// The body of the current request took too long.
    func expire() { state.withLock { $0.isLate = true } }

    /// The client sends nothing more: it is gone.
    package func close() {
        let actions = state.withLock { state in
            state.isClosed = true
            defer { state.actions = [:] }
            return Array(state.actions.values)
        }
        for action in actions { action() }
    }
}
