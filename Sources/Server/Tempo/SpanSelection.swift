// SPDX-License-Identifier: Apache-2.0
// Spans of one trace that a filter selects.

import Base
import Correlation
import Telemetry
import TraceQL

/// The parameters `q`, `keep_hierarchy` and `ancestor_depth` of `/api/v2/traces/{id}`.
///
/// `q` is one TraceQL spanset filter. With `keep_hierarchy` (the default) the ancestors of selected
/// spans stay too, up to the root or as many as `ancestor_depth` says (−1 = all), so that the answer
/// is still a tree. Source: grafana/tempo `docs/…/api_docs`, "Query V2".
struct SpanSelection: Sendable {
    private let filter: String
    private let keepsHierarchy: Bool
    /// Ancestors of a selected span that stay; nil = all.
    private let ancestors: Int?

    /// Nil when the request wants the trace whole.
    init?(_ request: APIRequest) throws(APIError) {
        if let name = request.parameters.first(where: {
            $0.name == "match_depth" || $0.name.hasPrefix("span_pruning")
        })?.name {
            throw APIError(.badData, "\(name) is not offered: select spans by q")
        }
        keepsHierarchy = try request.goFlag("keep_hierarchy", default: true)
        switch request.nonEmpty("ancestor_depth") {
        case nil, "-1": ancestors = nil
        case .some(let text):
            guard let depth = Int(text), depth >= 0 else {
                throw APIError(.badData, "invalid ancestor_depth: must be -1 or more")
            }
            ancestors = depth
        }
        var text = trimmed(request.nonEmpty("q") ?? "")
        if text.isEmpty { return nil }
        guard text.hasPrefix("{"), text.hasSuffix("}") else { throw SpanSelection.refusal(nil) }
        text = trimmed(text.dropFirst().dropLast())
        if text.isEmpty || text == "true" { return nil }
        filter = text
        // With one bracket in front and one behind, only what is one filter still parses.
        do { _ = try TraceQLParser.parse("{ (" + text + ") && true }") } catch {
            throw SpanSelection.refusal("\(error)")
        }
    }

    private static func refusal(_ reason: String?) -> APIError {
        APIError(
            .badData,
            "invalid q: it must be one spanset filter { … }" + (reason.map { ": " + $0 } ?? ""))
    }

    /// The selected spans of a trace, with their ancestors where they stay.
    func select(
        from trace: SpanBatch, _ service: QueryService, tenant: Tenant
    ) async throws -> SpanBatch {
        guard let id = trace.traceIDs.first else { return trace }
        let query = try TraceQLParser.parse("{ (\(filter)) && trace:id = \"\(id)\" }")
        let search = TraceSearch(query, tenant: tenant, range: .all, limit: 1, spansPerSpanset: 0)
        let reader = service.traces
        let matched = try await service.run { context in
            try refusing { try TraceQLEngine(reader: reader).search(search, context) }
        }
        var keys: Set<Key> = []
        for span in matched.flatMap(\.spansets).flatMap(\.spans) {
            keys.insert(Key(id: span.spanID, start: span.startNanos, name: span.name))
        }
        var rows = Set(
            (0..<trace.rowCount).filter {
                keys.contains(
                    Key(
                        id: trace.spanIDs[$0], start: trace.startNanos[$0],
                        name: trace.arena.text(trace.names[$0])))
            })
        if keepsHierarchy { rows.formUnion(ancestors(of: rows, in: trace)) }
        var result = trace
        result.keep(rows.sorted())
        return result
    }

    private struct Key: Hashable {
        var id: SpanID
        var start: Int64
        var name: String
    }

    private func ancestors(of rows: Set<Int>, in trace: SpanBatch) -> Set<Int> {
        var rowOf: [SpanID: Int] = [:]
        for row in 0..<trace.rowCount where rowOf[trace.spanIDs[row]] == nil {
            rowOf[trace.spanIDs[row]] = row
        }
        var result: Set<Int> = []
        for row in rows {
            var seen: Set<Int> = [row]
            var present = row
            while seen.count <= ancestors ?? .max,
                let parent = rowOf[trace.parentIDs[present]], seen.insert(parent).inserted
            {
                // With all of them wanted, what lies above a known one is known.
                if !result.insert(parent).inserted, ancestors == nil { break }
                present = parent
            }
        }
        return result
    }
}

extension SpanBatch {
    /// Leaves only these rows, in this order. Resources and scopes stay.
    mutating func keep(_ rows: [Int]) {
        var result = SpanBatch()
        result.arena = arena
        result.resources = resources
        result.scopes = scopes
        for row in rows { result.add(self.row(row)) }
        self = result
    }
}
