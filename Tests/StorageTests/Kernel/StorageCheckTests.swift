// SPDX-License-Identifier: Apache-2.0
// Tests of the offline check.

import Base
import Storage
import TestKit
import Testing

struct StorageCheckTests {
    private func sample() async throws -> FaultyDisk {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        for key in 1...4 {
            try await server.commit(UInt64(key), bytes: 300)
            try await server.kernel.sealNow()
        }
        for key in 5...8 { try await server.commit(UInt64(key), bytes: 300) }
        await server.kernel.stop()
        return disk
    }

    private func check(_ disk: FaultyDisk) throws -> CheckReport {
        try StorageCheck.check(
            path: "/data", files: disk, storesBySignal: [.logs: ToyStore()])
    }

    @Test func aSoundDirectoryIsSound() async throws {
        let disk = try await sample()
        let before = disk.paths.map { disk.contents($0) }
        let report = try check(disk)
        #expect(report.isSound)
        #expect(report.notes == [])
        #expect(report.records == 4)
        #expect(report.parts[.logs]?.count == 4)
        #expect(disk.paths.map { disk.contents($0) } == before)
    }

    @Test func everyFlippedByteIsFoundAndNamed() async throws {
        let disk = try await sample()
        var missed: [String] = []
        for path in disk.paths where path.hasSuffix(".part") || path.hasSuffix(".wal") {
            let size = disk.contents(path)?.count ?? 0
            for offset in stride(from: 0, to: size, by: 5) {
                let copy = disk.afterKill()
                copy.overwrite(path) { $0[offset] ^= 4 }
                let report = try check(copy)
                let name = String(path.dropFirst("/data/".count))
                // Zero bytes between records and after sections mean nothing.
                let isPadding =
                    disk.contents(path)?[offset] == 0 && report.isSound && report.notes == []
                if !report.faults.contains(where: { $0.file == name }), !isPadding,
                    !report.notes.contains(where: { $0.file == name })
                {
                    missed.append("\(name) at \(offset): \(report.faults)")
                }
            }
        }
        #expect(missed == [])
    }

    @Test func damageToTheManifestIsNamed() async throws {
        let disk = try await sample()
        let path = try #require(disk.paths.first { $0.hasSuffix(".manifest") })
        // The second record is an edit with others after it.
        disk.overwrite(path) { $0[50] ^= 1 }
        let report = try check(disk)
        #expect(report.faults.contains { $0.file == "manifest/00000001.manifest" })
    }

    /// Data of a part that a damaged record named is kept for good, wherever the process is killed
    /// on the way.
    @Test func partsOfADamagedManifestRecordAreNeverDeleted() async throws {
        let disk = try await sample()
        let path = try #require(disk.paths.first { $0.hasSuffix(".manifest") })
        let part = "/data/parts/000000000001.part"
        let bytes = try #require(disk.contents(part))
        // The second record is an edit with others after it: it added the first part.
        disk.overwrite(path) { $0[50] ^= 1 }
        func kept(_ disk: FaultyDisk) -> Bool { disk.paths.contains { disk.contents($0) == bytes } }
        var isComplete = false
        var stop = 0
        while !isComplete {
            stop += 1
            let copy = disk.afterKill()
            copy.fail(nil, at: stop, times: .max / 2, code: FileError.inputOutput)
            do {
                await (try ToyServer(copy)).kernel.stop()
                isComplete = true
            } catch is FileError {}
            let again = copy.afterPowerCut(seed: UInt64(stop))
            for _ in 1...2 {
                let server = try ToyServer(again)
                #expect(server.keys == [2, 3, 4, 5, 6, 7, 8])
                #expect(!server.kernel.status.faults.isEmpty)
                await server.kernel.stop()
                #expect(kept(again), "stop \(stop)")
            }
            let report = try check(again)
            #expect(report.faults.first?.file == "quarantine/000000000001.part")
        }
        #expect(stop > 5)
        // Somebody accepts the loss.
        let server = try ToyServer(disk)
        await server.kernel.stop()
        #expect(
            try check(disk).faults.map(\.file) == [
                "quarantine/000000000001.part", "quarantine/00000001.manifest",
            ])
        for name in ["000000000001.part", "00000001.manifest"] {
            try disk.remove("/data/quarantine/" + name)
        }
        #expect(try check(disk).isSound)
    }

    /// The last record may be a change that was never acknowledged, or bytes that went bad.
    @Test func partsOfADamagedLastRecordAreKeptWithANote() async throws {
        let disk = FaultyDisk()
        let first = try ToyServer(disk)
        try await first.commit(1, bytes: 300)
        try await first.kernel.sealNow()
        await first.kernel.stop()
        let path = try #require(disk.paths.first { $0.hasSuffix(".manifest") })
        disk.overwrite(path) { $0[$0.count - 1] ^= 1 }
        for _ in 1...2 {
            let server = try ToyServer(disk)
            #expect(server.kernel.status.faults == [])
            // The id is not given again.
            try await server.commit(9)
            try await server.kernel.sealNow()
            await server.kernel.stop()
        }
        let report = try check(disk)
        #expect(report.isSound)
        #expect(report.notes.map(\.file) == ["quarantine/000000000001.part.doubtful"])
        #expect(disk.paths.filter { $0.hasSuffix(".part") }.count == 2)
    }

    @Test func aDamagedPartIsReportedAndTheOthersServed() async throws {
        let disk = try await sample()
        disk.overwrite("/data/parts/000000000002.part") { $0.removeLast() }
        let server = try ToyServer(disk)
        #expect(server.keys == [1, 3, 4, 5, 6, 7, 8])
        #expect(server.kernel.status.faults.map(\.file) == ["parts/000000000002.part"])
        #expect(server.store.missing().map(\.name) == ["000000000002.part"])
        #expect(server.store.missing(tenant: "u") == [])
        // What cannot be read is not merged away.
        try await server.kernel.sealNow()
        try await server.kernel.compactNow()
        #expect(disk.paths.contains("/data/parts/000000000002.part"))
        // Between parts that can be merged it stands like a wall: 1 is not merged with 3 and 4.
        #expect(server.kernel.status.work.partsMerged == 0)
        await server.kernel.stop()
    }

    @Test func leftoversAreNotesNotFaults() async throws {
        let disk = try await sample()
        _ = try disk.create("/data/parts/000000000077.part")
        _ = try disk.create("/data/wal/core")
        let report = try check(disk)
        #expect(report.isSound)
        #expect(Set(report.notes.map(\.file)) == ["parts/000000000077.part", "wal/core"])
    }
}
