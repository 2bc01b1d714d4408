// SPDX-License-Identifier: Apache-2.0
// /api/v1/correlate: from one signal into the other two.

import Base
import Correlation
import Storage
import Telemetry

/// The correlation API: exact look-ups, an unknown id or service is 404. What cannot be read is
/// left out and named in `warnings`.
struct CorrelateEndpoints: Sendable {
    let service: QueryService
    let index: Correlation

    /// Traces in each list of a service.
    static let traceListLimit = 20

    /// `trace/{id}`: spans, log lines and exemplars of one trace.
    func trace(_ request: APIRequest) async throws -> APIResponse {
        let text = request.pathParameters["id"] ?? ""
        guard let id = TraceID(hex: text) else {
            throw APIError(.badData, "trace id \"\(text)\" is not 1 to 32 hexadecimal digits")
        }
        let limit = try request.correlateLimit(default: 10_000)
        let include = try included(request)
        let tenant = request.tenant
        return try await service.run { context in
            let refs = index.traceRefs(id, tenant: tenant)
            note(refs.faults, context)
            var (spans, times) = try service.traces.structuredTrace(id, tenant: tenant, context)
            index.rename(&spans)
            let logs =
                include.contains(.logs) || spans.rowCount == 0
                ? try self.logs(refs.logs.prefix(limit), of: id, tenant, context) : LogBatch()
            guard spans.rowCount > 0 || logs.rowCount > 0 || !refs.exemplars.isEmpty else {
                throw APIError(
                    .notFound,
                    "trace \(id) not found"
                        + (context.warnings.first.map { " in what can be read: \($0)" } ?? ""))
            }
            let answer = TraceAnswer(
                id: id, spans: spans, logs: logs, refs: refs, times: times,
                include: include, limit: limit, logsAreCut: refs.logs.count > limit)
            let warnings = context.warnings + answer.cuts
            return try prometheusSuccess(warnings: warnings) { json in
                try answer.write(partial: !warnings.isEmpty, into: &json)
            }
        }
    }

    private func included(_ request: APIRequest) throws(APIError) -> Set<TraceAnswerPart> {
        guard let text = request.nonEmpty("include") else { return Set(TraceAnswerPart.allCases) }
        var parts: Set<TraceAnswerPart> = []
        for name in text.split(separator: ",") {
            guard let part = TraceAnswerPart(rawValue: trimmed(name)) else {
                throw APIError(
                    .badData,
                    "invalid parameter \"include\": \"\(name)\" is none of spans, logs, exemplars")
            }
            parts.insert(part)
        }
        return parts
    }

    private func logs(
        _ references: some Sequence<LogReference>, of id: TraceID, _ tenant: Tenant,
        _ context: ReadContext
    ) throws -> LogBatch {
        var logs = LogBatch()
        for reference in LogReference.joined(references) {
            try context.check()
            let rows = try service.logs.rows(
                ofTrace: id, tenant: tenant, streamHash: reference.streamHash,
                range: reference.range, context)
            logs.add(rows, ofTrace: id)
        }
        return logs
    }

    /// Makes an answer say what the index lacks.
    func note(_ faults: [PartCorruption], _ context: ReadContext) {
        for fault in faults { context.noteMissing(fault) }
    }

    /// `services`: every service seen in a stretch of time.
    func services(_ request: APIRequest) async throws -> APIResponse {
        let range = try request.correlateRange(now: service.clock.wallNanos)
        let tenant = request.tenant
        return try await service.run { context in
            let found = index.services(tenant: tenant, range: range)
            note(index.faults(tenant: tenant, range: range), context)
            return prometheusSuccess(warnings: context.warnings) { json in
                json.beginArray()
                for service in found {
                    json.beginObject()
                    writeSummary(service, into: &json)
                    json.endObject()
                }
                json.endArray()
            }
        }
    }

    /// `service/{name}`: everything known of one service.
    func serviceDetail(_ request: APIRequest) async throws -> APIResponse {
        let range = try request.correlateRange(now: service.clock.wallNanos)
        let asked = request.pathParameters["name"] ?? ""
        let explains = try flag(request, "explain")
        let tenant = request.tenant
        return try await service.run { context in
            guard
                let name = index.canonicalName(asked, tenant: tenant, range: range),
                let found = index.service(name, tenant: tenant, range: range)
            else {
                throw APIError(
                    .notFound, "service \"\(asked)\" not found in this stretch of time")
            }
            var lookup = TraceLookup(service.traces, index, tenant, context)
            let lists = try traces(of: name, tenant, range, &lookup)
            note(index.faults(tenant: tenant, range: range) + found.faults, context)
            var warnings = context.warnings + lists.warnings
            let detail = ServiceAnswer(
                detail: found, explains: explains, recent: lists.recent, errors: lists.errors,
                slow: lists.slow)
            warnings += detail.cuts
            return prometheusSuccess(warnings: warnings) { detail.write(into: &$0) }
        }
    }

    private func flag(_ request: APIRequest, _ name: String) throws(APIError) -> Bool {
        switch request.nonEmpty(name) {
        case nil, "0", "false": return false
        case "1", "true": return true
        case .some(let text):
            throw APIError(.badData, "invalid parameter \"\(name)\": \"\(text)\" is not 0 or 1")
        }
    }

    /// Newest, failed and slowest traces of a service.
    struct ServiceTraceLists {
        var recent: [TraceSummary] = []
        var errors: [TraceSummary] = []
        var slow: [TraceSummary] = []
        var warnings: [String] = []
    }

    func traces(
        of name: String, _ tenant: Tenant, _ range: NanosRange, _ lookup: inout TraceLookup
    ) throws -> ServiceTraceLists {
        let limit = CorrelateEndpoints.traceListLimit
        let found = index.traces(ofService: name, tenant: tenant, range: range, limit: limit)
        var lists = ServiceTraceLists()
        note(found.faults, lookup.context)
        var recent = found.recent
        if found.isCut, recent.count < limit {
            recent = try lookup.search(name, range, limit: limit)
        }
        if found.isCut {
            lists.warnings.append(
                "the stretch cuts five minutes with more than \(limit) traces of \(name): others "
                    + "than those in errorTraces and slowTraces may have failed or been slower")
        }
        lists.recent = try lookup.summaries(recent)
        lists.errors = try lookup.summaries(found.errors)
        lists.slow = try lookup.summaries(found.slow).sorted {
            ($1.durationNanos, $0.traceID) < ($0.durationNanos, $1.traceID)
        }
        return lists
    }
}
