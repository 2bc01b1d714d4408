// SPDX-License-Identifier: Apache-2.0
// Rates, errors and latencies of services as Jaeger's Monitor tab reads them.

import Base

/// A `MetricFamily` of gauges in protobuf's JSON. Source: jaegertracing/jaeger, `openmetrics.proto`
/// and the readers that fill it.
package struct JaegerMetricFamily: Sendable {
    /// What the numbers are.
    package enum Kind: Sendable {
        /// A quantile of span durations, in milliseconds.
        case latencies(quantile: Double)
        /// Spans per second.
        case calls
        /// Failed spans as a share of all.
        case errors
    }
    package struct Point: Sendable, Equatable {
        package var millis: Int64
        package var value: Double
        package init(millis: Int64, value: Double) {
            self.millis = millis
            self.value = value
        }
    }
    package struct Series: Sendable {
        package var service: String
        /// Nil when operations are taken together.
        package var operation: String?
        package var points: [Point]
        package init(service: String, operation: String?, points: [Point]) {
            self.service = service
            self.operation = operation
            self.points = points
        }
    }
    package var kind: Kind
    package var isByOperation: Bool
    package var series: [Series]

    package init(kind: Kind, isByOperation: Bool, series: [Series]) {
        self.kind = kind
        self.isByOperation = isByOperation
        self.series = series
    }

    private var name: String {
        let subject = isByOperation ? "service_operation_" : "service_"
        return switch kind {
        case .latencies: subject + "latencies"
        case .calls: subject + "call_rate"
        case .errors: subject + "error_rate"
        }
    }

    private var help: String {
        let grouping = isByOperation ? ", grouped by service & operation" : ", grouped by service"
        return switch kind {
        case .latencies(let quantile): floatText(quantile) + "th quantile latency" + grouping
        case .calls: "calls/sec" + grouping
        case .errors: "error rate, failed calls as a fraction of all calls" + grouping
        }
    }

    package func json() -> [UInt8] {
        var json = JSONWriter(reserving: 256 + series.reduce(0) { $0 + 128 + 96 * $1.points.count })
        json.beginObject()
        json.member("name", name)
        json.member("type", "GAUGE")
        json.member("help", help)
        json.key("metrics")
        json.beginArray()
        for one in series {
            json.beginObject()
            json.key("labels")
            json.beginArray()
            if let operation = one.operation { label("operation", operation, into: &json) }
            label("service_name", one.service, into: &json)
            json.endArray()
            json.key("metricPoints")
            json.beginArray()
            for point in one.points where point.value.isFinite {
                json.beginObject()
                json.key("gaugeValue")
                json.beginObject()
                json.key("doubleValue")
                json.raw(floatText(point.value))
                json.endObject()
                json.member("timestamp", rfc3339Text(millis: point.millis))
                json.endObject()
            }
            json.endArray()
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return json.bytes
    }

    private func label(_ name: String, _ value: String, into json: inout JSONWriter) {
        json.beginObject()
        json.member("name", name)
        json.member("value", value)
        json.endObject()
    }
}
