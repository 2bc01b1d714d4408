// SPDX-License-Identifier: Apache-2.0
// Searching for traces.

import Base
import Telemetry

/// A span of an answer.
package struct MatchedSpan: Sendable, Equatable {
    package var spanID: SpanID
    package var name: String
    package var startNanos: Int64
    package var durationNanos: Int64
    /// Attributes that the query reads or selects and the span has, by name without scope.
    package var attributes: [(name: String, value: AttributeValue)]

    package static func == (a: MatchedSpan, b: MatchedSpan) -> Bool {
        a.spanID == b.spanID && a.name == b.name && a.startNanos == b.startNanos
            && a.durationNanos == b.durationNanos
            && a.attributes.elementsEqual(b.attributes) {
                $0.name == $1.name && $0.value == $1.value
            }
    }
}

/// Spans of one trace that matched together.
package struct MatchedSpanset: Sendable {
    /// At most `spansPerSpanset`, earliest first.
    package var spans: [MatchedSpan]
    /// How many matched.
    package var matched: Int
    package var attributes: [(name: String, value: AttributeValue)]
}

package struct TraceSearchResult: Sendable {
    package struct ServiceStatistics: Sendable, Equatable {
        package var spanCount = 0
        package var errorCount = 0
    }
    /// What stands for the root's names while the root has not come in. Source: Tempo's text,
    /// which its user interfaces know.
    package static let rootNotReceived = "<root span not yet received>"

    package var traceID: TraceID
    package var rootServiceName: String
    package var rootTraceName: String
    package var startNanos: Int64
    package var durationNanos: Int64
    package var spansets: [MatchedSpanset]
    package var services: [String: ServiceStatistics]
}

package struct TraceSearch: Sendable {
    package var query: TraceQLQuery
    package var tenant: Tenant
    /// Where matching spans must start.
    package var range: NanosRange
    /// Traces at most.
    package var limit: Int
    package var spansPerSpanset: Int

    package init(
        _ query: TraceQLQuery, tenant: Tenant, range: NanosRange, limit: Int = 20,
        spansPerSpanset: Int = 3
    ) {
        self.query = query
        self.tenant = tenant
        self.range = range
        self.limit = limit
        self.spansPerSpanset = spansPerSpanset
    }
}

extension TraceQLEngine {
    /// What one candidate trace takes in memory.
    static let candidateBytes = 64

    /// Traces that answer the query, newest start first. Of more than `limit` those are answered that
    /// have the newest span that may be part of an answer.
    ///
    /// Costs reading spans from the newest back to where enough traces have answered, as far as the
    /// reader's hints leave them, and one look-up per trace that is looked at: as many as are
    /// answered, plus those that fail where one span cannot tell.
    ///
    /// - Throws: `TraceQLValidationError` for metrics queries, `QueryInterruption`, what the reader
    ///   throws.
    package func search(
        _ search: TraceSearch, _ context: ReadContext
    ) throws -> [TraceSearchResult] {
        guard case .search(let syntax) = search.query.kind else {
            throw TraceQLValidationError(
                "a metrics query answers with series, not with traces: remove the metrics stage or "
                    + "send it to the metrics endpoints")
        }
        let pipeline = try CompiledPipeline(syntax)
        let source = try CandidateSource(syntax, tenant: search.tenant, range: search.range)
        let limit = search.limit > 0 ? search.limit : Int.max
        var results: [TraceSearchResult] = []
        /// Looks at traces until there are enough.
        func look(at ids: [TraceID]) throws {
            try reader.traces(ids, tenant: search.tenant, context) { batch in
                if let result = evaluate(batch, pipeline, search.spansPerSpanset) {
                    results.append(result)
                }
                return results.count < limit
            }
        }
        var queue = CandidateQueue()
        var ready: [TraceID] = []
        // Traces are cheaper by the dozen, but no more should be read than are asked for.
        var enough = min(max(16, limit), TraceQLEngine.mostTogether)
        try reader.search(newestFirst: source.request, context) { batch, rest in
            try context.check()
            let before = queue.count
            source.forEach(in: batch, unless: { queue.knows($0, start: $1) }) {
                queue.note($0, start: $1)
            }
            try context.reserve((queue.count - before) * CandidateQueue.traceBytes)
            while let id = queue.next(after: rest) { ready.append(id) }
            guard ready.count >= enough else { return true }
            try look(at: ready)
            ready.removeAll(keepingCapacity: true)
            enough = min(2 * enough, TraceQLEngine.mostTogether)
            return results.count < limit
        }
        if results.count < limit {
            while let id = queue.next(after: .min) { ready.append(id) }
            try look(at: ready)
        }
        return results.sorted { a, b in
            a.startNanos == b.startNanos ? a.traceID < b.traceID : a.startNanos > b.startNanos
        }
    }

