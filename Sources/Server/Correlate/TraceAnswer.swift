// SPDX-License-Identifier: Apache-2.0
// One trace with its log lines and exemplars as JSON.

import Base
import Correlation
import Telemetry

/// Lists that `correlate/trace/{id}` can leave out.
enum TraceAnswerPart: String, CaseIterable, Sendable {
    case spans, logs, exemplars
}

/// What `correlate/trace/{id}` answers.
struct TraceAnswer {
    let id: TraceID
    let spans: SpanBatch
    let logs: LogBatch
    let refs: TraceRefs
    let times: TraceTimes
    let include: Set<TraceAnswerPart>
    /// Most entries of each list.
    let limit: Int
    /// Whether the logs of the index's references were not all read.
    let logsAreCut: Bool

    /// One sentence per list that is longer than the limit.
    var cuts: [String] {
        var texts: [String] = []
        for (part, count) in [
            (TraceAnswerPart.spans, spans.rowCount),
            (.logs, logsAreCut ? max(logs.rowCount, refs.logs.count) : logs.rowCount),
            (.exemplars, refs.exemplars.count),
        ] where include.contains(part) && (count > limit || part == .logs && logsAreCut) {
            texts.append("\(part.rawValue): the first \(limit) of \(count) are shown; raise limit")
        }
        return texts
    }

    func write(partial: Bool, into json: inout JSONWriter) throws {
        let rows = 0..<spans.rowCount
        let start = spans.startNanos.min() ?? logs.nanos.min() ?? refs.startNanos
        let end = max(spans.endNanos.max() ?? logs.nanos.max() ?? start, start)
        let root = times.root
        json.beginObject()
        json.member("traceID", id.description)
        json.member("startTimeUnixNano", String(start))
        json.member("endTimeUnixNano", String(end))
        json.member("durationNanos", String(distance(start, end)))
        json.member("rootService", root.map { spans.serviceName($0) } ?? "")
        json.member("rootName", root.map { spans.arena.text(spans.names[$0]) } ?? "")
        json.member("spanCount", spans.rowCount)
        json.member("errorCount", spans.statusCodes.count { $0 == 2 })
        json.key("services")
        json.beginArray()
        for name in Set(rows.map { spans.serviceName($0) }).sorted() { json.string(name) }
        json.endArray()
        if include.contains(.spans) {
            json.key("spans")
            json.beginArray()
            for row in rows.prefix(limit) { try spans.write(row, times, into: &json) }
            json.endArray()
        }
        if include.contains(.logs) {
            json.key("logs")
            json.beginArray()
            let order = (0..<logs.rowCount).sorted {
                (logs.nanos[$0], $0) < (logs.nanos[$1], $1)
            }
            for row in order.prefix(limit) { logs.write(row, into: &json) }
            json.endArray()
        }
        if include.contains(.exemplars) {
            json.key("exemplars")
            json.beginArray()
            for exemplar in refs.exemplars.prefix(limit) {
                writeExemplar(
                    series: exemplar.series, labels: exemplar.labels, millis: exemplar.millis,
                    value: exemplar.value, into: &json)
            }
            json.endArray()
        }
        json.member("partial", partial)
        json.endObject()
    }
}

extension TraceRefs {
    /// Time of the first reference, for traces without spans.
    fileprivate var startNanos: Int64 {
        min(
            logs.first?.range.first.rawValue ?? .max,
            exemplars.first.map { nanosFromMillis($0.millis) } ?? .max)
    }
}

