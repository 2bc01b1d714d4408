// SPDX-License-Identifier: Apache-2.0
// A group at its times.

import Base
import Synchronization
import Telemetry

extension RuleGroup {
    /// Starts evaluating.
    ///
    /// - Parameter predecessor: an earlier version, stopped already; once it has ended, this one goes
    ///   on with what it knows.
    func start(after predecessor: RuleGroup? = nil) {
        let task = Task { [self] in
            if let predecessor {
                await predecessor.ended()
                inherit(predecessor)
            }
            await run()
        }
        let isTooLate = state.withLock { state in
            state.task = task
            return state.isStopped
        }
        if isTooLate { task.cancel() }
    }

    /// Ends the group after the evaluation under way, if there is one.
    func stop() {
        state.withLock { state in
            state.isStopped = true
            return state.task
        }?.cancel()
    }

    /// Ends the group now: an evaluation under way fails and writes nothing more.
    func abort() {
        let tasks = state.withLock { state in
            state.isStopped = true
            return [state.task, state.evaluation]
        }
        for task in tasks { task?.cancel() }
    }

    /// Returns when a stopped group has ended.
    func ended() async { await state.withLock { $0.task }?.value }

    private func run() async {
        let clock = environment.clock
        let schedule = RuleSchedule(definition)
        var time = schedule.time(before: clock.wallNanos) &+ schedule.intervalNanos
        var isFirst = true
        while true {
            do {
                try await sleep(untilWallNanos: time, atMostNanos: schedule.intervalNanos)
            } catch { return }
            if !isFirst {
                let missed: Int
                (time, missed) = schedule.next(
                    after: time &- schedule.intervalNanos, now: clock.wallNanos)
                state.withLock { state in
                    state.status.missedIterations += missed
                    state.status.iterations += missed
                }
            }
            await iterate(atNanos: time)
            // The first evaluation may come before the first scrape: what alerts there are is known
            // after the second.
            if !isFirst, state.withLock({ $0.needsRestoring }) {
                await restore(atNanos: clock.wallNanos)
            }
            isFirst = false
            time &+= schedule.intervalNanos
        }
    }

    /// The clock may have been set back: no wait is longer than an interval.
    private func sleep(untilWallNanos wall: Int64, atMostNanos limit: Int64) async throws {
        let clock = environment.clock
        let delay = min(max(0, wall &- clock.wallNanos), limit)
        try await clock.sleep(untilMonotonicNanos: clock.monotonicNanos &+ delay)
    }

    private func iterate(atNanos nanos: Int64) async {
        let clock = environment.clock
        let (started, wall) = (clock.monotonicNanos, clock.wallNanos)
        state.withLock { $0.status.iterations += 1 }
        // A reload lets the evaluation come to its end.
        let evaluation = Task { await self.evaluate(atNanos: nanos) }
        state.withLock { $0.evaluation = evaluation }
        await evaluation.value
        state.withLock { $0.evaluation = nil }
        let now = clock.monotonicNanos
        let seconds = Double(now &- started) / 1e9
        environment.durations.groups.observe(nanos: now &- started, atMonotonicNanos: now)
        let ruleSeconds = rules.reduce(0) { $0 + $1.status.durationSeconds }
        state.withLock { state in
            state.status.durationSeconds = seconds
            state.status.ruleSeconds = ruleSeconds
            state.status.lastEvaluationNanos = wall
        }
    }
}
