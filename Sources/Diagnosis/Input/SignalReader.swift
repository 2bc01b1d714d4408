// SPDX-License-Identifier: Apache-2.0
// Reads what a diagnosis looks at.

import Base
import Correlation
import Telemetry

/// The stores and the index, as far as they answer here.
package struct SignalSources: Sendable {
    package var spans: any SpanReading
    package var logs: any LogReading
    package var metrics: any SeriesReading
    package var index: Correlation

    package init(
        spans: any SpanReading, logs: any LogReading, metrics: any SeriesReading,
        index: Correlation
    ) {
        self.spans = spans
        self.logs = logs
        self.metrics = metrics
        self.index = index
    }
}

/// Most of each signal that is held at a time. Beyond it traces are sampled, by their ids so that
/// they stay whole, lines are read up to the limit, and series are left out.
package struct ReadLimits: Sendable {
    package var spans = 200_000
    package var lines = 200_000
    package var statements = 20_000
    package var series = 20_000
    package init() {}
}

/// Fills `Observations` from the stores.
struct SignalReader {
    let sources: SignalSources
    let request: DiagnosisRequest
    let limits: ReadLimits
    let context: ReadContext
    var found = Observations()
    /// Traces are looked at whose hash has so many zeros at its end.
    private var sampling: UInt64 = 0
    private var traceNumbers: [TraceKey: Int32] = [:]
    private var statementNumbers: [StatementKey: Int32] = [:]
    /// By hash of the message.
    private var failureNumbers: [UInt64: Int32] = [:]
    private var codeNumbers: [CodeLocation: Int32] = [:]
    var seriesNumbers: [Labels: Int] = [:]

    private struct TraceKey: Hashable {
        var id: TraceID
        var stretch: Stretch
    }

    private struct StatementKey: Hashable {
        var service: Int32
        /// Nil when only the text tells.
        var isError: Bool?
        /// Of the template, or of the place in the code.
        var hash: UInt64
    }

    init(
        _ sources: SignalSources, _ request: DiagnosisRequest, _ limits: ReadLimits,
        _ context: ReadContext
    ) {
        self.sources = sources
        self.request = request
        self.limits = limits
        self.context = context
    }

    private var stretches: [(Stretch, NanosRange)] {
        var all = [(Stretch.baseline, request.baseline), (.window, request.window)]
        if let before = request.before { all.append((.before, before)) }
        return all
    }

    /// Reads all signals. Memory stays with the context until it ends.
    ///
    /// - Throws: `QueryInterruption`, what the stores throw.
    mutating func read() throws -> Observations {
        for (stretch, range) in stretches { try readSpans(stretch, range) }
        found.spans.link()
        try context.reserve(found.spans.count * 120)
        if sampling > 0 {
            found.traceShare = 1 / Double(sampling + 1)
            found.notes.append(
                "more than \(limits.spans) spans: 1 of \(sampling + 1) traces was looked at")
        }
        let rows = rowsBySpan()
        for (stretch, range) in stretches { try readLines(stretch, range, rows) }
        try context.reserve(found.lines.nanos.count * 16 + found.lines.statements.count * 300)
        try readSeries()
        return found
    }

    // MARK: - Spans

    private mutating func readSpans(_ stretch: Stretch, _ range: NanosRange) throws {
        let wanted = SpanRequest(tenant: request.tenant, range: range)
        var seen: Set<SpanKey> = []
        try sources.spans.search(wanted, context) { batch in
            try context.check()
            let services = batch.resources.map { resource in
                let name = sources.index.serviceName(ofResource: resource, in: batch.arena)
                let number = found.services.add(name)
                let recorded = batch.arena.text(resource.serviceName)
                if !recorded.isEmpty {
                    found.spanNames[number, default: []].insert(recorded)
                    if recorded != name { found.services.note(spelling: recorded) }
                }
                return number
            }
            for row in 0..<batch.rowCount where range.contains(batch.startNanos[row]) {
                guard isSampled(batch.traceIDs[row]) else { continue }
                // A span may stand in a head and a part, or have been sent twice.
                let key = SpanKey(
                    trace: batch.traceIDs[row], span: batch.spanIDs[row], kind: batch.kinds[row])
                guard seen.insert(key).inserted else { continue }
                add(row, of: batch, service: services[Int(batch.rowResources[row])], stretch)
            }
            while found.spans.count > limits.spans { thinOut() }
            return true
        }
    }

    private struct SpanKey: Hashable {
        var trace: TraceID
        var span: SpanID
        var kind: UInt8
    }

    private func isSampled(_ id: TraceID) -> Bool {
        sampling == 0 || mixed(id) & sampling == 0
    }

