// SPDX-License-Identifier: Apache-2.0
// Results of PromQL in Prometheus' JSON.

import Base
import PromQL
import Telemetry

/// The `data` of an answer to `query` or `query_range`.
///
/// Source: prometheus/prometheus `web/api/v1/json_codec.go`. A point of a range costs about 50 ns.
struct QueryResultJSON: JSONSource {
    private let value: QueryValue
    private let stats: QueryStatistics?
    /// Samples or series to write; the rest is cut off.
    private let count: Int
    /// The sample or series that comes next.
    private var next = -1
    /// The float and the histogram of that series that come next.
    private var nextFloat = 0
    private var nextHistogram = 0
    private var points = PointWriter()

    /// - Parameter limit: most samples or series; nil = all.
    init(_ value: QueryValue, limit: Int?, stats: QueryStatistics?) {
        self.value = value
        self.stats = stats
        count = min(limit ?? .max, value.count)
    }

    mutating func write(into json: inout JSONWriter) -> Bool {
        if next < 0 {
            next = 0
            begin(&json)
        }
        switch value {
        case .scalar(let millis, let number): points.write(millis, number, into: &json)
        case .string(let millis, let text):
            json.beginArray()
            json.seconds(millis: millis)
            json.string(text)
            json.endArray()
        case .vector(let samples):
            let end = min(count, next + 64)
            for sample in samples[next..<end] { write(sample, into: &json) }
            next = end
            if next < count { return true }
            json.endArray()
        case .matrix(let series):
            if next < count, write(series[next], into: &json) {
                next += 1
                (nextFloat, nextHistogram) = (0, 0)
            }
            if next < count { return true }
            json.endArray()
        }
        if let stats {
            json.key("stats")
            stats.write(into: &json)
        }
        json.endObject()
        return false
    }

    /// `resultType` first: Grafana buffers a result that comes before its type.
    private func begin(_ json: inout JSONWriter) {
        json.beginObject()
        switch value {
        case .scalar: json.member("resultType", "scalar")
        case .string: json.member("resultType", "string")
        case .vector: json.member("resultType", "vector")
        case .matrix: json.member("resultType", "matrix")
        }
        json.key("result")
        switch value {
        case .scalar, .string: break
        case .vector, .matrix: json.beginArray()
        }
    }

    private mutating func write(_ sample: VectorSample, into json: inout JSONWriter) {
        json.beginObject()
        json.key("metric")
        writeLabels(sample.labels, into: &json)
        switch sample.value {
        case .float(let number):
            json.key("value")
            points.write(sample.millis, number, into: &json)
        case .histogram(let histogram):
            json.key("histogram")
            writePoint(sample.millis, histogram, into: &json)
        }
        json.endObject()
    }

    /// Writes the next part of a series.
    ///
    /// - Returns: whether that was the last one.
    private mutating func write(_ series: MatrixSeries, into json: inout JSONWriter) -> Bool {
        if nextFloat == 0, nextHistogram == 0 {
            json.beginObject()
            json.key("metric")
            writeLabels(series.labels, into: &json)
        }
        if nextFloat < series.floats.count {
            if nextFloat == 0 {
                json.key("values")
                json.beginArray()
            }
            let end = min(series.floats.count, nextFloat + 1024)
            points.write(series.floatMillis, series.floats, nextFloat..<end, into: &json)
            nextFloat = end
            if end < series.floats.count { return false }
            json.endArray()
            if !series.histograms.isEmpty { return false }
        }
        if nextHistogram < series.histograms.count {
            if nextHistogram == 0 {
                json.key("histograms")
                json.beginArray()
            }
            let end = min(series.histograms.count, nextHistogram + 16)
            for index in nextHistogram..<end {
                writePoint(series.histogramMillis[index], series.histograms[index], into: &json)
            }
            nextHistogram = end
            if end < series.histograms.count { return false }
            json.endArray()
        }
        json.endObject()
        return true
    }
}

private func writePoint(
    _ millis: Int64, _ histogram: NativeHistogram, into json: inout JSONWriter
) {
    json.beginArray()
    json.seconds(millis: millis)
    json.beginObject()
    json.key("count")
    json.floatString(histogram.count)
    json.key("sum")
    json.floatString(histogram.sum)
    let buckets = histogram.allBuckets.filter { $0.count != 0 }
    if !buckets.isEmpty {
        json.key("buckets")
        json.beginArray()
        for bucket in buckets {
            json.beginArray()
            json.int(boundaryRule(bucket, histogram))
            json.floatString(bucket.lower)
            json.floatString(bucket.upper)
            json.floatString(bucket.count)
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
