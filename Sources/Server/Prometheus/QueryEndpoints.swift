// SPDX-License-Identifier: Apache-2.0
// query and query_range.

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
        options.slicing.helpers = service.helpers
        return PromQLEngine(reader: service.metrics, options: options)
    }

    func query(_ request: APIRequest) async throws -> APIResponse {
        let text = request.parameter("query") ?? ""
        _ = try request.limitParameter()
        let at = try request.millis("time", default: service.clock.wallNanos / 1_000_000)
        let engine = self.engine
        let tenant = request.tenant
        let lookback = try lookback(request)
        return try await run(request) { context in
            try engine.query(
                text, tenant: tenant, at: Millis(at), context: context, lookbackMillis: lookback)
        }
    }

    func queryRange(_ request: APIRequest) async throws -> APIResponse {
        let text = request.parameter("query") ?? ""
        _ = try request.limitParameter()
        let start = try request.millis("start")
        let end = try request.millis("end")
        guard end >= start else {
            throw APIError(
                .badData,
                "invalid parameter \"end\": end timestamp must not be before start time")
        }
        guard let step = try request.durationMillis("step") else {
            throw APIError(
                .badData, "invalid parameter \"step\": cannot parse \"\" to a valid duration")
        }
        guard step > 0 else {
            throw APIError(
                .badData,
                "invalid parameter \"step\": zero or negative query resolution step widths are not "
                    + "accepted. Try a positive integer")
        }
        let (span, overflow) = end.subtractingReportingOverflow(start)
        guard !overflow, span / step <= Int64(service.limits.points) else {
            throw APIError(
                .badData,
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the "
                    + "query resolution (?step=XX)")
        }
        let engine = self.engine
        let tenant = request.tenant
        let lookback = try lookback(request)
        return try await run(request) { context in
            try engine.queryRange(
                text, tenant: tenant, start: Millis(start), end: Millis(end), stepMillis: step,
                context: context, lookbackMillis: lookback)
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

    private func run(
        _ request: APIRequest, _ work: @escaping @Sendable (ReadContext) throws -> QueryResult
    ) async throws -> APIResponse {
        let limit = try request.limitParameter()
        let timeout = try request.durationMillis("timeout").map { Double($0) / 1000 }
        if let timeout, timeout <= 0 {
            throw APIError(.timeout, "query timed out in query queue")
        }
        let statistics = request.nonEmpty("stats")
        do {
            return try await service.run(timeoutSeconds: timeout, wording: prometheusWording) {
                context in
                let queued = context.elapsedNanos
                let result = try work(context)
                let stats = statistics.map { _ in QueryStatistics(context, queuedNanos: queued) }
                var missing = context.warnings
                if let text = statistics, text != "true", text != "all" {
                    missing.append(
                        "value \(quotedText(text)) for parameter \"stats\" is deprecated and will "
                            + "be rejected in the next major release, use \"true\" or \"all\"")
                }
                return answer(result, limit: limit, missing: missing, stats: stats)
            }
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
