// SPDX-License-Identifier: Apache-2.0
// Analyses of log lines, answered in the shapes of Loki's other answers.

import Base
import PromQL
import Telemetry

/// What to analyse, where, and in which shape lines come back.
package struct AnalysisQuery: Sendable {
    package var analysis: LogAnalysis
    package var tenant: Tenant
    /// Inclusive.
    package var startNanos: Int64
    /// Exclusive.
    package var endNanos: Int64
    /// Lines of the answer at most, where the query does not say; 0 = all.
    package var limit: Int
    package var direction = LogQuery.Direction.backward
    package var separatesCategories = false
    let reader: any LogReading

    func request(
        _ filters: [LineFilter], order: LogRequest.Order = .any, limit: Int = 0
    ) -> LogRequest {
        LogRequest(
            tenant: tenant, matchers: analysis.selector.matchers,
            range: NanosRange(first: Nanos(startNanos), last: Nanos(endNanos - 1)), order: order,
            filters: filters, limit: limit)
    }

    /// Lines of the answer at most; 0 = all.
    var lineLimit: Int { analysis.limit ?? limit }
}

/// What an analysis answers.
package enum AnalysisResult: Sendable {
    /// In the order of the analysis.
    case lines(LogQueryResult)
    /// One number a series, or one per bucket.
    case table(MetricResult, isBucketed: Bool)
}

extension LogQLEngine {
    /// Answers an analysis over the lines of `start..<end`.
    ///
    /// - Throws: `LogQLQueryError` for too many buckets, `QueryInterruption`, what the reader throws.
    package func analyse(
        _ analysis: LogAnalysis, tenant: Tenant, startNanos: Int64, endNanos: Int64, limit: Int,
        direction: LogQuery.Direction = .backward, separatesCategories: Bool = false,
        _ context: ReadContext
    ) throws -> AnalysisResult {
        let query = AnalysisQuery(
            analysis: analysis, tenant: tenant, startNanos: startNanos,
            endNanos: max(endNanos, startNanos + 1), limit: limit, direction: direction,
            separatesCategories: separatesCategories, reader: reader)
        func table(
            _ functions: [StatsFunction], _ names: [String], _ everyNanos: Int64?
        ) throws -> AnalysisResult {
            var statistics = LogQLStatistics()
            let evaluation = try StatsEvaluation(
                query, functions, by: names, everyNanos: everyNanos, context,
                nowNanos: clock.wallNanos)
            let series = try evaluation.run(&statistics)
            return .table(
                MetricResult(
                    value: .series(series), steps: evaluation.steps, statistics: statistics),
                isBucketed: evaluation.isBucketed)
        }
        switch analysis.operation {
        case .stats(let functions, let names, let everyNanos):
            return try table(functions, names, everyNanos)
        case .top(let names), .uniq(let names):
            return try table(
                [StatsFunction(operation: .count, value: nil, name: "count")], names, nil)
        case .facets(let values):
            return .table(try facets(query, values: values, context), isBucketed: false)
        case .lines: return .lines(try sortedLines(query, context))
        case .context(let before, let after):
            return .lines(try linesInContext(query, before: before, after: after, context))
        }
    }
}
