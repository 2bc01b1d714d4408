// SPDX-License-Identifier: Apache-2.0
// query, query_range and explain.

import Base
import PromQL
import Telemetry

/// PromQL over HTTP. Source: prometheus/prometheus `web/api/v1/api.go`.
struct QueryEndpoints: Sendable {
    let service: QueryService
    /// Most warnings, and most infos, of one answer.
    private static let annotationLimit = 10

    private var engine: PromQLEngine {
        var options = service.limits.features.promQL
        options.lookbackMillis = Int64(service.limits.lookbackSeconds * 1000)
        options.subqueryStepMillis = service.subqueryStepMillis
        options.slicing.helpers = service.helpers
        return PromQLEngine(reader: service.metrics, options: options)
    }

    func query(_ request: APIRequest) async throws -> APIResponse {
        _ = try request.limitParameter()
        let times = try request.instant(service.clock)
        return try await run(request, times)
    }

    func queryRange(_ request: APIRequest) async throws -> APIResponse {
        _ = try request.limitParameter()
        let times = try request.range(maxPoints: service.limits.points)
        return try await run(request, times)
    }

    /// `explain`: what each operator of the query did. A range query when any of its parameters
    /// is there.
    func explain(_ request: APIRequest) async throws -> APIResponse {
        let isRange = ["start", "end", "step"].contains { request.nonEmpty($0) != nil }
        let times =
            try isRange
            ? request.range(maxPoints: service.limits.points) : request.instant(service.clock)
        let text = request.parameter("query") ?? ""
        let engine = self.engine
        let tenant = request.tenant
        let lookback = try lookback(request)
        return try await evaluated(request) { context in
            let query: ExplainedQuery
            switch times {
            case .instant(let time):
                query = try engine.explain(
                    text, tenant: tenant, at: time, context: context, lookbackMillis: lookback)
            case .range(let start, let end, let stepMillis):
                query = try engine.explainRange(
                    text, tenant: tenant, start: start, end: end, stepMillis: stepMillis,
                    context: context, lookbackMillis: lookback)
            }
            return prometheusSuccess(
                warnings: capped(context.warnings + query.warnings, "warning"),
                infos: capped(query.infos, "info")
            ) { query.write(text, into: &$0) }
        }
    }

    /// `format_query`: the query as the parser understood it, laid out.
    func formatQuery(_ request: APIRequest) async throws -> APIResponse {
        let expression: Expression
        do {
            expression = try parseExpression(
                request.parameter("query") ?? "", options: service.limits.features.parser)
        } catch {
            throw APIError(.badData, "invalid parameter \"query\": \(error)")
        }
        // The envelope's `data` is the text itself.
        return prometheusSuccess { $0.string(expression.prettyPrinted()) }
    }

    /// `parse_query`: the syntax tree.
    func parseQuery(_ request: APIRequest) async throws -> APIResponse {
        let expression: Expression
        do {
            expression = try parseExpression(
                request.parameter("query") ?? "", options: service.limits.features.parser)
        } catch {
            throw APIError(.badData, "invalid parameter \"query\": \(error)")
        }
        return prometheusSuccess { expression.write(into: &$0) }
    }

    /// Nothing above zero means the server's own look-back.
    private func lookback(_ request: APIRequest) throws(APIError) -> Int64? {
        let millis = try request.durationMillis(
            "lookback_delta", place: "error parsing lookback delta duration: ")
        return millis.flatMap { $0 > 0 ? $0 : nil }
    }

    private func run(_ request: APIRequest, _ times: QueryMoments) async throws -> APIResponse {
        let text = request.parameter("query") ?? ""
        let engine = self.engine
        let tenant = request.tenant
        let lookback = try lookback(request)
        let limit = try request.limitParameter()
        let statistics = request.nonEmpty("stats")
        let stepsOf =
            statistics == "all" && service.limits.features.perStepStatistics ? times : nil
        return try await evaluated(request) { context in
            let queued = context.elapsedNanos
            let result: QueryResult
            switch times {
            case .instant(let time):
                result = try engine.query(
                    text, tenant: tenant, at: time, context: context, lookbackMillis: lookback,
                    countsSamples: statistics != nil)
            case .range(let start, let end, let stepMillis):
                result = try engine.queryRange(
                    text, tenant: tenant, start: start, end: end, stepMillis: stepMillis,
                    context: context, lookbackMillis: lookback,
                    countsSamples: statistics != nil)
            }
            let stats = result.samples.map {
                QueryStatistics(context, queuedNanos: queued, $0, stepsOf: stepsOf)
            }
            var missing = context.warnings
            if let text = statistics, text != "true", text != "all" {
                missing.append(
                    "value \(quotedText(text)) for parameter \"stats\" is deprecated and will be "
                        + "rejected in the next major release, use \"true\" or \"all\"")
            }
            return answer(result, limit: limit, missing: missing, stats: stats)
        }
    }

    /// Runs an evaluation with the timeout of the request; what ends it comes out as Prometheus
    /// puts it.
    private func evaluated(
        _ request: APIRequest, _ work: @escaping @Sendable (ReadContext) throws -> APIResponse
    ) async throws -> APIResponse {
        let timeout = try request.durationMillis("timeout").map { Double($0) / 1000 }
        if let timeout, timeout <= 0 {
            throw APIError(.timeout, "query timed out in query queue")
        }
        do {
            return try await service.run(
                timeoutSeconds: timeout, wording: prometheusWording, work)
        } catch let error as ParseError {
            throw APIError(.badData, "invalid parameter \"query\": \(error)")
        } catch let error as QueryError {
            // Refused before the evaluation: the kind of the query is at fault.
            if error.description.hasPrefix("invalid expression type ") {
                throw APIError(.badData, "invalid parameter \"query\": \(error)")
            }
            throw APIError(.execution, error.description)
        }
    }

    private func answer(
        _ result: QueryResult, limit: Int, missing: [String], stats: QueryStatistics?
    ) -> APIResponse {
        // What is missing first: it is never among what the cap leaves out.
        var warnings = missing + result.warnings
        let isCut = limit > 0 && result.value.count > limit
        if isCut { warnings.append("results truncated due to limit") }
        return .json(
            from: PrometheusEnvelope(
                QueryResultJSON(result.value, limit: isCut ? limit : nil, stats: stats),
                warnings: capped(warnings, "warning"), infos: capped(result.infos, "info")),
            holding: service.budget.share(result.value.byteCount))
    }

    private func capped(_ texts: [String], _ kind: String) -> [String] {
        guard texts.count > Self.annotationLimit else { return texts }
        return texts.prefix(Self.annotationLimit)
            + ["\(texts.count - Self.annotationLimit) more \(kind) annotations omitted"]
    }
}

/// Prometheus' words for the end of a query. Source: prometheus/prometheus `promql/engine.go`.
func prometheusWording(_ interruption: QueryInterruption) -> APIError {
    switch interruption {
    case .cancelled: APIError(.cancelled, "query was canceled in expression evaluation")
    case .timedOut: APIError(.timeout, "query timed out in expression evaluation")
    case .rowLimit:
        APIError(
            .execution,
            "query processing would load too many samples into memory in query execution")
    case .memoryLimit, .sharedMemoryLimit: APIError(interruption)
    }
}
