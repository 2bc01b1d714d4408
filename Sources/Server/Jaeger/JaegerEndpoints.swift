// SPDX-License-Identifier: Apache-2.0
// Jaeger's query API, version 1.

import Base
import Correlation
import HTTPTypes
import Telemetry
import Wire

/// What Jaeger's user interface and Grafana's Jaeger source ask; `/api/traces/{id}` is shared with
/// Tempo and stands there.
///
/// Source: jaegertracing/jaeger, HTTP handler and query parser of the query extension.
struct JaegerEndpoints: Sendable {
    let service: QueryService
    let catalogue: ServiceCatalogue

    /// Traces of a search when it names no limit.
    static let defaultTraces = 100
    private static let day: Int64 = 86_400_000_000_000

    func routes() -> [Route] {
        [
            Route([.get], "/api/services", .jaeger, services),
            Route([.get], "/api/services/{service}/operations", .jaeger, operationNames),
            Route([.get], "/api/operations", .jaeger, operations),
            Route([.get], "/api/traces", .jaeger, search),
            Route([.get], "/api/dependencies", .jaeger, dependencies),
            Route([.post], "/api/transform", .jaeger, transform),
        ]
    }

    private func services(_ request: APIRequest) async throws -> APIResponse {
        .json(JaegerAnswers.names(try await catalogue.services(tenant: request.tenant)))
    }

    private func operationNames(_ request: APIRequest) async throws -> APIResponse {
        let name = request.pathParameters["service"] ?? ""
        return .json(
            JaegerAnswers.names(
                try await catalogue.operationNames(of: name, tenant: request.tenant)))
    }

    private func operations(_ request: APIRequest) async throws -> APIResponse {
        guard let name = request.nonEmpty("service") else { throw JaegerEndpoints.needsService }
        return .json(
            JaegerAnswers.operations(
                try await catalogue.operations(
                    of: name, kind: request.nonEmpty("spanKind"), tenant: request.tenant)))
    }

    static let needsService = APIError(.badData, "parameter 'service' is required")

    // MARK: traces

    /// Traces by their ids, or with a span that satisfies everything else.
    private func search(_ request: APIRequest) async throws -> APIResponse {
        let finder = TraceFinder(service: service)
        let adjusts = try request.adjustsClocks()
        let range = try request.jaegerRange(
            now: service.clock.wallNanos, lookback: 2 * JaegerEndpoints.day)
        let ids = try traceIDs(request)
        let found: TraceFinder.Found
        if ids.isEmpty {
            let wanted = TraceFinder.Wanted(
                text: try conditions(request).text, range: range,
                limit: try request.jaegerLimit("limit", default: JaegerEndpoints.defaultTraces))
            found = try await finder.search(wanted, tenant: request.tenant)
        } else {
            found = try await finder.traces(ids, tenant: request.tenant)
        }
        let unknown = found.unknown.map {
            JaegerAnswers.Failure(message: "trace not found", traceID: $0)
        }
        let traces = found.traces.map {
            JaegerTraces($0, warnings: found.missing, adjustingClocks: adjusts)
        }
        return .json(try TraceAnswers.jaegerTraces(traces, failures: unknown))
    }

    private func traceIDs(_ request: APIRequest) throws(APIError) -> [TraceID] {
        var ids: [TraceID] = []
        for text in request.parameters(named: "traceID") {
            guard let id = TraceID(hex: text) else {
                throw APIError(
                    .badData,
                    "cannot parse traceID param: \"\(text)\" is not 1 to 32 hexadecimal digits")
            }
            ids.append(id)
            guard ids.count <= TempoQueries.maxCount else {
                throw APIError(.badData, "more than \(TempoQueries.maxCount) traceID params")
            }
        }
        return ids
    }

