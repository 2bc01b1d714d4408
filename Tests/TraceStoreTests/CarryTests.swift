// SPDX-License-Identifier: Apache-2.0
// Merges that take over blocks against a naive model.

import Base
import Storage
import Telemetry
import Testing

@testable import TraceStore

@Suite struct CarryTests {
    private func configuration(_ random: inout Seeded) -> TraceStoreConfiguration {
        var configuration = TraceStoreConfiguration()
        configuration.blockRows = 4 + random.below(30)
        configuration.carriedBlockRows = 1 + random.below(configuration.blockRows)
        configuration.carriedBlockOperations = 1 + random.below(24)
        return configuration
    }

    /// How a merge of all parts of each day would go.
    private func plans(_ model: StoreModel) throws -> [MergePlan] {
        try model.shelf.mergeable.map { group in
            let inputs = try group.sorted {
                PartDescriptor.isOlder($0.descriptor, $1.descriptor)
            }.map { try TracePart($0) }
            return try MergePlan(inputs, model.configuration) { false }
        }
    }

    /// Whatever is taken over and whatever is taken apart: no span is lost or doubled, and structure,
    /// rates and catalogue are those of the spans.
    @Test(arguments: 0..<4) func mergesKeepEverySpanOnce(seed: Int) throws {
        var random = Seeded(UInt64(seed) &+ 500)
        var generator = SpanGenerator(seed: UInt64(seed) &+ 900)
        generator.spanNanos = 600_000_000_000
        generator.traceCount = 3 + random.below(40)
        generator.spanIDs = seed % 3 == 0 ? 300 : 1_000_000
        var model = StoreModel(configuration(&random))
        var carried = 0
        var recent: SpanBatch?
        for round in 0..<3 {
            for part in 0...(1 + random.below(3)) {
                if let batch = recent, random.chance(seed % 2 == 0 ? 0 : 10) {
                    // Sent again after the first copy was sealed.
                    _ = model.append(batch)
                }
                // Traces of a part are its own or those of all.
                generator.firstTrace = random.chance(50) ? 0 : (round * 8 + part) * 1000
                let batch = generator.batch(rows: 1 + random.below(160))
                recent = batch
                _ = model.append(batch)
                try model.seal()
            }
            carried += try plans(model).reduce(0) { $0 + $1.blocks.count { $0.isCarried } }
            try model.merge()
            if random.chance(30) { try model.reopen() }
            try check(model, "seed \(seed) round \(round)")
        }
        if seed % 2 == 0 { #expect(carried > 0, "seed \(seed)") }
        for handle in model.shelf.handles { #expect(model.store.verify(handle) == []) }
    }

    private func check(_ model: StoreModel, _ note: Comment) throws {
        try model.check(note)
        try RateModel().check(model, .all, note)
        for id in Set(model.spans.values.map(\.traceID)) {
            let (spans, structure) = try model.store.structuredTrace(
                id, tenant: model.tenant, ReadContext())
            #expect(structure == SpanStructure(spans), note)
        }
        try checkTimes(model, note)
        for key in ["http.route", "http.status_code", "user.id"] {
            let wanted = model.spans.values.filter { attributes($0)[key] != nil }
            let found = try model.search([
                SpanCondition(.attribute(.span, key), .exists, .bool(true))
            ])
            #expect(Set(found).isSuperset(of: wanted), note)
        }
        let names = try model.store.tagNames(model.tenant, range: .all, ReadContext())
        let keys = Set(model.spans.values.flatMap { attributes($0).keys })
        #expect(Set(names[.span] ?? []) == keys, note)
        let request = SpanRequest(tenant: model.tenant, range: .all)
        let versions = try model.store.tagValues(
            .attribute(.resource, "service.version"), request, limit: 10, ReadContext())
        #expect(
            versions
                == [.string("v0"), .string("v1")].filter { version in
                    model.spans.values.contains {
                        list($0.resource[0])["service.version"] == version
                    }
                }, note)
    }

    /// Self times and critical paths as searches give them.
    private func checkTimes(_ model: StoreModel, _ note: Comment) throws {
        var request = SpanRequest(tenant: model.tenant, range: .all)
        request.wantsTimes = true
        var found: [SpanKey: [Int64]] = [:]
        try model.store.search(request, ReadContext()) { batch in
            for row in 0..<batch.rowCount {
                found[batch.key(row)] = [batch.selfTimeNanos[row], batch.criticalPathNanos[row]]
            }
            return true
        }
        for id in Set(model.spans.values.map(\.traceID)) {
            let spans = try model.store.trace(id, tenant: model.tenant, ReadContext())
            let structure = SpanStructure(spans)
            for row in 0..<spans.rowCount {
                #expect(
                    found[spans.key(row)]
                        == [structure.selfTimeNanos[row], structure.criticalPathNanos[row]], note)
            }
        }
    }

