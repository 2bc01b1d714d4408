// SPDX-License-Identifier: Apache-2.0
// POST /api/v1/admin/rules/backfill, behind --web.enable-admin-api.

import Base
import HTTPTypes
import Ingest
import Rules
import Telemetry

/// Evaluates the recording rules of a rule file, the request's body, over the past.
struct RuleBackfillEndpoint: Sendable {
    let core: Core
    private static let bodyLimit = 16 << 20

    func routes() -> [Route] {
        [
            Route(
                [.post], "/api/v1/admin/rules/backfill", .prometheus, bodyLimit: Self.bodyLimit,
                backfill)
        ]
    }

    func backfill(_ request: APIRequest) async throws -> APIResponse {
        guard core.settings.enableAdminAPI else {
            throw APIError(.switchedOff, "admin APIs disabled")
        }
        let start = try request.millis("start")
        let end = try request.millis("end")
        var options = RuleFileOptions()
        // Of groups that name none, as when the server runs them.
        options.intervalMillis = core.queries.subqueryStepMillis
        options.parser = core.settings.queries.features.parser
        options.tenant = request.tenant
        let text = String(decoding: request.body, as: UTF8.self)
        let groups: [RuleGroupDefinition]
        do throws(RuleFileError) {
            groups = try RuleFile.parse(text, path: "body", options).groups
        } catch { throw APIError(.badData, error.description) }
        let own = groups.filter { $0.tenant == request.tenant }
        let step = try request.durationMillis("eval_interval") ?? 60_000
        let backfill = RuleBackfill(
            own, queries: ServerRuleQueries(service: core.queries),
            sink: core.pipeline, tenant: request.tenant)
        let outcome: RuleBackfill.Outcome
        do {
            outcome = try await backfill.run(start: start, end: end, step: step)
        } catch let error as RuleQueryError {
            throw APIError(.badData, error.description)
        } catch let error as RuleBackfill.Failure {
            throw APIError(.execution, error.description)
        } catch let error as IngestError {
            throw APIError(.unavailable, error.description, retryAfterSeconds: 5)
        }
        let passed = groups.filter { $0.tenant != request.tenant }.map {
            "group \(quotedText($0.name)) passed over: it belongs to tenant \($0.tenant)"
        }
        return prometheusSuccess(warnings: passed + outcome.reasons) { json in
            json.beginObject()
            json.member("rules", outcome.rules)
            json.member("samples", outcome.samples)
            json.member("refused", outcome.refused)
            json.endObject()
        }
    }
}
