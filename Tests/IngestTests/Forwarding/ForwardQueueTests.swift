// SPDX-License-Identifier: Apache-2.0
// The forwarding queue through kills, power cuts, full disks and damage.

import Base
import Telemetry
import TestKit
import Testing

@testable import Ingest

@Suite struct ForwardQueueTests {
    private let millis: Int64 = 1_800_000_000_000

    @Test func eachDestinationReadsAllOnceInOrder() throws {
        let disk = FaultyDisk()
        let queue = try forwardQueue(disk, destinations: ["a", "b"]) { $0.segmentBytes = 1000 }
        for i in 0..<40 {
            queue.take(forwardBatch(10 * i, 10, millis: millis), sequence: UInt64(i + 1))
        }
        try queue.makeDurable(below: 41)
        #expect(queue.pendingPoints("a") == 400 && queue.pendingPoints("b") == 400)
        var values: [Double] = []
        while let window = try queue.read("a", points: 35) {
            #expect(window.records.map(\.points).reduce(0, +) >= 10)
            try queue.begin("a", window, shards: 1)
            values += try window.records.flatMap { try $0.values() }
            try queue.advance("a", past: window)
        }
        #expect(values == (0..<400).map(Double.init))
        #expect(queue.pendingPoints("a") == 0 && queue.pendingPoints("b") == 400)
        #expect(try queue.unsent("b") == values)
        let held = disk.paths.count { $0.hasSuffix(".queue") }
        #expect(held > 2)
        let all = try #require(try queue.read("b", points: .max))
        try queue.advance("b", past: all)
        // The segment in use stays.
        #expect(disk.paths.count { $0.hasSuffix(".queue") } == 1)
        queue.stop()
    }

    @Test func withoutDestinationsNothingIsKept() throws {
        let disk = FaultyDisk()
        let queue = try forwardQueue(disk, destinations: [])
        queue.take(forwardBatch(0, 5, millis: millis), sequence: 1)
        try queue.makeDurable(below: 2)
        #expect(!disk.paths.contains { $0.contains("forward") } && !queue.isActive)
        try queue.setDestinations(["a"])
        #expect(try queue.unsent("a").isEmpty)
        queue.take(forwardBatch(5, 5, millis: millis), sequence: 2)
        try queue.makeDurable(below: 3)
        #expect(try queue.unsent("a") == [5, 6, 7, 8, 9])
        try queue.setDestinations([])
        #expect(!disk.paths.contains { $0.contains("/forward/") && !$0.hasSuffix("forward") })
        queue.stop()
    }

    @Test func aDestinationThatIsNewBeginsAtTheEnd() throws {
        let queue = try forwardQueue(FaultyDisk())
        queue.take(forwardBatch(0, 3, millis: millis), sequence: 1)
        try queue.makeDurable(below: 2)
        try queue.setDestinations(["a", "b"])
        queue.take(forwardBatch(3, 2, millis: millis), sequence: 2)
        try queue.makeDurable(below: 3)
        #expect(try queue.unsent("a") == [0, 1, 2, 3, 4])
        #expect(try queue.unsent("b") == [3, 4])
        queue.stop()
    }

    /// The log replays what is not in parts; the queue leaves out what it has.
    @Test(arguments: 0..<40) func nothingIsLostByKillsAndPowerCuts(_ seed: Int) throws {
        var random = SplitMix64(seed: UInt64(seed))
        var disk = FaultyDisk(seed: UInt64(seed))
        let isPowerCut = seed % 2 == 1
        // What the kernel's log would replay.
        var log: [(sequence: UInt64, batch: MetricBatch)] = []
        var sent: [Double] = []
        var next = 0
        var sequence: UInt64 = 1
        for _ in 0..<6 {
            let queue = try forwardQueue(disk) { $0.segmentBytes = 1500 }
            for (sequence, batch) in log { queue.replay(batch, sequence: sequence) }
            for _ in 0..<(3 + Int(random.next() % 20)) {
                let batch = forwardBatch(next, 1 + Int(random.next() % 9), millis: millis)
                next += batch.sampleSeries.count
                queue.take(batch, sequence: sequence)
                log.append((sequence, batch))
                sequence += 1
                switch random.next() % 6 {
                case 0:
                    // A seal; some of what it does not cover is in the queue already.
                    let boundary = sequence - random.next() % 2
                    try queue.makeDurable(below: boundary)
                    log.removeAll { $0.sequence < boundary }
                case 1:
                    if let window = try queue.read("a", points: 10) {
                        try queue.begin("a", window, shards: 2)
                        sent += try window.records.flatMap { try $0.values() }
                        if random.next() % 4 > 0 { try queue.advance("a", past: window) }
                    }
                default: break
                }
            }
            // The thread of the old queue goes on with a disk that nobody looks at any more.
            disk = isPowerCut ? disk.afterPowerCut(seed: random.next()) : disk.afterKill()
            queue.stop()
        }
        let queue = try forwardQueue(disk)
        for (sequence, batch) in log { queue.replay(batch, sequence: sequence) }
        try queue.makeDurable(below: sequence)
        while let window = try queue.read("a", points: .max) {
            sent += try window.records.flatMap { try $0.values() }
            try queue.advance("a", past: window)
        }
        #expect(Set((0..<next).map(Double.init)).subtracting(sent).sorted() == [])
        queue.stop()
    }

