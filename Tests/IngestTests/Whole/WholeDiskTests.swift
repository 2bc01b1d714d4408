// SPDX-License-Identifier: Apache-2.0
// A full disk and a failing one, with all four stores attached.

import Base
import Ingest
import Storage
import Telemetry
import TestKit
import Testing

struct WholeDiskTests {
    private let tenant = Tenant("t")

    private func promise(_ key: UInt64, _ clock: ManualClock, padding: Int = 0) -> Promise {
        Promise(
            key: key, tenant: "t", nanos: clock.wallNanos + Int64(key) * 1_000_000,
            padding: padding)
    }

    /// Writes one promise through the front door, signal by signal. Nil when all three were taken.
    private func write(_ promise: Promise, _ pipeline: IngestPipeline) async -> IngestError? {
        do throws(IngestError) {
            let batches = PromisedBatches([promise])
            _ = try await pipeline.write(metrics: batches.metrics, tenant: tenant)
            _ = try await pipeline.write(logs: batches.logs, tenant: tenant)
            _ = try await pipeline.write(spans: batches.spans, tenant: tenant)
            return nil
        } catch { return error }
    }

    /// The keys that all of which was acknowledged, in the heads and parts of every store. Of a key
    /// whose write was refused on the way some signals may show.
    private func breaches(_ server: WholeServer, _ promises: [Promise]) throws -> [String] {
        let visible = try server.visible("t")
        return try promises.compactMap { try server.breach($0, visible) } + visible.warnings
    }

    /// Moves time until something holds.
    private func wait(
        _ clock: ManualClock, seconds: Double = 0.6, _ condition: () -> Bool
    ) async throws {
        for _ in 0..<5000 where !condition() {
            clock.advance(seconds: seconds)
            try await Task.sleep(nanoseconds: 1_000_000)
        }
        #expect(condition())
    }

    @Test func aFullDiskRefusesWritesAndReadsGoOnUntilSpaceReturns() async throws {
        let disk = FaultyDisk(capacityBytes: 400_000)
        let clock = ManualClock()
        let server = try WholeServer(disk, clock: clock) { $0.minFreeBytes = 20_000 }
        let pipeline = server.pipeline(clock)
        server.kernel.start()
        var kept: [Promise] = []
        var refusal: IngestError?
        while refusal == nil, kept.count < 500 {
            let promise = promise(UInt64(kept.count + 1), clock, padding: 2000)
            refusal = await write(promise, pipeline)
            if refusal == nil { kept.append(promise) }
            clock.advance(seconds: 1.1)
            // Some are in parts by then.
            if kept.count == 20 { try await server.kernel.sealNow() }
        }
        // The error that the server answers with 503 and Retry-After.
        guard case .unavailable(let reason, let retryAfterSeconds) = refusal else {
            Issue.record("refused with \(String(describing: refusal))")
            return
        }
        #expect(reason.contains("disk full"))
        #expect(retryAfterSeconds >= 1)
        #expect(server.kernel.status.refusal?.contains("disk full") == true)
        try #expect(breaches(server, kept) == [], "reads go on")
        disk.setCapacity(4_000_000)
        // Nobody writes: the background loop notices.
        try await wait(clock) { server.kernel.status.writable }
        let late = promise(9000, clock)
        #expect(await write(late, pipeline) == nil)
        kept.append(late)
        try #expect(breaches(server, kept) == [])
        let cut = disk.afterPowerCut(seed: 5)
        await server.kernel.stop()
        for image in [cut, disk] {
            let again = try WholeServer(image, clock: clock)
            #expect(again.kernel.status.faults == [])
            try #expect(breaches(again, kept) == [])
            await again.kernel.stop()
        }
    }

