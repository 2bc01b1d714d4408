// SPDX-License-Identifier: Apache-2.0
// Who may run now.

import Base
import Synchronization
import Telemetry

/// Lets so many queries run at once. The others wait in order of arrival, each until its own
/// deadline or until its client goes away; when as many wait as may, a query is refused.
package final class QueryGate: Sendable {
    /// Why a query did not get in.
    package enum Refusal: Error, Sendable, Equatable {
        case full(waiting: Int)
        case timedOut
        case cancelled
    }

    private struct Waiter {
        let id: UInt64
        let continuation: CheckedContinuation<Void, any Error>
    }
    private struct State {
        var running = 0
        var waiting: [Waiter] = []
        var nextID: UInt64 = 0
        /// On their way to wait; whoever is taken out meanwhile is cancelled.
        var arriving: Set<UInt64> = []
    }
    private let state = Mutex(State())
    private let runningLimit: Int
    private let waitingLimit: Int

    package init(running: Int, waiting: Int) {
        runningLimit = max(1, running)
        waitingLimit = waiting
    }

    /// Queries that wait now.
    package var waiting: Int { state.withLock { $0.waiting.count } }

    /// Waits for a place; `leave` gives it back.
    ///
    /// - Parameter onWait: handed the means to end the waiting from outside.
    package func enter(
        seconds: Double?, onWait: (@escaping @Sendable () -> Void) -> Void = { _ in }
    ) async throws(Refusal) {
        let id = state.withLock { state -> UInt64? in
            if state.running < runningLimit {
                state.running += 1
                return nil
            }
            state.nextID += 1
            state.arriving.insert(state.nextID)
            return state.nextID
        }
        guard let id else { return }
        onWait { [self] in end(id, .cancelled) }
        let timer = seconds.map { seconds in
            Task { [self] in
                do {
                    try await Task.sleep(for: .seconds(max(0, seconds)))
                    end(id, .timedOut)
                } catch {
                    // Let in or gone before the deadline.
                    return
                }
            }
        }
        defer { timer?.cancel() }
        do {
            try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { wait(id, $0) }
            } onCancel: {
                end(id, .cancelled)
            }
        } catch {
            throw error as? Refusal ?? .cancelled
        }
    }

    private func wait(_ id: UInt64, _ continuation: CheckedContinuation<Void, any Error>) {
        let answer = state.withLock { state -> Result<Void, any Error>? in
            guard state.arriving.remove(id) != nil else { return .failure(Refusal.cancelled) }
            if state.running < runningLimit {
                state.running += 1
                return .success(())
            }
            guard state.waiting.count < waitingLimit else {
                return .failure(Refusal.full(waiting: state.waiting.count))
            }
            state.waiting.append(Waiter(id: id, continuation: continuation))
            return nil
        }
        if let answer { continuation.resume(with: answer) }
    }

    private func end(_ id: UInt64, _ reason: Refusal) {
        let waiter = state.withLock { state -> Waiter? in
            guard let index = state.waiting.firstIndex(where: { $0.id == id }) else {
                state.arriving.remove(id)
                return nil
            }
            return state.waiting.remove(at: index)
        }
        waiter?.continuation.resume(throwing: reason)
    }

    /// Gives a place back, to whoever waits longest.
    package func leave() {
        let next = state.withLock { state -> Waiter? in
            if state.waiting.isEmpty {
                state.running -= 1
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.continuation.resume()
    }
}
