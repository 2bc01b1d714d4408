// SPDX-License-Identifier: Apache-2.0
// GET /api/v1/correlate/series: from metrics to logs and traces.

import Base
import Correlation
import Storage
import Telemetry

/// One series and what belongs to it.
private struct SeriesAnswer: Sendable {
    var labels: Labels
    var service: String?
    var exemplars: [Exemplar] = []
    var streams: [Labels] = []
    var traces: [TraceSummary] = []

    func write(into json: inout JSONWriter) {
        json.beginObject()
        json.key("labels")
        writeLabels(labels, into: &json)
        json.key("service")
        service.map { json.string($0) } ?? json.null()
        json.key("exemplars")
        json.beginArray()
        for exemplar in exemplars {
            writeExemplar(
                series: exemplar.series, labels: exemplar.labels, millis: exemplar.millis,
                value: exemplar.value, into: &json)
        }
        json.endArray()
        writeLabelSets("streams", streams, into: &json)
        writeTraces(traces, as: "traces", into: &json)
        json.endObject()
    }
}

extension CorrelateEndpoints {
    /// Most series of an answer, and most of each list of one series.
    private static let seriesLimit = 100
    private static let seriesListLimit = 100
    static let defaultWindowNanos: Int64 = 300_000_000_000

    /// `series`: of each series its service, exemplars, streams and traces, from `window` before
    /// `time` to `time`.
    func series(_ request: APIRequest) async throws -> APIResponse {
        guard !request.parameters(named: "match[]").isEmpty else {
            throw APIError(.badData, "no match[] parameter provided")
        }
        let selectors = try request.selectors(place: "invalid parameter \"match[]\": ")
        let time = try request.correlateTime("time", default: service.clock.wallNanos)
        let window = try request.correlateWindow(
            default: CorrelateEndpoints.defaultWindowNanos)
        let range = timeRange(time, less: window, time, plus: 0)
        let tenant = request.tenant
        return try await service.run { context in
            var warnings: [String] = []
            note(index.faults(tenant: tenant, range: range), context)
            let answers = try seriesAnswers(selectors, tenant, range, context, &warnings)
            if answers.isEmpty { warnings.append("no series matches in this window") }
            return prometheusSuccess(warnings: context.warnings + warnings) { json in
                json.beginArray()
                for answer in answers { answer.write(into: &json) }
                json.endArray()
            }
        }
    }

    private func seriesAnswers(
        _ selectors: [[LabelMatcher]], _ tenant: Tenant, _ range: NanosRange,
        _ context: ReadContext, _ warnings: inout [String]
    ) throws -> [SeriesAnswer] {
        let millis = MillisRange(
            first: Millis(floorMillis(range.first.rawValue)),
            last: Millis(floorMillis(range.last.rawValue)))
        var found: Set<Labels> = []
        var exemplars: [Labels: [Exemplar]] = [:]
        for matchers in selectors {
            let request = SeriesRequest(tenant: tenant, matchers: matchers, range: millis)
            found.formUnion(try seriesWithSamples(request, context))
            for exemplar in try service.metrics.exemplars(request, context) {
                if exemplars[exemplar.series]?.contains(exemplar) ?? false { continue }
                exemplars[exemplar.series, default: []].append(exemplar)
            }
        }
        found.formUnion(exemplars.keys)
        let limit = CorrelateEndpoints.seriesLimit
        if found.count > limit {
            warnings.append(
                "the first \(limit) of the matching series are shown: narrow match[]")
        }
        var lookup = TraceLookup(service.traces, index, tenant, context)
        var services: [String: SeriesAnswer] = [:]
        var answers: [SeriesAnswer] = []
        for labels in found.sorted().prefix(limit) {
            try context.check()
            var answer = SeriesAnswer(labels: labels)
            if let name = index.serviceName(ofSeries: labels, tenant: tenant) {
                if let known = services[name] {
                    answer = known
                    answer.labels = labels
                } else {
                    answer = try serviceAnswer(labels, name, tenant, range, &lookup, &warnings)
                    services[name] = answer
                }
            }
            let all = exemplars[labels] ?? []
            answer.exemplars = Array(all.suffix(CorrelateEndpoints.seriesListLimit))
            if all.count > answer.exemplars.count {
                warnings.append(
                    "\(labels): the last \(answer.exemplars.count) of \(all.count) exemplars are "
                        + "shown")
            }
            // Traces that exemplars name come first, the newest at the top.
            let ids = answer.exemplars.reversed().compactMap { traceID(ofExemplar: $0.labels) }
            let named = try lookup.summaries(unique(ids).prefix(CorrelateEndpoints.traceListLimit))
            let known = Set(named.map(\.traceID))
            answer.traces = Array(
                (named + answer.traces.filter { !known.contains($0.traceID) })
                    .prefix(CorrelateEndpoints.traceListLimit))
            answers.append(answer)
        }
        return answers
    }

    /// What all series of a service share.
    private func serviceAnswer(
        _ labels: Labels, _ name: String, _ tenant: Tenant, _ range: NanosRange,
        _ lookup: inout TraceLookup, _ warnings: inout [String]
    ) throws -> SeriesAnswer {
        var answer = SeriesAnswer(labels: labels, service: name)
        let streams = index.streams(ofService: name, tenant: tenant, range: range)
        answer.streams = Array(streams.prefix(CorrelateEndpoints.seriesListLimit))
        if streams.count > answer.streams.count {
            warnings.append(
                "\(name): the first \(answer.streams.count) of \(streams.count) streams are shown")
        }
        let found = index.traces(
            ofService: name, tenant: tenant, range: range,
            limit: CorrelateEndpoints.traceListLimit)
        note(found.faults, lookup.context)
        var recent = found.recent
        if found.isCut, recent.count < CorrelateEndpoints.traceListLimit {
            recent = try lookup.search(name, range, limit: CorrelateEndpoints.traceListLimit)
        }
        answer.traces = try lookup.summaries(recent)
        return answer
    }

    /// Selected series that have a sample in the range, one more than are shown at most.
    private func seriesWithSamples(
        _ request: SeriesRequest, _ context: ReadContext
    ) throws -> [Labels] {
        let set = try service.metrics.select(request, context)
        var result: [Labels] = []
        var columns = SampleColumns()
        for number in 0..<set.count where result.count <= CorrelateEndpoints.seriesLimit {
            try context.check()
            columns.removeAll()
            try set.read(number, into: &columns, context)
            if columns.count > 0 { result.append(set.labels(number)) }
        }
        return result
    }
}

/// Milliseconds of a time in nanoseconds, rounding towards the past.
private func floorMillis(_ nanos: Int64) -> Int64 {
    nanos / 1_000_000 - (nanos % 1_000_000 < 0 ? 1 : 0)
}

/// Values in order of first appearance.
private func unique(_ ids: [TraceID]) -> [TraceID] {
    var seen: Set<TraceID> = []
    return ids.filter { seen.insert($0).inserted }
}
