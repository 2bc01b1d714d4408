// SPDX-License-Identifier: Apache-2.0
// Rates, errors and latencies for Jaeger's Monitor tab.

import Base
import HTTPTypes
import Telemetry
import Wire

/// `/api/metrics/{latencies,calls,errors,minstep}`.
///
/// Numbers come from the rates that the trace store keeps by operation and minute: of a minute that a
/// window cuts, it takes the share that lies inside. Quantiles are off by at most 1 %. Source:
/// jaegertracing/jaeger, query parser of the query extension (parameters and defaults).
struct JaegerMetricsEndpoint: Sendable {
    let service: QueryService
    let rates: any SpanRateReading

    private static let minute: Int64 = 60_000_000_000
    /// Points of a series at most.
    private static let maxPoints = 11_000
    /// Services of a request at most.
    private static let maxServices = 100

    func routes() -> [Route] {
        [
            Route([.get], "/api/metrics/latencies", .jaeger) { request in
                guard let quantile = Double(request.nonEmpty("quantile") ?? ""),
                    (0...1).contains(quantile)
                else {
                    throw APIError(
                        .badData, "unable to parse param 'quantile': expected a number from 0 to 1")
                }
                return try await answer(request, .latencies(quantile: quantile))
            },
            Route([.get], "/api/metrics/calls", .jaeger) { try await answer($0, .calls) },
            Route([.get], "/api/metrics/errors", .jaeger) { try await answer($0, .errors) },
            Route([.get], "/api/metrics/minstep", .jaeger) { _ in
                .json(JaegerAnswers.number(Int(JaegerMetricsEndpoint.minute / 1_000_000)))
            },
        ]
    }

    private struct Wanted: Sendable {
        var services: [String]
        var kinds: Set<UInt8>
        var isByOperation: Bool
        var end: Int64
        var start: Int64
        var step: Int64
        /// Nanoseconds that each point looks back.
        var window: Int64
    }

    private func wanted(_ request: APIRequest) throws(APIError) -> Wanted {
        // The user interface joins names by commas.
        let services = request.parameters(named: "service")
            .flatMap(\.joinedServices).filter { !$0.isEmpty }
        guard !services.isEmpty else {
            throw APIError(
                .badData,
                "unable to parse param 'service': please provide at least one service name")
        }
        guard services.count <= JaegerMetricsEndpoint.maxServices else {
            throw APIError(.badData, "more than \(JaegerMetricsEndpoint.maxServices) services")
        }
        var kinds: Set<UInt8> = []
        for name in request.parameters(named: "spanKind") {
            guard let kind = (UInt8(0)...5).first(where: { spanKindName($0) == name }) else {
                throw APIError(
                    .badData, "unable to parse param 'spanKind': unsupported span kind: '\(name)'")
            }
            kinds.insert(kind)
        }
        let minute = JaegerMetricsEndpoint.minute
        let end = try request.jaegerMillis("endTs") ?? service.clock.wallNanos
        let lookback = try request.jaegerMillis("lookback") ?? 60 * minute
        let step = try request.jaegerMillis("step") ?? minute / 12
        let window = try request.jaegerMillis("ratePer") ?? 10 * minute
        guard lookback >= 0, step > 0, window > 0 else {
            throw APIError(.badData, "lookback, step and ratePer must be positive")
        }
        guard lookback / step < JaegerMetricsEndpoint.maxPoints else {
            throw APIError(
                .badData,
                "more than \(JaegerMetricsEndpoint.maxPoints) points in a series: raise step")
        }
        let (start, overflow) = end.subtractingReportingOverflow(lookback)
        guard !overflow else { throw APIError(.badData, "endTs less lookback is out of range") }
        return Wanted(
            services: services, kinds: kinds.isEmpty ? [2] : kinds,
            isByOperation: try request.goFlag("groupByOperation", default: false), end: end,
            start: start, step: step, window: window)
    }

