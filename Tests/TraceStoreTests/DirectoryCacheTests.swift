// SPDX-License-Identifier: Apache-2.0
// Searches whose directories are read again.

import Base
import Storage
import Telemetry
import Testing

@testable import TraceStore

@Suite struct DirectoryCacheTests {
    /// Directories that memory has no room for are read again: answers and their order are the same.
    @Test func answersAreTheSameWhateverIsKept() throws {
        var generator = SpanGenerator(seed: 41)
        generator.spanIDs = 1_000_000
        var small = TraceStoreConfiguration()
        small.directoryCacheBytes = 0
        small.blockRows = 16
        var model = StoreModel(small)
        for part in 0..<12 {
            generator.firstNanos = 1_700_000_000_000_000_000 + Int64(part % 5) * 900_000_000_000
            _ = model.append(generator.batch(rows: 60))
            try model.seal()
        }
        _ = model.append(generator.batch(rows: 30))
        try model.check("nothing kept")
        let large = TraceStore()
        for handle in model.shelf.handles { try large.open(handle) }
        let kept = TraceStore(small)
        for handle in model.shelf.handles { try kept.open(handle) }
        for condition in searchConditions.prefix(12) {
            func found(_ store: TraceStore, limit: Int) throws -> [PlainSpan] {
                var spans: [PlainSpan] = []
                let request = SpanRequest(
                    tenant: model.tenant, range: .all, conditions: [condition])
                try store.search(request, ReadContext()) { batch in
                    spans += batch.plain
                    return spans.count < limit
                }
                return spans
            }
            #expect(try found(large, limit: .max) == found(kept, limit: .max))
            #expect(try found(large, limit: 5) == found(kept, limit: 5))
        }
    }

    /// Blocks come in descending order of their newest start, however parts overlap.
    @Test func blocksComeNewestFirst() throws {
        var random = Seeded(42)
        var configuration = TraceStoreConfiguration()
        configuration.blockRows = 8
        var model = StoreModel(configuration)
        for part in 0..<8 {
            var generator = SpanGenerator(seed: UInt64(part) + 50)
            generator.spanIDs = 1_000_000
            generator.spanNanos = Int64(1 + random.below(3_000)) * 1_000_000_000
            generator.firstNanos += Int64(random.below(3_000)) * 1_000_000_000
            _ = model.append(generator.batch(rows: 50))
            try model.seal()
        }
        var newest: [Int64] = []
        let request = SpanRequest(tenant: model.tenant, range: .all)
        try model.store.search(request, ReadContext()) { batch in
            newest.append(batch.startNanos.max() ?? 0)
            return true
        }
        #expect(newest.count > 40)
        #expect(newest == newest.sorted(by: >))
    }

    @Test func theOldestDirectoryIsLetGo() throws {
        var generator = SpanGenerator(seed: 43)
        let store = TraceStore()
        var shelf = PartShelf()
        for generation in 1...3 {
            store.append(
                generator.batch(rows: 40), tenant: .anonymous, generation: UInt64(generation),
                sequence: 1)
            _ = try shelf.add(try store.seal(generation: UInt64(generation)))
        }
        let contents = try shelf.handles.map { try PartContents($0.reader) }
        let cache = DirectoryCache(limitBytes: contents[0].byteCount + contents[1].byteCount)
        cache.insert(contents[0], id: 1)
        cache.insert(contents[1], id: 2)
        #expect(cache.find(1) === contents[0])
        cache.insert(contents[2], id: 3)
        #expect(cache.find(2) == nil)
        #expect(cache.find(3) === contents[2])
        #expect(cache.byteCount <= contents[0].byteCount + contents[2].byteCount)
        cache.remove([1, 3])
        #expect(cache.byteCount == 0)
        #expect(cache.find(1) == nil)
    }
}
