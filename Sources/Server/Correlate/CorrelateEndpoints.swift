// SPDX-License-Identifier: Apache-2.0
// /api/v1/correlate: from one signal into the other two.

import Base
import Correlation
import Storage
import Telemetry

/// The correlation API: exact look-ups, an unknown id or service is 404.
struct CorrelateEndpoints: Sendable {
    let service: QueryService
    let index: Correlation

    /// `trace/{id}`: spans, log lines and exemplars of one trace.
    func trace(_ request: APIRequest) async throws -> APIResponse {
        let text = request.pathParameters["id"] ?? ""
        guard let id = TraceID(hex: text) else {
            throw APIError(.badData, "trace id \"\(text)\" is not 1 to 32 hexadecimal digits")
        }
        let limit = request.nonEmpty("limit").flatMap { Int($0) } ?? 10_000
        guard limit > 0 else { throw APIError(.badData, "limit must be above 0") }
        let include = Set(
            (request.nonEmpty("include") ?? "spans,logs,exemplars").split(separator: ","))
        let tenant = request.tenant
        let (service, index) = (self.service, self.index)
        return try await service.run { context in
            let refs = index.traceRefs(id, tenant: tenant)
            let spans = try service.traces.trace(id, tenant: tenant, context)
            var logs = LogBatch()
            var seen: Set<LogReference> = []
            for ref in refs.logs.prefix(limit) where seen.insert(ref).inserted {
                let rows = try service.logs.rows(
                    tenant: tenant, streamHash: ref.streamHash, nanos: ref.nanos, context)
                logs.add(rows, ofTrace: id)
            }
            guard spans.rowCount > 0 || logs.rowCount > 0 || !refs.exemplars.isEmpty else {
                throw APIError(.notFound, "trace \(id) not found")
            }
            let answer = TraceAnswer(id: id, spans: spans, logs: logs, refs: refs)
            return try prometheusSuccess(
                warnings: refs.faults.map(\.description) + context.warnings
            ) { json in
                try answer.write(include: include, limit: limit, into: &json)
            }
        }
    }

    /// `services`: every service seen in a stretch of time.
    func services(_ request: APIRequest) async throws -> APIResponse {
        let now = service.clock.wallNanos
        let range = NanosRange(
            first: Nanos(try lokiTime(request.nonEmpty("start")) ?? now - 3_600_000_000_000),
            last: Nanos(try lokiTime(request.nonEmpty("end")) ?? now))
        let tenant = request.tenant
        let index = self.index
        return try await service.run { _ in
            let found = index.services(tenant: tenant, range: range)
            return prometheusSuccess { json in
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
        let now = service.clock.wallNanos
        let name = request.pathParameters["name"] ?? ""
        let range = NanosRange(
            first: Nanos(try lokiTime(request.nonEmpty("start")) ?? now - 3_600_000_000_000),
            last: Nanos(try lokiTime(request.nonEmpty("end")) ?? now))
        let tenant = request.tenant
        let index = self.index
        return try await service.run { _ in
            guard let found = index.service(name, tenant: tenant, range: range) else {
                throw APIError(.notFound, "service \"\(name)\" not found in this stretch of time")
            }
            return prometheusSuccess { json in
                json.beginObject()
                writeSummary(found.summary, into: &json)
                writeDetail(found, into: &json)
                json.endObject()
            }
        }
    }
}

private func writeSummary(_ service: ServiceSummary, into json: inout JSONWriter) {
    json.member("name", service.name)
    json.member("namespace", service.namespace ?? "")
    json.key("aliases")
    json.beginArray()
    for alias in service.aliases { json.string(alias) }
    json.endArray()
    json.member("spanCount", Int(service.spanCount))
    json.member("errorCount", Int(service.errorCount))
    json.member("p50Nanos", String(service.p50Nanos))
    json.member("p95Nanos", String(service.p95Nanos))
    json.member("p99Nanos", String(service.p99Nanos))
    json.member("logLineCount", Int(service.logLineCount))
    json.member("errorLogLineCount", Int(service.errorLogLineCount))
    json.member("seriesCount", service.seriesCount)
    json.member("lastSeenUnixNano", String(service.lastSeenNanos))
}

private func writeDetail(_ detail: ServiceDetail, into json: inout JSONWriter) {
    for (name, texts) in [("instances", detail.instances), ("metricNames", detail.metricNames)] {
        json.key(name)
        json.beginArray()
        for text in texts { json.string(text) }
        json.endArray()
    }
    json.key("streams")
    json.beginArray()
    for stream in detail.streams {
        json.beginObject()
        json.key("labels")
        writeLabels(stream, into: &json)
        json.endObject()
    }
    json.endArray()
    json.key("operations")
    json.beginArray()
    for operation in detail.operations {
        json.beginObject()
        json.member("name", operation.name)
        json.member("kind", spanKindName(operation.kind))
        json.member("count", Int(operation.count))
        json.member("errorCount", Int(operation.errorCount))
        json.member("p50Nanos", String(operation.p50Nanos))
        json.member("p95Nanos", String(operation.p95Nanos))
        json.member("p99Nanos", String(operation.p99Nanos))
        json.endObject()
    }
    json.endArray()
    for (name, edges) in [("upstream", detail.upstream), ("downstream", detail.downstream)] {
        json.key(name)
        json.beginArray()
        for edge in edges {
            json.beginObject()
            json.member("service", edge.service)
            json.member("callCount", Int(edge.callCount))
            json.member("errorCount", Int(edge.errorCount))
            json.member("p95Nanos", String(edge.p95Nanos))
            json.endObject()
        }
        json.endArray()
    }
    json.key("versions")
    json.beginArray()
    for version in detail.versions {
        json.beginObject()
        json.member("version", version.version)
        json.member("firstSeenUnixNano", String(version.firstSeenNanos))
        json.endObject()
    }
    json.endArray()
    json.key("identity")
    json.beginArray()
    for alias in detail.identity {
        json.beginObject()
        json.member("alias", alias.alias)
        json.member("source", alias.source)
        json.member("rule", alias.rule)
        json.endObject()
    }
    json.endArray()
}

/// OTLP's span kind as a word.
func spanKindName(_ kind: UInt8) -> String {
    let names = ["unspecified", "internal", "server", "client", "producer", "consumer"]
    return Int(kind) < names.count ? names[Int(kind)] : names[0]
}