    private func mixed(_ id: TraceID) -> UInt64 {
        var x = id.low ^ (id.high &* 0x9e37_79b9_7f4a_7c15)
        x = (x ^ (x >> 31)) &* 0xbf58_476d_1ce4_e5b9
        return x ^ (x >> 29)
    }

    /// Leaves about half of the traces.
    private mutating func thinOut() {
        sampling = sampling << 1 | 1
        let isWanted = found.spans.traceIDs.map(isSampled)
        found.spans.keep(traces: isWanted)
    }

    private mutating func add(
        _ row: Int, of batch: SpanBatch, service: Int32, _ stretch: Stretch
    ) {
        let key = TraceKey(id: batch.traceIDs[row], stretch: stretch)
        let trace: Int32
        if let known = traceNumbers[key] {
            trace = known
        } else {
            trace = Int32(found.spans.traceIDs.count)
            found.spans.traceIDs.append(key.id)
            traceNumbers[key] = trace
        }
        found.spans.stretches.append(stretch)
        found.spans.traces.append(trace)
        found.spans.ids.append(batch.spanIDs[row])
        found.spans.parentIDs.append(batch.parentIDs[row])
        found.spans.services.append(service)
        found.spans.operations.append(
            batch.arena.withSlice(batch.names[row]) { found.spans.operationNames.add($0) })
        found.spans.kinds.append(batch.kinds[row])
        found.spans.starts.append(batch.startNanos[row])
        found.spans.ends.append(max(batch.startNanos[row], batch.endNanos[row]))
        found.spans.isError.append(batch.statusCodes[row] == 2)
        found.spans.code.append(code(row, of: batch))
    }

    /// The place that a span names. Attributes are only decoded where there may be one.
    private mutating func code(_ row: Int, of batch: SpanBatch) -> Int32 {
        let hasCode = batch.arena.withSlice(batch.attributes[row]) { bytes in
            contains(codeMark, bytes) || contains(stackMark, bytes)
        }
        let hasStack = batch.arena.withSlice(batch.events[row]) { contains(stackMark, $0) }
        guard hasCode || hasStack else { return -1 }
        // What cannot be decoded names no place; the span itself counts all the same.
        let attributes =
            (try? batch.arena.withSlice(batch.attributes[row]) {
                try AttributeCoding.decodeList($0)
            }) ?? []
        let events =
            (try? batch.arena.withSlice(batch.events[row]) { try SpanEventCoding.decode($0) }) ?? []
        // An exception tells more than where the span began.
        let found =
            (hasStack ? CodeLocation(spanAttributes: [], events: events) : nil)
            ?? CodeLocation(spanAttributes: attributes, events: events)
        guard let found else { return -1 }
        if let known = codeNumbers[found] { return known }
        let number = Int32(self.found.spans.codes.count)
        self.found.spans.codes.append(found)
        codeNumbers[found] = number
        return number
    }

    private func rowsBySpan() -> [Stretch: [SpanRowKey: Int32]] {
        var result: [Stretch: [SpanRowKey: Int32]] = [:]
        for row in 0..<found.spans.count {
            let key = SpanRowKey(
                trace: found.spans.traceIDs[Int(found.spans.traces[row])],
                span: found.spans.ids[row])
            result[found.spans.stretches[row], default: [:]][key] = Int32(row)
        }
        return result
    }

    struct SpanRowKey: Hashable {
        var trace: TraceID
        var span: SpanID
    }

    // MARK: - Log lines

    private mutating func readLines(
        _ stretch: Stretch, _ range: NanosRange, _ rows: [Stretch: [SpanRowKey: Int32]]
    ) throws {
        let wanted = LogRequest(tenant: request.tenant, matchers: [], range: range)
        let spanRows = rows[stretch] ?? [:]
        var linesRead = 0
        try sources.logs.read(wanted, context) { batch in
            try context.check()
            var streams: [(labels: Labels, service: Int32?)] = []
            for ref in batch.streams {
                let labels = batch.arena.labels(ref)
                let name = sources.index.serviceName(ofStream: labels)
                streams.append((labels, name.map { found.services.add($0) }))
                if let name, sources.index.isOverridden(name) { note(labels, of: name) }
            }
            for row in 0..<batch.rowCount where range.contains(batch.nanos[row]) {
                linesRead += 1
                if linesRead > limits.lines { break }
                let key = SpanRowKey(trace: batch.traceIDs[row], span: batch.spanIDs[row])
                let span = key.span.isZero ? nil : spanRows[key]
                let stream = streams[Int(batch.rowStreams[row])]
                // What a line's span belongs to is surer than what labels say.
                guard let service = span.map({ found.spans.services[Int($0)] }) ?? stream.service
                else { continue }
                add(row, of: batch, stream.labels, service, stretch, span)
            }
            return linesRead <= limits.lines
        }
        if linesRead > limits.lines {
            found.notes.append("only \(limits.lines) log lines of the \(stretch) were looked at")
        }
    }

