// SPDX-License-Identifier: Apache-2.0
// Loki's API before version 1, and the pages of a Loki process.

import Base
import HTTPTypes
import LogQL
import Storage
import Telemetry

/// `/api/prom/…`, which old clients still speak. Source: grafana/loki
/// `docs/sources/reference/loki-http-api.md` (deprecated endpoints), `pkg/util/marshal/legacy`.
struct LegacyEndpoints: Sendable {
    let logs: LokiQueryEndpoints
    let push: LokiPushEndpoint
    let kernel: Kernel

    func routes() -> [Route] {
        let both: [HTTPRequest.Method] = [.get, .post]
        return [
            Route(
                [.post], "/api/prom/push", .loki, bodyLimit: LokiPushEndpoint.bodyLimit, push.push),
            Route(both, "/api/prom/query", .loki, query),
            Route(both, "/api/prom/label", .loki, labels),
            Route(both, "/api/prom/label/{name}/values", .loki, labels),
            Route(both, "/api/prom/series", .loki, logs.series),
            Route([.get], "/services", .loki, services),
            Route(both, "/flush", .loki, flush),
        ]
    }

    private func query(_ request: APIRequest) async throws -> APIResponse {
        guard case .log(let selector) = try logs.expression(request) else {
            throw APIError(.badData, "legacy endpoints only support streams result type")
        }
        let (start, end) = try logs.bounds(request)
        let wanted = LogQuery(
            selector, tenant: request.tenant, startNanos: start, endNanos: end,
            limit: try logs.limit(request), direction: try logs.direction(request))
        let engine = logs.engine
        return try await logs.run { context in
            let queueNanos = context.elapsedNanos
            let result = try engine.queryLogs(wanted, context)
            var json = JSONWriter(reserving: 1 << 14)
            json.beginObject()
            json.key("streams")
            json.beginArray()
            for stream in result.streams {
                json.beginObject()
                json.member("labels", stream.labels.description)
                json.key("entries")
                json.beginArray()
                for entry in stream.entries {
                    json.beginObject()
                    json.member("ts", rfc3339Text(nanos: entry.nanos))
                    json.key("line")
                    entry.line.withUnsafeBytes { json.string($0) }
                    json.endObject()
                }
                json.endArray()
                json.endObject()
            }
            json.endArray()
            LokiStatistics(
                result.statistics, returned: result.streams.reduce(0) { $0 + $1.entries.count },
                context, queueNanos: queueNanos
            ).write(into: &json)
            json.endObject()
            return .json(json.bytes)
        }
    }

    /// Names of labels, or the values of one.
    private func labels(_ request: APIRequest) async throws -> APIResponse {
        let (start, end) = try logs.bounds(request)
        let wanted = LogRequest(
            tenant: request.tenant, matchers: [],
            range: NanosRange(first: Nanos(start), last: Nanos(end)))
        let (reader, name) = (logs.reader, request.pathParameters["name"])
        return try await logs.run { context in
            let values =
                if let name { try reader.labelValues(name, wanted, context) } else {
                    try reader.labelNames(wanted, context)
                }
            var json = JSONWriter()
            json.beginObject()
            json.key("values")
            json.beginArray()
            for value in values { json.string(value) }
            json.endArray()
            json.endObject()
            return .json(json.bytes)
        }
    }

    /// What a Loki process lists its parts on: here there is one, and it runs.
    private func services(_ request: APIRequest) async throws -> APIResponse {
        .text("server => Running\nstore => Running\nquerier => Running\nruler => Running\n")
    }

    /// Makes parts of what is in memory.
    private func flush(_ request: APIRequest) async throws -> APIResponse {
        do { try await kernel.sealAll() } catch {
            throw APIError(.unavailable, "\(error)", retryAfterSeconds: 5)
        }
        return .noContent
    }
}
