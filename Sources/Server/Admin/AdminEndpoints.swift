// SPDX-License-Identifier: Apache-2.0
// Health, readiness, build information and the server's own metrics.

import Base
import HTTPTypes
import Ingest
import Storage
import Synchronization

/// Endpoints that belong to no family.
struct AdminEndpoints: Sendable {
    let pipeline: IngestPipeline
    let metrics: SelfMetrics
    let scraping: Scraping
    let queries: QueryService
    let push: PushMetrics
    let forwarding: Forwarding?

    func metricsPage(_ request: APIRequest) async throws -> APIResponse {
        ServerMetrics(
            pipeline: pipeline, scraping: scraping, queries: queries, forwarding: forwarding
        ).collect(into: metrics)
        push.collect(into: metrics)
        return .exposition(metrics)
    }

    /// `status/buildinfo`: what Grafana tells a flavour by. No `features` member on purpose.
    func buildInfo(_ request: APIRequest) async throws -> APIResponse {
        prometheusSuccess { json in
            json.beginObject()
            json.member("version", "3.14.0")
            json.member("revision", "tern-" + Base.version)
            json.member("branch", "main")
            json.member("buildUser", "")
            json.member("buildDate", "")
            json.member("goVersion", "")
            json.endObject()
        }
    }
}

extension APIResponse {
    /// The server's own metrics as a page.
    static func exposition(_ metrics: SelfMetrics) -> APIResponse {
        APIResponse(
            .ok, contentType: "text/plain; version=0.0.4; charset=utf-8",
            body: metrics.exposition())
    }
}
