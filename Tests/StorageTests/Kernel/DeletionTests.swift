// SPDX-License-Identifier: Apache-2.0
// Tests of deletions in the kernel: whole or not at all, and never undone.

import Base
import Storage
import TestKit
import Testing

struct DeletionTests {
    @Test func aDeletionCoversWhatCameBeforeItInHeadsAndParts() async throws {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        for key in 1...3 { try await server.commit(UInt64(key)) }
        try await server.kernel.sealNow()
        for key in 4...6 { try await server.commit(UInt64(key)) }
        try await server.commit(7, tenant: "other")
        try await server.delete([2, 5, 7])
        #expect(server.keys == [1, 3, 4, 6, 7], "another tenant's rows stay")
        #expect(server.kernel.status.work.deletions == 1)
        // The same rows may be written again.
        try await server.commit(2)
        #expect(server.keys == [1, 2, 3, 4, 6, 7])
        let again = try ToyServer(disk.afterKill())
        #expect(again.keys == [1, 2, 3, 4, 6, 7])
        await again.kernel.stop()
        try await server.kernel.sealNow()
        #expect(server.keys == [1, 2, 3, 4, 6, 7])
        await server.kernel.stop(flush: true)
        let third = try ToyServer(disk)
        #expect(third.keys == [1, 2, 3, 4, 6, 7])
        #expect(third.kernel.status.faults == [])
        await third.kernel.stop()
    }

    @Test func mergingDropsWhatIsDeletedAndTheDeletionWithIt() async throws {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        for key in 1...8 {
            try await server.commit(UInt64(key))
            try await server.kernel.sealNow()
        }
        try await server.delete([1, 8])
        // Written again before the merge: in a part that the deletion does not concern.
        try await server.commit(8)
        try await server.kernel.sealNow()
        let before = server.store.descriptors
        #expect(before.filter { !$0.deletions.isEmpty }.count == 2)
        try await server.kernel.compactNow()
        #expect(server.keys == Array(2...8))
        let after = server.store.descriptors
        #expect(after.count < before.count)
        #expect(after.allSatisfy { $0.deletions.isEmpty })
        #expect(after.reduce(0) { $0 + $1.rowCount } == 7)
        await server.kernel.stop()
    }

    @Test func cleaningRewritesThePartsOfTheTenantThatCarryDeletions() async throws {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        for key in 1...4 { try await server.commit(UInt64(key)) }
        try await server.kernel.sealNow()
        try await server.commit(5)
        try await server.commit(6, tenant: "other")
        try await server.delete([1, 5])
        try await server.delete([6], tenant: "other")
        try await server.kernel.cleanDeletions(tenant: "t")
        let parts = server.store.descriptors
        #expect(parts.filter { !$0.deletions.isEmpty }.map(\.tenant) == ["other"])
        #expect(parts.filter { $0.tenant == "t" }.map(\.rowCount) == [3])
        #expect(server.keys == [2, 3, 4])
        try await server.kernel.cleanDeletions(tenant: "other")
        #expect(server.store.descriptors.count == 1, "an empty part is dropped")
        #expect(server.store.problems == [])
        await server.kernel.stop()
        let again = try ToyServer(disk)
        #expect(again.keys == [2, 3, 4])
        await again.kernel.stop()
    }

    /// A fault at each operation of a deletion, with a power cut, a kill and the same process going
    /// on after it.
    @Test func aDeletionIsWholeOrNotAtAllWhateverOperationFails() async throws {
        var clean = false
        var nth = 1
        var refused = 0
        while !clean, nth < 80 {
            let disk = FaultyDisk()
            let server = try ToyServer(disk)
            for key in 1...3 { try await server.commit(UInt64(key)) }
            try await server.kernel.sealNow()
            for key in 4...6 { try await server.commit(UInt64(key)) }
            disk.fail(nil, at: nth, code: FileError.inputOutput)
            var expected: [[UInt64]] = [[1, 2, 3, 4, 5, 6], [1, 3, 4, 6]]
            do {
                try await server.delete([2, 5])
                expected.removeFirst()
                clean = server.kernel.status.work.lastFailure == nil
            } catch {
                refused += 1
                #expect(server.keys == expected[0], "failure \(nth): \(error)")
            }
            disk.clearFaults()
            for seed in 0..<20 {
                let after = try ToyServer(disk.afterPowerCut(seed: UInt64(seed)))
                #expect(expected.contains(after.keys), "power cut \(seed) after failure \(nth)")
                #expect(after.kernel.status.faults == [])
                await after.kernel.stop()
            }
            try await server.delete([2, 5])
            #expect(server.keys == expected[expected.count - 1])
            let killed = try ToyServer(disk.afterKill())
            #expect(killed.keys == expected[expected.count - 1], "kill after failure \(nth)")
            await killed.kernel.stop()
            await server.kernel.stop()
            nth += 1
        }
        #expect(clean, "a pass without a fault ends the loop")
        #expect(refused > 8)
    }

