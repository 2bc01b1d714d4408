// SPDX-License-Identifier: Apache-2.0
// Tests of what is read back from a log that is not as it was written.

import Base
import Storage
import TestKit
import Testing

struct RecoveryTests {
    /// A directory with `count` commits in one segment, killed without a clean end.
    private func killed(
        _ count: UInt64, bytes: Int = 40, change: (inout KernelConfiguration) -> Void = { _ in }
    ) async throws -> FaultyDisk {
        let disk = FaultyDisk()
        let server = try ToyServer(disk, change: change)
        for key in 1...count { try await server.commit(key, bytes: bytes) }
        let left = disk.afterKill()
        await server.kernel.stop()
        return left
    }

    private let segment = "/data/wal/00000001.wal"

    /// Offsets of records in a segment, found by their magic.
    private func recordOffsets(_ disk: FaultyDisk) -> [Int] {
        let bytes = disk.contents(segment) ?? []
        return stride(from: 48, to: bytes.count, by: 8).filter {
            bytes[$0...].starts(with: [0x54, 0x52, 0x45, 0x43])
        }
    }

    @Test func theLogCutAtEveryByteOfItsLastTwoRecords() async throws {
        let disk = try await killed(4)
        let size = try #require(disk.contents(segment)?.count)
        let starts = recordOffsets(disk)
        try #require(starts.count == 4)
        let bytes = disk.contents(segment) ?? []
        // Header of 48 bytes, with the count of the stored bytes at 32.
        let ends = starts.map { $0 + 48 + Int(bytes[$0 + 32]) + Int(bytes[$0 + 33]) << 8 }
        var problems: [String] = []
        for cut in starts[2]..<size {
            let copy = disk.afterKill()
            copy.overwrite(segment) { $0.removeLast($0.count - cut) }
            let server = try ToyServer(copy)
            let whole = ends.count { $0 <= cut }
            let keys = server.keys
            if keys != Array(1...UInt64(whole)) { problems.append("cut at \(cut): \(keys)") }
            // Of a cut between two records nothing can be seen, nor of one in the padding.
            let isTorn = cut > starts[whole == 2 ? 2 : 3] && whole < 4
            let torn = server.kernel.status.replay.tornTail
            if isTorn != (torn != nil) {
                problems.append("cut at \(cut) reported as \(torn as Any)")
            }
            if server.kernel.status.faults != [] { problems.append("cut at \(cut): fault") }
            await server.kernel.stop()
            let again = try ToyServer(copy)
            if again.keys != keys || again.kernel.status.replay.tornTail != nil {
                problems.append("cut at \(cut): differs the second time")
            }
            await again.kernel.stop()
        }
        #expect(problems == [])
    }

    @Test func aFlippedBitCostsOneRecordAndIsNamed() async throws {
        let disk = try await killed(12, bytes: 90)
        let size = try #require(disk.contents(segment)?.count)
        let starts = recordOffsets(disk) + [size]
        var problems: [String] = []
        for offset in stride(from: 0, to: starts[10], by: 7) {
            let copy = disk.afterKill()
            copy.overwrite(segment) { $0[offset] ^= 0x10 }
            let server = try ToyServer(copy)
            let keys = server.keys
            let faults = server.kernel.status.faults
            await server.kernel.stop()
            let struck = starts.lastIndex { $0 <= offset }.map { UInt64($0 + 1) }
            let missing = (1...12).filter { !keys.contains($0) }
            if let struck {
                if missing.isEmpty { continue }
                if missing != [struck] { problems.append("flip at \(offset): lost \(missing)") }
                let place = starts[Int(struck) - 1]
                if !faults.contains(where: { $0.file == "wal/00000001.wal" && $0.offset == place })
                {
                    problems.append("flip at \(offset): named \(faults)")
                }
            } else if !missing.isEmpty {
                problems.append("flip at \(offset) of the header: lost \(missing)")
            }
        }
        #expect(problems == [])
    }

    @Test func damageAfterACleanEndIsNotTakenForATornTail() async throws {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        for key in 1...3 { try await server.commit(UInt64(key)) }
        await server.kernel.stop()
        let last = recordOffsets(disk)[2]
        disk.overwrite(segment) { $0[last + 60] ^= 1 }
        let again = try ToyServer(disk)
        #expect(again.keys == [1, 2])
        #expect(again.kernel.status.faults.map(\.offset) == [last])
        #expect(again.kernel.status.replay.tornTail == nil)
        await again.kernel.stop()
    }

