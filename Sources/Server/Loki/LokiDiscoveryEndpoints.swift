// SPDX-License-Identifier: Apache-2.0
// What lines and streams have: fields, labels, patterns, and what a tenant may ask for.

import Base
import HTTPTypes
import LogQL
import Telemetry
import Wire

extension LokiQueryEndpoints {
    /// `detected_fields`: fields of the newest lines, with type and cardinality.
    func detectedFields(_ request: APIRequest) async throws -> APIResponse {
        let wanted = try fieldRequest(request)
        let engine = self.engine
        return try await run { context in
            let fields = try engine.detectedFields(wanted, context)
            var json = JSONWriter()
            json.beginObject()
            json.key("fields")
            json.beginArray()
            for field in fields { write(field, into: &json) }
            json.endArray()
            json.member("limit", wanted.fieldLimit)
            json.endObject()
            return .json(json.bytes)
        }
    }

    /// `detected_field/{name}/values`: values of one of them.
    func detectedFieldValues(_ request: APIRequest) async throws -> APIResponse {
        let name = request.pathParameters["name"] ?? ""
        let wanted = try fieldRequest(request)
        let engine = self.engine
        return try await run { context in
            let values = try engine.detectedValues(of: name, wanted, context)
            var json = JSONWriter()
            json.beginObject()
            json.key("values")
            json.beginArray()
            for value in values { json.string(value) }
            json.endArray()
            json.member("limit", wanted.fieldLimit)
            json.endObject()
            return .json(json.bytes)
        }
    }

    /// `detected_labels`: labels worth choosing streams by.
    func detectedLabels(_ request: APIRequest) async throws -> APIResponse {
        let wanted = try logRequest(request)
        let engine = self.engine
        return try await run { context in
            let labels = try engine.detectedLabels(wanted, context)
            var json = JSONWriter()
            json.beginObject()
            json.key("detectedLabels")
            json.beginArray()
            for label in labels {
                json.beginObject()
                json.member("label", label.label)
                json.member("cardinality", label.cardinality)
                json.endObject()
            }
            json.endArray()
            json.endObject()
            return .json(json.bytes)
        }
    }

    /// `patterns`: what lines have in common, and how often they came.
    func patterns(_ request: APIRequest) async throws -> APIResponse {
        let wanted = try logRequest(request)
        let step = try step(
            request, wanted.range.first.rawValue, wanted.range.last.rawValue)
        let engine = self.engine
        return try await run { context in
            let patterns = try engine.patterns(
                wanted, stepSeconds: max(1, step / 1_000_000_000), context)
            return prometheusSuccess(warnings: context.warnings) { json in
                json.beginArray()
                for pattern in patterns {
                    json.beginObject()
                    json.member("pattern", pattern.pattern)
                    if !pattern.level.isEmpty { json.member("level", pattern.level) }
                    json.key("samples")
                    json.beginArray()
                    for (seconds, count) in pattern.samples {
                        json.beginArray()
                        json.int(seconds)
                        json.int(count)
                        json.endArray()
                    }
                    json.endArray()
                    json.endObject()
                }
                json.endArray()
            }
        }
    }

    /// `drilldown-limits`: what Grafana's Logs Drilldown asks before it asks for more.
    func drilldownLimits(_ request: APIRequest) async throws -> APIResponse {
        var json = JSONWriter()
        json.beginObject()
        json.key("limits")
        json.beginObject()
        json.member("discover_log_levels", enrichment.detectsLevel)
        json.key("discover_service_name")
        json.beginArray()
        if enrichment.discoversService {
            for name in enrichment.serviceSources { json.string(name.buffer) }
        }
        json.endArray()
        json.member("volume_enabled", true)
        json.endObject()
        json.member("pattern_ingester_enabled", true)
        json.member("version", Base.version)
        json.endObject()
        return .json(json.bytes)
    }

    private func fieldRequest(_ request: APIRequest) throws -> FieldRequest {
        let (start, end) = try bounds(request)
        guard case .log(let selector) = try parse(request.nonEmpty("query") ?? "{}") else {
            throw APIError(.badData, "only log selector is supported")
        }
        return FieldRequest(
            selector, tenant: request.tenant, startNanos: start, endNanos: end,
            lineLimit: try count(request, "line_limit", otherwise: 100),
            fieldLimit: try count(
                request, request.nonEmpty("limit") == nil ? "field_limit" : "limit",
                otherwise: 1000))
    }

    private func count(
        _ request: APIRequest, _ name: String, otherwise other: Int
    ) throws -> Int {
        guard let text = request.nonEmpty(name) else { return other }
        let count = try goInteger(text)
        try checkUInt32(count, name)
        guard count > 0 else { throw APIError(.badData, "\(name) must be a positive value") }
        return count
    }
}

private func write(_ field: DetectedField, into json: inout JSONWriter) {
    json.beginObject()
    json.member("label", field.label)
    json.member("type", field.type.rawValue)
    json.member("cardinality", field.cardinality)
    json.key("parsers")
    if field.parsers.isEmpty {
        json.null()
    } else {
        json.beginArray()
        for parser in field.parsers { json.string(parser) }
        json.endArray()
    }
    if !field.jsonPath.isEmpty {
        json.key("jsonPath")
        json.beginArray()
        for key in field.jsonPath { json.string(key) }
        json.endArray()
    }
    json.endObject()
}
