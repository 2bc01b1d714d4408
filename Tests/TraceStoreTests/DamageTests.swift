// SPDX-License-Identifier: Apache-2.0
// Damaged parts: refused with the place of the fault, never a crash.

import Base
import Storage
import Telemetry
import Testing

@testable import TraceStore

@Suite struct DamageTests {
    private func draft(seed: UInt64, rows: Int) throws -> PartDraft {
        var generator = SpanGenerator(seed: seed)
        let store = TraceStore()
        store.append(
            generator.batch(rows: rows), tenant: .anonymous, generation: 1, sequence: 1)
        return try #require(try store.seal(generation: 1).first)
    }

    /// Every flipped byte is either reported or in padding, where it changes nothing.
    @Test func flippedBytesAreReported() throws {
        let draft = try draft(seed: 1, rows: 120)
        var random = Seeded(2)
        var reported = 0
        for _ in 0..<400 {
            var copy = draft
            let at = random.below(copy.bytes.count)
            copy.bytes[at] ^= UInt8(1 << random.below(8))
            var shelf = PartShelf()
            do {
                let handle = try #require(try shelf.add([copy]).first)
                let store = TraceStore()
                if !store.verify(handle).isEmpty { reported += 1 }
                try store.open(handle)
                let request = SpanRequest(tenant: .anonymous, range: .all)
                try store.search(request, ReadContext()) { batch in
                    _ = batch.plain
                    return true
                }
            } catch is PartCorruption { reported += 1 }
        }
        #expect(reported > 380, "\(reported) of 400")
    }

    /// Decoders face bytes whose checksum is right and whose content is not.
    @Test func decodersRefuseWhatTheyCannotHold() throws {
        var generator = SpanGenerator(seed: 3)
        let batch = generator.batch(rows: 60)
        let encoded = EncodedBlock(
            batch, resources: batch.resources.indices.map(UInt32.init),
            scopes: batch.scopes.indices.map(UInt32.init))
        let draft = try draft(seed: 3, rows: 60)
        let reader = try PartReader(SharedBytes(draft.bytes), name: "p")
        let directory = try reader.read(TraceFormat.directory)
        let index = try reader.read(TraceFormat.index)
        let catalogue = try reader.read(TraceFormat.catalogue)
        let starts = batch.startNanos
        try fuzz(encoded.frames[BlockEntry.coreFrame]) { raw throws(MalformedBytes) in
            var cursor = ByteReader(raw)
            let core = try CoreColumns(&cursor, rows: 60, resources: 4, scopes: 2)
            for row in 0..<60 { _ = (core.names[row], core.messages[row], core.states[row]) }
        }
        try fuzz(encoded.frames[BlockEntry.attributesFrame]) { raw throws(MalformedBytes) in
            let columns = try AttributeColumnsReader([UInt8](raw), expected: 60)
            columns.forEachList({ _ in true }) { _, _ in }
            let test = SpanTest(
                SpanCondition(.attribute(.span, "http.route"), .equal, .string("/cart")))
            _ = columns.lists(matching: columns.flags(test, key: "http.route"))
        }
        try fuzz(encoded.frames[BlockEntry.eventsFrame]) { raw throws(MalformedBytes) in
            _ = try EventColumns.decode([UInt8](raw), starts: starts) { _ in true }
        }
        try fuzz(encoded.frames[BlockEntry.linksFrame]) { raw throws(MalformedBytes) in
            _ = try LinkColumns.decode([UInt8](raw), spans: 60) { _ in true }
        }
        try fuzz(directory) { raw throws(MalformedBytes) in
            var cursor = ByteReader(raw)
            _ = try BlockDirectory(decoding: &cursor, resources: 4, scopes: 2)
        }
        try fuzz(index) { raw throws(MalformedBytes) in
            var cursor = ByteReader(raw)
            _ = try TraceIndex(decoding: &cursor)
        }
        try fuzz(catalogue) { raw throws(MalformedBytes) in
            var cursor = ByteReader(raw)
            _ = try Catalogue(decoding: &cursor)
        }
    }

    @Test func pagesOfTheTraceIndexAreRefusedOrSafe() throws {
        var entries = (0..<200).map { (id: TraceID(high: 1, low: UInt64($0 / 3)), row: UInt32($0)) }
        var sink = FrameSink()
        let index = TraceIndex(&entries, &sink)
        #expect(index.traceCount == 67)
        var writer = PartWriter(signal: .traces)
        sink.write(into: &writer, family: TraceFormat.indexPages)
        let reader = try PartReader(SharedBytes(writer.finish()), name: "p")
        let page = try reader.read(TraceFormat.indexPages)
        for i in 0..<67 {
            let wanted = (0..<200).filter { $0 / 3 == i }
            #expect(
                try TraceIndex.rows(of: TraceID(high: 1, low: UInt64(i)), inPage: page) == wanted)
        }
        #expect(try TraceIndex.rows(of: TraceID(high: 2, low: 0), inPage: page) == [])
        try fuzz(page) { raw throws(MalformedBytes) in
            let bytes = [UInt8](raw)
            _ = try TraceIndex.rows(of: TraceID(high: 1, low: 60), inPage: bytes)
            try TraceIndex.forEach(inPage: bytes) { _, _ in true }
        }
    }

    /// Changes a few bytes many times; `body` may accept or throw `MalformedBytes`.
    private func fuzz(
        _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(MalformedBytes) -> Void
    ) throws {
        try #require(!bytes.isEmpty)
        var random = Seeded(UInt64(bytes.count))
        var refused = 0
        for _ in 0..<300 {
            var copy = bytes
            for _ in 0...random.below(3) {
                copy[random.below(copy.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            if random.chance(20) { copy.removeLast(random.below(copy.count)) }
            copy.withUnsafeBytes { raw in
                do throws(MalformedBytes) { try body(raw) } catch { refused += 1 }
            }
        }
        #expect(refused > 20)
    }

    @Test func partsOfAnotherSignalAreRefused() throws {
        var shelf = PartShelf()
        let bytes = PartWriter(signal: .logs).finish()
        let other = PartDraft(
            tenant: "anonymous", day: 0, minNanos: 0, maxNanos: 0, rowCount: 0, bytes: bytes)
        let handle = try #require(try shelf.add([other]).first)
        #expect(throws: PartCorruption.self) { try TraceStore().open(handle) }
    }
}
