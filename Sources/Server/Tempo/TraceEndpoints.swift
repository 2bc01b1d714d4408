// SPDX-License-Identifier: Apache-2.0
// Traces by id, as Tempo and Jaeger serve them.

import Base
import Correlation
import HTTPTypes
import Telemetry
import TraceQL
import Wire

/// Trace answers of Tempo's and Jaeger's APIs.
struct TraceEndpoints: Sendable {
    let service: QueryService

    func routes() -> [Route] {
        [
            Route([.get], "/api/traces/{id}", .jaeger, byID),
            Route([.get], "/api/v2/traces/{id}", .plain, byIDv2),
        ]
    }

    /// A trace that was found, whole.
    private struct Found: Sendable {
        var spans: SpanBatch
        /// What could not be read.
        var missing: [String]
        var bytesRead: Int
    }

    /// The id of the path.
    ///
    /// - Throws: `APIError` that shows the text.
    static func id(_ request: APIRequest) throws(APIError) -> TraceID {
        let text = request.pathParameters["id"] ?? ""
        guard let id = TraceID(hex: text) else {
            throw APIError(.badData, "trace id \"\(text)\" is not 1 to 32 hexadecimal digits")
        }
        return id
    }

    static func notFound(_ id: TraceID, _ missing: [String]) -> APIError {
        let reason = missing.isEmpty ? "" : ": " + missing.joined(separator: "; ")
        return APIError(.notFound, "trace \(id) not found\(reason)")
    }

    private func trace(_ request: APIRequest, _ range: NanosRange = .all) async throws -> Found {
        let id = try TraceEndpoints.id(request)
        let tenant = request.tenant
        let reader = service.traces
        let found = try await service.run { context in
            Found(
                spans: try reader.trace(id, tenant: tenant, context), missing: context.warnings,
                bytesRead: context.bytesRead)
        }
        guard found.spans.touches(range) else {
            throw TraceEndpoints.notFound(id, found.missing)
        }
        return found
    }

    /// `/api/traces/{id}`: Tempo's protobuf or JSON, or Jaeger's JSON. Tempo's first version has no
    /// place for what is missing; Jaeger's and the second version have.
    func byID(_ request: APIRequest) async throws -> APIResponse {
        if request.wantsProtobuf || request.prefix == "tempo" {
            let spans = try await trace(request, request.tempoRange()).spans
            return request.wantsProtobuf
                ? .protobuf(try TraceAnswers.tempoTrace(spans))
                : .json(try TraceAnswers.tempoTraceJSON(spans))
        }
        // Jaeger's `start` and `end` are hints for stores without an index of traces.
        for name in ["start", "end"] { _ = try request.jaegerMicros(name) }
        let adjusts = try request.adjustsClocks()
        let found = try await trace(request)
        return .json(
            try TraceAnswers.jaegerTraces([
                JaegerTraces(found.spans, warnings: found.missing, adjustingClocks: adjusts)
            ]))
    }

    /// `/api/v2/traces/{id}`, whole or the spans that `q` selects.
    func byIDv2(_ request: APIRequest) async throws -> APIResponse {
        let selection = try SpanSelection(request)
        let found = try await trace(request, request.tempoRange())
        var spans = found.spans
        if let selection {
            spans = try await selection.select(from: spans, service, tenant: request.tenant)
        }
        let completeness: TraceAnswers.Completeness =
            found.missing.isEmpty ? .complete : .partial(found.missing.joined(separator: "; "))
        return request.wantsProtobuf
            ? .protobuf(
                try TraceAnswers.tempoTraceByID(
                    spans, completeness, inspectedBytes: found.bytesRead))
            : .json(
                try TraceAnswers.tempoTraceByIDJSON(
                    spans, completeness, inspectedBytes: found.bytesRead))
    }
}

extension SpanBatch {
    /// Whether any span lies, at least in part, inside a range; false without spans.
    func touches(_ range: NanosRange) -> Bool {
        startNanos.indices.contains {
            startNanos[$0] <= range.last.rawValue
                && max(startNanos[$0], endNanos[$0]) >= range.first.rawValue
        }
    }
}
