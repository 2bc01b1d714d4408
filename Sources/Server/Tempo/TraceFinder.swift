// SPDX-License-Identifier: Apache-2.0
// Whole traces that answer a query, for APIs that list traces with all their spans.

import Telemetry
import TraceQL

/// Finds traces by TraceQL and reads them whole.
struct TraceFinder: Sendable {
    let service: QueryService

    struct Wanted: Sendable {
        /// TraceQL.
        var text: String
        var range: NanosRange
        /// Traces at most.
        var limit: Int
    }

    struct Found: Sendable {
        /// Newest start first.
        var traces: [SpanBatch] = []
        /// Traces that were asked for by id and are unknown.
        var unknown: [TraceID] = []
        /// What could not be read.
        var missing: [String] = []
    }

    /// Traces with spans that start in the range and answer the query.
    func search(_ wanted: Wanted, tenant: Tenant) async throws -> Found {
        let query: TraceQLQuery
        do {
            query = try TraceQLParser.parse(wanted.text)
        } catch {
            throw APIError(.badData, "the search cannot be carried out: \(error)")
        }
        let search = TraceSearch(
            query, tenant: tenant, range: wanted.range, limit: wanted.limit, spansPerSpanset: 1)
        let reader = service.traces
        return try await service.run { context in
            let ids = try refusing { try TraceQLEngine(reader: reader).search(search, context) }
                .map(\.traceID)
            return try read(ids, tenant, context)
        }
    }

    /// Traces by their ids, in this order, each once.
    func traces(_ ids: [TraceID], tenant: Tenant) async throws -> Found {
        try await service.run { context in
            var seen: Set<TraceID> = []
            return try read(ids.filter { seen.insert($0).inserted }, tenant, context)
        }
    }

    private func read(
        _ ids: [TraceID], _ tenant: Tenant, _ context: ReadContext
    ) throws -> Found {
        var found = Found()
        var next = ids.startIndex
        try service.traces.traces(ids, tenant: tenant, context) { trace in
            try context.check()
            let id = ids[next]
            next += 1
            if trace.rowCount == 0 {
                found.unknown.append(id)
            } else {
                // The answer's text takes about as much again.
                try context.reserve(3 * trace.arena.count + 512 * trace.rowCount)
                found.traces.append(trace)
            }
            return next < ids.endIndex
        }
        found.missing = context.warnings
        return found
    }
}
