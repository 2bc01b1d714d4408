// SPDX-License-Identifier: Apache-2.0
// Traces in the JSON of Jaeger's query API.

import Base
import Telemetry

/// Whole traces for an answer of Jaeger's API.
package struct JaegerTraces: Sendable {
    package var batch: SpanBatch
    /// What the traces may lack.
    package var warnings: [String]
    /// What was done to spans, by row.
    package var spanWarnings: [Int: [String]]

    package init(
        _ batch: SpanBatch, warnings: [String] = [], spanWarnings: [Int: [String]] = [:]
    ) {
        self.batch = batch
        self.warnings = warnings
        self.spanWarnings = spanWarnings
    }
}

extension TraceAnswers {
    /// Jaeger's `GET /api/traces/{id}` and `/api/traces`: `{"data":[trace…],…}`, one trace for each
    /// trace id in order of first appearance, times in microseconds.
    ///
    /// - Parameter warnings: what every trace of the answer may lack.
    ///
    /// Source: jaegertracing/jaeger-ui, its OTLP conversion; opentelemetry specification,
    /// "OpenTelemetry to Jaeger Transformation".
    package static func jaegerTraces(
        _ batch: SpanBatch, warnings: [String] = []
    ) throws(MalformedBytes) -> [UInt8] {
        try jaegerTraces([JaegerTraces(batch, warnings: warnings)])
    }

    /// As above, of several batches; each trace is whole in one of them.
    ///
    /// - Parameter failures: traces that were asked for and are not in the answer.
    package static func jaegerTraces(
        _ traces: [JaegerTraces], failures: [JaegerAnswers.Failure] = []
    ) throws(MalformedBytes) -> [UInt8] {
        let size = traces.reduce(0) { $0 + 2 * $1.batch.arena.count + 512 * $1.batch.rowCount }
        return try JaegerAnswers.envelope(total: 0, failures: failures, reserving: size) {
            (json) throws(MalformedBytes) in
            json.beginArray()
            for some in traces {
                for (id, rows) in some.batch.rowsByTrace() { try write(id, rows, some, &json) }
            }
            json.endArray()
        }
    }

    private static func write(
        _ id: TraceID, _ rows: [Int], _ traces: JaegerTraces, _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        let batch = traces.batch
        let processes = JaegerProcesses(rows, batch)
        json.beginObject()
        json.member("traceID", id.description)
        json.key("spans")
        json.beginArray()
        for row in rows {
            try writeSpan(row, processes.name(batch.rowResources[row]), traces, &json)
        }
        json.endArray()
        json.key("processes")
        json.beginObject()
        for (index, resource) in processes.resources.enumerated() {
            json.key("p\(index + 1)")
            try writeProcess(batch.resources[Int(resource)], batch, &json)
        }
        json.endObject()
        json.key("warnings")
        write(warnings: traces.warnings, &json)
        json.endObject()
    }

    private static func write(warnings: [String], _ json: inout JSONWriter) {
        if warnings.isEmpty { json.null() } else { json.strings(warnings) }
    }

    private static func writeProcess(
        _ resource: SpanBatch.Resource, _ batch: SpanBatch, _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        json.beginObject()
        json.key("serviceName")
        if resource.serviceName.isEmpty {
            json.string("OTLPResourceNoServiceName")
        } else {
            batch.arena.withSlice(resource.serviceName) { json.string($0) }
        }
        json.key("tags")
        json.beginArray()
        try batch.arena.readSlice(resource.attributes) { (list) throws(MalformedBytes) in
            try writeTags(list, skipping: "service.name", &json)
        }
        json.endArray()
        json.endObject()
    }

    private static func writeSpan(
        _ i: Int, _ process: String, _ traces: JaegerTraces, _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        let batch = traces.batch
        json.beginObject()
        json.member("traceID", batch.traceIDs[i].description)
        json.member("spanID", batch.spanIDs[i].description)
        json.key("operationName")
        batch.arena.withSlice(batch.names[i]) { json.string($0) }
        json.key("references")
        json.beginArray()
        if !batch.parentIDs[i].isZero {
            writeReference("CHILD_OF", batch.traceIDs[i], batch.parentIDs[i], &json)
        }
        try batch.arena.readSlice(batch.links[i]) { (list) throws(MalformedBytes) in
            for link in try SpanLinkCoding.decode(list) {
                writeReference("FOLLOWS_FROM", link.traceID, link.spanID, &json)
            }
        }
        json.endArray()
        let start = batch.startNanos[i]
        let (length, overflow) = batch.endNanos[i].subtractingReportingOverflow(start)
        json.key("startTime")
        json.int(start / 1000)
        json.key("duration")
        json.int(overflow ? 0 : max(0, length / 1000))
        json.key("tags")
        json.beginArray()
        try writeSpanTags(i, batch, &json)
        json.endArray()
        json.key("logs")
        json.beginArray()
        try batch.arena.readSlice(batch.events[i]) { (list) throws(MalformedBytes) in
            for event in try SpanEventCoding.decode(list) { try writeLog(event, &json) }
        }
        json.endArray()
        json.member("processID", process)
        json.key("warnings")
        write(warnings: traces.spanWarnings[i] ?? [], &json)
        json.endObject()
    }