    private static let mostTogether = 8192

    /// Traces with a span that may answer, the one with the newest such span first.
    ///
    /// Reserves `candidateBytes` for each.
    func candidates(
        _ pipeline: SpansetPipeline, tenant: Tenant, range: NanosRange, _ context: ReadContext
    ) throws -> [TraceID] {
        let source = try CandidateSource(pipeline, tenant: tenant, range: range)
        var newest: [TraceID: Int64] = [:]
        try reader.search(source.request, context) { batch in
            try context.check()
            let before = newest.count
            source.forEach(
                in: batch, unless: { id, start in newest[id].map { $0 >= start } ?? false }
            ) {
                newest[$0] = $1
            }
            try context.reserve((newest.count - before) * TraceQLEngine.candidateBytes)
            return true
        }
        return newest.sorted { a, b in a.value == b.value ? a.key < b.key : a.value > b.value }
            .map(\.key)
    }

    private func evaluate(
        _ batch: SpanBatch, _ pipeline: CompiledPipeline, _ spansPerSpanset: Int
    ) -> TraceSearchResult? {
        guard batch.rowCount > 0 else { return nil }
        let shape = TraceShape(batch)
        return batch.arena.withUnsafeBytes { arena -> TraceSearchResult? in
            let reader = SpanReader(batch: batch, arena: arena, trace: shape)
            let sets = TraceEvaluation(reader: reader, shape: shape).run(pipeline)
            guard !sets.isEmpty else { return nil }
            var services: [String: TraceSearchResult.ServiceStatistics] = [:]
            for row in 0..<batch.rowCount {
                let name = reader.serviceName(row)
                services[name, default: .init()].spanCount += 1
                if batch.statusCodes[row] == 2 { services[name, default: .init()].errorCount += 1 }
            }
            return TraceSearchResult(
                traceID: batch.traceIDs[0],
                rootServiceName: shape.root.map(reader.serviceName)
                    ?? TraceSearchResult.rootNotReceived,
                rootTraceName: shape.root.map { reader.text(batch.names[$0]) }
                    ?? TraceSearchResult.rootNotReceived,
                startNanos: shape.startNanos, durationNanos: shape.durationNanos,
                spansets: sets.map { matched($0, reader, pipeline, spansPerSpanset) },
                services: services)
        }
    }

    private func matched(
        _ set: Spanset, _ reader: SpanReader, _ pipeline: CompiledPipeline, _ limit: Int
    ) -> MatchedSpanset {
        let batch = reader.batch
        let rows = set.rows
        let spans = rows.prefix(limit > 0 ? limit : rows.count).map { row in
            var attributes: [(name: String, value: AttributeValue)] = []
            for item in pipeline.selected {
                let value = reader.value(item.attribute, name: item.name.buffer, row)
                if !value.isNull { attributes.append((item.attribute.name, value.attributeValue)) }
            }
            return MatchedSpan(
                spanID: batch.spanIDs[row], name: reader.text(batch.names[row]),
                startNanos: batch.startNanos[row], durationNanos: reader.duration(row),
                attributes: attributes)
        }
        return MatchedSpanset(spans: spans, matched: rows.count, attributes: set.attributes)
    }
}

/// Where traces that may answer a pipeline come from.
private struct CandidateSource {
    let request: SpanRequest
    private let filters: [CompiledExpression]

    init(_ pipeline: SpansetPipeline, tenant: Tenant, range: NanosRange) throws {
        let prefilter = try Prefilter(pipeline)
        filters = prefilter.filters
        request = SpanRequest(
            tenant: tenant, range: range, conditions: prefilter.conditions,
            matchAll: prefilter.matchAll)
    }

    /// Calls `body` with the trace and start of each span that may be part of an answer.
    ///
    /// - Parameter isKnown: asked before the span is tested, which costs more.
    func forEach(
        in batch: SpanBatch, unless isKnown: (TraceID, Int64) -> Bool,
        _ body: (TraceID, Int64) -> Void
    ) {
        batch.arena.withUnsafeBytes { arena in
            let reader = SpanReader(batch: batch, arena: arena, trace: nil)
            for row in 0..<batch.rowCount {
                let start = batch.startNanos[row], id = batch.traceIDs[row]
                guard request.range.contains(start), !isKnown(id, start) else { continue }
                if filters.isEmpty || filters.contains(where: { reader.value($0, row).isTrue }) {
                    body(id, start)
                }
            }
        }
    }
}
