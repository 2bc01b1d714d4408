// SPDX-License-Identifier: Apache-2.0
// /loki/api/v1/delete.

import Base
import HTTPTypes
import LogQL
import LogStore
import Telemetry

/// Requests to delete log lines, behind `--web.enable-admin-api`. Source: grafana/loki
/// `docs/sources/reference/loki-http-api.md` and `pkg/compactor/deletion`.
struct DeleteEndpoints: Sendable {
    let deletes: LogDeletes
    let clock: any Clock
    let isEnabled: Bool

    func routes() -> [Route] {
        let path = "/loki/api/v1/delete"
        return [
            Route([.post, .put], path, .loki, add), Route([.get], path, .loki, list),
            Route([.delete], path, .loki, cancel),
        ]
    }

    private func checkEnabled() throws(APIError) {
        guard isEnabled else {
            throw APIError(
                .switchedOff, "deletion is not available: admin APIs disabled")
        }
    }

    private func add(_ request: APIRequest) async throws -> APIResponse {
        try checkEnabled()
        guard let query = request.nonEmpty("query") else {
            throw APIError(.badData, "query not set")
        }
        guard query.utf8.count <= 16 << 10 else {
            throw APIError(.badData, "\(LogStoreError.longQuery(limit: 16 << 10))")
        }
        do {
            _ = try deletionLanguage(clock)(query)
        } catch { throw APIError(.badData, "\(error)") }
        guard let startText = request.nonEmpty("start") else {
            throw APIError(.badData, "start time not set")
        }
        let now = clock.wallNanos
        let start = try time(startText, "start")
        let end = try request.nonEmpty("end").map { try time($0, "end") } ?? now
        guard end <= now else {
            throw APIError(.badData, "deletes in the future are not allowed")
        }
        guard start < end else {
            throw APIError(.badData, "start time can't be greater than or equal to end time")
        }
        // How Loki splits a request into smaller ones; here a request costs the same whatever its
        // length.
        if let text = request.nonEmpty("max_interval") {
            guard (try? parseDurationMillis(text)) != nil else {
                throw APIError(
                    .badData, "invalid max_interval: not a valid duration string: \"\(text)\"")
            }
        }
        _ = try await deletes.add(
            query: query, startNanos: start, endNanos: end, tenant: request.tenant)
        return .noContent
    }

    private func time(_ text: String, _ name: String) throws(APIError) -> Int64 {
        if let seconds = Int64(text), abs(seconds) < 9_000_000_000 {
            return seconds * 1_000_000_000
        }
        if let parsed = parseRFC3339(text), abs(parsed.seconds) < 9_000_000_000 {
            return parsed.seconds * 1_000_000_000 + parsed.nanos
        }
        throw APIError(
            .badData, "invalid \(name) time: require unix seconds or RFC3339 format")
    }

    private func list(_ request: APIRequest) async throws -> APIResponse {
        try checkEnabled()
        let start = try request.nonEmpty("start").map { try time($0, "start") }
        let end = try request.nonEmpty("end").map { try time($0, "end") }
        guard (start == nil) == (end == nil) else {
            throw APIError(.badData, "start and end time must be given together")
        }
        var json = JSONWriter()
        json.beginArray()
        for one in deletes.requests(of: request.tenant) where one.status != .accepted {
            if let start, let end, one.endNanos < start || one.startNanos > end { continue }
            json.beginObject()
            json.member("request_id", one.id)
            json.key("start_time")
            json.seconds(millis: one.startNanos / 1_000_000)
            json.key("end_time")
            json.seconds(millis: one.endNanos / 1_000_000)
            json.member("query", one.query)
            json.member("status", one.status == .processed ? "processed" : "received")
            json.key("created_at")
            json.seconds(millis: one.createdNanos / 1_000_000)
            // Ours.
            json.member("deleted_lines", one.removedRows)
            json.member("deleted_bytes", one.removedBytes)
            json.endObject()
        }
        json.endArray()
        return .json(json.bytes)
    }

    private func cancel(_ request: APIRequest) async throws -> APIResponse {
        try checkEnabled()
        guard let id = request.nonEmpty("request_id") else {
            throw APIError(.badData, "request_id not set")
        }
        let force = request.parameter("force").map { $0.isEmpty || $0 == "true" } ?? false
        try await deletes.cancel(id, tenant: request.tenant, force: force)
        return .noContent
    }
}