    private static func writeReference(
        _ type: String, _ trace: TraceID, _ span: SpanID, _ json: inout JSONWriter
    ) {
        json.beginObject()
        json.member("refType", type)
        json.member("traceID", trace.description)
        json.member("spanID", span.description)
        json.endObject()
    }

    private static let spanKinds = ["", "internal", "server", "client", "producer", "consumer"]

    private static func writeSpanTags(
        _ i: Int, _ batch: SpanBatch, _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        let scope = batch.scopes[Int(batch.rowScopes[i])]
        writeTag("otel.library.name", scope.name, batch, &json)
        writeTag("otel.library.version", scope.version, batch, &json)
        try batch.arena.readSlice(batch.attributes[i]) { (list) throws(MalformedBytes) in
            try writeTags(list, skipping: nil, &json)
        }
        let kind = Int(batch.kinds[i])
        if kind > 0, kind < spanKinds.count { writeTag("span.kind", spanKinds[kind], &json) }
        switch batch.statusCodes[i] {
        case 1: writeTag("otel.status_code", "OK", &json)
        case 2:
            writeTag("otel.status_code", "ERROR", &json)
            beginTag("error", "bool", &json)
            json.bool(true)
            json.endObject()
        default: break
        }
        writeTag("otel.status_description", batch.statusMessages[i], batch, &json)
        writeTag("w3c.tracestate", batch.traceStates[i], batch, &json)
    }

    private static func writeLog(
        _ event: SpanEvent, _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        json.beginObject()
        json.key("timestamp")
        json.int(event.nanos / 1000)
        json.key("fields")
        json.beginArray()
        if !event.name.isEmpty { writeTag("event", event.name, &json) }
        try event.attributes.readBytes { (list) throws(MalformedBytes) in
            try writeTags(list, skipping: nil, &json)
        }
        json.endArray()
        json.endObject()
    }

    // MARK: tags

    private static func beginTag(_ key: String, _ type: String, _ json: inout JSONWriter) {
        json.beginObject()
        json.member("key", key)
        json.member("type", type)
        json.key("value")
    }

    private static func writeTag(_ key: String, _ value: String, _ json: inout JSONWriter) {
        beginTag(key, "string", &json)
        json.string(value)
        json.endObject()
    }

    private static func writeTag(
        _ key: String, _ value: ByteSlice, _ batch: SpanBatch, _ json: inout JSONWriter
    ) {
        if value.isEmpty { return }
        beginTag(key, "string", &json)
        batch.arena.withSlice(value) { json.string($0) }
        json.endObject()
    }

    /// Attributes as tags; arrays and maps as JSON in a string.
    private static func writeTags(
        _ list: UnsafeRawBufferPointer, skipping skipped: String?, _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        var reader = ByteReader(list)
        while !reader.isAtEnd {
            let key = try reader.lengthPrefixed()
            if let skipped, key.elementsEqual(skipped.utf8) {
                try AttributeCoding.skipValue(&reader)
                continue
            }
            let start = reader.offset
            guard let type = AttributeType(rawValue: try reader.u8()) else {
                throw reader.malformed("attribute type")
            }
            json.beginObject()
            json.key("key")
            json.string(key)
            json.key("type")
            switch type {
            case .bool:
                json.string("bool")
                json.key("value")
                json.bool(try reader.u8() != 0)
            case .int:
                json.string("int64")
                json.key("value")
                json.int(try reader.zigzag())
            case .double:
                json.string("float64")
                json.key("value")
                let value = try reader.double()
                if value.isFinite {
                    json.raw(floatText(value))
                } else {
                    json.string(floatText(value))
                }
            case .empty, .string, .bytes, .array, .map:
                json.string(type == .bytes ? "binary" : "string")
                json.key("value")
                reader.offset = start
                var text: [UInt8] = []
                try OTLPAttributes.appendText(&reader, to: &text)
                text.withUnsafeBytes { json.string($0) }
            }
            json.endObject()
        }
    }
}

/// Processes of one Jaeger trace: its distinct resources, numbered from 1 in order of appearance.
private struct JaegerProcesses {
    private(set) var resources: [UInt32] = []
    private var numbers: [UInt32: Int] = [:]

    init(_ rows: [Int], _ batch: SpanBatch) {
        var numbersByBytes: [[UInt8]: Int] = [:]
        for row in rows {
            let resource = batch.rowResources[row]
            if numbers[resource] != nil { continue }
            let bytes = Array(batch.arena[batch.resources[Int(resource)].attributes.range])
            if let known = numbersByBytes[bytes] {
                numbers[resource] = known
            } else {
                resources.append(resource)
                numbersByBytes[bytes] = resources.count
                numbers[resource] = resources.count
            }
        }
    }

    func name(_ resource: UInt32) -> String { "p\(numbers[resource] ?? 0)" }
}

extension SpanBatch {
    /// Rows by trace id, both in order of appearance.
    func rowsByTrace() -> [(id: TraceID, rows: [Int])] {
        var groups: [(id: TraceID, rows: [Int])] = []
        var index: [TraceID: Int] = [:]
        for row in 0..<rowCount {
            if let known = index[traceIDs[row]] {
                groups[known].rows.append(row)
            } else {
                index[traceIDs[row]] = groups.count
                groups.append((traceIDs[row], [row]))
            }
        }
        return groups
    }
}
