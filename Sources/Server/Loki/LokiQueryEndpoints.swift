// SPDX-License-Identifier: Apache-2.0
// Loki's query API.

import Base
import HTTPTypes
import Ingest
import LogQL
import Telemetry
import Wire

/// query, query_range, labels, label values, series.
struct LokiQueryEndpoints: Sendable {
    let service: QueryService
    let tenantLimits: @Sendable (Tenant) -> LogTenantLimits
    /// The lines of one tenant, or of several.
    var reader: any LogReading { JoinedTenants(reader: service.logs) }
    var engine: LogQLEngine { LogQLEngine(reader: reader, clock: service.clock) }

    /// What ingest adds to lines.
    let enrichment: LogEnrichment

    init(
        service: QueryService, enrichment: LogEnrichment = LogEnrichment(),
        tenantLimits: @escaping @Sendable (Tenant) -> LogTenantLimits = { _ in
            LogTenantLimits()
        }
    ) {
        self.service = service
        self.enrichment = enrichment
        self.tenantLimits = tenantLimits
    }

    /// What the request may ask for: of several tenants what each of them allows.
    func limits(_ request: APIRequest) throws(APIError) -> LogQueryLimits {
        let names = JoinedTenants.names(of: request.tenant)
        return try LogQueryLimits(
            .strictest(names.map { tenantLimits(Tenant($0)) }), request)
    }

    /// The query of a request, within its limits.
    func expression(_ request: APIRequest) throws(APIError) -> LogQLExpression {
        let limits = try limits(request)
        let text = request.parameter("query") ?? ""
        try limits.checkText(text)
        let expression = try parse(text)
        try limits.checkSelectors(expression)
        return expression
    }

    func engine(_ limits: LogQueryLimits) -> LogQLEngine {
        LogQLEngine(reader: limits.bounded(reader), clock: service.clock)
    }

    func parse(_ text: String) throws(APIError) -> LogQLExpression {
        do {
            return try LogQLParser.parse(text)
        } catch {
            throw APIError(.badData, "\(error)")
        }
    }

    func query(_ request: APIRequest) async throws -> APIResponse {
        let limits = try limits(request)
        let expression = try expression(request)
        _ = (try limit(request), try direction(request))
        let at = try lokiTime(request.nonEmpty("time")) ?? service.clock.wallNanos
        if case .analysis(let analysis) = expression {
            return try await analyse(analysis, request, at &- (try since(request)), at)
        }
        guard case .metric(let metric) = expression else {
            throw APIError(
                .badData,
                "log queries are not supported as an instant query type, please change your query "
                    + "to a range query type")
        }
        let tenant = request.tenant
        let engine = engine(limits)
        return try await run(limits.timeoutSeconds) { context in
            let queueNanos = context.elapsedNanos
            let result = try engine.queryInstant(metric, tenant: tenant, atNanos: at, context)
            return writeMetricResult(result, instant: true, context, queueNanos: queueNanos)
        }
    }

    func queryRange(_ request: APIRequest) async throws -> APIResponse {
        let limits = try limits(request)
        let expression = try expression(request)
        let (start, end) = try bounds(request)
        let tenant = request.tenant
        let engine = engine(limits)
        switch expression {
        case .analysis(let analysis): return try await analyse(analysis, request, start, end)
        case .metric(let metric):
            let step = try step(request, start, end)
            let steps = try EvaluationSteps(startNanos: start, endNanos: end, stepNanos: step)
            return try await run(limits.timeoutSeconds) { context in
                let queueNanos = context.elapsedNanos
                let result = try engine.queryRange(metric, tenant: tenant, steps, context)
                return writeMetricResult(result, instant: false, context, queueNanos: queueNanos)
            }
        case .log(let selector):
            // Of no use here, and checked all the same.
            _ = try step(request, start, end)
            var query = LogQuery(
                selector, tenant: tenant, startNanos: start, endNanos: end,
                limit: try limit(request), direction: try direction(request))
            let categorize =
                request.headers[.encodingFlags]?.contains("categorize-labels") ?? false
            query.separatesCategories = categorize
            query.intervalNanos = try interval(request)
            let wanted = query
            return try await run(limits.timeoutSeconds) { context in
                let queueNanos = context.elapsedNanos
                let result = try engine.queryLogs(wanted, context)
                return writeStreams(
                    result, categorize: categorize, context, queueNanos: queueNanos)
            }
        }
    }

    func run<T: Sendable>(
        _ timeoutSeconds: Double? = nil,
        _ work: @escaping @Sendable (ReadContext) throws -> T
    ) async throws -> T {
        do {
            return try await service.run(
                timeoutSeconds: timeoutSeconds, wording: lokiWording, work)
        } catch let error as LogQLQueryError {
            throw APIError(.badData, error.description)
        } catch let error as APIError {
            throw error
        } catch let error as PipelineError {
            throw APIError(.badData, "\(error)")
        }
    }

    func labels(_ request: APIRequest) async throws -> APIResponse {
        try await names(request) { reader, wanted, context in
            try reader.labelNames(wanted, context)
        }
    }

    func labelValues(_ request: APIRequest) async throws -> APIResponse {
        let name = request.pathParameters["name"] ?? ""
        return try await names(request) { reader, wanted, context in
            try reader.labelValues(name, wanted, context)
        }
    }

    private func names(
        _ request: APIRequest,
        _ read: @escaping @Sendable (any LogReading, LogRequest, ReadContext) throws -> [String]
    ) async throws -> APIResponse {
        let (start, end) = try bounds(request)
        let matchers = try selector(request.nonEmpty("query") ?? "")
        let wanted = LogRequest(
            tenant: request.tenant, matchers: matchers,
            range: NanosRange(first: Nanos(start), last: Nanos(end)))
        let reader = self.reader
        return try await service.run(wording: lokiWording) { context in
            let values = try read(reader, wanted, context)
            return prometheusSuccess(warnings: context.warnings) { json in
                json.beginArray()
                for value in values { json.string(value) }
                json.endArray()
            }
        }
    }

