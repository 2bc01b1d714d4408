// SPDX-License-Identifier: Apache-2.0
// Jaeger's query API, version 3.

import Base
import Correlation
import HTTPTypes
import Telemetry
import Wire

/// Traces as OTLP's JSON, summaries, services, operations and dependencies.
///
/// Parameters are taken under their names in protobuf's JSON (`query.serviceName`) and under the
/// older ones of the schema (`query.service_name`); a search may come as a JSON body, with the
/// structured `filter` in place of the other conditions (`JaegerFilter`). Pages and orders, of which
/// there is only a draft, are refused by name. Spans are as stored: `raw_traces` has nothing to turn
/// off. Source: jaegertracing/jaeger-idl `proto/api_v3/query_service.proto`.
struct JaegerV3Endpoints: Sendable {
    let service: QueryService
    let catalogue: ServiceCatalogue

    func routes() -> [Route] {
        let both: [HTTPRequest.Method] = [.get, .post]
        return [
            Route([.get], "/api/v3/services", .jaegerV3, services),
            Route([.get], "/api/v3/operations", .jaegerV3, operations),
            Route([.get], "/api/v3/dependencies", .jaegerV3, dependencies),
            Route([.get], "/api/v3/traces/{id}", .jaegerV3, byID),
            Route(both, "/api/v3/traces", .jaegerV3, search),
            Route(both, "/api/v3/trace-summaries", .jaegerV3, summaries),
        ]
    }

    private func services(_ request: APIRequest) async throws -> APIResponse {
        .json(JaegerAnswers.servicesV3(try await catalogue.services(tenant: request.tenant)))
    }

    private func operations(_ request: APIRequest) async throws -> APIResponse {
        guard let name = request.nonEmpty("service") else { throw JaegerEndpoints.needsService }
        let kind = request.nonEmpty("spanKind") ?? request.nonEmpty("span_kind")
        let found = try await catalogue.operations(of: name, kind: kind, tenant: request.tenant)
        return .json(
            JaegerAnswers.operationsV3(
                found.map { .init(name: $0.name, kind: $0.kind.isEmpty ? "internal" : $0.kind) }))
    }

    private func dependencies(_ request: APIRequest) async throws -> APIResponse {
        let query = JaegerV3Query(request)
        let start = try query.time("startTime"), end = try query.time("endTime")
        guard let start, let end else {
            throw APIError(.badData, "startTime and endTime are required")
        }
        let links = try await catalogue.dependencies(
            try JaegerV3Query.range(start, end), tenant: request.tenant)
        return .json(JaegerAnswers.dependenciesV3(links))
    }

    private func byID(_ request: APIRequest) async throws -> APIResponse {
        let id = try TraceEndpoints.id(request)
        let query = JaegerV3Query(request)
        // Hints for stores without an index of traces.
        for name in ["startTime", "endTime"] { _ = try query.time(name) }
        let found = try await TraceFinder(service: service).traces([id], tenant: request.tenant)
        guard !found.traces.isEmpty else { throw TraceEndpoints.notFound(id, found.missing) }
        return .json(try TraceAnswers.jaegerTracesV3(found.traces))
    }

    private func search(_ request: APIRequest) async throws -> APIResponse {
        let found = try await find(request)
        guard !found.traces.isEmpty else { throw APIError(.notFound, "No traces found") }
        return .json(try TraceAnswers.jaegerTracesV3(found.traces))
    }

    private func summaries(_ request: APIRequest) async throws -> APIResponse {
        let found = try await find(request)
        return .json(
            JaegerTraceSummary.json(
                found.traces.map { JaegerTraceSummary($0, root: TraceTimes($0).root) }))
    }

    private func find(_ request: APIRequest) async throws -> TraceFinder.Found {
        let wanted = try JaegerV3Query(search: request).wanted()
        return try await TraceFinder(service: service).search(wanted, tenant: request.tenant)
    }
}

/// Parameters of a request by their names in protobuf's JSON, without `query.`.
struct JaegerV3Query {
    private var values: [String: String] = [:]
    private var attributes: [(key: String, value: String)] = []
    /// A structured filter, which stands alone.
    private var filter: JSONValue?

    /// Parameters of the query string.
    init(_ request: APIRequest) {
        for (name, value) in request.parameters where !value.isEmpty {
            set(name.hasPrefix("query.") ? String(name.dropFirst(6)) : name, value)
        }
    }

    /// Parameters of a search: of the query string, or of the body of a post.
    init(search request: APIRequest) throws(APIError) {
        self.init(request)
        if request.method == .post { try read(request.body) }
        if let text = values["attributes"] {
            attributes += try JaegerEndpoints.stringMap(
                text, "malformed parameter query.attributes")
        }
        if let text = values["filter"] { try readFilter(Array(text.utf8)) }
        for name in ["orderBy", "pagination", "pagination.pageSize", "pagination.pageToken"]
        where values[name] != nil {
            throw APIError(
                .badData,
                "query.\(name) is not offered: the newest traces come first, searchDepth of them")
        }
    }

    private mutating func readFilter(_ text: [UInt8]) throws(APIError) {
        do { filter = try JSONValue(parsing: text) } catch {
            throw APIError(.badData, "malformed parameter query.filter: \(error)")
        }
    }

