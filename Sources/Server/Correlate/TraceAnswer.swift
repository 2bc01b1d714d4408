// SPDX-License-Identifier: Apache-2.0
// One trace with its log lines and exemplars as JSON.

import Base
import Correlation
import Telemetry

extension LogBatch {
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

/// What `correlate/trace/{id}` answers.
struct TraceAnswer {
    let id: TraceID
    let spans: SpanBatch
    let logs: LogBatch
    let refs: TraceRefs

    private func serviceName(_ row: Int) -> String {
        let name = spans.arena.text(spans.resources[Int(spans.rowResources[row])].serviceName)
        return name.isEmpty ? "unknown_service" : name
    }

    func write(
        include: Set<Substring>, limit: Int, into json: inout JSONWriter
    ) throws {
        let rows = 0..<spans.rowCount
        let start = spans.startNanos.min() ?? logs.nanos.min() ?? 0
        let end = max(spans.endNanos.max() ?? start, start)
        let root =
            rows.first { spans.parentIDs[$0].isZero }
            ?? rows.min { spans.startNanos[$0] < spans.startNanos[$1] }
        json.beginObject()
        json.member("traceID", id.description)
        json.member("startTimeUnixNano", String(start))
        json.member("endTimeUnixNano", String(end))
        json.member("durationNanos", String(end - start))
        json.member("rootService", root.map(serviceName) ?? "")
        json.member("rootName", root.map { spans.arena.text(spans.names[$0]) } ?? "")
        json.member("spanCount", spans.rowCount)
        json.member("errorCount", spans.statusCodes.count { $0 == 2 })
        json.key("services")
        json.beginArray()
        for name in Set(rows.map(serviceName)).sorted() { json.string(name) }
        json.endArray()
        if include.contains("spans") {
            json.key("spans")
            json.beginArray()
            for row in rows.prefix(limit) { try writeSpan(row, into: &json) }
            json.endArray()
        }
        if include.contains("logs") {
            json.key("logs")
            json.beginArray()
            for row in (0..<logs.rowCount).sorted(by: { logs.nanos[$0] < logs.nanos[$1] }) {
                writeLog(row, into: &json)
            }
            json.endArray()
        }
        if include.contains("exemplars") {
            json.key("exemplars")
            json.beginArray()
            for exemplar in refs.exemplars.prefix(limit) {
                json.beginObject()
                json.key("labels")
                writeLabels(exemplar.series, into: &json)
                json.key("exemplarLabels")
                writeLabels(exemplar.labels, into: &json)
                json.member("timestampUnixNano", String(exemplar.millis &* 1_000_000))
                json.member("value", floatText(exemplar.value))
                json.endObject()
            }
            json.endArray()
        }
        json.member("partial", !refs.faults.isEmpty || spans.rowCount > limit)
        json.endObject()
    }

    private func writeSpan(_ row: Int, into json: inout JSONWriter) throws {
        json.beginObject()
        json.member("spanID", spans.spanIDs[row].description)
        json.member(
            "parentSpanID", spans.parentIDs[row].isZero ? "" : spans.parentIDs[row].description)
        json.member("service", serviceName(row))
        json.member("name", spans.arena.text(spans.names[row]))
        json.member("kind", spanKindName(spans.kinds[row]))
        json.member("startTimeUnixNano", String(spans.startNanos[row]))
        json.member(
            "durationNanos", String(max(0, spans.endNanos[row] &- spans.startNanos[row])))
        json.member("status", ["unset", "ok", "error"][Int(min(spans.statusCodes[row], 2))])
        json.member("statusMessage", spans.arena.text(spans.statusMessages[row]))
        json.key("attributes")
        json.beginObject()
        let pairs = try spans.arena.withSlice(spans.attributes[row]) {
            try AttributeCoding.decodeList($0)
        }
        for (key, value) in pairs {
            json.key(key)
            writeValue(value, into: &json)
        }
        json.endObject()
        json.endObject()
    }

    private func writeLog(_ row: Int, into json: inout JSONWriter) {
        json.beginObject()
        json.member("timestampUnixNano", String(logs.nanos[row]))
        json.key("labels")
        writeLabels(logs.arena.labels(logs.streams[Int(logs.rowStreams[row])]), into: &json)
        json.key("structuredMetadata")
        writeLabels(
            Labels(canonical: Array(logs.arena[logs.metadata[row].range])), into: &json)
        json.key("line")
        logs.arena.withSlice(logs.lines[row]) { json.string($0) }
        json.key("spanID")
        logs.spanIDs[row].isZero ? json.null() : json.string(logs.spanIDs[row].description)
        json.endObject()
    }
}

/// An attribute value as plain JSON.
private func writeValue(_ value: AttributeValue, into json: inout JSONWriter) {
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
