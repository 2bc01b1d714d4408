// SPDX-License-Identifier: Apache-2.0
// GET /api/v1/correlate/logline: from a log line to its trace and metrics.

import Base
import Correlation
import LogQL
import Storage
import Telemetry

/// One log line and what belongs to it.
private struct LogLineAnswer {
    var row: Int
    var service: String?
    var trace: TraceSummary?
    var spans = SpanBatch()
    /// Row of the line's span in `spans`.
    var span: Int?
    var times: TraceTimes?
    var series: [Labels] = []

    func write(_ logs: LogBatch, into json: inout JSONWriter) throws {
        json.beginObject()
        json.key("log")
        logs.write(row, into: &json)
        json.key("service")
        service.map { json.string($0) } ?? json.null()
        json.key("trace")
        trace.map { $0.write(into: &json) } ?? json.null()
        json.key("span")
        if let span {
            try spans.write(span, times ?? TraceTimes(spans), into: &json)
        } else {
            json.null()
        }
        writeLabelSets("series", series, into: &json)
        json.endObject()
    }
}

extension CorrelateEndpoints {
    private static let lineLimit = 100
    private static let lineSeriesLimit = 1000

    /// `logline`: the lines of the selected streams at `time`, or within `window` of it, each with
    /// its service, trace, span and the series of the service.
    func logLine(_ request: APIRequest) async throws -> APIResponse {
        let matchers: [LabelMatcher]
        do throws(LogQLSyntaxError) {
            matchers = try LogQLMatchers.parse(
                request.parameter("query") ?? "", allowsEverything: false)
        } catch {
            throw APIError(
                .badData, "invalid parameter \"query\": \(error): a stream selector is wanted")
        }
        guard request.nonEmpty("time") != nil else {
            throw APIError(.badData, "invalid parameter \"time\": the time of a log line is wanted")
        }
        let time = try request.correlateTime("time", default: 0)
        let window = try request.correlateWindow(default: 0)
        let tenant = request.tenant
        let wanted = LogRequest(
            tenant: tenant, matchers: matchers,
            range: timeRange(time, less: window, time, plus: window), order: .oldestFirst,
            limit: CorrelateEndpoints.lineLimit + 1)
        return try await service.run { context in
            var warnings: [String] = []
            note(
                index.faults(tenant: tenant, range: wanted.range), context)
            let logs = try lines(wanted, context)
            var answers: [LogLineAnswer] = []
            for row in 0..<min(logs.rowCount, CorrelateEndpoints.lineLimit) {
                answers.append(try answer(logs, row, tenant, context, &warnings))
            }
            if logs.rowCount > answers.count {
                warnings.append(
                    "the first \(answers.count) lines are shown: narrow query or window")
            }
            if answers.isEmpty { warnings.append("no line of these streams at this time") }
            return try prometheusSuccess(warnings: context.warnings + warnings) { json in
                json.beginArray()
                for answer in answers { try answer.write(logs, into: &json) }
                json.endArray()
            }
        }
    }

    private func lines(_ wanted: LogRequest, _ context: ReadContext) throws -> LogBatch {
        var logs = LogBatch()
        try service.logs.read(wanted, context) { batch in
            for row in 0..<batch.rowCount where wanted.matchers.match(batch.stream(row)) {
                if logs.rowCount > CorrelateEndpoints.lineLimit { break }
                logs.add(row, of: batch)
            }
            return logs.rowCount <= CorrelateEndpoints.lineLimit
        }
        return logs
    }

    private func answer(
        _ logs: LogBatch, _ row: Int, _ tenant: Tenant, _ context: ReadContext,
        _ warnings: inout [String]
    ) throws -> LogLineAnswer {
        try context.check()
        var answer = LogLineAnswer(row: row)
        let id = logs.traceIDs[row]
        if !id.isZero {
            var (spans, times) = try service.traces.structuredTrace(id, tenant: tenant, context)
            index.rename(&spans)
            answer.times = times
            if spans.rowCount > 0 {
                answer.trace = TraceSummary(id, spans, root: times.root)
                let spanID = logs.spanIDs[row]
                if !spanID.isZero { answer.span = spans.spanIDs.firstIndex(of: spanID) }
                if answer.span != nil { answer.spans = spans }
            } else {
                warnings.append("trace \(id) has no spans here")
            }
        }
        answer.service = index.serviceName(ofStream: logs.stream(row))
        if let name = answer.service {
            let day = timeRange(logs.nanos[row], less: 0, logs.nanos[row], plus: 0)
            let series = index.series(ofService: name, tenant: tenant, range: day)
            answer.series = Array(series.prefix(CorrelateEndpoints.lineSeriesLimit))
            let warning =
                "\(name): the first \(answer.series.count) of \(series.count) series are shown"
            if series.count > answer.series.count, !warnings.contains(warning) {
                warnings.append(warning)
            }
        }
        return answer
    }
}

extension LogBatch {
    fileprivate func stream(_ row: Int) -> Labels {
        arena.labels(streams[Int(rowStreams[row])])
    }

    /// Adds a row of another batch.
    fileprivate mutating func add(_ row: Int, of other: LogBatch) {
        let stream = addStream(other.stream(row))
        addRow(
            stream: stream, nanos: other.nanos[row],
            line: other.arena.withSlice(other.lines[row]) { arena.keep($0) },
            metadata: other.arena.withSlice(other.metadata[row]) { arena.keep($0) },
            traceID: other.traceIDs[row], spanID: other.spanIDs[row])
    }
}
