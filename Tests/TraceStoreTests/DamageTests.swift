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

    /// A merge whose output does not open leaves its inputs in place and is told.
    @Test func aPartThatDoesNotOpenIsAFault() throws {
        var shelf = PartShelf()
        let good = try shelf.add([draft(seed: 5, rows: 20)])
        var foreign = PartWriter(signal: .logs)
        foreign.add(kind: TraceFormat.sources, [1, 2, 3])
        let alien = PartHandle(
            descriptor: good[0].descriptor,
            reader: try PartReader(SharedBytes(foreign.finish()), name: "alien"))
        let store = TraceStore()
        try store.open(good[0])
        store.replace(removed: [good[0].descriptor.id], added: [alien])
        #expect(store.openFaults.map(\.name) == ["alien"])
        var rows = 0
        try store.search(SpanRequest(tenant: .anonymous, range: .all), ReadContext()) {
            rows += $0.rowCount
            return true
        }
        #expect(rows == 20)
    }

    /// Decoders face bytes whose checksum is right and whose content is not.
    @Test func decodersRefuseWhatTheyCannotHold() throws {
        let draft = try draft(seed: 3, rows: 60)
        var shelf = PartShelf()
        let part = try TracePart(try #require(try shelf.add([draft]).first))
        let reader = part.handle.reader
        let entry = try #require(part.directory.blocks.first)
        let rows = entry.rowCount
        func frame(_ piece: BlockPiece) throws -> [UInt8] { try part.frame(entry[piece]) }
        try fuzz(frame(.parents)) { raw throws(MalformedBytes) in
            var cursor = ByteReader(raw)
            _ = try ParentColumn(decoding: &cursor, count: rows, rows: rows)
        }
        try fuzz(frame(.names)) { raw throws(MalformedBytes) in
            var cursor = ByteReader(raw)
            let names = try StringColumn(decoding: &cursor, count: rows)
            for row in 0..<rows { _ = names[row] }
        }
        try fuzz(frame(.flags)) { raw throws(MalformedBytes) in
            var cursor = ByteReader(raw)
            let _: [UInt8] = try NumberColumn.decode(&cursor, count: rows, below: 2)
        }
        try fuzz(frame(.tree) + frame(.times)) { raw throws(MalformedBytes) in
            var cursor = ByteReader(raw)
            var tree = TreeColumns()
            try tree.decodeTree(&cursor, count: rows)
            try tree.decodeTimes(
                &cursor, durations: [Int64](repeating: 1_000_000, count: rows))
        }
        let columns = entry.spanColumns
        try fuzz(frame(.layout)) { raw throws(MalformedBytes) in
            var cursor = ByteReader(raw)
            let layout = try AttributeLayout(
                decoding: &cursor, expected: rows, columns: columns.count)
            let flags = layout.valueCounts.map { [Bool](repeating: true, count: $0) }
            _ = layout.lists(matching: flags)
        }
        let layout = try part.decoding("layout", entry[.layout]) { () throws(MalformedBytes) in
            let result = try? frame(.layout).withUnsafeBytes { raw in
                var cursor = ByteReader(raw)
                return try AttributeLayout(
                    decoding: &cursor, expected: rows, columns: columns.count)
            }
            guard let result else { throw MalformedBytes(offset: 0, expected: "a layout") }
            return result
        }
        let test = SpanTest(
            SpanCondition(.attribute(.span, "http.route"), .equal, .string("/cart")))
        for (number, column) in columns.enumerated() where column.frame.plainCount > 8 {
            try fuzz(part.frame(column.frame), least: 0) { raw throws(MalformedBytes) in
                let values = try AttributeValues(
                    [UInt8](raw), key: [1], type: column.type, count: layout.valueCounts[number])
                _ = values.flags(test)
                var out = ByteWriter()
                for value in 0..<values.count { values.write(value, into: &out) }
            }
        }
        let starts = [Int64](repeating: 5, count: rows)
        try fuzz(frame(.events)) { raw throws(MalformedBytes) in
            _ = try EventColumns.decode([UInt8](raw), starts: starts) { _ in true }
        }
        try fuzz(frame(.links)) { raw throws(MalformedBytes) in
            _ = try LinkColumns.decode([UInt8](raw), spans: rows) { _ in true }
        }
        try fuzz(reader.read(TraceFormat.directory)) { raw throws(MalformedBytes) in
            var cursor = ByteReader(raw)
            _ = try BlockDirectory(decoding: &cursor, resources: 4, scopes: 2)
        }
        try fuzz(reader.read(TraceFormat.index)) { raw throws(MalformedBytes) in
            var cursor = ByteReader(raw)
            _ = try TraceIndex(decoding: &cursor)
        }
        try fuzz(reader.read(TraceFormat.catalogue)) { raw throws(MalformedBytes) in
            var cursor = ByteReader(raw)
            _ = try Catalogue(decoding: &cursor)
        }
        try fuzz(reader.read(TraceFormat.rates)) { raw throws(MalformedBytes) in
            try RateReader.read(raw, rows: rows, { _, _ in true }) { _, _, _ in }
        }
        let page = try reader.frame(
            try #require(part.index.blockPages.first), family: TraceFormat.indexPages)
        try fuzz(page, least: 0) { raw throws(MalformedBytes) in
            try TraceIndex.forEachTrace(
                inBlockPage: [UInt8](raw), traces: part.index.traceCount, blocks: 1
            ) { _ in true }
        }
    }

    @Test func everyTraceIsFoundByItsIDAndNoOther() throws {
        var generator = SpanGenerator(seed: 4)
        generator.traceCount = 9000
        generator.spanIDs = 1_000_000
        let store = TraceStore()
        let batch = generator.batch(rows: 20_000)
        store.append(batch, tenant: .anonymous, generation: 1, sequence: 1)
        var shelf = PartShelf()
        let part = try TracePart(try #require(try shelf.add(store.seal(generation: 1)).first))
        let ids = Set(batch.traceIDs)
        #expect(part.index.traceCount == ids.count)
        let all = try part.stored.allTraceIDs()
        for id in ids { #expect(all[try #require(try part.stored.number(of: id))] == id) }
        var seeming = 0
        for number in 0..<20_000 as Range<UInt64> {
            let id = TraceID(high: 8, low: number)
            #expect(try part.stored.number(of: id) == nil)
            if part.stored.mayContain(id) { seeming += 1 }
        }
        #expect(seeming < 200)
    }

    /// Changes a few bytes many times; `body` may accept or throw `MalformedBytes`.
    private func fuzz(
        _ bytes: [UInt8], least: Int = 10,
        _ body: (UnsafeRawBufferPointer) throws(MalformedBytes) -> Void
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
        #expect(refused >= least)
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

extension DamageTests {
    private struct Spoilt {
        var store: TraceStore
        /// Spans outside the damaged part.
        var others: [PlainSpan]
        var all: [PlainSpan]
    }

    /// A store of two parts and a head, with the bytes of the first part changed before it opens.
    private func spoilt(_ change: (TracePart, inout [UInt8]) throws -> Void) throws -> Spoilt {
        var generator = SpanGenerator(seed: 8)
        let store = TraceStore()
        var shelf = PartShelf()
        var all: [PlainSpan] = [], others: [PlainSpan] = []
        for generation in 1...3 as ClosedRange<UInt64> {
            let batch = generator.batch(rows: 100)
            store.append(batch, tenant: .anonymous, generation: generation, sequence: generation)
            all += batch.plain
            if generation > 1 { others += batch.plain }
            guard generation < 3 else { break }
            var drafts = try store.seal(generation: generation)
            if generation == 1 {
                try #require(drafts.count == 1)
                var probe = PartShelf()
                let part = try TracePart(try #require(try probe.add(drafts).first))
                try change(part, &drafts[0].bytes)
            }
            store.sealed(generation: generation, parts: try shelf.add(drafts))
        }
        return Spoilt(store: store, others: others, all: all)
    }

    private func answers(
        _ store: TraceStore, _ ids: Set<TraceID>
    ) throws -> (traces: [PlainSpan], found: [PlainSpan], warnings: [String]) {
        let context = ReadContext()
        var traces: [PlainSpan] = []
        for id in ids.sorted() {
            traces += try store.trace(id, tenant: .anonymous, context).plain
        }
        var found: [PlainSpan] = []
        try store.search(SpanRequest(tenant: .anonymous, range: .all), context) {
            found += $0.plain
            return true
        }
        _ = try store.tagNames(.anonymous, range: .all, context)
        return (traces, found, context.warnings)
    }

    @Test func aDamagedBlockGivesAPartialAnswerAndAWarning() throws {
        var offset = 0
        let spoilt = try spoilt { part, bytes in
            let block = try #require(part.directory.blocks.first)
            offset = part.handle.reader.fileOffset(
                of: block[.durations], family: TraceFormat.blocks)
            bytes[offset] ^= 1
        }
        let ids = Set(spoilt.all.map(\.traceID))
        let (traces, found, warnings) = try answers(spoilt.store, ids)
        #expect(Set(traces).isSuperset(of: spoilt.others))
        #expect(Set(found) == Set(traces))
        #expect(found.count < spoilt.all.count)
        #expect(warnings.count == 1)
        #expect(
            warnings.first?.contains("part part-1 damaged at offset \(offset)") == true,
            "\(warnings)")
    }

    @Test func aDamagedTraceIndexPageGivesAPartialAnswerAndAWarning() throws {
        var offset = 0
        let spoilt = try spoilt { part, bytes in
            let page = try #require(part.index.blockPages.first)
            offset = part.handle.reader.fileOffset(of: page, family: TraceFormat.indexPages)
            bytes[offset] ^= 1
        }
        let (traces, found, warnings) = try answers(
            spoilt.store, Set(spoilt.all.map(\.traceID)))
        #expect(Set(traces).isSuperset(of: spoilt.others))
        #expect(Set(found) == Set(spoilt.all), "a search does not need the index")
        #expect(warnings.count == 1)
        #expect(warnings.first?.contains("offset \(offset)") == true)
    }

    @Test func aPartThatDoesNotOpenIsNamedInAnswers() throws {
        let spoilt = try spoilt { _, _ in }
        let lost = PartDescriptor(
            id: 99, signal: .traces, tenant: Tenant.anonymous.name, day: 0, level: 0,
            minNanos: .min, maxNanos: .max, rowCount: 1, byteCount: 1, lastSequence: 1)
        spoilt.store.missing(
            lost, PartCorruption(name: "000000000099.part", offset: 7, problem: "cut short"))
        let ids = Set(spoilt.all.map(\.traceID))
        let before = try answers(spoilt.store, ids)
        #expect(Set(before.traces) == Set(spoilt.all))
        #expect(before.warnings.count == 1)
        #expect(before.warnings.first?.contains("000000000099.part damaged at offset 7") == true)
        spoilt.store.replace(removed: [99], added: [])
        #expect(try answers(spoilt.store, ids).warnings == [])
    }

    /// After a merge the older data has the higher part id; the first acknowledged span stays.
    @Test func theFirstAcknowledgedOfTwoSpansStaysAfterMerges() throws {
        func batch(_ name: String) -> SpanBatch {
            var batch = SpanBatch()
            var row = SpanRow()
            row.traceID = TraceID(high: 1, low: 1)
            row.spanID = SpanID(2)
            row.startNanos = 1_800_000_000_000_000_000
            row.endNanos = row.startNanos + 1
            row.name = batch.arena.keep(name)
            batch.resources.append(SpanBatch.Resource())
            batch.scopes.append(SpanBatch.Scope())
            batch.add(row)
            return batch
        }
        let store = TraceStore()
        var handles: [PartHandle] = []
        for (index, name) in ["first", "second", "third"].enumerated() {
            let generation = UInt64(index) + 1
            store.append(
                batch(name), tenant: .anonymous, generation: generation, sequence: generation)
            let draft = try #require(try store.seal(generation: generation).first)
            handles.append(try handle(draft, id: generation, lastSequence: generation))
            store.sealed(generation: generation, parts: [handles[index]])
        }
        let merged = try #require(
            try store.merge(Array(handles.prefix(2)).reversed()) { false }.first)
        #expect(merged.duplicates == 1)
        store.replace(
            removed: [1, 2], added: [try handle(merged, id: 4, lastSequence: 2)])
        let found = try store.trace(
            TraceID(high: 1, low: 1), tenant: .anonymous, ReadContext())
        #expect(
            found.names.map { String(decoding: found.arena[$0.range], as: UTF8.self) } == ["first"])
    }

    private func handle(
        _ draft: PartDraft, id: UInt64, lastSequence: UInt64
    ) throws -> PartHandle {
        PartHandle(
            descriptor: PartDescriptor(
                id: id, signal: .traces, tenant: draft.tenant, day: draft.day, level: 0,
                minNanos: draft.minNanos, maxNanos: draft.maxNanos, rowCount: draft.rowCount,
                byteCount: UInt64(draft.bytes.count), lastSequence: lastSequence),
            reader: try PartReader(SharedBytes(draft.bytes), name: "part-\(id)"))
    }
}
