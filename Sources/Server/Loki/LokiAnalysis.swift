// SPDX-License-Identifier: Apache-2.0
// Analyses of log lines over Loki's API.

import HTTPTypes
import LogQL
import Telemetry

extension LokiQueryEndpoints {
    /// Answers an analysis: lines as streams, a table as a vector, buckets of time as a matrix.
    func analyse(
        _ analysis: LogAnalysis, _ request: APIRequest, _ start: Int64, _ end: Int64
    ) async throws -> APIResponse {
        let limits = try limits(request)
        try limits.checkLength(start, end)
        if let rows = analysis.limit { try limits.checkEntries(rows) }
        let limit = try limit(request)
        let direction = try direction(request)
        let categorize = request.headers[.encodingFlags]?.contains("categorize-labels") ?? false
        let tenant = request.tenant
        let engine = engine(limits)
        return try await run(limits.timeoutSeconds) { context in
            let queueNanos = context.elapsedNanos
            let result = try engine.analyse(
                analysis, tenant: tenant, startNanos: start, endNanos: end, limit: limit,
                direction: direction, separatesCategories: categorize, context)
            switch result {
            case .lines(let lines):
                return writeStreams(
                    lines, categorize: categorize, context, queueNanos: queueNanos)
            case .table(let table, let isBucketed):
                return writeMetricResult(
                    table, instant: !isBucketed, context, queueNanos: queueNanos)
            }
        }
    }
}