    /// The power goes at each operation of a deletion and of the cleaning after it.
    @Test func aDeletionThatWasAnsweredIsNeverUndone() async throws {
        let full: [UInt64] = [1, 2, 3, 4, 5, 6]
        let deleted: [UInt64] = [1, 3, 4, 6]
        var images: [(disk: FaultyDisk, answered: Bool)] = []
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        for key in 1...3 { try await server.commit(UInt64(key)) }
        try await server.kernel.sealNow()
        for key in 4...6 { try await server.commit(UInt64(key)) }
        let recorder = ImageRecorder()
        disk.onOperation { disk, _, _ in recorder.take(disk) }
        try await server.delete([2, 5])
        images += recorder.drain().map { ($0, false) }
        try await server.kernel.cleanDeletions(tenant: "t")
        images += recorder.drain().map { ($0, true) }
        disk.onOperation(nil)
        #expect(images.count > 20)
        var problems: [String] = []
        for (number, image) in images.enumerated() {
            for seed in 0..<10 {
                let after = try ToyServer(image.disk.afterPowerCut(seed: UInt64(seed)))
                let allowed = image.answered ? [deleted] : [full, deleted]
                if !allowed.contains(after.keys) {
                    problems.append("image \(number), seed \(seed): \(after.keys)")
                }
                problems += after.kernel.status.faults.map(\.description)
                await after.kernel.stop()
            }
        }
        #expect(problems == [])
        await server.kernel.stop()
    }

    @Test func aPartThatCannotBeReadRefusesTheDeletionOfItsTimes() async throws {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        try await server.commit(1)
        await server.kernel.stop(flush: true)
        let part = try #require(disk.paths.first { $0.hasSuffix(".part") })
        disk.overwrite(part) { $0[$0.count - 1] ^= 1 }
        let again = try ToyServer(disk)
        await #expect(throws: KernelError.self) { try await again.delete([1]) }
        await again.kernel.stop()
    }

    @Test func manifestsOfVersion1AreRead() throws {
        let disk = FaultyDisk()
        try disk.makeDirectory("/m")
        try disk.syncDirectory("")
        var body = ByteWriter()
        body.u8(ManifestFormat.checkpointType)
        for field in [4, 9, 3, 0, 1, 2] as [UInt64] { body.varint(field) }
        body.u8(Signal.metrics.rawValue)
        body.lengthPrefixed("t")
        body.zigzag(20_000)
        body.u8(1)
        body.u8(0)
        body.zigzag(-5)
        body.zigzag(7)
        for field in [11, 12, 13] as [UInt64] { body.varint(field) }
        var file = ByteWriter()
        file.raw(ManifestFormat.magic)
        file.fixed(UInt16(1))
        file.fixed(UInt16(0))
        file.u32(0)
        file.u32(UInt32(body.count))
        file.u32(crc32c(body.bytes))
        file.raw(body.bytes)
        let made = try disk.create("/m/00000001.manifest")
        try made.write([file.bytes], at: 0)
        let manifest = try ManifestLog(directory: "/m", files: disk)
        let part = PartDescriptor(
            id: 2, signal: .metrics, tenant: "t", day: 20_000, level: 1, minNanos: -5, maxNanos: 7,
            rowCount: 11, byteCount: 12, lastSequence: 13)
        #expect(manifest.current.sorted == [part])
        #expect(manifest.current.covered == 9)
        // Opening has written it afresh in the version of now.
        #expect(disk.paths == ["/m/00000002.manifest"])
        #expect(disk.contents("/m/00000002.manifest")?[8] == 2)
    }
}

/// Copies of a disk as it was before each of its operations.
final class ImageRecorder: Sendable {
    private let images = Monitor([FaultyDisk]())
    func take(_ disk: FaultyDisk) {
        let image = disk.afterKill()
        images.withLock { $0.append(image) }
    }
    func drain() -> [FaultyDisk] {
        images.withLock { images in
            defer { images = [] }
            return images
        }
    }
}