    func series(_ request: APIRequest) async throws -> APIResponse {
        let (start, end) = try bounds(request)
        let texts = request.parameters(named: "match[]") + request.parameters(named: "match")
        let selectors = try (texts.isEmpty ? [""] : texts).map(selector)
        let tenant = request.tenant
        let reader = self.reader
        return try await service.run(wording: lokiWording) { context in
            var found: Set<Labels> = []
            for matchers in selectors {
                found.formUnion(
                    try reader.streams(
                        LogRequest(
                            tenant: tenant, matchers: matchers,
                            range: NanosRange(first: Nanos(start), last: Nanos(end))), context))
            }
            return prometheusSuccess(warnings: context.warnings) { json in
                json.beginArray()
                for labels in found.sorted() { writeLabels(labels, into: &json) }
                json.endArray()
            }
        }
    }

    // MARK: - Parameters

    func selector(_ text: String) throws -> [LabelMatcher] {
        do {
            return try LogQLMatchers.parse(text)
        } catch {
            throw APIError(.badData, "\(error)")
        }
    }

    func bounds(_ request: APIRequest) throws -> (Int64, Int64) {
        let now = service.clock.wallNanos
        let end = try lokiTime(request.nonEmpty("end")) ?? now
        // Read also where it is not needed: what is wrong is refused.
        let since = try since(request)
        let start = try lokiTime(request.nonEmpty("start")) ?? (min(end, now) &- since)
        guard end >= start else {
            throw APIError(.badData, "end timestamp must not be before or equal to start time")
        }
        try limits(request).checkLength(start, end)
        return (start, end)
    }

    /// How far back to look, in nanoseconds; an hour unless given.
    private func since(_ request: APIRequest) throws -> Int64 {
        guard let text = request.nonEmpty("since") else { return 3_600_000_000_000 }
        guard let millis = try? parseDurationMillis(text) else {
            throw APIError(.badData, "not a valid duration string: \"\(text)\"")
        }
        return millis &* 1_000_000
    }

    func limit(_ request: APIRequest) throws(APIError) -> Int {
        guard let text = request.nonEmpty("limit") else { return 100 }
        let limit = try goInteger(text)
        try checkUInt32(limit, "limit")
        guard limit > 0 else { throw APIError(.badData, "limit must be a positive value") }
        try limits(request).checkEntries(limit)
        return limit
    }

    /// Least distance of the lines of an answer, in nanoseconds.
    func interval(_ request: APIRequest) throws -> Int64 {
        let millis = try request.durationMillis("interval") ?? 0
        guard millis >= 0 else { throw APIError(.badData, "interval must be >= 0") }
        let (nanos, overflow) = millis.multipliedReportingOverflow(by: 1_000_000)
        return overflow ? .max : nanos
    }

    func direction(_ request: APIRequest) throws -> LogQuery.Direction {
        switch (request.nonEmpty("direction") ?? "backward").lowercased() {
        case "backward": .backward
        case "forward": .forward
        case let other: throw APIError(.badData, "invalid direction '\(other)'")
        }
    }

    func step(_ request: APIRequest, _ start: Int64, _ end: Int64) throws -> Int64 {
        guard let millis = try request.durationMillis("step") else {
            return max((end - start) / 250 / 1_000_000_000, 1) * 1_000_000_000
        }
        guard millis > 0 else {
            throw APIError(
                .badData,
                "zero or negative query resolution step widths are not accepted. Try a positive "
                    + "integer")
        }
        let (nanos, overflow) = millis.multipliedReportingOverflow(by: 1_000_000)
        let step = overflow ? .max : nanos
        let (length, isLong) = end.subtractingReportingOverflow(start)
        guard !isLong, length / step <= Self.maxSteps else {
            throw APIError(
                .badData,
                "exceeded maximum resolution of 11,000 points per time series. Try increasing the "
                    + "value of the step parameter")
        }
        return step
    }

    /// Most steps of a range query. Source: grafana/loki `pkg/loghttp/params.go`.
    private static let maxSteps = 11_000
}

/// Loki's counts have 32 bits; what is negative is the caller's to refuse.
func checkUInt32(_ value: Int, _ name: String) throws(APIError) {
    guard value <= Int(UInt32.max) else {
        throw APIError(
            .badData, "\(name) value \(value) is out of range [0, \(UInt32.max)]")
    }
}

/// Loki counts a query that is too large as a bad request.
func lokiWording(_ interruption: QueryInterruption) -> APIError {
    switch interruption {
    case .cancelled: APIError(.cancelled, "the request was cancelled by the client")
    case .timedOut:
        APIError(
            .timeout,
            "\(interruption): ask for a shorter stretch of time or narrow the stream selector")
    case .memoryLimit, .sharedMemoryLimit, .rowLimit: APIError(.badData, "\(interruption)")
    }
}

/// A time as Loki's parameters have it, in nanoseconds; nil for no text.
func lokiTime(_ text: String?) throws(APIError) -> Int64? {
    guard let text else { return nil }
    if text.contains("."), let seconds = Double(text), abs(seconds) < 9e9 {
        return Int64((seconds * 1000).rounded()) * 1_000_000
    }
    if let whole = Int64(text) { return text.count <= 10 ? whole * 1_000_000_000 : whole }
    if let parsed = parseRFC3339(text) {
        return parsed.seconds &* 1_000_000_000 &+ parsed.nanos
    }
    throw APIError(.badData, "cannot parse \"\(text)\" to a valid timestamp")
}
