// SPDX-License-Identifier: Apache-2.0
// A clock that stands until it is moved.

import Base
import Synchronization

/// Time under the test's control. Sleepers wake when the monotonic time reaches their deadline.
package final class ManualClock: Clock {
    private struct State {
        var wallNanos: Int64
        var monotonicNanos: Int64 = 0
        var sleepers:
            [UInt64: (deadline: Int64, continuation: CheckedContinuation<Void, any Error>)] =
                [:]
        var cancelled: Set<UInt64> = []
        var nextSleeper: UInt64 = 0
    }
    private let state: Mutex<State>

    package init(wallNanos: Int64 = 1_800_000_000_000_000_000) {
        state = Mutex(State(wallNanos: wallNanos))
    }

    package var wallNanos: Int64 { state.withLock { $0.wallNanos } }
    package var monotonicNanos: Int64 { state.withLock { $0.monotonicNanos } }
    /// Tasks that sleep now.
    package var sleeperCount: Int { state.withLock { $0.sleepers.count } }

    /// Moves both clocks ahead.
    package func advance(seconds: Double) {
        let nanos = Int64(seconds * 1e9)
        let due = state.withLock { state in
            state.wallNanos += nanos
            state.monotonicNanos += nanos
            let due = state.sleepers.filter { $0.value.deadline <= state.monotonicNanos }
                .sorted { ($0.value.deadline, $0.key) < ($1.value.deadline, $1.key) }
            for (id, _) in due { state.sleepers[id] = nil }
            return due.map(\.value.continuation)
        }
        for continuation in due { continuation.resume() }
    }

    /// Steps the wall clock alone, as an operator or NTP would.
    package func step(wallSeconds: Double) {
        state.withLock { $0.wallNanos += Int64(wallSeconds * 1e9) }
    }

    package func sleep(untilMonotonicNanos deadlineNanos: Int64) async throws {
        try Task.checkCancellation()
        let id = state.withLock { state in
            defer { state.nextSleeper += 1 }
            return state.nextSleeper
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome = state.withLock { state -> Result<Void, any Error>? in
                    if state.cancelled.remove(id) != nil { return .failure(CancellationError()) }
                    if deadlineNanos <= state.monotonicNanos { return .success(()) }
                    state.sleepers[id] = (deadlineNanos, continuation)
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            let sleeper = state.withLock { state -> CheckedContinuation<Void, any Error>? in
                if let sleeper = state.sleepers.removeValue(forKey: id) {
                    return sleeper.continuation
                }
                state.cancelled.insert(id)
                return nil
            }
            sleeper?.resume(throwing: CancellationError())
        }
    }
}
