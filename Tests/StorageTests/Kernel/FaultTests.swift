// SPDX-License-Identifier: Apache-2.0
// Tests of a kernel on a disk that fails.

import Base
import Storage
import TestKit
import Testing

struct FaultTests {
    @Test func afterAFailedSyncTheGroupIsWrittenToAFreshSegment() async throws {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        try await server.commit(1)
        disk.fail(.sync, code: FileError.inputOutput, pathSuffix: ".wal")
        try await server.commit(2)
        try await server.commit(3)
        let status = server.kernel.status
        #expect(status.writable)
        #expect(status.log.abandonedSegments == 1)
        #expect(status.segmentCount == 2)
        var problems: [String] = []
        for seed in 0..<200 {
            let after = try ToyServer(disk.afterPowerCut(seed: UInt64(seed)))
            if after.keys != [1, 2, 3] { problems.append("seed \(seed): \(after.keys)") }
            problems += after.kernel.status.faults.map(\.description)
            await after.kernel.stop()
        }
        #expect(problems == [])
        await server.kernel.stop()
    }

    @Test func aDiskThatKeepsFailingRefusesUntilItWorksAgain() async throws {
        let disk = FaultyDisk()
        let clock = ManualClock()
        let server = try ToyServer(disk, clock: clock)
        try await server.commit(1)
        disk.fail(.sync, times: 5, code: FileError.inputOutput, pathSuffix: ".wal")
        let expected = "cannot sync /data/wal/00000002.wal: Input/output error"
        await #expect(throws: CommitError.unavailable(reason: expected, retryAfterSeconds: 1)) {
            try await server.commit(2)
        }
        #expect(server.kernel.status.refusal == expected)
        let before = disk.operationCount
        await #expect(throws: CommitError.self) { try await server.commit(3) }
        #expect(disk.operationCount == before, "refusals within a second do not touch the disk")
        clock.advance(seconds: 1.1)
        await #expect(throws: CommitError.self) { try await server.commit(4) }
        clock.advance(seconds: 1.1)
        // The first try meets the last planned fault, the second one goes through.
        try await server.commit(5)
        #expect(server.kernel.status.writable)
        #expect(server.keys == [1, 5])
        await server.kernel.stop()
        let again = try ToyServer(disk)
        #expect(Set(again.keys).isSuperset(of: [1, 5]))
        #expect(again.kernel.status.faults == [])
        await again.kernel.stop()
    }

    @Test func aFullDiskRefusesAndWritesResumeByThemselves() async throws {
        let disk = FaultyDisk(capacityBytes: 200_000)
        let clock = ManualClock()
        let server = try ToyServer(disk, clock: clock) { $0.minFreeBytes = 20_000 }
        server.kernel.start()
        var refused: CommitError?
        var last: UInt64 = 0
        while refused == nil, last < 1000 {
            do throws(CommitError) {
                try await server.commit(last + 1, bytes: 2000)
                last += 1
            } catch { refused = error }
            clock.advance(seconds: 1.1)
        }
        #expect(refused?.description.contains("disk full") == true)
        #expect(last > 50)
        #expect(disk.usedBytes <= 180_000)
        #expect(server.keys == Array(1...last), "reads go on")
        disk.setCapacity(2_000_000)
        // No commit is made: the background loop notices.
        for _ in 0..<5000 where !server.kernel.status.writable {
            clock.advance(seconds: 0.6)
            try await Task.sleep(nanoseconds: 1_000_000)
        }
        #expect(server.kernel.status.writable)
        try await server.commit(5000)
        await server.kernel.stop()
        let again = try ToyServer(disk)
        #expect(again.keys == Array(1...last) + [5000])
        await again.kernel.stop()
    }

    @Test func aFullDiskWithoutReserveTearsNothing() async throws {
        for capacity in stride(from: 3000, to: 12_000, by: 333) {
            let disk = FaultyDisk(capacityBytes: capacity)
            let clock = ManualClock()
            let server = try ToyServer(disk, clock: clock)
            var acknowledged: [UInt64] = []
            for key in 1...30 {
                do throws(CommitError) {
                    try await server.commit(UInt64(key), bytes: 500)
                    acknowledged.append(UInt64(key))
                } catch { clock.advance(seconds: 1.1) }
            }
            #expect(server.keys == acknowledged)
            let after = disk.afterPowerCut(seed: 3)
            await server.kernel.stop()
            after.setCapacity(1 << 30)
            let again = try ToyServer(after)
            #expect(Set(again.keys).isSuperset(of: acknowledged), "capacity \(capacity)")
            #expect(again.kernel.status.faults == [])
            await again.kernel.stop()
        }
    }

    @Test func sealingSurvivesAFailureOfEachOfItsOperations() async throws {
        var clean = false
        var nth = 1
        while !clean, nth < 60 {
            let disk = FaultyDisk()
            let server = try ToyServer(disk)
            for key in 1...3 { try await server.commit(UInt64(key), tenant: "t\(key)") }
            disk.fail(nil, at: nth, code: FileError.noSpace)
            do {
                try await server.kernel.sealNow()
                clean = server.kernel.status.work.lastFailure == nil
            } catch {
                #expect(server.keys == [1, 2, 3], "failure at operation \(nth)")
            }
            disk.clearFaults()
            try await server.commit(4)
            let between = disk.afterPowerCut(seed: UInt64(nth))
            let restarted = try ToyServer(between)
            #expect(restarted.keys == [1, 2, 3, 4], "power cut after failure \(nth)")
            await restarted.kernel.stop()
            try await server.kernel.sealNow()
            #expect(server.keys == [1, 2, 3, 4])
            #expect(server.store.generations.count <= 1)
            await server.kernel.stop()
            let again = try ToyServer(disk)
            #expect(again.keys == [1, 2, 3, 4], "failure at operation \(nth)")
            #expect(again.kernel.status.faults == [])
            await again.kernel.stop()
            nth += 1
        }
        #expect(clean, "a pass without a fault ends the loop")
        #expect(nth > 10)
    }

    @Test func mergingSurvivesAFailureOfEachOfItsOperations() async throws {
        var clean = false
        var nth = 1
        while !clean, nth < 60 {
            let disk = FaultyDisk()
            let server = try ToyServer(disk)
            for key in 1...8 {
                try await server.commit(UInt64(key))
                try await server.kernel.sealNow()
            }
            disk.fail(nil, at: nth, code: FileError.inputOutput)
            do {
                try await server.kernel.compactNow()
                clean = server.kernel.status.work.lastFailure == nil
            } catch {
                #expect(server.keys == Array(1...8), "failure at operation \(nth)")
            }
            disk.clearFaults()
            let between = try ToyServer(disk.afterPowerCut(seed: UInt64(nth)))
            #expect(between.keys == Array(1...8), "power cut after failure \(nth)")
            await between.kernel.stop()
            try await server.kernel.compactNow()
            #expect(server.keys == Array(1...8))
            #expect(server.store.partCount < 8)
            #expect(server.store.problems == [])
            await server.kernel.stop()
            let again = try ToyServer(disk)
            #expect(again.keys == Array(1...8))
            await again.kernel.stop()
            nth += 1
        }
        #expect(clean)
        #expect(nth > 5)
    }

    @Test func openingFailsCleanlyOrWorksWhateverOperationFails() async throws {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        for key in 1...3 { try await server.commit(UInt64(key)) }
        try await server.kernel.sealNow()
        for key in 4...6 { try await server.commit(UInt64(key)) }
        let left = disk.afterKill()
        await server.kernel.stop()
        var refusals = 0
        for nth in 1...40 {
            let copy = left.afterKill()
            copy.fail(nil, at: nth, code: FileError.inputOutput)
            do {
                let again = try ToyServer(copy)
                await again.kernel.stop()
            } catch { refusals += 1 }
            copy.clearFaults()
            let third = try ToyServer(copy)
            #expect(third.keys == Array(1...6), "after failure \(nth)")
            await third.kernel.stop()
        }
        #expect(refusals > 3)
    }
}
