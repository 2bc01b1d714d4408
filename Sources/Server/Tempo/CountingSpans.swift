// SPDX-License-Identifier: Apache-2.0
// Counts the traces that a query reads.

import Synchronization
import Telemetry
import Wire

/// A reader of spans that counts which traces were read whole, for the statistics of an answer.
final class CountingSpans: SpanReading {
    private let reader: any SpanReading
    private let traces = Atomic<Int>(0)

    init(_ reader: any SpanReading) { self.reader = reader }

    func trace(_ id: TraceID, tenant: Tenant, _ context: ReadContext) throws -> SpanBatch {
        traces.wrappingAdd(1, ordering: .relaxed)
        return try reader.trace(id, tenant: tenant, context)
    }

    func traces(
        _ ids: [TraceID], tenant: Tenant, _ context: ReadContext,
        _ body: (SpanBatch) throws -> Bool
    ) throws {
        try reader.traces(ids, tenant: tenant, context) { batch in
            traces.wrappingAdd(1, ordering: .relaxed)
            return try body(batch)
        }
    }

    func structuredTrace(
        _ id: TraceID, tenant: Tenant, _ context: ReadContext
    ) throws -> (spans: SpanBatch, structure: SpanStructure) {
        traces.wrappingAdd(1, ordering: .relaxed)
        return try reader.structuredTrace(id, tenant: tenant, context)
    }

    func search(
        newestFirst request: SpanRequest, _ context: ReadContext,
        _ body: (SpanBatch, _ restStartNanos: Int64) throws -> Bool
    ) throws {
        try reader.search(newestFirst: request, context, body)
    }

    func tagNames(
        _ tenant: Tenant, range: NanosRange, _ context: ReadContext
    ) throws -> [AttributeScope: [String]] {
        try reader.tagNames(tenant, range: range, context)
    }

    func tagValues(
        _ subject: SpanCondition.Subject, _ request: SpanRequest, limit: Int,
        _ context: ReadContext
    ) throws -> [AttributeValue] {
        try reader.tagValues(subject, request, limit: limit, context)
    }

    /// What was read up to now. A query is one job, which is done when this is asked for.
    func statistics(_ context: ReadContext) -> TempoStatistics {
        var statistics = TempoStatistics()
        statistics.inspectedTraces = traces.load(ordering: .relaxed)
        statistics.inspectedBytes = context.bytesRead
        statistics.inspectedSpans = context.samplesRead
        statistics.totalBlocks = BlockFate.allCases.reduce(0) { $0 + context.blockCount($1) }
        statistics.totalJobs = 1
        statistics.completedJobs = 1
        return statistics
    }
}