    private func attributes(_ span: PlainSpan) -> [String: AttributeValue] { list(span.texts[2]) }

    private func list(_ bytes: [UInt8]) -> [String: AttributeValue] {
        var values: [String: AttributeValue] = [:]
        bytes.withUnsafeBytes { raw in
            try? AttributeCoding.forEach(in: raw) { key, value in
                var reader = ByteReader(value)
                values[String(decoding: key, as: UTF8.self)] =
                    try? AttributeCoding.decodeValue(&reader)
            }
        }
        return values
    }

    /// Parts of traces of their own go over whole, and what they say of structure with them.
    @Test func blocksOfTheirOwnTracesGoOver() throws {
        var generator = SpanGenerator(seed: 71)
        generator.traceCount = 200
        generator.spanIDs = 1_000_000
        var configuration = TraceStoreConfiguration()
        configuration.blockRows = 50
        configuration.carriedBlockRows = 25
        configuration.carriedBlockOperations = 50
        var model = StoreModel(configuration)
        for part in 0..<4 {
            generator.firstTrace = part * 1000
            _ = model.append(generator.batch(rows: 490))
            try model.seal()
        }
        let plan = try #require(try plans(model).first)
        #expect(plan.duplicates == 0)
        #expect(plan.blocks.count { $0.isCarried } == plan.blocks.count)
        #expect(!plan.blocks.contains { $0.hasOpenTraces })
        try model.merge()
        #expect(model.shelf.handles.count == 1)
        try check(model, "merged")
        // And from there into a larger one, with late spans of all of them.
        generator.firstTrace = 0
        generator.traceCount = 4000
        _ = model.append(generator.batch(rows: 490))
        try model.seal()
        let next = try #require(try plans(model).first)
        #expect(next.blocks.contains { $0.isCarried && $0.hasOpenTraces })
        try model.merge()
        try check(model, "merged again")
        for handle in model.shelf.handles { #expect(model.store.verify(handle) == []) }
    }

    /// A damaged frame is found when its block is taken over.
    @Test func damageIsNotTakenOver() throws {
        var generator = SpanGenerator(seed: 72)
        generator.spanIDs = 1_000_000
        var configuration = TraceStoreConfiguration()
        configuration.carriedBlockRows = 1
        configuration.carriedBlockOperations = 1000
        let store = TraceStore(configuration)
        var shelf = PartShelf()
        for generation in 1...2 {
            generator.firstTrace = generation * 1000
            store.append(
                generator.batch(rows: 100), tenant: .anonymous, generation: UInt64(generation),
                sequence: 1)
            _ = try shelf.add(try store.seal(generation: UInt64(generation)))
        }
        let good = try TracePart(shelf.handles[0])
        let entry = try #require(good.directory.blocks.first)
        let column = try #require(entry.spanColumns.first { $0.frame.plainCount > 0 })
        let section = try #require(
            good.handle.reader.section(TraceFormat.blocks + column.frame.section))
        var bytes = good.handle.reader.bytes.withBytes { Array($0) }
        bytes[section.offset + column.frame.offset] ^= 1
        let bad = PartHandle(
            descriptor: good.handle.descriptor,
            reader: try PartReader(SharedBytes(bytes), name: "bad"))
        #expect(throws: PartCorruption.self) {
            try store.merge([bad, shelf.handles[1]]) { false }
        }
        _ = try store.merge(shelf.handles) { false }
    }
}
