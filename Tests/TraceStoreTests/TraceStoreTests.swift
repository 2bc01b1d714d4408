// SPDX-License-Identifier: Apache-2.0
// The trace store against a naive model.

import Base
import Storage
import Telemetry
import Testing
import TraceStore

/// A store, the shelf of its parts, and the list of spans that it must answer with.
struct StoreModel {
    let configuration: TraceStoreConfiguration
    var store: TraceStore
    var shelf = PartShelf()
    /// Of spans of one identity the first counts.
    var spans: [PlainSpan.Identity: PlainSpan] = [:]
    var generation: UInt64 = 1
    /// Appended batches that are not sealed yet: what the log would replay.
    var log: [(batch: SpanBatch, generation: UInt64)] = []
    let tenant = Tenant.anonymous

    init(_ configuration: TraceStoreConfiguration = TraceStoreConfiguration()) {
        self.configuration = configuration
        store = TraceStore(configuration)
    }

    mutating func append(_ batch: SpanBatch) -> SpanAppendCounts {
        for span in batch.plain where spans[span.identity] == nil { spans[span.identity] = span }
        log.append((batch, generation))
        return store.append(batch, tenant: tenant, generation: generation, sequence: 0)
    }

    mutating func seal() throws {
        let old = generation
        generation += 1
        store.sealed(generation: old, parts: try shelf.add(try store.seal(generation: old)))
        log.removeAll { $0.generation == old }
    }

    mutating func merge() throws {
        for group in shelf.mergeable {
            let drafts = try store.merge(group) { false }
            let ids = group.map(\.descriptor.id)
            shelf.remove(ids)
            store.replace(removed: ids, added: try shelf.add(drafts, level: 1))
        }
    }

    /// A new process: parts from the manifest, the rest from the log.
    mutating func reopen() throws {
        store = TraceStore(configuration)
        for handle in shelf.handles { try store.open(handle) }
        for (batch, generation) in log {
            var writer = ByteWriter()
            batch.encode(into: &writer)
            try writer.bytes.withUnsafeBytes {
                try store.replay($0, tenant: tenant.name, generation: generation, sequence: 1)
            }
        }
    }

    func search(
        _ conditions: [SpanCondition] = [], matchAll: Bool = true, range: NanosRange = .all
    ) throws -> [PlainSpan] {
        var found: [PlainSpan] = []
        let request = SpanRequest(
            tenant: tenant, range: range, conditions: conditions, matchAll: matchAll)
        try store.search(request, ReadContext()) { batch in
            found += batch.plain
            return true
        }
        return found
    }

    /// Whether the store has exactly the model's spans, all of them and by trace.
    func check(_ note: Comment) throws {
        let found = try search()
        #expect(found.count == spans.count, note)
        #expect(Set(found) == Set(spans.values), note)
        for (id, wanted) in Dictionary(grouping: spans.values, by: \.traceID) {
            let batch = try store.trace(id, tenant: tenant, ReadContext())
            #expect(batch.startNanos == wanted.map(\.start).sorted(), note)
            #expect(Set(batch.plain) == Set(wanted), note)
        }
        let unknown = TraceID(high: 9, low: 9)
        #expect(try store.trace(unknown, tenant: tenant, ReadContext()).rowCount == 0)
        #expect(try store.trace(unknown, tenant: Tenant("b"), ReadContext()).rowCount == 0)
    }
}

@Suite struct TraceStoreTests {
    /// Random steps; after each some the store must answer as the model does.
    @Test(arguments: 0..<6) func everyMixtureOfHeadsAndPartsAnswersAlike(seed: Int) throws {
        var generator = SpanGenerator(seed: UInt64(seed))
        generator.spanNanos = seed % 2 == 0 ? 3_600_000_000_000 : nanosPerDay * 2
        var model = StoreModel()
        var random = Seeded(UInt64(seed) &+ 100)
        var recent: SpanBatch?
        for step in 0..<24 {
            switch random.below(7) {
            case 0: try model.seal()
            case 1: try model.merge()
            case 2: try model.reopen()
            case 3:
                // The client did not get the answer and sends again.
                if let recent { _ = model.append(recent) }
            default:
                let batch = generator.batch(rows: 1 + random.below(120))
                recent = batch
                _ = model.append(batch)
            }
            if step % 4 == 3 { try model.check("seed \(seed) step \(step)") }
        }
        try model.check("seed \(seed) end")
        for handle in model.shelf.handles { #expect(model.store.verify(handle) == []) }
    }

    @Test func duplicatesAreCountedOnce() {
        var generator = SpanGenerator(seed: 1)
        generator.spanIDs = 1_000_000
        var model = StoreModel()
        let batch = generator.batch(rows: 50)
        #expect(model.append(batch) == SpanAppendCounts(accepted: 50, duplicateRows: []))
        let again = model.append(batch)
        #expect(again.accepted == 0)
        #expect(again.duplicateRows == Array(0..<50))
        // Also while the older generation is being sealed.
        model.generation += 1
        #expect(model.append(batch).duplicates == 50)
    }

    @Test func largeHeadsSealIntoManyBlocks() throws {
        var generator = SpanGenerator(seed: 2)
        generator.spanIDs = 1_000_000
        generator.traceCount = 3000
        var model = StoreModel()
        for _ in 0..<12 { _ = model.append(generator.batch(rows: 1000)) }
        try model.seal()
        #expect(try model.search().count == model.spans.count)
        let id = TraceID(high: 7, low: 5 << 40)
        let batch = try model.store.trace(id, tenant: model.tenant, ReadContext())
        #expect(Set(batch.plain) == Set(model.spans.values.filter { $0.traceID == id }))
        #expect(model.store.headBytes == 0)
    }

    @Test func readersOfManyThreadsSeeWholeSpans() async throws {
        let store = TraceStore()
        let tenant = Tenant.anonymous
        try await withThrowingTaskGroup(of: Int.self) { group in
            for writer in 0..<4 {
                group.addTask {
                    var generator = SpanGenerator(seed: UInt64(writer))
                    generator.spanIDs = 1_000_000
                    var accepted = 0
                    for _ in 0..<20 {
                        accepted +=
                            store.append(
                                generator.batch(rows: 200), tenant: tenant, generation: 1,
                                sequence: 0
                            ).accepted
                    }
                    return accepted
                }
            }
            group.addTask {
                for _ in 0..<20 {
                    let request = SpanRequest(tenant: tenant, range: .all)
                    try store.search(request, ReadContext()) { batch in
                        _ = batch.plain
                        return true
                    }
                }
                return 0
            }
            let accepted = try await group.reduce(0, +)
            var found = 0
            try store.search(SpanRequest(tenant: tenant, range: .all), ReadContext()) { batch in
                found += batch.rowCount
                return true
            }
            #expect(found == accepted)
        }
    }
}
