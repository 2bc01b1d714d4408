// SPDX-License-Identifier: Apache-2.0
// Reading many traces from what knows only one at a time, and spans in any order.

extension SpanReading {
    /// Candidate spans, for readers that need them all.
    package func search(
        _ request: SpanRequest, _ context: ReadContext, _ body: (SpanBatch) throws -> Bool
    ) throws {
        try search(newestFirst: request, context) { batch, _ in try body(batch) }
    }

    /// One after the other.
    package func traces(
        _ ids: [TraceID], tenant: Tenant, _ context: ReadContext,
        _ body: (SpanBatch) throws -> Bool
    ) throws {
        for id in ids {
            try context.check()
            if try !body(try trace(id, tenant: tenant, context)) { return }
        }
    }

    package func structuredTrace(
        _ id: TraceID, tenant: Tenant, _ context: ReadContext
    ) throws -> (spans: SpanBatch, structure: SpanStructure) {
        let spans = try trace(id, tenant: tenant, context)
        return (spans, SpanStructure(spans))
    }
}
