// SPDX-License-Identifier: Apache-2.0
// Zipkin's query API, version 2.

import Base
import Correlation
import HTTPTypes
import Telemetry
import TraceQL
import Wire

/// What Zipkin's user interface asks. Names of services and spans keep the case they came in.
///
/// Source: openzipkin/zipkin-api `zipkin2-api.yaml`.
struct ZipkinEndpoints: Sendable {
    let service: QueryService
    let catalogue: ServiceCatalogue

    private static let day: Int64 = 86_400_000_000_000
    private static let defaultTraces = 10
    private static let maxNames = 10_000

    func routes() -> [Route] {
        [
            Route([.get], "/api/v2/services", .plain, services),
            Route([.get], "/api/v2/spans", .plain, spans),
            Route([.get], "/api/v2/remoteServices", .plain, remoteServices),
            Route([.get], "/api/v2/traces", .plain, search),
            Route([.get], "/api/v2/trace/{id}", .plain, byID),
            Route([.get], "/api/v2/traceMany", .plain, byIDs),
            Route([.get], "/api/v2/dependencies", .plain, dependencies),
            Route([.get], "/api/v2/autocompleteKeys", .plain, keys),
            Route([.get], "/api/v2/autocompleteValues", .plain, values),
        ]
    }

    // MARK: names

    private func services(_ request: APIRequest) async throws -> APIResponse {
        .json(ZipkinAnswers.names(try await catalogue.services(tenant: request.tenant)))
    }

    private func spans(_ request: APIRequest) async throws -> APIResponse {
        let name = try required("serviceName", request)
        return .json(
            ZipkinAnswers.names(
                try await catalogue.operationNames(of: name, tenant: request.tenant)))
    }

    /// Names that a service's spans give to the other side of a call.
    private func remoteServices(_ request: APIRequest) async throws -> APIResponse {
        var conditions = SpanConditions()
        conditions.service(try required("serviceName", request))
        return .json(
            ZipkinAnswers.names(try await values(of: "peer.service", conditions.text, request)))
    }

    /// Attributes of spans and resources.
    private func keys(_ request: APIRequest) async throws -> APIResponse {
        let wanted = TempoQueries.Tags(range: .all, limit: ZipkinEndpoints.maxNames)
        let tags = try await TempoQueries(service: service).tags(wanted, tenant: request.tenant)
        let names = tags.scopes.filter { $0.name == "span" || $0.name == "resource" }
            .flatMap(\.tags)
        return .json(ZipkinAnswers.names(Set(names).sorted()))
    }

    private func values(_ request: APIRequest) async throws -> APIResponse {
        .json(ZipkinAnswers.names(try await values(of: required("key", request), "", request)))
    }

    private func values(
        of key: String, _ query: String, _ request: APIRequest
    ) async throws -> [String] {
        let wanted = TempoQueries.TagValues(
            name: "." + SpanConditions.quotedName(key), query: query, range: .all,
            limit: ZipkinEndpoints.maxNames)
        let found = try await TempoQueries(service: service).tagValues(
            wanted, tenant: request.tenant)
        return Set(found.values.map(\.text)).subtracting([""]).sorted()
    }

    private func required(_ name: String, _ request: APIRequest) throws(APIError) -> String {
        guard let value = request.nonEmpty(name) else {
            throw APIError(.badData, "Missing required parameter: \(name)")
        }
        return value
    }

    // MARK: traces

    private func search(_ request: APIRequest) async throws -> APIResponse {
        var conditions = SpanConditions()
        conditions.service(request.nonEmpty("serviceName"))
        conditions.operation(request.nonEmpty("spanName"))
        conditions.peer(request.nonEmpty("remoteServiceName"))
        let least = try request.jaegerMicros("minDuration")
        let most = try request.jaegerMicros("maxDuration")
        if let most, most < least ?? most {
            throw APIError(.badData, "maxDuration should be at least minDuration")
        }
        conditions.duration(atLeast: least, atMost: most)
        try add(request.nonEmpty("annotationQuery") ?? "", to: &conditions)
        let wanted = TraceFinder.Wanted(
            text: conditions.text, range: try range(request),
            limit: try request.jaegerLimit("limit", default: ZipkinEndpoints.defaultTraces))
        let found = try await TraceFinder(service: service).search(wanted, tenant: request.tenant)
        return .json(try TraceAnswers.zipkinTraces(found.traces))
    }

    /// `http.path=/foo and retried`: pairs are tags, words are annotations or names of tags.
    private func add(_ text: String, to conditions: inout SpanConditions) throws(APIError) {
        var count = 0
        for part in text.split(separator: " and ") {
            let term = trimmed(part)
            if term.isEmpty { continue }
            count += 1
            guard count <= SpanConditions.maxTags else {
                throw APIError(
                    .badData, "more than \(SpanConditions.maxTags) terms in annotationQuery")
            }
            if let equals = term.firstIndex(of: "="), equals > term.startIndex {
                conditions.tag(
                    trimmed(term[..<equals]), trimmed(term[term.index(after: equals)...]))
            } else {
                conditions.word(term)
            }
        }
    }

    /// `endTs` (now) and what lies `lookback` (a day) before it.
    private func range(_ request: APIRequest) throws(APIError) -> NanosRange {
        let end = try request.jaegerMillis("endTs") ?? service.clock.wallNanos
        let lookback = try request.jaegerMillis("lookback") ?? ZipkinEndpoints.day
        guard end > 0, lookback > 0 else {
            throw APIError(.badData, "endTs and lookback must be positive")
        }
        let (start, overflow) = end.subtractingReportingOverflow(lookback)
        return NanosRange(first: Nanos(overflow ? .min : start), last: Nanos(end))
    }

    private func byID(_ request: APIRequest) async throws -> APIResponse {
        let id = try TraceEndpoints.id(request)
        let found = try await TraceFinder(service: service).traces([id], tenant: request.tenant)
        guard let trace = found.traces.first else {
            throw TraceEndpoints.notFound(id, found.missing)
        }
        return .json(try TraceAnswers.zipkinTrace(trace))
    }

    private func byIDs(_ request: APIRequest) async throws -> APIResponse {
        var ids: [TraceID] = []
        for text in (request.nonEmpty("traceIds") ?? "").split(separator: ",") {
            guard let id = TraceID(hex: String(text)) else {
                throw APIError(
                    .badData, "trace id \"\(text)\" is not 1 to 32 hexadecimal digits")
            }
            guard !ids.contains(id) else {
                throw APIError(.badData, "redundant trace id \"\(text)\"")
            }
            ids.append(id)
            guard ids.count <= 1000 else { throw APIError(.badData, "more than 1000 trace ids") }
        }
        guard ids.count > 1 else {
            throw APIError(.badData, "traceIds must name at least two traces")
        }
        let found = try await TraceFinder(service: service).traces(ids, tenant: request.tenant)
        return .json(try TraceAnswers.zipkinTraces(found.traces))
    }

    private func dependencies(_ request: APIRequest) async throws -> APIResponse {
        _ = try required("endTs", request)
        let links = try await catalogue.dependencies(try range(request), tenant: request.tenant)
        return .json(ZipkinAnswers.dependencies(links))
    }
}
