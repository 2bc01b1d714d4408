// SPDX-License-Identifier: Apache-2.0
// Snapshots and deletions, behind --web.enable-admin-api.

import Base
import HTTPTypes
import Ingest
import MetricStore
import Storage
import Telemetry

/// `/api/v1/admin/tsdb/…`. Source: prometheus/prometheus `web/api/v1/api.go`.
struct StorageEndpoints: Sendable {
    let kernel: Kernel
    let metrics: MetricStore
    let clock: any Clock
    let random: any RandomSource
    let isEnabled: Bool

    init(_ core: Core, random: any RandomSource = SystemRandom()) {
        kernel = core.kernel
        metrics = core.pipeline.metrics
        clock = core.queries.clock
        isEnabled = core.settings.enableAdminAPI
        self.random = random
    }

    func routes() -> [Route] {
        let methods: [HTTPRequest.Method] = [.post, .put]
        let base = "/api/v1/admin/tsdb/"
        return [
            Route(methods, base + "snapshot", .prometheus, snapshot),
            Route(methods, base + "delete_series", .prometheus, deleteSeries),
            Route(methods, base + "clean_tombstones", .prometheus, cleanTombstones),
        ]
    }

    private func checkEnabled() throws(APIError) {
        guard isEnabled else { throw APIError(.switchedOff, "admin APIs disabled") }
    }

    /// What cannot be made durable now may be later: 503, as for writes. The rest is damage.
    private func failure(_ place: String, _ error: any Error) -> APIError {
        let isPassing = error is CommitError || error is MetaStoreError || error is FileError
        return APIError(
            isPassing ? .unavailable : .internal, "\(place)\(error)",
            retryAfterSeconds: isPassing ? 5 : nil)
    }

    /// All signals and tenants, as one directory under `snapshots/` of the data directory.
    func snapshot(_ request: APIRequest) async throws -> APIResponse {
        try checkEnabled()
        let skipHead = try request.boolean("skip_head")
        let name = snapshotName()
        do {
            try await kernel.snapshot(name: name, skipHead: skipHead)
        } catch { throw failure("create snapshot: ", error) }
        return prometheusSuccess { json in
            json.beginObject()
            json.member("name", name)
            json.endObject()
        }
    }

    /// `20060102T150405Z-` and sixteen hexadecimal digits.
    private func snapshotName() -> String {
        let seconds = clock.wallNanos / 1_000_000_000
        let time = rfc3339Text(nanos: seconds * 1_000_000_000).filter { $0 != "-" && $0 != ":" }
        let digits = String(random.next() >> 1, radix: 16)
        return time + "-" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Deletes the tenant's samples; all selectors in one step, where upstream takes them in turn.
    func deleteSeries(_ request: APIRequest) async throws -> APIResponse {
        try checkEnabled()
        guard !request.parameters(named: "match[]").isEmpty else {
            throw APIError(.badData, "no match[] parameter provided")
        }
        let start = try request.millis("start", default: .min)
        let end = try request.millis("end", default: .max)
        let selections = try request.selectors(place: "invalid parameter \"match[]\": ")
        // Nothing lies between an end and a later start.
        guard start <= end else { return .noContent }
        do {
            try await metrics.delete(
                selections, MillisRange(first: Millis(start), last: Millis(end)),
                tenant: request.tenant, in: kernel)
        } catch { throw failure("", error) }
        return .noContent
    }

    func cleanTombstones(_ request: APIRequest) async throws -> APIResponse {
        try checkEnabled()
        do {
            try await kernel.cleanDeletions(tenant: request.tenant.name)
        } catch { throw failure("", error) }
        return .noContent
    }
}

extension APIRequest {
    /// A truth value, false when absent, with upstream's words for a malformed one.
    fileprivate func boolean(_ name: String) throws(APIError) -> Bool {
        guard let text = nonEmpty(name) else { return false }
        if let value = goBoolean(text) { return value }
        throw APIError(
            .badData,
            "invalid parameter \"\(name)\": unable to parse boolean: strconv.ParseBool: parsing "
                + "\(quotedText(text)): invalid syntax")
    }
}
