// SPDX-License-Identifier: Apache-2.0
// /metrics/job/…: what jobs push before they end.

import Base
import HTTPTypes
import Ingest
import Telemetry
import Wire

/// The Pushgateway's API. Source: prometheus/pushgateway README, "API".
struct PushgatewayEndpoint: Sendable {
    let pipeline: IngestPipeline
    let groups: PushGroups
    let clock: any Clock
    /// Bytes of a body after decompression.
    static let bodyLimit = 16 << 20

    func routes() -> [Route] {
        ["/metrics/job/**", "/metrics/job@base64/**"].map { path in
            Route([.put, .post, .delete], path, .plain, bodyLimit: Self.bodyLimit, serve)
        }
    }

    private func serve(_ request: APIRequest) async throws -> APIResponse {
        let key = try PushPath(request.path.dropFirst("/metrics/".count)).labels
        do {
            return try await pipeline.perform(bytes: request.body.count) {
                try await take(request, key)
            }
        } catch let error as IngestError {
            throw APIError(error)
        }
    }

    private func take(
        _ request: APIRequest, _ key: [(name: String, value: String)]
    ) async throws -> APIResponse {
        let millis = clock.wallNanos / 1_000_000
        do throws(PushGroups.Failure) {
            if request.method == .delete {
                try groups.delete(grouping: key, tenant: request.tenant)
            } else {
                try groups.push(
                    try families(request, key), grouping: key, tenant: request.tenant,
                    replacesAll: request.method == .put, millis: millis)
            }
        } catch {
            // A refused push leaves its time.
            if case .inconsistent = error { _ = try await expose(key, request.tenant, millis) }
            switch error {
            case .inconsistent, .full: throw APIError(.badData, error.description)
            case .notStored:
                throw APIError(.unavailable, error.description, retryAfterSeconds: 1)
            }
        }
        let refusals = try await expose(key, request.tenant, millis)
        // The group is kept all the same, and what a limit refuses now may be taken later.
        if request.method != .delete, !refusals.isEmpty {
            throw APIError(.badData, "kept, but not all of it is stored: \(refusals.summary)")
        }
        return request.method == .delete
            ? APIResponse(.accepted) : APIResponse(.ok, contentType: "text/plain; charset=utf-8")
    }

    /// Writes the group's samples now, so that a push is there before its answer. Returns what the
    /// store refused.
    private func expose(
        _ key: [(name: String, value: String)], _ tenant: Tenant, _ millis: Int64
    ) async throws(IngestError) -> Refusals {
        guard let exposure = groups.expose(grouping: key, tenant: tenant, millis: millis) else {
            return Refusals()
        }
        let report = try await pipeline.write(metrics: exposure.batch, tenant: tenant)
        groups.stored(exposure)
        return report.refusals
    }

    private func families(
        _ request: APIRequest, _ key: [(name: String, value: String)]
    ) throws(PushGroups.Failure) -> [PushedFamily] {
        let format: PushedFormat =
            request.mediaType == "application/vnd.google.protobuf" ? .protobuf : .text
        let result: Result<[PushedFamily], PushGroups.Failure>
        do {
            let plain = try request.plainBody(
                accepting: [.identity, .gzip, .deflate, .zstd], limit: Self.bodyLimit)
            result = plain.withUnsafeBytes { bytes in
                do throws(ExpositionError) {
                    return .success(try PushedFamilies.decode(bytes, format, grouping: key))
                } catch { return .failure(.full("\(error)")) }
            }
        } catch { throw .full(error.message) }
        return try result.get()
    }
}

extension PushGroups {
    /// Writes everything pushed as of one moment, as a scrape of a Pushgateway would.
    ///
    /// - Parameter report: told of what could not be written; the next round brings it.
    func expose(
        millis: Int64, to pipeline: IngestPipeline, report: @Sendable (String) -> Void
    ) async {
        guard groupCount > 0 || hasEnded else { return }
        do {
            try await pipeline.perform(bytes: 0) {
                for exposure in self.expose(millis: millis) {
                    let written = try await pipeline.write(
                        metrics: exposure.batch, tenant: exposure.tenant)
                    self.stored(exposure)
                    if !written.refusals.isEmpty { report(written.refusals.summary) }
                }
            }
        } catch { report("\(error)") }
    }
}
