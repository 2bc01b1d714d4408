// SPDX-License-Identifier: Apache-2.0
// GET /api/v1/correlate/compare: what distinguishes some spans or lines from others.

import Base
import Diagnosis
import LogQL
import Telemetry
import TraceQL

/// A selection of spans or of lines.
private enum Selection {
    case spans(TraceQLQuery)
    case lines(LogSelector)
}

extension CorrelateEndpoints {
    private static let differenceLimit = 100
    /// Most traces, and most log lines, of each side. The newest are taken.
    private static let traceLimit = 1000
    private static let lineLimit = 20_000
    private static let rowLimit = 100_000

    /// `compare`: attributes that are more or less frequent in a selection than in a baseline.
    func compare(_ request: APIRequest) async throws -> APIResponse {
        guard let text = request.nonEmpty("query") else {
            throw APIError(
                .badData, "parameter \"query\": a selection in TraceQL or LogQL is wanted")
        }
        let range = try request.correlateRange(now: service.clock.wallNanos)
        let baselineRange = try stretch(request, "baselineStart", "baselineEnd") ?? range
        let limit = try request.correlateLimit(default: CorrelateEndpoints.differenceLimit)
        let tenant = request.tenant
        let language = request.nonEmpty("language")
        let baselineText = request.nonEmpty("baseline")
        return try await service.run { context in
            let selection = try self.selection("query", text, language, tenant, range, context)
            var baseline: Selection
            if let baselineText {
                let same = if case .spans = selection { "traceql" } else { "logql" }
                baseline = try self.selection(
                    "baseline", baselineText, same, tenant, baselineRange, context)
            } else {
                baseline = try everything(beside: selection)
            }
            var seen: Set<RowIdentity> = []
            let mine = try rows(selection, tenant, range, &seen, context)
            // Without a baseline it is all that was not selected.
            var ignored = baselineText == nil ? seen : []
            let theirs = try rows(baseline, tenant, baselineRange, &ignored, context)
            var warnings = context.warnings
            if mine.isCut || theirs.isCut {
                warnings.append("there are more attributes or values than are compared")
            }
            let found = Comparison.differences(mine, theirs, limit: limit)
            if mine.rowCount == 0 { warnings.append("the query selects nothing") }
            if theirs.rowCount == 0 { warnings.append("the baseline selects nothing") }
            if found.isEmpty, mine.rowCount > 0, theirs.rowCount > 0 {
                warnings.append("no difference found")
            }
            return prometheusSuccess(warnings: warnings) { json in
                json.beginArray()
                for difference in found { difference.write(into: &json) }
                json.endArray()
            }
        }
    }

    // MARK: - Languages

    /// Of texts that both languages know, like `{name="x"}`, it is LogQL when there are such streams.
    private func selection(
        _ parameter: String, _ text: String, _ language: String?, _ tenant: Tenant,
        _ range: NanosRange, _ context: ReadContext
    ) throws -> Selection {
        if let language, !["traceql", "logql"].contains(language) {
            throw APIError(
                .badData, "invalid parameter \"language\": \"\(language)\" is not traceql or logql")
        }
        var problems: [String] = []
        var lines: LogSelector?
        var spans: TraceQLQuery?
        if language != "traceql" {
            do throws(LogQLSyntaxError) {
                lines = try LogQLParser.parseLogQuery(text)
            } catch { problems.append("LogQL: \(error)") }
        }
        if language != "logql" {
            do {
                spans = try TraceQLParser.parse(text)
            } catch { problems.append("TraceQL: \(error)") }
        }
        if let lines, spans != nil {
            let request = LogRequest(tenant: tenant, matchers: lines.matchers, range: range)
            if try !service.logs.streams(request, context).isEmpty { return .lines(lines) }
        }
        if let spans { return .spans(spans) }
        if let lines { return .lines(lines) }
        throw APIError(
            .badData, "invalid parameter \"\(parameter)\": \(problems.joined(separator: "; "))")
    }

    private func everything(beside selection: Selection) throws -> Selection {
        switch selection {
        case .spans: .spans(try TraceQLParser.parse("{ }"))
        case .lines(let selector): .lines(LogSelector(matchers: selector.matchers))
        }
    }

    // MARK: - Rows

    /// What makes a row the same on both sides.
    private struct RowIdentity: Hashable {
        var trace = TraceID.zero
        var span = SpanID.zero
        var nanos: Int64 = 0
        var hash: UInt64 = 0
    }

    /// Rows that are not yet in `seen`, which takes them.
    private func rows(
        _ selection: Selection, _ tenant: Tenant, _ range: NanosRange,
        _ seen: inout Set<RowIdentity>, _ context: ReadContext
    ) throws -> AttributeRows {
        switch selection {
        case .spans(let query): try spanRows(query, tenant, range, &seen, context)
        case .lines(let selector): try lineRows(selector, tenant, range, &seen, context)
        }
    }

