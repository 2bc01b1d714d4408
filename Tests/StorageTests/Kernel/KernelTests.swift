// SPDX-License-Identifier: Apache-2.0
// Tests of the kernel's ordinary life.

import Base
import Storage
import Synchronization
import TestKit
import Testing

struct KernelTests {
    @Test func commitsAreThereAfterReopening() async throws {
        let disk = FaultyDisk()
        let first = try ToyServer(disk)
        for key in 1...10 { try await first.commit(UInt64(key), bytes: key * 200) }
        await first.kernel.stop()
        let second = try ToyServer(disk)
        #expect(second.keys == Array(1...10))
        #expect(second.kernel.status.replay.records == 10)
        #expect(second.kernel.status.faults == [])
        #expect(second.store.rows == (1...10).map { ToyServer.row($0, bytes: Int($0) * 200) })
        await second.kernel.stop()
    }

    @Test func replaySaysHowFarItIs() async throws {
        let disk = FaultyDisk()
        let first = try ToyServer(disk) { $0.segmentBytes = 4096 }
        for key in 1...20 { try await first.commit(UInt64(key), bytes: 1000) }
        await first.kernel.stop()
        let seen = Mutex<[ReplayProgress]>([])
        let second = try ToyServer(disk, progress: { now in seen.withLock { $0.append(now) } })
        let steps = seen.withLock { $0 }
        let report = second.kernel.status.replay
        #expect(report.segments > 3)
        #expect(steps.first == ReplayProgress(bytes: report.bytes, segments: report.segments))
        #expect(
            steps.last
                == ReplayProgress(
                    bytesDone: report.bytes, bytes: report.bytes, segmentsDone: report.segments,
                    segments: report.segments, records: 20))
        #expect(steps.count > report.segments)
        #expect(zip(steps, steps.dropFirst()).allSatisfy { $0.bytesDone <= $1.bytesDone })
        #expect(steps.allSatisfy { $0.bytes == report.bytes })
        await second.kernel.stop()
    }

    @Test func logThatWouldTakeLongToReplayIsSealed() async throws {
        let disk = FaultyDisk()
        let clock = ManualClock()
        let server = try ToyServer(disk, clock: clock) { $0.sealReplaySeconds = 0.0005 }
        server.kernel.start()
        try await server.commit(1, bytes: 4000)
        let one = server.kernel.status.replaySeconds
        #expect(one > 0)
        for key in 2...10 { try await server.commit(UInt64(key), bytes: 4000) }
        #expect(server.kernel.status.replaySeconds > 5 * one)
        for _ in 0..<2000 where server.store.partCount == 0 {
            clock.advance(seconds: 0.6)
            try await Task.sleep(nanoseconds: 1_000_000)
        }
        #expect(server.store.partCount == 1)
        #expect(server.kernel.status.replaySeconds == 0)
        await server.kernel.stop()
    }

    @Test func sealingMovesHeadsIntoPartsAndRemovesTheLog() async throws {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        try await server.commit(1, tenant: "a")
        try await server.commit(2, tenant: "b")
        try await server.commit(3, tenant: "b", nanos: 1_700_000_000_000_000_000)
        try await server.kernel.sealNow()
        #expect(server.store.partCount == 3)
        #expect(server.store.generations == [])
        let status = server.kernel.status
        #expect(status.segmentCount == 0)
        #expect(status.covered == 4)
        #expect(status.parts[.logs]?.count == 3)
        #expect(disk.paths.filter { $0.hasSuffix(".wal") } == [])
        let next = try await server.commit(4)
        #expect(next == CommitTicket(generation: 1, sequence: 4))
        await server.kernel.stop()
        let again = try ToyServer(disk)
        #expect(again.keys.sorted() == [1, 2, 3, 4])
        #expect(again.kernel.status.replay.records == 1)
        await again.kernel.stop()
    }

    @Test func sealingNothingDoesNothing() async throws {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        try await server.kernel.sealNow()
        try await server.commit(1)
        try await server.kernel.sealNow()
        let epoch = server.kernel.status.epoch
        try await server.kernel.sealNow()
        #expect(server.kernel.status.epoch == epoch)
        await server.kernel.stop()
    }

    @Test func stoppingWithFlushLeavesNothingToReplay() async throws {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        try await server.commit(1)
        await server.kernel.stop(flush: true)
        let again = try ToyServer(disk)
        #expect(again.kernel.status.replay.records == 0)
        #expect(again.keys == [1])
        await again.kernel.stop()
        await again.kernel.stop()
    }

    @Test func commitsAfterStopAreRefused() async throws {
        let server = try ToyServer(FaultyDisk())
        await server.kernel.stop()
        await #expect(throws: CommitError.stopped) { try await server.commit(1) }
        #expect(!server.kernel.status.writable)
    }

    @Test func manyPartsOfADayBecomeOne() async throws {
        let disk = FaultyDisk()
        let clock = ManualClock()
        let server = try ToyServer(disk, clock: clock)
        for key in 1...20 {
            try await server.commit(UInt64(key))
            try await server.kernel.sealNow()
        }
        try await server.kernel.compactNow()
        #expect(server.store.partCount < 6)
        #expect(server.keys == Array(1...20))
        #expect(server.store.problems == [])
        let blobs = disk.paths.filter { $0.hasSuffix(".part") }
        #expect(blobs.count == server.store.partCount)
        await server.kernel.stop()
        let again = try ToyServer(disk, clock: clock)
        #expect(again.keys == Array(1...20))
        await again.kernel.stop()
    }

    @Test func retentionDropsByTimeOfData() async throws {
        let disk = FaultyDisk()
        let day: Int64 = 86_400_000_000_000
        let now: Int64 = 1_800_000_000_000_000_000
        let server = try ToyServer(disk, clock: ManualClock(wallNanos: now)) {
            $0.retentionSeconds = 3 * 86_400
        }
        for age in 0..<6 { try await server.commit(UInt64(age), nanos: now - Int64(age) * day) }
        try await server.kernel.sealNow()
        try await server.kernel.enforceRetention()
        #expect(server.keys == [0, 1, 2, 3])
        #expect(disk.paths.filter { $0.hasSuffix(".part") }.count == 4)
        await server.kernel.stop()
    }

    @Test func retentionByBytesDropsTheOldestDayFirst() async throws {
        let day: Int64 = 86_400_000_000_000
        let now: Int64 = 1_800_000_000_000_000_000
        let server = try ToyServer(FaultyDisk(), clock: ManualClock(wallNanos: now)) {
            $0.retentionBytes = 3000
        }
        for age in 0..<4 {
            try await server.commit(UInt64(age), nanos: now - Int64(age) * day, bytes: 1000)
        }
        try await server.kernel.sealNow()
        try await server.kernel.enforceRetention()
        #expect(server.keys == [0, 1])
        await server.kernel.stop()
    }

    @Test func aClockThatJumpsAheadDropsNothing() async throws {
        let clock = ManualClock()
        let server = try ToyServer(FaultyDisk(), clock: clock) { $0.retentionSeconds = 86_400 }
        try await server.commit(1, nanos: clock.wallNanos)
        try await server.kernel.sealNow()
        clock.step(wallSeconds: 10 * 365 * 86_400)
        try await server.kernel.enforceRetention()
        #expect(server.keys == [1])
        await server.kernel.stop()
    }

    @Test func theBackgroundLoopSealsByAge() async throws {
        let clock = ManualClock()
        let server = try ToyServer(FaultyDisk(), clock: clock) { $0.sealAgeSeconds = 60 }
        server.kernel.start()
        try await server.commit(1)
        for _ in 0..<10_000 where server.store.partCount == 0 {
            clock.advance(seconds: 1)
            try await Task.sleep(nanoseconds: 1_000_000)
        }
        #expect(server.store.partCount == 1)
        await server.kernel.stop()
    }

    @Test func memoryBoundRefusesWhileSealingFails() async throws {
        let server = try ToyServer(FaultyDisk()) {
            $0.sealBytes = 1000
            $0.headLimitBytes = 4000
        }
        server.store.failSeals(true)
        var refused: CommitError?
        for key in 1...100 {
            do throws(CommitError) {
                try await server.commit(UInt64(key), bytes: 200)
            } catch {
                refused = error
                break
            }
        }
        guard case .unavailable(let reason, _) = refused else {
            Issue.record("never refused")
            return
        }
        #expect(reason.contains("wait in memory to be sealed"))
        let kept = server.keys
        await #expect(throws: ToyStore.Refused.self) { try await server.kernel.sealNow() }
        #expect(server.keys == kept)
        server.store.failSeals(false)
        try await server.kernel.sealNow()
        try await server.commit(1000)
        #expect(server.keys == kept + [1000])
        await server.kernel.stop()
    }

    @Test func concurrentCommittersAreGroupedAndAllThere() async throws {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<16 {
                group.addTask {
                    for round in 0..<50 {
                        try await server.commit(UInt64(worker * 50 + round), bytes: 300)
                    }
                }
            }
            group.addTask {
                for _ in 0..<5 { try await server.kernel.sealNow() }
            }
            try await group.waitForAll()
        }
        #expect(server.keys == Array(0..<800))
        #expect(server.kernel.status.log.commits == 800)
        await server.kernel.stop()
        let again = try ToyServer(disk)
        #expect(again.keys == Array(0..<800))
        await again.kernel.stop()
    }
}
