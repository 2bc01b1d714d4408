// SPDX-License-Identifier: Apache-2.0
// Tests of the manifest and its seam.

import Base
import Storage
import TestKit
import Testing

struct ManifestTests {
    private func disk() throws -> FaultyDisk {
        let disk = FaultyDisk()
        try disk.makeDirectory("/m")
        try disk.syncDirectory("")
        return disk
    }

    private func part(_ id: UInt64) -> PartDescriptor {
        PartDescriptor(
            id: id, signal: .traces, tenant: "tenant-\(id)", day: -3, level: 255,
            minNanos: .min, maxNanos: .max, rowCount: .max, byteCount: id, retentionClass: 9,
            lastSequence: .max)
    }

    @Test func editsAreThereAfterReopening() throws {
        let disk = try disk()
        let first = try ManifestLog(directory: "/m", files: disk)
        #expect(try first.commit(PartEdit(added: [part(1), part(2)], covered: 7), ifEpoch: 0) == 1)
        #expect(first.reserveIDs(5) == 1)
        #expect(try first.commit(PartEdit(added: [part(3)], removed: [1]), ifEpoch: 1) == 2)
        first.close()
        let second = try ManifestLog(directory: "/m", files: disk)
        #expect(second.current == first.current)
        #expect(second.current.sorted == [part(2), part(3)])
        #expect(second.current.covered == 7)
        #expect(second.reserveIDs(1) == 6)
        #expect(disk.paths.count == 1)
    }

    @Test func aStaleEpochAndAStrangerAreRefused() throws {
        let manifest = try ManifestLog(directory: "/m", files: try disk())
        _ = try manifest.commit(PartEdit(added: [part(1)]), ifEpoch: 0)
        #expect(throws: MetaStoreError.conflict(epoch: 1)) {
            try manifest.commit(PartEdit(added: [part(2)]), ifEpoch: 0)
        }
        #expect(throws: MetaStoreError.noSuchPart(9)) {
            try manifest.commit(PartEdit(removed: [1, 9]), ifEpoch: 1)
        }
        #expect(manifest.current.sorted == [part(1)])
    }

    @Test func aFailedEditIsUndoneByTheNextOne() throws {
        for operation in [FileOperation.write, .sync] {
            let disk = try disk()
            let manifest = try ManifestLog(directory: "/m", files: disk)
            _ = try manifest.commit(PartEdit(added: [part(1)]), ifEpoch: 0)
            disk.fail(operation, code: FileError.inputOutput)
            #expect(throws: MetaStoreError.self) {
                try manifest.commit(PartEdit(added: [part(2)]), ifEpoch: 1)
            }
            #expect(manifest.current.sorted == [part(1)])
            #expect(try manifest.commit(PartEdit(added: [part(3)]), ifEpoch: 1) == 2)
            for seed in 0..<50 {
                let after = try ManifestLog(
                    directory: "/m", files: disk.afterPowerCut(seed: UInt64(seed)))
                #expect(after.current.sorted == [part(1), part(3)])
            }
        }
    }

    @Test func aLongManifestIsBegunAfresh() throws {
        let disk = try disk()
        let manifest = try ManifestLog(directory: "/m", files: disk, rewriteAboveCount: 500)
        for id in 1...200 {
            let edit = PartEdit(
                added: [part(UInt64(id))], removed: id > 3 ? [UInt64(id - 3)] : [])
            _ = try manifest.commit(edit, ifEpoch: UInt64(id - 1))
        }
        #expect(disk.paths.count == 1)
        #expect(disk.usedBytes < 1500)
        let again = try ManifestLog(directory: "/m", files: disk)
        #expect(again.current.sorted.map(\.id) == [198, 199, 200])
        #expect(again.current.epoch == 200)
    }

    @Test func everyCutOfTheFileGivesAnEarlierSetOrNone() throws {
        let disk = try disk()
        let manifest = try ManifestLog(directory: "/m", files: disk)
        for id in 1...5 {
            _ = try manifest.commit(
                PartEdit(added: [part(UInt64(id))]), ifEpoch: UInt64(id - 1))
        }
        let path = try #require(disk.paths.first)
        let size = try #require(disk.contents(path)?.count)
        var epochs: Set<UInt64> = []
        for cut in 0..<size {
            let copy = disk.afterKill()
            copy.overwrite(path) { $0.removeLast($0.count - cut) }
            do {
                let again = try ManifestLog(directory: "/m", files: copy)
                let count = again.current.epoch
                epochs.insert(count)
                #expect(again.current.sorted.map(\.id) == (0..<count).map { $0 + 1 })
                #expect(again.faults == [])
            } catch let error as KernelError {
                guard case .manifestUnreadable = error else { throw error }
            }
        }
        #expect(epochs == [0, 1, 2, 3, 4])
    }

    @Test func flippedBytesNeverCrashAndNeverInvent() throws {
        let disk = try disk()
        let manifest = try ManifestLog(directory: "/m", files: disk)
        for id in 1...5 {
            _ = try manifest.commit(
                PartEdit(added: [part(UInt64(id))]), ifEpoch: UInt64(id - 1))
        }
        let path = try #require(disk.paths.first)
        let size = try #require(disk.contents(path)?.count)
        let known = (1...5).map { part(UInt64($0)) }
        for offset in 16..<size {
            let copy = disk.afterKill()
            copy.overwrite(path) { $0[offset] ^= 0x41 }
            do {
                let again = try ManifestLog(directory: "/m", files: copy)
                let parts = again.current.sorted
                #expect(parts.allSatisfy { known.contains($0) })
                #expect(parts.count >= 4)
                #expect(!again.faults.isEmpty || again.tornTail != nil)
            } catch let error as KernelError {
                guard case .manifestUnreadable = error else { throw error }
            }
        }
    }

    @Test func watchersSeeTheNewestSet() async throws {
        let manifest = try ManifestLog(directory: "/m", files: try disk())
        var changes = manifest.watch().makeAsyncIterator()
        for id in 1...3 {
            _ = try manifest.commit(
                PartEdit(added: [part(UInt64(id))]), ifEpoch: UInt64(id - 1))
        }
        #expect(await changes.next()?.epoch == 3)
        manifest.close()
        #expect(await changes.next() == nil)
    }
}