    @Test func afterAKillNothingIsQueuedTwice() throws {
        let disk = FaultyDisk()
        let queue = try forwardQueue(disk)
        for i in 1...20 { queue.take(forwardBatch(i, 1, millis: millis), sequence: UInt64(i)) }
        try queue.makeDurable(below: 11)
        let after = disk.afterKill()
        queue.stop()
        let next = try forwardQueue(after)
        for i in 11...25 { next.replay(forwardBatch(i, 1, millis: millis), sequence: UInt64(i)) }
        try next.makeDurable(below: 26)
        #expect(try next.unsent("a") == (1...25).map(Double.init))
        next.stop()
    }

    @Test func whatWasUnderWayIsReadAgainInTheSamePieces() throws {
        let disk = FaultyDisk()
        let queue = try forwardQueue(disk)
        for i in 1...20 { queue.take(forwardBatch(i, 1, millis: millis), sequence: UInt64(i)) }
        try queue.makeDurable(below: 21)
        let window = try #require(try queue.read("a", points: 7))
        try queue.begin("a", window, shards: 3)
        let after = disk.afterKill()
        queue.stop()
        let next = try forwardQueue(after)
        let again = try #require(try next.read("a", points: 1000))
        #expect(again.records == window.records && again.end == window.end && again.shards == 3)
        try next.advance("a", past: again)
        #expect(try next.unsent("a") == (8...20).map(Double.init))
        next.stop()
    }

    @Test func theOldestGoesWhenThereIsTooMuch() throws {
        let disk = FaultyDisk()
        let warnings = Warnings()
        let queue = try forwardQueue(disk, warnings: warnings, destinations: ["a", "b"]) {
            $0.segmentBytes = 1000
            $0.maxBytes = 5000
        }
        for i in 0..<20 {
            queue.take(forwardBatch(10 * i, 10, millis: millis), sequence: UInt64(i + 1))
            try queue.makeDurable(below: UInt64(i + 2))
            if i < 5, let window = try queue.read("b", points: .max) {
                try queue.advance("b", past: window)
            }
        }
        #expect(queue.byteCount < 6500)
        let unsent = try queue.unsent("a")
        #expect(unsent.last == 199 && unsent.count < 200)
        #expect(queue.droppedPoints("a") == 200 - unsent.count)
        let unsentByB = try queue.unsent("b").count
        #expect(queue.droppedPoints("b") == 150 - unsentByB)
        #expect(queue.pendingPoints("a") == unsent.count)
        #expect(warnings.all.contains { $0.contains("dropped unsent") })
        queue.stop()
    }

    @Test func whatIsTooOldIsNotRead() throws {
        let clock = SkippingClock()
        let queue = try forwardQueue(FaultyDisk(), clock: clock) { $0.maxAgeSeconds = 60 }
        queue.take(forwardBatch(0, 4, millis: millis), sequence: 1)
        try queue.makeDurable(below: 2)
        clock.advance(seconds: 61)
        queue.take(forwardBatch(4, 2, millis: millis), sequence: 2)
        try queue.makeDurable(below: 3)
        let window = try #require(try queue.read("a", points: .max))
        #expect(window.lost == 4 && window.records.count == 1)
        try queue.begin("a", window, shards: 1)
        #expect(queue.droppedPoints("a") == 4)
        queue.stop()
    }

    @Test func aDiskThatFailsIsToldAndTriedAgain() throws {
        let disk = FaultyDisk()
        let warnings = Warnings()
        let queue = try forwardQueue(disk, warnings: warnings) { $0.segmentBytes = 3000 }
        queue.take(forwardBatch(0, 10, millis: millis), sequence: 1)
        try queue.makeDurable(below: 2)
        disk.setCapacity(disk.usedBytes + 100)
        queue.take(forwardBatch(10, 10, millis: millis), sequence: 2)
        #expect(throws: ForwardQueueError.self) { try queue.makeDurable(below: 3) }
        #expect(queue.failure != nil)
        #expect(queue.pendingPoints("a") == 20)
        disk.setCapacity(1 << 40)
        try queue.makeDurable(below: 3)
        #expect(queue.failure == nil)
        #expect(try queue.unsent("a") == (0..<20).map(Double.init))
        #expect(warnings.all.contains { $0.contains("tried again") })
        queue.stop()
    }

    @Test func damageNeverCrashes() throws {
        let disk = FaultyDisk()
        let queue = try forwardQueue(disk) { $0.segmentBytes = 4000 }
        for i in 0..<30 {
            queue.take(forwardBatch(10 * i, 10, millis: millis), sequence: UInt64(i + 1))
        }
        try queue.makeDurable(below: 20)
        let window = try #require(try queue.read("a", points: 30))
        try queue.begin("a", window, shards: 2)
        queue.stop()
        var random = SplitMix64(seed: 3)
        var whole = 0
        for _ in 0..<400 {
            let copy = disk.afterKill()
            let files = copy.paths.filter { $0.hasPrefix("/data/forward/") }
            let path = try #require(
                files.isEmpty ? nil : files[Int(random.next() % UInt64(files.count))])
            copy.overwrite(path) { bytes in
                guard !bytes.isEmpty else { return }
                switch random.next() % 3 {
                case 0: bytes.removeLast(Int(random.next() % UInt64(bytes.count)))
                default:
                    for _ in 0...(random.next() % 4) {
                        bytes[Int(random.next() % UInt64(bytes.count))] ^= UInt8(
                            1 << (random.next() % 8))
                    }
                }
            }
            let next = try forwardQueue(copy)
            var values: [Double] = []
            while let window = try next.read("a", points: 50) {
                values += try window.records.flatMap { try $0.values() }
                try next.advance("a", past: window)
            }
            #expect(Set(values).count == values.count && values.count <= 300)
            if values.count == 300 { whole += 1 }
            next.stop()
        }
        #expect(whole < 400)
    }
}
