// SPDX-License-Identifier: Apache-2.0
// The log-record form of spans.

import Base
import Telemetry
import Testing

@Suite struct SpanCodingTests {
    @Test func batchesSurviveTheLog() throws {
        for seed in 0..<40 {
            var generator = SpanGenerator(seed: UInt64(seed))
            let batch = generator.batch(rows: seed)
            var writer = ByteWriter()
            batch.encode(into: &writer)
            let back = try writer.bytes.withUnsafeBytes { try SpanBatch(decoding: $0) }
            #expect(back.plain == batch.plain)
            #expect(back.resources.count == batch.resources.count)
        }
    }

    @Test func cutRecordsAreRefused() {
        var generator = SpanGenerator(seed: 5)
        var writer = ByteWriter()
        generator.batch(rows: 6).encode(into: &writer)
        let whole = writer.bytes
        for end in 0..<whole.count {
            #expect(throws: MalformedBytes.self, "cut at \(end)") {
                _ = try Array(whole[..<end]).withUnsafeBytes { try SpanBatch(decoding: $0) }
            }
        }
    }

    /// Whatever decodes can be walked without leaving the arena.
    @Test func damagedRecordsNeverLeadOutside() {
        var generator = SpanGenerator(seed: 6)
        var writer = ByteWriter()
        generator.batch(rows: 8).encode(into: &writer)
        var random = Seeded(1)
        var accepted = 0
        for _ in 0..<4000 {
            var bytes = writer.bytes
            for _ in 0...random.below(3) {
                bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            do {
                let batch = try bytes.withUnsafeBytes { try SpanBatch(decoding: $0) }
                accepted += 1
                #expect(batch.plain.count == batch.rowCount)
                for slice in batch.attributes {
                    _ = try batch.arena.withSlice(slice) { try AttributeCoding.decodeList($0) }
                }
            } catch is MalformedBytes {
            } catch { Issue.record("unexpected \(error)") }
        }
        #expect(accepted > 0, "most single bytes are plain numbers or text")
    }
}