    /// `start_time_min` and `startTimeMin` are one parameter.
    private mutating func set(_ name: String, _ value: String) {
        var camel = ""
        var isNext = false
        for character in name {
            if character == "_" {
                isNext = true
            } else {
                camel += isNext ? character.uppercased() : String(character)
                isNext = false
            }
        }
        // An older name of the schema.
        if camel == "numTraces" { camel = "searchDepth" }
        if values[camel] == nil { values[camel] = value }
    }

    /// `{"query":{…}}`: strings, numbers and booleans, and `attributes` as an object of strings.
    private mutating func read(_ body: [UInt8]) throws(APIError) {
        do {
            try body.withUnsafeBytes { bytes in
                var reader = JSONReader(bytes)
                try reader.beginObject()
                while let key = try reader.nextKey() {
                    if key.equals("query"), try reader.peek() == .object {
                        try readQuery(&reader)
                    } else {
                        try reader.skipValue()
                    }
                }
                try reader.end()
            }
        } catch let error as APIError {
            throw error
        } catch {
            throw APIError(.badData, "malformed body: \(error)")
        }
    }

    private mutating func readQuery(_ reader: inout JSONReader) throws {
        try reader.beginObject()
        while let key = try reader.nextKey() {
            let name = key.string
            switch try reader.peek() {
            case .string: set(name, try reader.string().string)
            case .number: set(name, String(decoding: try reader.number(), as: UTF8.self))
            case .bool: set(name, try reader.bool() ? "true" : "false")
            case .null: _ = try reader.skipValue()
            case .object where name == "attributes":
                try reader.beginObject()
                while let key = try reader.nextKey() {
                    attributes.append((key.string, try reader.string().string))
                }
            case .object where name == "filter": try readFilter(Array(reader.skipValue()))
            case .object, .array:
                set(name, "…")
                _ = try reader.skipValue()
            }
        }
    }

    /// A time in nanoseconds from RFC 3339; nil when absent.
    func time(_ name: String) throws(APIError) -> Int64? {
        guard let text = values[name] else { return nil }
        // Clients that do not escape make a space of the plus sign.
        guard let time = parseRFC3339(text.replacing(" ", with: "+")) else {
            throw APIError(.badData, "malformed parameter \(name): \"\(text)\" is not RFC 3339")
        }
        let (nanos, overflow) = time.seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else {
            throw APIError(.badData, "malformed parameter \(name): out of range")
        }
        return nanos.addingReportingOverflow(time.nanos).partialValue
    }

    static func range(_ start: Int64, _ end: Int64) throws(APIError) -> NanosRange {
        guard start <= end else {
            throw APIError(.badData, "the start time must be before the end time")
        }
        return NanosRange(first: Nanos(start), last: Nanos(end))
    }

    private func duration(_ name: String) throws(APIError) -> Int64? {
        guard let text = values[name] else { return nil }
        do throws(GoDurationError) {
            let nanos = try parseGoDuration(text)
            return nanos == 0 ? nil : nanos
        } catch {
            throw APIError(.badData, "malformed parameter query.\(name): \(error)")
        }
    }

    /// The structured filter as TraceQL; nil without one.
    private func filterText() throws(APIError) -> String? {
        guard let filter else { return nil }
        let others = ["serviceName", "operationName", "durationMin", "durationMax"]
        guard attributes.isEmpty, !others.contains(where: { values[$0] != nil }) else {
            throw APIError(
                .badData,
                "query.filter stands alone: serviceName, operationName, attributes and durations "
                    + "are written as parts of it")
        }
        do throws(JaegerFilterError) {
            return "{ \(try JaegerFilter(filter).condition) }"
        } catch {
            throw APIError(.badData, "query.filter: \(error)")
        }
    }

    /// The search that the parameters describe; its end is exclusive.
    func wanted() throws(APIError) -> TraceFinder.Wanted {
        guard let start = try time("startTimeMin"), let end = try time("startTimeMax") else {
            throw APIError(
                .badData, "query.startTimeMin and query.startTimeMax are required")
        }
        var conditions = SpanConditions()
        conditions.service(values["serviceName"])
        conditions.operation(values["operationName"])
        conditions.duration(
            atLeast: try duration("durationMin"), atMost: try duration("durationMax"))
        guard attributes.count <= SpanConditions.maxTags else {
            throw APIError(.badData, "more than \(SpanConditions.maxTags) attributes")
        }
        for (key, value) in attributes { conditions.tag(key, value) }
        var limit = JaegerEndpoints.defaultTraces
        if let text = values["searchDepth"] {
            guard let depth = Int(text), (0...TempoQueries.maxCount).contains(depth) else {
                throw APIError(
                    .badData,
                    "malformed parameter query.searchDepth: \"\(text)\" is not a number up to "
                        + "\(TempoQueries.maxCount)")
            }
            if depth > 0 { limit = depth }
        }
        return TraceFinder.Wanted(
            text: try filterText() ?? conditions.text,
            range: try JaegerV3Query.range(start, max(start, end - (end == .min ? 0 : 1))),
            limit: limit)
    }
}
