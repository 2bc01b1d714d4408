// SPDX-License-Identifier: Apache-2.0
// Damaged parts give faults, never crashes.

import Base
import Correlation
import Storage
import Telemetry
import Testing

@Suite struct DamageTests {
    private struct Random {
        var state: UInt64
        mutating func below(_ n: Int) -> Int {
            state ^= state &<< 13
            state ^= state &>> 7
            state ^= state &<< 17
            return Int(state % UInt64(n))
        }
    }

    private func draft() throws -> PartDraft {
        let index = Correlation()
        index.record(metrics: metricBatch(), tenant: tenant, generation: 1)
        index.record(logs: logBatch(), tenant: tenant, generation: 1)
        index.record(spans: spanBatch(frontSpans + backSpans), tenant: tenant, generation: 1)
        return try #require(try index.seal(generation: 1).first)
    }

    private func use(_ bytes: [UInt8], like draft: PartDraft) throws {
        var draft = draft
        draft.bytes = bytes
        var shelf = Shelf()
        let handle = try #require(try shelf.add([draft]).first)
        let index = Correlation()
        _ = index.verify(handle)
        try index.open(handle)
        _ = Everything(index)
        _ = try index.merge([handle]) { false }
    }

    @Test func flippedBytesAreNoticed() throws {
        let good = try draft()
        var random = Random(state: 42)
        var noticed = 0
        for _ in 0..<500 {
            var bytes = good.bytes
            bytes[random.below(bytes.count)] ^= UInt8(1 + random.below(255))
            do { try use(bytes, like: good) } catch is PartCorruption { noticed += 1 }
        }
        // All but those that hit padding.
        #expect(noticed > 400)
    }

    /// Sections with right checksums and wrong contents.
    @Test func wrongContentsNeverCrash() throws {
        let good = try draft()
        let reader = try PartReader(SharedBytes(good.bytes), name: "good")
        let sections = try reader.sections.map { ($0.kind, try reader.read($0.kind)) }
        var random = Random(state: 43)
        var noticed = 0
        for _ in 0..<3000 {
            let hit = random.below(sections.count)
            var writer = PartWriter(signal: .correlation)
            for (i, (kind, plain)) in sections.enumerated() {
                var plain = plain
                if i == hit, !plain.isEmpty {
                    for _ in 0...random.below(3) {
                        plain[random.below(plain.count)] = UInt8(random.below(256))
                    }
                    if random.below(8) == 0 { plain.removeLast(random.below(plain.count)) }
                }
                writer.add(kind: kind, plain)
            }
            do {
                try use(writer.finish(), like: good)
            } catch is PartCorruption { noticed += 1 }
        }
        #expect(noticed > 100)
    }

    @Test func partsOfOtherSignalsAreRefused() throws {
        var shelf = Shelf()
        var other = try draft()
        other.bytes = PartWriter(signal: .logs).finish()
        let handle = try #require(try shelf.add([other]).first)
        #expect(throws: PartCorruption.self) { try Correlation().open(handle) }
    }
}