    private func answer(
        _ request: APIRequest, _ kind: JaegerMetricFamily.Kind
    ) async throws -> APIResponse {
        let wanted = try wanted(request)
        let tenant = request.tenant
        let now = service.clock.wallNanos
        return try await service.run { context in
            let first = wanted.start.less(wanted.window)
            let range = NanosRange(first: Nanos(first), last: Nanos(wanted.end))
            let found = try rates.rates(
                SpanRateRequest(tenant: tenant, range: range, services: Set(wanted.services)),
                context)
            // The family has no place for what is missing.
            if let missing = context.warnings.first { throw APIError(.internal, missing) }
            var minutes: [SeriesKey: [Minute]] = [:]
            for rate in found where wanted.kinds.contains(rate.key.kind) {
                let key = SeriesKey(
                    service: rate.key.service,
                    operation: wanted.isByOperation ? rate.key.name : nil)
                minutes[key, default: []].append(Minute(rate))
            }
            var series: [JaegerMetricFamily.Series] = []
            for (key, own) in minutes.sorted(by: { $0.key < $1.key }) {
                try context.check()
                series.append(
                    .init(
                        service: key.service, operation: key.operation,
                        points: try points(
                            own.sorted { $0.start < $1.start }, kind, wanted, now: now
                        ) { try context.check() }))
            }
            return .json(
                JaegerMetricFamily(
                    kind: kind, isByOperation: wanted.isByOperation, series: series
                ).json())
        }
    }

    private struct SeriesKey: Hashable, Comparable {
        var service: String
        var operation: String?

        static func < (a: SeriesKey, b: SeriesKey) -> Bool {
            (a.service, a.operation ?? "") < (b.service, b.operation ?? "")
        }
    }

    /// Spans that start in one minute, of one operation, kind and status.
    private struct Minute {
        var start: Int64
        var count: Double
        var errors: Double
        var durations: DurationHistogram

        init(_ rate: SpanRate) {
            start = rate.key.minuteNanos
            count = Double(rate.count)
            errors = Double(rate.errorCount)
            durations = rate.durations
        }
    }

    /// One point a step; points of windows without spans are left out.
    ///
    /// - Parameter minutes: ascending by start.
    private func points(
        _ minutes: [Minute], _ kind: JaegerMetricFamily.Kind, _ wanted: Wanted, now: Int64,
        check: () throws -> Void
    ) throws -> [JaegerMetricFamily.Point] {
        var points: [JaegerMetricFamily.Point] = []
        var moment = wanted.start
        var first = minutes.startIndex
        while moment <= wanted.end {
            try check()
            let begin = moment.less(wanted.window)
            while first < minutes.endIndex,
                minutes[first].start <= begin &- JaegerMetricsEndpoint.minute
            { first += 1 }
            let inside = minutes[first...].prefix { $0.start < moment }
            if let value = value(inside, kind, begin, moment, now: now) {
                points.append(.init(millis: moment / 1_000_000, value: value))
            }
            let (next, overflow) = moment.addingReportingOverflow(wanted.step)
            if overflow { break }
            moment = next
        }
        return points
    }

    private func value(
        _ minutes: ArraySlice<Minute>, _ kind: JaegerMetricFamily.Kind, _ begin: Int64,
        _ end: Int64, now: Int64
    ) -> Double? {
        var calls = 0.0
        var errors = 0.0
        var durations = DurationHistogram()
        for minute in minutes {
            // The minute that is not over has seen spans only up to now.
            let last = max(
                minute.start &+ 1_000_000_000,
                min(minute.start &+ JaegerMetricsEndpoint.minute, now))
            let inside = min(last, end) - max(minute.start, begin)
            if inside <= 0 { continue }
            let share = Double(inside) / Double(last - minute.start)
            calls += share * minute.count
            errors += share * minute.errors
            if case .latencies = kind { durations.merge(minute.durations) }
        }
        guard calls > 0 else { return nil }
        switch kind {
        case .latencies(let quantile): return Double(durations.quantile(quantile)) / 1e6
        case .calls: return calls / (Double(end - begin) / 1e9)
        case .errors: return errors / calls
        }
    }
}

extension Int64 {
    /// The difference, held at the end of what can be told.
    fileprivate func less(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? .min : difference
    }
}

extension String {
    /// `a,service=b` as the user interface joins several services, or just a name.
    fileprivate var joinedServices: [String] {
        var names: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: ",service=") {
            names.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return names + [String(rest)]
    }
}
