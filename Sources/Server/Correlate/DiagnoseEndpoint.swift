// SPDX-License-Identifier: Apache-2.0
// GET /api/v1/correlate/diagnose: what is wrong, and where.

import Base
import Correlation
import Diagnosis
import Telemetry

extension CorrelateEndpoints {
    private static let suspectLimit = 10

    private var diagnosis: Diagnosis {
        Diagnosis(
            SignalSources(
                spans: service.traces, logs: service.logs, metrics: service.metrics, index: index))
    }

    /// `diagnose`: suspects for what differs between window and baseline.
    func diagnose(_ request: APIRequest) async throws -> APIResponse {
        let wanted = try diagnosisRequest(request)
        let diagnosis = diagnosis
        return try await service.run { context in
            note(index.faults(tenant: wanted.tenant, range: wanted.window), context)
            var answer: DiagnosisAnswer
            do {
                answer = try diagnosis.diagnose(wanted, context)
            } catch let error as UnknownScope {
                throw APIError(.notFound, error.description)
            }
            answer.elapsedSeconds = Double(context.elapsedNanos) / 1e9
            var warnings = context.warnings
            if answer.suspects.isEmpty {
                warnings.append(
                    answer.isEmpty
                        ? "nothing was found in the window: no spans, log lines or metrics of resources"
                        : "nothing differs between window and baseline")
            }
            return prometheusSuccess(warnings: warnings) { answer.write(into: &$0) }
        }
    }

    private func diagnosisRequest(_ request: APIRequest) throws(APIError) -> DiagnosisRequest {
        let window = try stretch(request, "start", "end")
        guard let window else {
            throw APIError(
                .badData, "parameters \"start\" and \"end\": the window is wanted")
        }
        var wanted = DiagnosisRequest(
            tenant: request.tenant, window: window,
            baseline: try stretch(request, "baselineStart", "baselineEnd"))
        var scopes: [String] = []
        if let name = request.nonEmpty("service") {
            wanted.service = name
            scopes.append("service")
        }
        if let text = request.nonEmpty("trace") {
            guard let id = TraceID(hex: text) else {
                throw APIError(
                    .badData,
                    "invalid parameter \"trace\": \"\(text)\" is not 1 to 32 hexadecimal digits")
            }
            wanted.traces = [id]
            scopes.append("trace")
        }
        if !request.parameters(named: "match[]").isEmpty {
            wanted.series = try request.selectors(place: "invalid parameter \"match[]\": ")
            scopes.append("match[]")
        }
        guard scopes.count <= 1 else {
            throw APIError(.badData, "only one of service, trace and match[] may be given")
        }
        wanted.limit = try request.correlateLimit(default: CorrelateEndpoints.suspectLimit)
        return wanted
    }

    /// A stretch of time that is given by both ends, or not at all.
    func stretch(
        _ request: APIRequest, _ startName: String, _ endName: String
    ) throws(APIError) -> NanosRange? {
        switch (request.nonEmpty(startName), request.nonEmpty(endName)) {
        case (nil, nil): return nil
        case (nil, _), (_, nil):
            throw APIError(
                .badData, "parameters \"\(startName)\" and \"\(endName)\": both ends are wanted")
        default: break
        }
        let start = try request.correlateTime(startName, default: 0)
        let end = try request.correlateTime(endName, default: 0)
        guard start < end else {
            throw APIError(
                .badData, "invalid parameter \"\(endName)\": must be after \(startName)")
        }
        return NanosRange(first: Nanos(start), last: Nanos(end))
    }

    // MARK: - Coverage

    /// `coverage`: how much of the telemetry can be correlated.
    func coverage(_ request: APIRequest) async throws -> APIResponse {
        let range = try request.correlateRange(now: service.clock.wallNanos)
        let tenant = request.tenant
        let diagnosis = diagnosis
        return try await service.run { context in
            let coverage = try diagnosis.coverage(tenant: tenant, range: range, context)
            return prometheusSuccess(warnings: context.warnings + coverage.notes) {
                coverage.write(into: &$0)
            }
        }
    }
}

extension DiagnosisAnswer {
    fileprivate var isEmpty: Bool {
        (spanCounts.last ?? 0) == 0 && (lineCounts.last ?? 0) == 0 && seriesCount == 0
    }
}