    @Test func aMissingSegmentIsReported() async throws {
        let disk = try await killed(30, bytes: 200) { $0.segmentBytes = 1500 }
        try disk.remove("/data/wal/00000002.wal")
        let server = try ToyServer(disk)
        let faults = server.kernel.status.faults
        #expect(faults.count == 1)
        #expect(faults.first?.file == "wal/00000003.wal")
        #expect(faults.first?.problem.contains("are missing") == true)
        #expect(server.keys.first == 1)
        #expect(server.keys.last == 30)
        await server.kernel.stop()
    }

    @Test func anUnreadableStretchCostsOnlyItself() async throws {
        let disk = try await killed(400, bytes: 1000)
        // The whole file fails, then its second 64 KiB.
        disk.fail(.read, at: 1, code: FileError.inputOutput, pathSuffix: ".wal")
        disk.fail(.read, at: 2, code: FileError.inputOutput, pathSuffix: ".wal")
        let server = try ToyServer(disk)
        let lost = 400 - server.keys.count
        #expect((55...75).contains(lost))
        #expect(server.keys.last == 400)
        #expect(server.kernel.status.faults.contains { $0.offset == 65536 })
        await server.kernel.stop()
    }

    @Test func aRecordThatAStoreCannotDecodeIsReportedAndPassed() async throws {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        try await server.commit(1)
        let bad = try await server.kernel.commit(
            tenant: "t", sections: [CommitSection(signal: .logs, payload: [0xff, 0xff])])
        server.kernel.applied(bad)
        try await server.commit(3)
        await server.kernel.stop()
        let again = try ToyServer(disk)
        #expect(again.keys == [1, 3])
        #expect(again.kernel.status.faults.count == 1)
        #expect(
            again.kernel.status.faults.first?.problem.contains("record 2 cannot be applied") == true
        )
        await again.kernel.stop()
    }

    @Test func compactPayloadsAreNotCompressed() async throws {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        for (isCompact, expected) in [(true, 10_000...11_000), (false, 1...2000)] {
            let before = server.kernel.status.logBytes
            let ticket = try await server.kernel.commit(
                tenant: "t",
                sections: [
                    CommitSection(
                        signal: .metrics, payload: [UInt8](repeating: 7, count: 10_000),
                        isCompact: isCompact)
                ])
            server.kernel.applied(ticket)
            #expect(expected.contains(server.kernel.status.logBytes - before))
        }
        await server.kernel.stop()
    }

    /// Large pieces are written from where they are, small ones are copied.
    @Test func aPayloadInPiecesIsOnePayload() async throws {
        let disk = FaultyDisk()
        let server = try ToyServer(disk)
        for (key, cuts) in [
            (UInt64(1), [0, 0]), (2, [3, 3]), (3, [1, 40_000]), (4, [40_000, 40_001]),
        ] {
            let payload = ToyStore.encode([
                ToyStore.Row(
                    tenant: "t", key: key, nanos: 0,
                    value: (0..<70_000).map { UInt8(truncatingIfNeeded: $0 / 3) })
            ])
            let section = CommitSection(
                signal: .logs,
                pieces: [
                    Array(payload[..<cuts[0]]), Array(payload[cuts[0]..<cuts[1]]),
                    Array(payload[cuts[1]...]),
                ], isCompact: true)
            #expect(section.count == payload.count)
            let ticket = try await server.kernel.commit(tenant: "t", sections: [section])
            server.kernel.applied(ticket)
        }
        let left = disk.afterKill()
        await server.kernel.stop()
        let again = try ToyServer(left)
        #expect(again.keys == [1, 2, 3, 4])
        await again.kernel.stop()
    }

    @Test func aRecordPlantedInsideALogLineIsNotTakenForReal() async throws {
        let donor = try await killed(3)
        let stolen = Array((donor.contents(segment) ?? []).dropFirst(48))
        let disk = FaultyDisk()
        let server = try ToyServer(disk, seed: 99)
        try await server.commit(1)
        for _ in 0..<2 {
            // Raw, aligned or not, whichever way the payload falls.
            for shift in 0..<8 {
                let payload = ToyStore.encode([
                    ToyStore.Row(
                        tenant: "t", key: 100, nanos: 0,
                        value: Array(repeating: 0, count: shift) + stolen)
                ])
                let ticket = try await server.kernel.commit(
                    tenant: "t", sections: [CommitSection(signal: .metrics, payload: payload)])
                server.kernel.applied(ticket)
            }
        }
        try await server.commit(2)
        let left = disk.afterKill()
        await server.kernel.stop()
        // Every header of the carriers is destroyed, so the scan runs through what they carry.
        let starts = recordOffsets(left).dropFirst().dropLast()
        left.overwrite(segment) { bytes in
            for start in starts where start < bytes.count { bytes[start + 5] ^= 0xff }
        }
        let again = try ToyServer(left)
        #expect(again.keys == [1, 2] || again.keys == [1])
        await again.kernel.stop()
    }
}
