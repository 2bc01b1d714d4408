// SPDX-License-Identifier: Apache-2.0
// Traces by id and the attribute catalogue, as Tempo and Jaeger serve them.

import Base
import HTTPTypes
import Telemetry
import Wire

/// Trace answers of Tempo's and Jaeger's APIs.
struct TraceEndpoints: Sendable {
    let service: QueryService

    private func trace(
        _ request: APIRequest
    ) async throws -> (batch: SpanBatch, missing: [String]) {
        let text = request.pathParameters["id"] ?? ""
        guard let id = TraceID(hex: text) else {
            throw APIError(
                .badData, "trace id \"\(text)\" is not 1 to 32 hexadecimal digits")
        }
        let tenant = request.tenant
        let reader = service.traces
        let (batch, missing) = try await service.run {
            (try reader.trace(id, tenant: tenant, $0), $0.warnings)
        }
        guard batch.rowCount > 0 else {
            let reason = missing.isEmpty ? "" : ": " + missing.joined(separator: "; ")
            throw APIError(.notFound, "trace \(id) not found\(reason)")
        }
        return (batch, missing)
    }

    private func wantsProtobuf(_ request: APIRequest) -> Bool {
        (request.headers[.accept] ?? "").contains("application/protobuf")
    }

    /// `/api/traces/{id}`: Tempo's protobuf or JSON, or Jaeger's JSON. Tempo's first version has no
    /// place for what is missing; Jaeger's and the second version have.
    func byID(_ request: APIRequest) async throws -> APIResponse {
        let (batch, missing) = try await trace(request)
        if wantsProtobuf(request) {
            return APIResponse(
                .ok, contentType: "application/protobuf", body: try TraceAnswers.tempoTrace(batch))
        }
        return .json(
            request.prefix == "tempo"
                ? try TraceAnswers.tempoTraceJSON(batch)
                : try TraceAnswers.jaegerTraces(batch, warnings: missing))
    }

    /// `/api/v2/traces/{id}`.
    func byIDv2(_ request: APIRequest) async throws -> APIResponse {
        let (batch, missing) = try await trace(request)
        let completeness: TraceAnswers.Completeness =
            missing.isEmpty ? .complete : .partial(missing.joined(separator: "; "))
        return wantsProtobuf(request)
            ? APIResponse(
                .ok, contentType: "application/protobuf",
                body: try TraceAnswers.tempoTraceByID(batch, completeness))
            : .json(try TraceAnswers.tempoTraceByIDJSON(batch, completeness))
    }

    /// `start` and `end` in Unix seconds; everything when absent.
    func range(_ request: APIRequest) throws(APIError) -> NanosRange {
        func seconds(_ name: String) throws(APIError) -> Int64? {
            guard let text = request.nonEmpty(name) else { return nil }
            guard let value = Int64(text), abs(value) < 9_000_000_000 else {
                throw APIError(.badData, "invalid \(name): \"\(text)\" is not Unix seconds")
            }
            return value == 0 ? nil : value * 1_000_000_000
        }
        return NanosRange(
            first: Nanos(try seconds("start") ?? .min), last: Nanos(try seconds("end") ?? .max))
    }

    /// `/api/search/tags`: names of all scopes in one list.
    func tags(_ request: APIRequest) async throws -> APIResponse {
        let scopes = try await tagNames(request)
        var json = JSONWriter()
        json.beginObject()
        json.key("tagNames")
        json.beginArray()
        for name in Set(scopes.values.joined()).sorted() { json.string(name) }
        json.endArray()
        json.endObject()
        return .json(json.bytes)
    }

    /// `/api/v2/search/tags`: names by scope.
    func tagsV2(_ request: APIRequest) async throws -> APIResponse {
        let scopes = try await tagNames(request)
        let wanted = request.nonEmpty("scope")
        var json = JSONWriter()
        json.beginObject()
        json.key("scopes")
        json.beginArray()
        for scope in AttributeScope.allCases {
            guard let names = scopes[scope], wanted == nil || wanted == "\(scope)" else { continue }
            json.beginObject()
            json.member("name", "\(scope)")
            json.key("tags")
            json.beginArray()
            for name in names { json.string(name) }
            json.endArray()
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return .json(json.bytes)
    }

    private func tagNames(_ request: APIRequest) async throws -> [AttributeScope: [String]] {
        let range = try range(request)
        let tenant = request.tenant
        let reader = service.traces
        return try await service.run { try reader.tagNames(tenant, range: range, $0) }
    }

    /// `/api/search/tag/{name}/values`.
    func tagValues(_ request: APIRequest) async throws -> APIResponse {
        let values = try await values(request)
        var json = JSONWriter()
        json.beginObject()
        json.key("tagValues")
        json.beginArray()
        for value in values { json.string(attributeText(value).text) }
        json.endArray()
        json.endObject()
        return .json(json.bytes)
    }

    /// `/api/v2/search/tag/{name}/values`: with types.
    func tagValuesV2(_ request: APIRequest) async throws -> APIResponse {
        let values = try await values(request)
        var json = JSONWriter()
        json.beginObject()
        json.key("tagValues")
        json.beginArray()
        for value in values {
            let (type, text) = attributeText(value)
            json.beginObject()
            json.member("type", type)
            json.member("value", text)
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return .json(json.bytes)
    }

    private func values(_ request: APIRequest) async throws -> [AttributeValue] {
        let name = request.pathParameters["name"] ?? ""
        let subject = tagSubject(name)
        let wanted = SpanRequest(tenant: request.tenant, range: try range(request))
        let reader = service.traces
        return try await service.run {
            try reader.tagValues(subject, wanted, limit: 1000, $0)
        }
    }
}

/// `span.http.method`, `resource.service.name`, `.x`, `name`, … as a subject.
func tagSubject(_ name: String) -> SpanCondition.Subject {
    let scopes: [(String, AttributeScope)] = [
        ("span.", .span), ("resource.", .resource), ("event.", .event), ("link.", .link),
        ("instrumentation.", .instrumentation), (".", .any),
    ]
    for (prefix, scope) in scopes where name.hasPrefix(prefix) {
        return .attribute(scope, String(name.dropFirst(prefix.count)))
    }
    switch name {
    case "name": return .intrinsic(.name)
    case "status": return .intrinsic(.status)
    case "kind": return .intrinsic(.kind)
    case "statusMessage": return .intrinsic(.statusMessage)
    case "rootName": return .intrinsic(.rootName)
    case "rootServiceName": return .intrinsic(.rootService)
    default: return .attribute(.any, name)
    }
}

/// Type as Tempo names it, and the value as text.
func attributeText(_ value: AttributeValue) -> (type: String, text: String) {
    switch value {
    case .string(let text): ("string", text)
    case .bool(let flag): ("bool", flag ? "true" : "false")
    case .int(let number): ("int", String(number))
    case .double(let number): ("float", floatText(number))
    case .empty, .bytes, .array, .map: ("string", "")
    }
}
