// SPDX-License-Identifier: Apache-2.0
// Answers of query and query_range as JSON.

import Base
import PromQL
import Telemetry

/// `resultType` first: Grafana buffers a result that comes before its type.
///
/// - Throws: `QueryInterruption` when the query is to end: an answer may be long.
func write(
    _ value: QueryValue, into json: inout JSONWriter, _ context: ReadContext
) throws(QueryInterruption) {
    switch value {
    case .scalar(let millis, let number):
        json.member("resultType", "scalar")
        json.key("result")
        writePoint(millis, floatText(number), into: &json)
    case .string(let millis, let text):
        json.member("resultType", "string")
        json.key("result")
        writePoint(millis, text, into: &json)
    case .vector(let samples):
        json.member("resultType", "vector")
        json.key("result")
        json.beginArray()
        for (number, sample) in samples.enumerated() {
            if number & 255 == 255 { try context.check() }
            json.beginObject()
            json.key("metric")
            writeLabels(sample.labels, into: &json)
            switch sample.value {
            case .float(let number):
                json.key("value")
                writePoint(sample.millis, floatText(number), into: &json)
            case .histogram(let histogram):
                json.key("histogram")
                writePoint(sample.millis, histogram, into: &json)
            }
            json.endObject()
        }
        json.endArray()
    case .matrix(let series):
        json.member("resultType", "matrix")
        json.key("result")
        json.beginArray()
        for one in series { try write(one, into: &json, context) }
        json.endArray()
    }
}

/// Points between two looks at the limits of the query.
private let pointsPerCheck = 4096

private func write(
    _ series: MatrixSeries, into json: inout JSONWriter, _ context: ReadContext
) throws(QueryInterruption) {
    try context.check()
    json.beginObject()
    json.key("metric")
    writeLabels(series.labels, into: &json)
    if !series.floats.isEmpty {
        json.key("values")
        json.beginArray()
        for index in series.floats.indices {
            if index % pointsPerCheck == pointsPerCheck - 1 { try context.check() }
            writePoint(series.floatMillis[index], floatText(series.floats[index]), into: &json)
        }
        json.endArray()
    }
    if !series.histograms.isEmpty {
        json.key("histograms")
        json.beginArray()
        for index in series.histograms.indices {
            if index & 255 == 255 { try context.check() }
            writePoint(series.histogramMillis[index], series.histograms[index], into: &json)
        }
        json.endArray()
    }
    json.endObject()
}

private func writePoint(_ millis: Int64, _ text: String, into json: inout JSONWriter) {
    json.beginArray()
    writeSeconds(millis, into: &json)
    json.string(text)
    json.endArray()
}

private func writePoint(
    _ millis: Int64, _ histogram: NativeHistogram, into json: inout JSONWriter
) {
    json.beginArray()
    writeSeconds(millis, into: &json)
    json.beginObject()
    json.member("count", floatText(histogram.count))
    json.member("sum", floatText(histogram.sum))
    let buckets = histogram.allBuckets.filter { $0.count != 0 }
    if !buckets.isEmpty {
        json.key("buckets")
        json.beginArray()
        for bucket in buckets {
            json.beginArray()
            json.int(boundaryRule(bucket, histogram))
            json.string(floatText(bucket.lower))
            json.string(floatText(bucket.upper))
            json.string(floatText(bucket.count))
            json.endArray()
        }
        json.endArray()
    }
    json.endObject()
    json.endArray()
}

/// 0 = open on the left, 1 = open on the right, 3 = closed on both sides.
private func boundaryRule(_ bucket: HistogramBucket, _ histogram: NativeHistogram) -> Int {
    // The first custom bucket reaches down to −Inf and includes it.
    if histogram.usesCustomBounds { return bucket.lower == -.infinity ? 3 : 0 }
    if bucket.lower <= 0, bucket.upper >= 0 { return 3 }
    return bucket.upper < 0 ? 1 : 0
}
