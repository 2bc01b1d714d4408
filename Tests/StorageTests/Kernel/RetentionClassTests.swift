// SPDX-License-Identifier: Apache-2.0
// The table of retention classes: its bytes, its numbers, its life in a data directory.

import Base
import TestKit
import Testing

@testable import Storage

struct RetentionClassTests {
    private func rule(_ name: String, days: Double = 1) -> RetentionRule {
        RetentionRule(name: name, seconds: days * 86_400)
    }

    @Test func numbersStayWithTheirRules() throws {
        var table = RetentionClasses()
        #expect(try table.assign([rule("a"), rule("b")], borne: []) == [1, 2])
        // Another order, one more, one less: whoever was there keeps its number.
        #expect(try table.assign([rule("c"), rule("b")], borne: [1]) == [3, 2])
        #expect(table.names == [1: "a", 2: "b", 3: "c"])
        // Nobody needs 1 any more.
        #expect(try table.assign([rule("d"), rule("b", days: 9)], borne: [2]) == [1, 2])
        #expect(table.names == [1: "d", 2: "b"])
    }

    @Test func aNumberThatPartsBearIsNotGivenAgain() throws {
        var table = RetentionClasses()
        #expect(try table.assign([rule("a")], borne: [1, 2, 4]) == [3])
        #expect(throws: KernelError.self) {
            _ = try table.assign([rule("b")], borne: Set(1...255))
        }
    }

    @Test func theTableComesBackFromItsBytes() throws {
        var table = RetentionClasses()
        #expect(try table.assign([rule("metrics {job=\"ü\"}"), rule("")], borne: [1]) == [2, 3])
        let bytes = table.encoded()
        #expect(try bytes.withUnsafeBytes { try RetentionClasses(decoding: $0) } == table)
        // Every changed bit and every missing byte is noticed, two unused bytes excepted.
        for index in bytes.indices where !(10...11).contains(index) {
            for bit in 0..<8 {
                var changed = bytes
                changed[index] ^= 1 << UInt8(bit)
                #expect(throws: MalformedBytes.self) {
                    _ = try changed.withUnsafeBytes { try RetentionClasses(decoding: $0) }
                }
            }
        }
        for count in bytes.indices {
            #expect(throws: MalformedBytes.self) {
                _ = try bytes[..<count].withUnsafeBytes { try RetentionClasses(decoding: $0) }
            }
        }
        // A body that its checksum confirms and that is wrong all the same.
        var random = SplitMix64(seed: 11)
        for _ in 0..<2000 {
            var body = Array(bytes[RetentionClasses.headerCount...])
            for _ in 0...(random.next() % 4) {
                body[Int(random.next() % UInt64(body.count))] = UInt8(
                    truncatingIfNeeded: random.next())
            }
            let crc = crc32c(body)
            var changed =
                Array(bytes[..<12]) + (0..<4).map { UInt8(truncatingIfNeeded: crc >> (8 * $0)) }
            changed += body
            do {
                let found = try changed.withUnsafeBytes { try RetentionClasses(decoding: $0) }
                #expect(found.names[0] == nil)
            } catch is MalformedBytes {}
        }
    }

    private func open(
        _ disk: FaultyDisk, _ rules: [RetentionRule]
    ) throws -> (kernel: Kernel, numbers: [UInt8]) {
        var configuration = KernelConfiguration(path: "/data", retentionSeconds: 15 * 86_400)
        configuration.minFreeBytes = 0
        configuration.retentionRules = rules
        let kernel = try Kernel.open(
            configuration, files: disk, clock: ManualClock(), random: SeededRandom(seed: 1),
            stores: [ToyStore(.logs)])
        return (kernel, kernel.retention.numbers)
    }

    @Test func numbersSurviveRestartsAndLeaveSnapshotsReadable() async throws {
        let disk = FaultyDisk()
        let first = try open(disk, [])
        #expect(!disk.paths.contains { $0.hasSuffix("retention-classes") })
        await first.kernel.stop()
        let second = try open(disk, [rule("a"), rule("b", days: 30)])
        #expect(second.numbers == [1, 2])
        #expect(second.kernel.retention.secondsByClass == [1: 86_400, 2: 30 * 86_400])
        try await second.kernel.snapshot(name: "s")
        await second.kernel.stop()
        let third = try open(disk, [rule("b", days: 3)])
        #expect(third.numbers == [2])
        await third.kernel.stop()
        #expect(disk.paths.contains("/data/snapshots/s/retention-classes"))
        #expect(try StorageCheck.check(path: "/data", files: disk).isSound)
    }

    @Test func aDamagedTableIsAFaultAndIsBegunAfresh() async throws {
        let disk = FaultyDisk()
        await (try open(disk, [rule("a")])).kernel.stop()
        let file = try disk.open("/data/retention-classes")
        try file.write([[0xff]], at: 17)
        try file.sync()
        file.close()
        #expect(
            try StorageCheck.check(path: "/data", files: disk).faults.map(\.file) == [
                "retention-classes"
            ])
        let again = try open(disk, [rule("z")])
        #expect(again.kernel.status.faults.map(\.file) == ["retention-classes"])
        #expect(again.numbers == [1])
        await again.kernel.stop()
        #expect(try StorageCheck.check(path: "/data", files: disk).isSound)
    }

    /// Without the table nobody knows what a number of a part meant.
    @Test func partsOfAnUnknownClassStayAsLongAsAny() throws {
        let disk = FaultyDisk()
        let directory = try DataDirectory("/data", files: disk)
        defer { directory.lock.unlock() }
        var configuration = KernelConfiguration(path: "/data", retentionSeconds: 15 * 86_400)
        configuration.retentionRules = [rule("a", days: 2), rule("b", days: 400)]
        let opened = try OpenedRetention(configuration, borne: [0, 1, 9], directory, disk)
        #expect(opened.numbers == [2, 3])
        #expect(opened.secondsByClass[1] == 34_560_000.0)
        #expect(opened.secondsByClass[9] == 34_560_000.0)
        configuration.retentionSeconds = 0
        let forever = try OpenedRetention(configuration, borne: [0, 9], directory, disk)
        #expect(forever.secondsByClass[9] == 0)
        // A rule that was taken out leaves its class to the default.
        configuration.retentionRules = [rule("b", days: 400)]
        let without = try OpenedRetention(configuration, borne: [0, 2], directory, disk)
        #expect(without.secondsByClass[2] == nil)
    }
}
