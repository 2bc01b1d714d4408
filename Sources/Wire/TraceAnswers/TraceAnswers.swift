// SPDX-License-Identifier: Apache-2.0
// Traces as the answers of trace APIs.

import Base
import Telemetry

/// Writes the spans of a batch as Tempo, Jaeger and OTLP answer them.
///
/// All of them throw `MalformedBytes` when a list of the batch is damaged, and keep the batch's
/// order: resources and scopes by index, spans as they come.
package enum TraceAnswers {
    /// Whether all of a trace was found.
    package enum Completeness: Sendable, Equatable {
        case complete
        /// Some of it was not, for the reason given.
        case partial(String)
    }

    /// Tempo's `GET /api/traces/{id}` as protobuf: a `Trace`.
    package static func tempoTrace(_ batch: SpanBatch) throws(MalformedBytes) -> [UInt8] {
        try OTLPTraces.encode(batch)
    }

    /// Tempo's `GET /api/v2/traces/{id}` as protobuf: a `TraceByIDResponse`.
    ///
    /// - Parameter inspectedBytes: bytes of span data that were decoded to answer.
    package static func tempoTraceByID(
        _ batch: SpanBatch, _ completeness: Completeness = .complete, inspectedBytes: Int = 0
    ) throws(MalformedBytes) -> [UInt8] {
        var writer = ProtobufWriter(reserving: batch.arena.count + 64 * batch.rowCount)
        let mark = writer.begin(1)
        try OTLPTraces.encode(batch, into: &writer)
        writer.end(mark)
        if inspectedBytes > 0 {
            writer.message(2) { $0.uint64(1, UInt64(inspectedBytes)) }
        }
        if case .partial(let message) = completeness {
            writer.uint32(3, 1)
            writer.string(4, message)
        }
        return writer.bytes
    }

    /// Tempo's `GET /api/traces/{id}` as JSON: `{"batches":[…]}`, ids in base64, enums by name.
    package static func tempoTraceJSON(_ batch: SpanBatch) throws(MalformedBytes) -> [UInt8] {
        var json = JSONWriter(reserving: 2 * batch.arena.count + 256 * batch.rowCount)
        json.beginObject()
        json.key("batches")
        try writeResourceSpans(batch, .tempo, &json)
        json.endObject()
        return json.bytes
    }

    /// Tempo's `GET /api/v2/traces/{id}` as JSON: `{"trace":{"resourceSpans":[…]},"status":…}`.
    package static func tempoTraceByIDJSON(
        _ batch: SpanBatch, _ completeness: Completeness = .complete, inspectedBytes: Int = 0
    ) throws(MalformedBytes) -> [UInt8] {
        var json = JSONWriter(reserving: 2 * batch.arena.count + 256 * batch.rowCount)
        json.beginObject()
        json.key("trace")
        json.beginObject()
        json.key("resourceSpans")
        try writeResourceSpans(batch, .tempo, &json)
        json.endObject()
        if inspectedBytes > 0 {
            json.key("metrics")
            json.beginObject()
            json.member("inspectedBytes", String(inspectedBytes))
            json.endObject()
        }
        switch completeness {
        case .complete: json.member("status", "COMPLETE")
        case .partial(let message):
            json.member("status", "PARTIAL")
            json.member("message", message)
        }
        json.endObject()
        return json.bytes
    }

    /// OTLP's JSON, `{"resourceSpans":[…]}`: ids in hexadecimal, enums as numbers.
    package static func otlpJSON(_ batch: SpanBatch) throws(MalformedBytes) -> [UInt8] {
        var json = JSONWriter(reserving: 2 * batch.arena.count + 256 * batch.rowCount)
        try writeOTLP([batch], &json)
        return json.bytes
    }

    /// Traces in version 3 of Jaeger's API: OTLP's JSON inside `{"result":…}`.
    package static func jaegerTracesV3(_ traces: [SpanBatch]) throws(MalformedBytes) -> [UInt8] {
        var json = JSONWriter(
            reserving: traces.reduce(32) { $0 + 2 * $1.arena.count + 256 * $1.rowCount })
        json.beginObject()
        json.key("result")
        try writeOTLP(traces, &json)
        json.endObject()
        return json.bytes
    }

    private static func writeOTLP(
        _ traces: [SpanBatch], _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        json.beginObject()
        json.key("resourceSpans")
        json.beginArray()
        for batch in traces { try writeElements(batch, .otlp, &json) }
        json.endArray()
        json.endObject()
    }
}
