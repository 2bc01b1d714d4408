// SPDX-License-Identifier: Apache-2.0
// Tests of snapshots: data directories of their own.

import Base
import Storage
import TestKit
import Testing

struct SnapshotTests {
    private static let path = "/data/snapshots/one"

    private func server(_ disk: FaultyDisk) async throws -> ToyServer {
        let server = try ToyServer(disk)
        for key in 1...3 { try await server.commit(UInt64(key)) }
        try await server.kernel.sealNow()
        for key in 4...6 { try await server.commit(UInt64(key), tenant: "other") }
        return server
    }

    @Test func aSnapshotOpensChecksAndStaysAsItWas() async throws {
        let disk = FaultyDisk()
        let server = try await server(disk)
        try await server.delete([2])
        let used = disk.usedBytes
        try await server.kernel.snapshot(name: "one")
        #expect(disk.usedBytes - used < 2000, "links take no space")
        // What happens to the original later does not show.
        try await server.delete([1])
        try await server.kernel.cleanDeletions(tenant: "t")
        try await server.commit(7)
        let report = try StorageCheck.check(
            path: Self.path, files: disk, storesBySignal: [.logs: ToyStore()])
        #expect(report.faults == [])
        #expect(report.notes == [])
        let copy = try ToyServer(disk, path: Self.path)
        #expect(copy.keys == [1, 3, 4, 5, 6])
        // It is a directory like any other.
        try await copy.commit(9)
        await copy.kernel.stop(flush: true)
        let again = try ToyServer(disk, path: Self.path)
        #expect(again.keys == [1, 3, 4, 5, 6, 9])
        #expect(again.kernel.status.faults == [])
        await again.kernel.stop()
        #expect(server.keys == [3, 4, 5, 6, 7])
        await server.kernel.stop()
        let restarted = try ToyServer(disk)
        #expect(restarted.keys == [3, 4, 5, 6, 7])
        #expect(restarted.kernel.status.faults == [])
        await restarted.kernel.stop()
    }

    @Test func withoutTheHeadOnlyPartsAreInASnapshot() async throws {
        let disk = FaultyDisk()
        let server = try await server(disk)
        try await server.kernel.snapshot(name: "one", skipHead: true)
        #expect(server.kernel.status.parts[.logs]?.count == 1, "nothing was sealed for it")
        let copy = try ToyServer(disk, path: Self.path)
        #expect(copy.keys == [1, 2, 3])
        await copy.kernel.stop()
        await server.kernel.stop()
    }

    @Test func aSnapshotThatWasAnsweredSurvivesAPowerCut() async throws {
        let disk = FaultyDisk()
        let server = try await server(disk)
        try await server.kernel.snapshot(name: "one")
        for seed in 0..<50 {
            let after = disk.afterPowerCut(seed: UInt64(seed))
            let copy = try ToyServer(after, path: Self.path)
            #expect(copy.keys == Array(1...6), "seed \(seed)")
            #expect(copy.kernel.status.faults == [])
            await copy.kernel.stop()
        }
        await server.kernel.stop()
    }

    @Test func anUnfinishedSnapshotIsNeverTakenForOne() async throws {
        var clean = false
        var nth = 1
        while !clean, nth < 80 {
            let disk = FaultyDisk()
            let server = try await server(disk)
            disk.fail(nil, at: nth, code: FileError.noSpace)
            do {
                try await server.kernel.snapshot(name: "one")
                clean = server.kernel.status.work.lastFailure == nil
            } catch {
                #expect(server.keys == Array(1...6))
            }
            disk.clearFaults()
            for seed in 0..<10 {
                let after = disk.afterPowerCut(seed: UInt64(seed))
                do {
                    let copy = try ToyServer(after, path: Self.path)
                    // Nothing of it is there, or all of it.
                    #expect([[], Array(1...6)].contains(copy.keys), "failure \(nth), \(seed)")
                    if copy.keys.isEmpty { #expect(!clean) }
                    #expect(copy.kernel.status.faults == [])
                    await copy.kernel.stop()
                } catch let error as KernelError {
                    guard case .notADataDirectory(_, let problem) = error else { throw error }
                    #expect(problem == "it has no file VERSION but holds UNFINISHED")
                }
            }
            try await server.kernel.snapshot(name: "two")
            let copy = try ToyServer(disk, path: "/data/snapshots/two")
            #expect(copy.keys == Array(1...6))
            await copy.kernel.stop()
            await server.kernel.stop()
            nth += 1
        }
        #expect(clean)
        #expect(nth > 15)
    }

    @Test func aNameIsUsedOnce() async throws {
        let disk = FaultyDisk()
        let server = try await server(disk)
        try await server.kernel.snapshot(name: "one")
        await #expect(throws: KernelError.self) { try await server.kernel.snapshot(name: "one") }
        await server.kernel.stop()
    }
}