extension SpanBatch {
    /// Writes a `Span`.
    func write(_ row: Int, _ times: TraceTimes, into json: inout JSONWriter) throws {
        let pairs = try arena.withSlice(attributes[row]) { try AttributeCoding.decodeList($0) }
        let spanEvents = try arena.withSlice(events[row]) { try SpanEventCoding.decode($0) }
        json.beginObject()
        json.member("spanID", spanIDs[row].description)
        json.member("parentSpanID", parentIDs[row].isZero ? "" : parentIDs[row].description)
        json.member("service", serviceName(row))
        json.member("name", arena.text(names[row]))
        json.member("kind", spanKindName(kinds[row]))
        json.member("startTimeUnixNano", String(startNanos[row]))
        json.member("durationNanos", String(distance(startNanos[row], endNanos[row])))
        json.member("status", ["unset", "ok", "error"][Int(min(statusCodes[row], 2))])
        json.member("statusMessage", arena.text(statusMessages[row]))
        json.key("attributes")
        json.beginObject()
        for (key, value) in pairs {
            json.key(key)
            writeValue(value, into: &json)
        }
        json.endObject()
        json.member("selfTimeNanos", String(times.selfTimeNanos[row]))
        json.member("criticalPathNanos", String(times.criticalPathNanos[row]))
        writeCode(CodeLocation(spanAttributes: pairs, events: spanEvents), into: &json)
        json.endObject()
    }
}

extension LogBatch {
    /// Writes a `Log`.
    func write(_ row: Int, into json: inout JSONWriter) {
        let stream = arena.labels(streams[Int(rowStreams[row])])
        let metadata = Labels(canonical: Array(arena[self.metadata[row].range]))
        json.beginObject()
        json.member("timestampUnixNano", String(nanos[row]))
        json.key("labels")
        writeLabels(stream, into: &json)
        json.key("structuredMetadata")
        writeLabels(metadata, into: &json)
        json.key("line")
        arena.withSlice(lines[row]) { json.string($0) }
        json.key("spanID")
        spanIDs[row].isZero ? json.null() : json.string(spanIDs[row].description)
        writeCode(
            CodeLocation(
                logLine: arena.text(lines[row]), metadata: metadata, stream: stream),
            into: &json)
        json.endObject()
    }

    /// Adds the rows of another batch that belong to a trace.
    mutating func add(_ other: LogBatch, ofTrace id: TraceID) {
        for row in 0..<other.rowCount where other.traceIDs[row] == id {
            let stream = addStream(other.arena.labels(other.streams[Int(other.rowStreams[row])]))
            addRow(
                stream: stream, nanos: other.nanos[row],
                line: other.arena.withSlice(other.lines[row]) { arena.keep($0) },
                metadata: other.arena.withSlice(other.metadata[row]) { arena.keep($0) },
                traceID: id, spanID: other.spanIDs[row])
        }
    }
}

/// Writes an `Exemplar`.
func writeExemplar(
    series: Labels, labels: Labels, millis: Int64, value: Double, into json: inout JSONWriter
) {
    json.beginObject()
    json.key("labels")
    writeLabels(series, into: &json)
    json.key("exemplarLabels")
    writeLabels(labels, into: &json)
    json.member("timestampUnixNano", String(nanosFromMillis(millis)))
    json.member("value", floatText(value))
    json.endObject()
}

/// Writes the member `code`.
func writeCode(_ code: CodeLocation?, into json: inout JSONWriter) {
    json.key("code")
    guard let code else {
        json.null()
        return
    }
    writeCodeValue(code, into: &json)
}

/// Writes a `Code`.
func writeCodeValue(_ code: CodeLocation, into json: inout JSONWriter) {
    json.beginObject()
    json.key("file")
    code.file.map { json.string($0) } ?? json.null()
    json.key("line")
    code.line.map { json.int($0) } ?? json.null()
    json.key("function")
    code.function.map { json.string($0) } ?? json.null()
    json.member("raw", code.raw)
    json.endObject()
}

/// An attribute value as plain JSON.
func writeValue(_ value: AttributeValue, into json: inout JSONWriter) {
    switch value {
    case .empty: json.null()
    case .string(let text): json.string(text)
    case .bool(let flag): json.bool(flag)
    case .int(let number): json.int(number)
    case .double(let number):
        number.isFinite ? json.raw(floatText(number)) : json.string(floatText(number))
    case .bytes(let bytes):
        var text: [UInt8] = []
        bytes.withUnsafeBytes { appendBase64($0, to: &text) }
        json.string(String(decoding: text, as: UTF8.self))
    case .array(let items):
        json.beginArray()
        for item in items { writeValue(item, into: &json) }
        json.endArray()
    case .map(let pairs):
        json.beginObject()
        for pair in pairs {
            json.key(pair.key)
            writeValue(pair.value, into: &json)
        }
        json.endObject()
    }
}
