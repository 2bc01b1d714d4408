// SPDX-License-Identifier: Apache-2.0
// Spans that parts hold already.

import Telemetry
import Testing
import TraceStore

@Suite struct StoredSpanTests {
    /// Batches of which some rows were sealed before, others are near them, are told apart exactly.
    @Test func rowsInPartsAreKnown() throws {
        var generator = SpanGenerator(seed: 21)
        var model = StoreModel()
        var sealed: Set<PlainSpan.Identity> = []
        for _ in 0..<4 {
            let batch = generator.batch(rows: 700)
            _ = model.append(batch)
            #expect(model.store.storedRows(of: batch, tenant: model.tenant).count < 700)
            try model.seal()
            sealed.formUnion(batch.plain.map(\.identity))
        }
        for turn in 0..<6 {
            if turn == 3 { try model.merge() }
            var probe = generator.batch(rows: 300)
            // Halves of spans that are there, changed in one of the things that make a span.
            let known = model.spans.values.sorted {
                ($0.spanID.rawValue, $0.start) < ($1.spanID.rawValue, $1.start)
            }
            for (place, span) in known.enumerated() where place % 17 == turn {
                var row = SpanRow()
                row.traceID = span.traceID
                row.spanID = span.spanID
                row.kind = span.kind
                row.startNanos = span.start
                switch place % 4 {
                case 0: row.startNanos += 1
                case 1: row.kind ^= 1
                default: break
                }
                probe.add(row)
            }
            let plain = probe.plain
            let wanted = plain.indices.filter { sealed.contains(plain[$0].identity) }
            #expect(!wanted.isEmpty)
            #expect(model.store.storedRows(of: probe, tenant: model.tenant) == wanted)
            #expect(model.store.storedRows(of: probe, tenant: Tenant("other")).isEmpty)
        }
    }
}
