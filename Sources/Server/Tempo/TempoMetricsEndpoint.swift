// SPDX-License-Identifier: Apache-2.0
// /api/metrics/query_range and /api/metrics/query.

import Base
import HTTPTypes
import Telemetry
import TraceQL
import Wire

/// Metrics of spans over a range or all of it; JSON, or protobuf by `Accept`. Source: grafana/tempo
/// `docs/…/api_docs`, "TraceQL Metrics".
struct TempoMetricsEndpoint: Sendable {
    let queries: TempoQueries

    private static let hour: Int64 = 3_600_000_000_000

    func routes() -> [Route] {
        [
            Route([.get], "/api/metrics/query_range", .plain) { try await range($0) },
            Route([.get], "/api/metrics/query", .plain) { try await instant($0) },
        ]
    }

    private func range(_ request: APIRequest) async throws -> APIResponse {
        let wanted = try wanted(request, isInstant: false)
        let answer = try await queries.metrics(wanted, tenant: request.tenant)
        return request.wantsProtobuf
            ? .protobuf(try answer.rangeProtobuf()) : .json(try answer.rangeJSON())
    }

    private func instant(_ request: APIRequest) async throws -> APIResponse {
        let wanted = try wanted(request, isInstant: true)
        let answer = try await queries.metrics(wanted, tenant: request.tenant)
        return request.wantsProtobuf
            ? .protobuf(try answer.instantProtobuf()) : .json(try answer.instantJSON())
    }

    private func wanted(
        _ request: APIRequest, isInstant: Bool
    ) throws(APIError) -> TempoQueries.Metrics {
        guard let text = request.nonEmpty("q") ?? request.nonEmpty("query") else {
            throw APIError(.badData, "invalid query: q must not be empty")
        }
        let end = try time(request, "end") ?? queries.service.clock.wallNanos
        let since = try duration(request, "since") ?? TempoMetricsEndpoint.hour
        let before = end.subtractingReportingOverflow(since)
        let start = try time(request, "start") ?? (before.overflow ? 0 : before.partialValue)
        let exemplars = try request.tempoCount(
            "exemplars", default: TempoQueries.defaultExemplars, 0...Int.max)
        let series = try request.tempoCount(
            "maxSeries", default: TempoQueries.defaultSeries, 0...TempoQueries.maxSeries)
        return TempoQueries.Metrics(
            text: text, start: start, end: end,
            step: isInstant ? nil : try duration(request, "step"), isInstant: isInstant,
            exemplars: min(exemplars, MetricsQuery.exemplarLimit),
            maxSeries: series == 0 ? TempoQueries.defaultSeries : series)
    }

    /// Unix seconds with or without a fraction, Unix nanoseconds or RFC 3339.
    private func time(_ request: APIRequest, _ name: String) throws(APIError) -> Int64? {
        guard request.nonEmpty(name) != nil else { return nil }
        return try request.correlateTime(name, default: 0)
    }

    /// A duration, or a number of seconds; never 0.
    private func duration(_ request: APIRequest, _ name: String) throws(APIError) -> Int64? {
        guard let text = request.nonEmpty(name) else { return nil }
        var nanos: Int64?
        if let seconds = Double(text), abs(seconds) < 9e9 {
            nanos = Int64((seconds * 1e9).rounded())
        } else if let parsed = try? parseGoDuration(text) {
            nanos = parsed
        } else if let millis = try? parseDurationMillis(text) {
            let (product, overflow) = millis.multipliedReportingOverflow(by: 1_000_000)
            nanos = overflow ? nil : product
        }
        guard let nanos, nanos > 0 else {
            throw APIError(
                .badData, "invalid \(name): \"\(text)\" is not a duration greater than 0")
        }
        return nanos
    }
}