    /// Streams of one overridden service that are kept to ask for its lines.
    private static let maxOverriddenStreams = 1000

    private mutating func note(_ stream: Labels, of service: String) {
        guard (found.overriddenStreams[service]?.count ?? 0) < SignalReader.maxOverriddenStreams
        else { return }
        found.overriddenStreams[service, default: []].insert(stream)
    }

    private mutating func add(
        _ row: Int, of batch: LogBatch, _ stream: Labels, _ service: Int32, _ stretch: Stretch,
        _ span: Int32?
    ) {
        found.lines.lineCounts[service, default: PerStretch(repeating: 0)][stretch] += 1
        let isLate = stretch == .window && batch.nanos[row] >= request.windowMiddle
        if isLate { found.lines.lateLineCounts[service, default: 0] += 1 }
        if !batch.traceIDs[row].isZero {
            found.lines.tracedCounts[service, default: PerStretch(repeating: 0)][stretch] += 1
        }
        guard let statement = statement(row, of: batch, stream, service) else { return }
        found.lines.statements[Int(statement)].counts[stretch] += 1
        if isLate { found.lines.statements[Int(statement)].lateCount += 1 }
        if let span {
            found.lines.spans.append(span)
            found.lines.statementOf.append(statement)
            found.lines.nanos.append(batch.nanos[row])
            found.lines.failures.append(failure(row, of: batch, statement))
        }
    }

    /// The sort of an error line's message, -1 for other lines.
    private mutating func failure(_ row: Int, of batch: LogBatch, _ statement: Int32) -> Int32 {
        let statement = found.lines.statements[Int(statement)]
        guard statement.isError else { return -1 }
        let place = hash64(Array((statement.site?.raw ?? "").utf8))
        let hash = batch.arena.withSlice(batch.lines[row]) { line in
            LineShape.failure(line, seed: place, found.services.contains)
        }
        if let known = failureNumbers[hash] { return known }
        let number = Int32(failureNumbers.count)
        failureNumbers[hash] = number
        return number
    }

    /// The statement that wrote a line; nil when it is a new one and there are too many.
    private mutating func statement(
        _ row: Int, of batch: LogBatch, _ stream: Labels, _ service: Int32
    ) -> Int32? {
        let known = batch.arena.withSlice(batch.metadata[row]) { metadata in
            stream.bytes.withUnsafeBytes {
                LineSeverity.isError(metadata: metadata, stream: $0)
            }
        }
        // A wrapped line is told apart by what is wrapped.
        let isWrapped =
            batch.arena.withSlice(batch.lines[row]) { $0.first } == UInt8(ascii: "{")
        var text: String?
        if isWrapped { text = LineShape.text(batch.arena.text(batch.lines[row])) }
        let hash =
            text.map { text in
                var text = text
                return text.withUTF8 { LineShape.hash(UnsafeRawBufferPointer($0)) }
            } ?? batch.arena.withSlice(batch.lines[row]) { LineShape.hash($0) }
        let key = StatementKey(service: service, isError: known, hash: hash)
        if let number = statementNumbers[key] { return number }
        let line = batch.arena.text(batch.lines[row])
        let words = text ?? line
        let isError = known ?? LineSeverity.isError(text: words)
        let site = CodeLocation(
            logLine: line,
            metadata: Labels(canonical: Array(batch.arena[batch.metadata[row].range])),
            stream: stream)
        // Templates of one place in the code are one statement.
        if let site, site.line != nil {
            let place = StatementKey(
                service: service, isError: isError, hash: hash64(Array(site.raw.utf8), seed: 1))
            if let number = statementNumbers[place] {
                statementNumbers[key] = number
                return number
            }
            return addStatement([key, place], service, isError, site, words, line, stream)
        }
        return addStatement([key], service, isError, site, words, line, stream)
    }

    private mutating func addStatement(
        _ keys: [StatementKey], _ service: Int32, _ isError: Bool, _ site: CodeLocation?,
        _ text: String, _ line: String, _ stream: Labels
    ) -> Int32? {
        guard found.lines.statements.count < limits.statements else { return nil }
        let number = Int32(found.lines.statements.count)
        let template = LineShape.template(text)
        found.lines.statements.append(
            LogStatement(
                service: service, site: site, template: template, isError: isError,
                literal: LineShape.literal(of: site, template, line), stream: stream))
        for key in keys { statementNumbers[key] = number }
        return number
    }
}

private let codeMark = Array("code.".utf8)
private let stackMark = Array("stacktrace".utf8)

func contains(_ mark: [UInt8], _ bytes: UnsafeRawBufferPointer) -> Bool {
    mark.withUnsafeBytes { find($0, in: bytes) != nil }
}
