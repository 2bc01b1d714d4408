// SPDX-License-Identifier: Apache-2.0
// Many traces read together are what they are one by one.

import Telemetry
import Testing
import TraceStore

@Suite struct ManyTracesTests {
    @Test func tracesTogetherAreThoseOneByOne() throws {
        for seed in 1...6 as ClosedRange<UInt64> {
            var random = Seeded(seed)
            var generator = SpanGenerator(seed: seed)
            var model = StoreModel()
            for _ in 0..<8 {
                _ = model.append(generator.batch(rows: 60))
                if random.chance(60) { try model.seal() }
                if random.chance(30) { try model.merge() }
            }
            var ids = Array(Set(model.spans.values.map(\.traceID)))
            ids.append(TraceID(high: 1, low: 2))
            var found: [SpanBatch] = []
            let context = ReadContext()
            try model.store.traces(ids, tenant: model.tenant, context) { batch in
                found.append(batch)
                return true
            }
            #expect(found.count == ids.count)
            #expect(context.heldBytes == 0)
            for (id, batch) in zip(ids, found) {
                let one = try model.store.trace(id, tenant: model.tenant, ReadContext())
                #expect(batch.plain == one.plain, "seed \(seed), \(id)")
            }
            var seen = 0
            try model.store.traces(ids, tenant: model.tenant, ReadContext()) { _ in
                seen += 1
                return seen < 3
            }
            #expect(seen == min(3, ids.count))
        }
    }
}