    @Test func failingSyncsRefuseWritesUntilTheDiskWorksAgain() async throws {
        let disk = FaultyDisk()
        let clock = ManualClock()
        let server = try WholeServer(disk, clock: clock)
        let pipeline = server.pipeline(clock)
        server.kernel.start()
        var kept = (1...5 as ClosedRange<UInt64>).map { promise($0, clock) }
        for one in kept { #expect(await write(one, pipeline) == nil) }
        disk.fail(.sync, times: 1000, code: FileError.inputOutput, pathSuffix: ".wal")
        for key in 6...10 as ClosedRange<UInt64> {
            let refusal = await write(promise(key, clock), pipeline)
            guard case .unavailable(let reason, _) = refusal else {
                Issue.record("key \(key): \(String(describing: refusal))")
                continue
            }
            #expect(reason.contains("Input/output error"))
            clock.advance(seconds: 1.1)
        }
        try #expect(server.breaches(kept) == [], "reads go on and show nothing that was refused")
        disk.clearFaults()
        try await wait(clock) { server.kernel.status.writable }
        let late = promise(11, clock)
        #expect(await write(late, pipeline) == nil)
        kept.append(late)
        try #expect(server.breaches(kept) == [])
        var problems: [String] = []
        for seed in 0..<20 as Range<UInt64> {
            let again = try WholeServer(disk.afterPowerCut(seed: seed), clock: clock)
            problems += try breaches(again, kept)
            problems += again.kernel.status.faults.map(\.description)
            await again.kernel.stop()
        }
        #expect(problems == [])
        await server.kernel.stop()
    }

    /// Every operation of a seal and of a merge fails once; afterwards it works.
    @Test(arguments: [FileError.noSpace, FileError.inputOutput])
    func sealingAndMergingSurviveAFailureOfEachOperation(code: Int32) async throws {
        var nth = 1
        var isClean = false
        while !isClean, nth < 400 {
            let disk = FaultyDisk()
            let clock = ManualClock()
            let server = try WholeServer(disk, clock: clock)
            var kept: [Promise] = []
            for round in 0..<4 {
                for _ in 0..<2 { kept.append(promise(UInt64(kept.count + 1), clock)) }
                try await server.commit(Array(kept.suffix(2)))
                if round < 3 { try await server.kernel.sealNow() }
            }
            disk.fail(nil, at: nth, code: code)
            do {
                try await server.kernel.sealNow()
                try await server.kernel.compactNow()
                isClean = server.kernel.status.work.lastFailure == nil
            } catch { #expect(server.kernel.status.work.lastFailure != nil) }
            disk.clearFaults()
            try #expect(server.breaches(kept) == [], "after failure \(nth)")
            let cut = try WholeServer(disk.afterPowerCut(seed: UInt64(nth)), clock: clock)
            try #expect(cut.breaches(kept) == [], "power cut after failure \(nth)")
            await cut.kernel.stop()
            try await server.kernel.sealNow()
            try await server.kernel.compactNow()
            try #expect(server.breaches(kept) == [], "after trying again \(nth)")
            #expect(server.parts(.logs) == 1)
            await server.kernel.stop()
            let report = try StorageCheck.check(
                path: "/data", files: disk, storesBySignal: WholeServer.fresh())
            #expect(report.faults == [])
            nth += 1
        }
        #expect(isClean)
        #expect(nth > 20)
    }

    /// Sealing that fails is tried again after growing pauses; head and log stay meanwhile.
    @Test func sealingThatFailsIsTriedAgainWithGrowingPauses() async throws {
        let disk = FaultyDisk()
        let clock = ManualClock()
        let server = try WholeServer(disk, clock: clock) { $0.sealAgeSeconds = 1 }
        let kept = (1...3 as ClosedRange<UInt64>).map { promise($0, clock) }
        try await server.commit(kept)
        disk.fail(.write, times: .max / 2, code: FileError.noSpace, pathSuffix: ".part.tmp")
        server.kernel.start()
        try await pass(clock, seconds: 600)
        // 5, 10, 20, 40 seconds, then one a minute.
        let failures = server.kernel.status.work.failedSeals
        #expect((8...15).contains(failures), "\(failures) attempts in ten minutes")
        #expect(server.kernel.status.work.lastFailure?.contains("sealing") == true)
        try #expect(server.breaches(kept) == [])
        #expect(server.kernel.status.writable, "the log has room: commits go on")
        disk.clearFaults()
        try await wait(clock) { server.parts(.metrics) == 1 }
        try #expect(server.breaches(kept) == [])
        await server.kernel.stop()
    }

    @Test func mergingThatFailsIsTriedAgainWithGrowingPauses() async throws {
        let disk = FaultyDisk()
        let clock = ManualClock()
        let server = try WholeServer(disk, clock: clock)
        var kept: [Promise] = []
        for key in 1...4 as ClosedRange<UInt64> {
            kept.append(promise(key, clock))
            try await server.commit([kept[kept.count - 1]])
            try await server.kernel.sealNow()
        }
        disk.fail(.write, times: .max / 2, code: FileError.noSpace, pathSuffix: ".part.tmp")
        server.kernel.start()
        try await pass(clock, seconds: 3600)
        // Four signals fail with each attempt.
        let failures = server.kernel.status.work.failedMerges
        #expect((4...48).contains(failures), "\(failures) failed merges in an hour")
        try #expect(server.breaches(kept) == [])
        disk.clearFaults()
        try await wait(clock, seconds: 5) { server.parts(.logs) == 1 }
        try #expect(server.breaches(kept) == [])
        await server.kernel.stop()
    }

    @Test func aNearlyFullDiskIsNotFilledByMerging() async throws {
        let disk = FaultyDisk()
        let clock = ManualClock()
        let server = try WholeServer(disk, clock: clock) { $0.minFreeBytes = 100_000 }
        var kept: [Promise] = []
        for key in 1...6 as ClosedRange<UInt64> {
            kept.append(promise(key, clock, padding: 4000))
            try await server.commit([kept[kept.count - 1]])
            try await server.kernel.sealNow()
        }
        disk.setCapacity(disk.usedBytes + 100_010)
        let before = disk.operationCount
        try await server.kernel.compactNow()
        #expect(disk.operationCount == before)
        #expect(server.parts(.logs) == 6)
        disk.setCapacity(1 << 30)
        try await server.kernel.compactNow()
        #expect(server.parts(.logs) < 3)
        try #expect(server.breaches(kept) == [])
        await server.kernel.stop()
    }

    /// Lets time pass in steps of half a second, with the background loops at work.
    private func pass(_ clock: ManualClock, seconds: Double) async throws {
        for _ in 0..<Int(seconds * 2) {
            // Both loops sleep again before time goes on.
            for _ in 0..<200 where clock.sleeperCount < 2 {
                try await Task.sleep(nanoseconds: 200_000)
            }
            clock.advance(seconds: 0.5)
        }
    }
}
