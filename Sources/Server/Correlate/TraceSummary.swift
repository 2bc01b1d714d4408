// SPDX-License-Identifier: Apache-2.0
// Traces in one line each.

import Base
import Correlation
import Telemetry

/// A trace in short.
struct TraceSummary: Sendable, Equatable {
    var traceID: TraceID
    var rootService: String
    var rootName: String
    var startNanos: Int64
    var durationNanos: Int64
    var spanCount: Int
    var errorCount: Int

    /// - Parameter spans: all of the trace; not empty.
    init(_ id: TraceID, _ spans: SpanBatch, root: Int?) {
        traceID = id
        rootService = root.map { spans.serviceName($0) } ?? ""
        rootName = root.map { spans.arena.text(spans.names[$0]) } ?? ""
        startNanos = spans.startNanos.min() ?? 0
        durationNanos = distance(startNanos, spans.endNanos.max() ?? startNanos)
        spanCount = spans.rowCount
        errorCount = spans.statusCodes.count { $0 == 2 }
    }

    func write(into json: inout JSONWriter) {
        json.beginObject()
        json.member("traceID", traceID.description)
        json.member("rootService", rootService)
        json.member("rootName", rootName)
        json.member("startTimeUnixNano", String(startNanos))
        json.member("durationNanos", String(durationNanos))
        json.member("spanCount", spanCount)
        json.member("errorCount", errorCount)
        json.endObject()
    }
}

extension SpanBatch {
    /// The service of a row, as answers name it.
    func serviceName(_ row: Int) -> String {
        let name = arena.text(resources[Int(rowResources[row])].serviceName)
        return name.isEmpty ? "unknown_service" : name
    }
}

/// Looks traces up for one answer, each once.
struct TraceLookup {
    let reader: any SpanReading
    private let index: Correlation
    let tenant: Tenant
    let context: ReadContext
    private var known: [TraceID: TraceSummary?] = [:]

    init(
        _ reader: any SpanReading, _ index: Correlation, _ tenant: Tenant, _ context: ReadContext
    ) {
        self.reader = reader
        self.index = index
        self.tenant = tenant
        self.context = context
    }

    /// Nil when no span of the trace is stored.
    mutating func summary(_ id: TraceID) throws -> TraceSummary? {
        if let known = known[id] { return known }
        try context.check()
        var (spans, times) = try reader.structuredTrace(id, tenant: tenant, context)
        index.rename(&spans)
        let summary = spans.rowCount == 0 ? nil : TraceSummary(id, spans, root: times.root)
        known[id] = .some(summary)
        return summary
    }

    mutating func summaries(_ ids: some Sequence<TraceID>) throws -> [TraceSummary] {
        var result: [TraceSummary] = []
        for id in ids { if let summary = try summary(id) { result.append(summary) } }
        return result
    }

    /// Traces with spans of a service that start in a range, newest first, by reading spans until
    /// `limit` are found: for stretches that the index knows only in part.
    func search(_ service: String, _ range: NanosRange, limit: Int) throws -> [TraceID] {
        let names = index.spanNames(ofService: service, tenant: tenant, range: range)
        let subject = SpanCondition.Subject.attribute(.resource, "service.name")
        let request = SpanRequest(
            tenant: tenant, range: range,
            conditions: [
                names.count == 1
                    ? SpanCondition(subject, .equal, .string(names[0]))
                    : SpanCondition(subject, .matches, .string(regexAlternatives(names)))
            ])
        var starts: [TraceID: Int64] = [:]
        try reader.search(request, context) { batch in
            try context.check()
            let isOfService = batch.resources.map {
                index.serviceName(ofResource: $0, in: batch.arena) == service
            }
            for row in 0..<batch.rowCount
            where range.contains(batch.startNanos[row])
                && isOfService[Int(batch.rowResources[row])]
            {
                let start = starts[batch.traceIDs[row]] ?? .min
                starts[batch.traceIDs[row]] = max(start, batch.startNanos[row])
            }
            return starts.count < 10 * limit
        }
        return starts.sorted { ($1.value, $1.key) < ($0.value, $0.key) }.prefix(limit).map(\.key)
    }
}

func writeTraces(_ traces: [TraceSummary], as name: String, into json: inout JSONWriter) {
    json.key(name)
    json.beginArray()
    for trace in traces { trace.write(into: &json) }
    json.endArray()
}
