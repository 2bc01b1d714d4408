// SPDX-License-Identifier: Apache-2.0
// Tests of the clocks and the random sources.

import Base
import TestKit
import Testing

struct ClockTests {
    @Test func theSystemClockRuns() async throws {
        let clock = SystemClock()
        let before = clock.monotonicNanos
        try await clock.sleep(seconds: 0.002)
        #expect(clock.monotonicNanos - before >= 2_000_000)
        #expect(clock.wallNanos > 1_700_000_000_000_000_000)
    }

    @Test func sleepersWakeInTheOrderOfTheirDeadlines() async throws {
        let clock = ManualClock()
        let order = Monitor([Int]())
        try await withThrowingTaskGroup(of: Void.self) { group in
            for seconds in [3, 1, 2] {
                group.addTask {
                    try await clock.sleep(seconds: Double(seconds))
                    order.change { $0.append(seconds) }
                }
            }
            while clock.sleeperCount < 3 { await Task.yield() }
            for step in 1...3 {
                clock.advance(seconds: 1)
                while order.withLock({ $0.count }) < step { await Task.yield() }
            }
            try await group.waitForAll()
        }
        #expect(order.withLock { $0 } == [1, 2, 3])
    }

    @Test func cancellationWakesASleeper() async throws {
        let clock = ManualClock()
        let task = Task { try await clock.sleep(seconds: 1000) }
        while clock.sleeperCount < 1 { await Task.yield() }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(clock.sleeperCount == 0)
    }

    @Test func aStepOfTheWallClockMovesNoSleeper() {
        let clock = ManualClock(wallNanos: 0)
        clock.step(wallSeconds: -5)
        #expect(clock.wallNanos == -5_000_000_000)
        #expect(clock.monotonicNanos == 0)
    }

    /// The reference values of the generator's authors for seed 1234567.
    @Test func splitMixGivesTheKnownSequence() {
        var generator = SplitMix64(seed: 1_234_567)
        #expect(
            (0..<3).map { _ in generator.next() } == [
                6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
            ])
        let one = SeededRandom(seed: 5)
        let other = SeededRandom(seed: 5)
        #expect((0..<10).map { _ in one.next() } == (0..<10).map { _ in other.next() })
    }
}