    private func spanRows(
        _ query: TraceQLQuery, _ tenant: Tenant, _ range: NanosRange,
        _ seen: inout Set<RowIdentity>, _ context: ReadContext
    ) throws -> AttributeRows {
        let limit = CorrelateEndpoints.traceLimit
        let search = TraceSearch(
            query, tenant: tenant, range: range, limit: limit,
            spansPerSpanset: CorrelateEndpoints.rowLimit)
        let found: [TraceSearchResult]
        do {
            found = try TraceQLEngine(reader: service.traces).search(search, context)
        } catch let error as TraceQLValidationError {
            throw APIError(.badData, "invalid TraceQL query: \(error)")
        }
        if found.count >= limit { context.warn("the newest \(limit) traces are compared") }
        var rows = AttributeRows()
        for trace in found {
            try context.check()
            let wanted = Set(trace.spansets.flatMap { $0.spans.map(\.spanID) })
            let spans = try service.traces.trace(trace.traceID, tenant: tenant, context)
            for row in 0..<spans.rowCount where wanted.contains(spans.spanIDs[row]) {
                let identity = RowIdentity(trace: trace.traceID, span: spans.spanIDs[row])
                guard rows.rowCount < CorrelateEndpoints.rowLimit,
                    seen.insert(identity).inserted
                else { continue }
                rows.add(try spans.attributeRow(row))
            }
        }
        return rows
    }

    private func lineRows(
        _ selector: LogSelector, _ tenant: Tenant, _ range: NanosRange,
        _ seen: inout Set<RowIdentity>, _ context: ReadContext
    ) throws -> AttributeRows {
        let limit = CorrelateEndpoints.lineLimit
        var query = LogQuery(
            selector, tenant: tenant, startNanos: range.first.rawValue,
            endNanos: range.last.rawValue.addingReportingOverflow(1).partialValue, limit: limit)
        query.separatesCategories = true
        let result: LogQueryResult
        do {
            result = try LogQLEngine(reader: service.logs, clock: service.clock)
                .queryLogs(query, context)
        } catch let error as PipelineError {
            throw APIError(.badData, "invalid LogQL query: \(error)")
        }
        if result.reachedLimit { context.warn("the newest \(limit) lines are compared") }
        var rows = AttributeRows()
        for stream in result.streams {
            try context.check()
            for entry in stream.entries {
                let identity = RowIdentity(
                    nanos: entry.nanos, hash: hash64(entry.line, seed: stream.labels.hash))
                guard seen.insert(identity).inserted else { continue }
                var attributes = stream.labels.pairs.map {
                    (AttributeRows.Key(.label, $0.name), $0.value)
                }
                attributes += entry.metadata.pairs.map {
                    (AttributeRows.Key(.metadata, $0.name), $0.value)
                }
                attributes += entry.parsed.pairs.map {
                    (AttributeRows.Key(.parsed, $0.name), $0.value)
                }
                rows.add(attributes.map { (key: $0.0, value: $0.1) })
            }
        }
        return rows
    }
}

extension SpanBatch {
    /// A span's attributes, those of its resource, and its properties. Lists and maps are left out.
    ///
    /// - Throws: `MalformedBytes` when attributes cannot be decoded.
    fileprivate func attributeRow(_ row: Int) throws -> [(key: AttributeRows.Key, value: String)] {
        var result: [(key: AttributeRows.Key, value: String)] = [
            (AttributeRows.Key(.intrinsic, "name"), arena.text(names[row])),
            (AttributeRows.Key(.intrinsic, "kind"), spanKindName(kinds[row])),
            (
                AttributeRows.Key(.intrinsic, "status"),
                ["unset", "ok", "error"][Int(min(statusCodes[row], 2))]
            ),
            (
                AttributeRows.Key(.intrinsic, "duration"),
                String(distance(startNanos[row], endNanos[row]))
            ),
        ]
        func add(_ slice: ByteSlice, _ origin: AttributeOrigin) throws {
            for (name, value) in try arena.withSlice(slice, { try AttributeCoding.decodeList($0) })
            {
                let text: String? =
                    switch value {
                    case .string(let text): text
                    case .int(let number): String(number)
                    case .double(let number): floatText(number)
                    case .bool(let flag): flag ? "true" : "false"
                    case .empty, .bytes, .array, .map: nil
                    }
                if let text { result.append((AttributeRows.Key(origin, name), text)) }
            }
        }
        try add(resources[Int(rowResources[row])].attributes, .resource)
        try add(attributes[row], .span)
        return result
    }
}

extension AttributeDifference {
    fileprivate func write(into json: inout JSONWriter) {
        func number(_ name: String, _ value: Double) {
            json.key(name)
            json.raw(floatText(value.isFinite ? value : 0))
        }
        json.beginObject()
        json.member("scope", key.origin.rawValue)
        json.member("key", key.name)
        if let range {
            json.key("range")
            json.beginArray()
            json.raw(floatText(range.lowerBound))
            json.raw(floatText(range.upperBound))
            json.endArray()
        } else {
            json.member("value", value ?? "")
        }
        number("selectionShare", selectionShare)
        number("baselineShare", baselineShare)
        number("effect", effect)
        json.member("support", support)
        number("adjustedP", adjustedP)
        json.key("sameAs")
        json.beginArray()
        for other in sameAs {
            json.beginObject()
            json.member("scope", other.origin.rawValue)
            json.member("key", other.name)
            json.endObject()
        }
        json.endArray()
        json.endObject()
    }
}
