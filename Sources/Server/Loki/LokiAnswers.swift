// SPDX-License-Identifier: Apache-2.0
// Answers in Loki's encoding.

import Base
import HTTPTypes
import LogQL
import PromQL
import Telemetry

extension HTTPField.Name {
    static let encodingFlags = Self("X-Loki-Response-Encoding-Flags").unsafelyUnwrapped
}

/// Streams, with the categories of labels apart when the client asked for that.
func writeStreams(
    _ result: LogQueryResult, categorize: Bool, _ context: ReadContext, queueNanos: Int64
) -> APIResponse {
    prometheusSuccess(warnings: context.warnings, reserving: 1 << 16) { json in
        json.beginObject()
        json.member("resultType", "streams")
        if categorize {
            json.key("encodingFlags")
            json.beginArray()
            json.string("categorize-labels")
            json.endArray()
        }
        json.key("result")
        json.beginArray()
        for stream in result.streams {
            writeStream(stream.labels, stream.entries, categorize: categorize, into: &json)
        }
        json.endArray()
        LokiStatistics(
            result.statistics, returned: result.streams.reduce(0) { $0 + $1.entries.count },
            context, queueNanos: queueNanos
        ).write(into: &json)
        json.endObject()
    }
}

/// A stream with its entries.
func writeStream(
    _ labels: Labels, _ entries: [LogEntry], categorize: Bool, into json: inout JSONWriter
) {
    json.beginObject()
    json.key("stream")
    writeLabels(labels, into: &json)
    json.key("values")
    json.beginArray()
    for entry in entries {
        json.beginArray()
        json.string(String(entry.nanos))
        entry.line.withUnsafeBytes { json.string($0) }
        if categorize {
            json.beginObject()
            if !entry.metadata.isEmpty {
                json.key("structuredMetadata")
                writeLabels(entry.metadata, into: &json)
            }
            if !entry.parsed.isEmpty {
                json.key("parsed")
                writeLabels(entry.parsed, into: &json)
            }
            json.endObject()
        }
        json.endArray()
    }
    json.endArray()
    json.endObject()
}

/// A vector, matrix or scalar.
func writeMetricResult(
    _ result: MetricResult, instant: Bool, _ context: ReadContext, queueNanos: Int64
) -> APIResponse {
    prometheusSuccess(warnings: context.warnings, reserving: 1 << 16) { json in
        json.beginObject()
        switch result.value {
        case .scalar(let value) where instant:
            json.member("resultType", "scalar")
            json.key("result")
            writePoint(result.steps.startNanos, value, into: &json)
        case .scalar(let value):
            json.member("resultType", "matrix")
            json.key("result")
            json.beginArray()
            json.beginObject()
            json.key("metric")
            writeLabels(.empty, into: &json)
            json.key("values")
            json.beginArray()
            for step in 0..<result.steps.count {
                writePoint(result.steps.nanos(at: step), value, into: &json)
            }
            json.endArray()
            json.endObject()
            json.endArray()
        case .series(let series):
            json.member("resultType", instant ? "vector" : "matrix")
            json.key("result")
            json.beginArray()
            for one in series { writeSeries(one, result.steps, instant, into: &json) }
            json.endArray()
        }
        LokiStatistics(
            result.statistics, returned: result.valueCount, context, queueNanos: queueNanos
        ).write(into: &json)
        json.endObject()
    }
}

extension MetricResult {
    /// Points of the answer.
    fileprivate var valueCount: Int {
        switch value {
        case .scalar: steps.count
        case .series(let series):
            series.reduce(0) { sum, one in
                sum + (0..<steps.count).count { one.column.kinds[$0] == .float }
            }
        }
    }
}

private func writeSeries(
    _ series: MetricSeries, _ steps: EvaluationSteps, _ instant: Bool, into json: inout JSONWriter
) {
    json.beginObject()
    json.key("metric")
    writeLabels(series.labels, into: &json)
    json.key(instant ? "value" : "values")
    if !instant { json.beginArray() }
    for step in 0..<steps.count where series.column.kinds[step] == .float {
        writePoint(steps.nanos(at: step), series.column.values[step], into: &json)
        if instant { break }
    }
    if !instant { json.endArray() }
    json.endObject()
}

private func writePoint(_ nanos: Int64, _ value: Double, into json: inout JSONWriter) {
    json.beginArray()
    json.seconds(millis: nanos / 1_000_000)
    json.floatString(value)
    json.endArray()
}
