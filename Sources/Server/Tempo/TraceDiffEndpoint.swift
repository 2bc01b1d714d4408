// SPDX-License-Identifier: Apache-2.0
// `POST /api/v2/traces/diff`.

import Base
import Correlation
import HTTPTypes
import Telemetry

/// Compares two traces by id: `{"base":{"traceId","start","end"},"compare":{…},"format"}`, times in
/// Unix seconds or RFC 3339, both optional. Answers the one format `trace-patch-v0`.
///
/// Both traces are in memory, within the budget of one query. Source: grafana/tempo
/// `docs/…/api_docs`, "Trace diff".
struct TraceDiffEndpoint: Sendable {
    /// Largest body of a request.
    static let maxBodyBytes = 64 << 10

    let service: QueryService

    func routes() -> [Route] { [Route([.post], "/api/v2/traces/diff", .plain, diff)] }

    private struct Side: Sendable {
        var id: TraceID
        var range: NanosRange

        /// - Throws: `APIError` that names the member.
        init(_ name: String, of body: JSONValue) throws {
            let members = body[name].members
            func text(_ key: String) -> String {
                // As Go's decoder, without regard to case: clients write traceId and traceID.
                members.first { $0.name.lowercased() == key }?.value.text ?? ""
            }
            guard let id = TraceID(hex: text("traceid")) else {
                throw APIError(
                    .badData,
                    "invalid \(name).traceId \"\(text("traceid"))\": "
                        + "a trace id is 1 to 32 hexadecimal digits")
            }
            self.id = id
            range = try APIRequest.tempoRange(
                start: Side.seconds("\(name).start", text("start")),
                end: Side.seconds("\(name).end", text("end")))
        }

        private static func seconds(_ name: String, _ text: String) throws(APIError) -> Int64 {
            if text.isEmpty { return 0 }
            let value = Int64(text) ?? parseRFC3339(text)?.seconds
            guard let value, abs(value) < 9_000_000_000 else {
                throw APIError(
                    .badData, "invalid \(name) \"\(text)\": neither Unix seconds nor RFC 3339")
            }
            return value
        }
    }

    private func diff(_ request: APIRequest) async throws -> APIResponse {
        guard request.body.count <= Self.maxBodyBytes else {
            throw APIError(
                .tooLarge,
                "the body has \(request.body.count) bytes, at most \(Self.maxBodyBytes) are read")
        }
        let body: JSONValue
        do { body = try JSONValue(parsing: request.body) } catch {
            throw APIError(.badData, "request body: \(error)")
        }
        let format = body["format"].text
        guard format.isEmpty || format == "trace-patch-v0" else {
            throw APIError(
                .badData, "format \"\(format)\" is not offered: ask for \"trace-patch-v0\"")
        }
        let (base, compare) = (try Side("base", of: body), try Side("compare", of: body))
        let reader = service.traces
        let tenant = request.tenant
        let bytes = try await service.run { context in
            func whole(_ side: Side) throws -> SpanBatch {
                let spans = try reader.trace(side.id, tenant: tenant, context)
                guard spans.touches(side.range) else {
                    throw TraceEndpoints.notFound(side.id, context.warnings)
                }
                // What could not be read would look as if it had been removed.
                guard context.warnings.isEmpty else {
                    throw APIError(
                        .execution,
                        "trace \(side.id) is incomplete and cannot be compared: "
                            + context.warnings.joined(separator: "; "))
                }
                return spans
            }
            var json = JSONWriter()
            try TraceDiff(base: try whole(base), compare: try whole(compare))
                .writePatch(into: &json)
            return json.bytes
        }
        return .json(bytes)
    }
}