    private func conditions(_ request: APIRequest) throws(APIError) -> SpanConditions {
        guard let name = request.nonEmpty("service") else { throw JaegerEndpoints.needsService }
        var conditions = SpanConditions()
        conditions.service(name)
        conditions.operation(request.nonEmpty("operation"))
        let least = try request.jaegerDuration("minDuration")
        let most = try request.jaegerDuration("maxDuration")
        if let least, let most, most < least {
            throw APIError(.badData, "'maxDuration' should be greater than 'minDuration'")
        }
        conditions.duration(atLeast: least, atMost: most)
        for (key, value) in try JaegerEndpoints.tags(request) { conditions.tag(key, value) }
        return conditions
    }

    /// `tag=key:value`, repeated, and `tags={"key":"value"}`; of a key that repeats the last counts.
    static func tags(_ request: APIRequest) throws(APIError) -> [(key: String, value: String)] {
        var tags: [(key: String, value: String)] = []
        func set(_ key: String, _ value: String) {
            tags.removeAll { $0.key == key }
            tags.append((key, value))
        }
        for tag in request.parameters(named: "tag") {
            guard let colon = tag.firstIndex(of: ":") else {
                throw APIError(
                    .badData,
                    "malformed 'tag' parameter, expecting key:value, received: \(tag)")
            }
            set(String(tag[..<colon]), String(tag[tag.index(after: colon)...]))
        }
        for text in request.parameters(named: "tags") where !text.isEmpty {
            for (key, value) in try stringMap(text, "malformed 'tags' parameter") {
                set(key, value)
            }
        }
        guard tags.count <= SpanConditions.maxTags else {
            throw APIError(.badData, "more than \(SpanConditions.maxTags) tags")
        }
        return tags
    }

    /// A JSON object of strings.
    static func stringMap(
        _ text: String, _ complaint: String
    ) throws(APIError) -> [(key: String, value: String)] {
        var text = text
        do {
            return try text.withUTF8 { bytes in
                var reader = JSONReader(UnsafeRawBufferPointer(bytes))
                var pairs: [(key: String, value: String)] = []
                try reader.beginObject()
                while let key = try reader.nextKey() {
                    pairs.append((key.string, try reader.string().string))
                }
                try reader.end()
                return pairs
            }
        } catch {
            throw APIError(.badData, "\(complaint), cannot unmarshal JSON: \(error)")
        }
    }

    // MARK: graph and conversion

    private func dependencies(_ request: APIRequest) async throws -> APIResponse {
        let end = try request.jaegerMillis("endTs") ?? service.clock.wallNanos
        let lookback = try request.jaegerMillis("lookback") ?? JaegerEndpoints.day
        let (start, overflow) = end.subtractingReportingOverflow(max(0, lookback))
        let range = NanosRange(first: Nanos(overflow ? .min : start), last: Nanos(end))
        var links = try await catalogue.dependencies(range, tenant: request.tenant)
        if let name = request.nonEmpty("service") {
            links.removeAll { $0.parent != name && $0.child != name }
        }
        return .json(JaegerAnswers.dependencies(links))
    }

    /// OTLP's JSON as Jaeger's; nothing is stored.
    private func transform(_ request: APIRequest) async throws -> APIResponse {
        do {
            let decoded = try request.body.withUnsafeBytes { try OTLPTraces.decodeJSON($0) }
            let warnings = decoded.rejected.count > 0 ? [decoded.rejected.message] : []
            return .json(try TraceAnswers.jaegerTraces(decoded.batch, warnings: warnings))
        } catch let error as MalformedJSON {
            throw APIError(.badData, "cannot unmarshal OTLP: \(error)")
        }
    }
}

extension JaegerTraces {
    /// - Parameter adjustingClocks: whether spans are moved to where their callers' clocks say they
    ///   were; each span that was moved says by how much.
    init(_ trace: SpanBatch, warnings: [String], adjustingClocks: Bool) {
        guard adjustingClocks else {
            self.init(trace, warnings: warnings)
            return
        }
        let skew = ClockSkew(trace)
        self.init(
            skew.spans, warnings: warnings,
            spanWarnings: skew.shifts.mapValues {
                ["This span's timestamps were adjusted by \(goDurationText(nanos: $0))"]
            })
    }
}
