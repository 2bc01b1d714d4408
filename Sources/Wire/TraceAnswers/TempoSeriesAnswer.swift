// SPDX-License-Identifier: Apache-2.0
// Tempo's answers to metrics queries.

import Base
import Telemetry

/// Tempo's `QueryRangeResponse` and `QueryInstantResponse`.
///
/// Source: grafana/tempo `pkg/tempopb/tempo.proto`.
package struct TempoSeriesAnswer: Sendable {
    package struct Sample: Sendable, Equatable {
        package var millis: Int64
        package var value: Double
        package init(millis: Int64, value: Double) {
            self.millis = millis
            self.value = value
        }
    }
    package struct Exemplar: Sendable {
        package var labels: NamedValues
        package var value: Double
        package var millis: Int64
        package init(labels: NamedValues, value: Double, millis: Int64) {
            self.labels = labels
            self.value = value
            self.millis = millis
        }
    }
    package struct Series: Sendable {
        package var labels: NamedValues
        /// Oldest first; of an instant answer the last one counts.
        package var samples: [Sample]
        package var exemplars: [Exemplar]
        package init(labels: NamedValues, samples: [Sample], exemplars: [Exemplar] = []) {
            self.labels = labels
            self.samples = samples
            self.exemplars = exemplars
        }
    }
    package var series: [Series]
    package var statistics: TempoStatistics
    /// Why the answer is not whole; nil when it is.
    package var incomplete: String?

    package init(series: [Series], statistics: TempoStatistics, incomplete: String? = nil) {
        self.series = series
        self.statistics = statistics
        self.incomplete = incomplete
    }

    // MARK: JSON

    /// - Throws: `MalformedBytes` for labels nested deeper than `AttributeCoding.maxDepth`.
    package func rangeJSON() throws(MalformedBytes) -> [UInt8] {
        try json { (series, json) throws(MalformedBytes) in
            json.key("samples")
            json.beginArray()
            for sample in series.samples {
                json.beginObject()
                json.member("timestampMs", String(sample.millis))
                json.number("value", sample.value)
                json.endObject()
            }
            json.endArray()
            if series.exemplars.isEmpty { return }
            json.key("exemplars")
            json.beginArray()
            for exemplar in series.exemplars {
                json.beginObject()
                json.key("labels")
                try json.keyValues(exemplar.labels)
                json.number("value", exemplar.value)
                json.member("timestampMs", String(exemplar.millis))
                json.endObject()
            }
            json.endArray()
        }
    }

    /// - Throws: as `rangeJSON`.
    package func instantJSON() throws(MalformedBytes) -> [UInt8] {
        try json { (series, json) throws(MalformedBytes) in
            json.number("value", series.samples.last?.value ?? .nan)
        }
    }

    private func json(
        _ body: (Series, inout JSONWriter) throws(MalformedBytes) -> Void
    ) throws(MalformedBytes) -> [UInt8] {
        var json = JSONWriter(
            reserving: 512 + series.reduce(0) { $0 + 256 + 48 * $1.samples.count })
        json.beginObject()
        json.key("series")
        json.beginArray()
        for one in series {
            json.beginObject()
            json.key("labels")
            try json.keyValues(one.labels)
            try body(one, &json)
            json.endObject()
        }
        json.endArray()
        json.key("metrics")
        statistics.writeSearch(into: &json)
        if let incomplete {
            // Whole answers say nothing: older strict decoders do not know the names.
            json.member("status", "PARTIAL")
            json.member("message", incomplete)
        }
        json.endObject()
        return json.bytes
    }

    // MARK: protobuf

    /// - Throws: as `rangeJSON`.
    package func rangeProtobuf() throws(MalformedBytes) -> [UInt8] {
        try protobuf { (series, writer) throws(MalformedBytes) in
            for sample in series.samples {
                writer.message(2) { writer in
                    writer.double(1, sample.value)
                    writer.int64(2, sample.millis)
                }
            }
            for exemplar in series.exemplars {
                let mark = writer.begin(4)
                try writer.keyValues(1, exemplar.labels)
                writer.double(2, exemplar.value)
                writer.int64(3, exemplar.millis)
                writer.end(mark)
            }
        }
    }

    /// - Throws: as `rangeJSON`.
    package func instantProtobuf() throws(MalformedBytes) -> [UInt8] {
        try protobuf { (series, writer) throws(MalformedBytes) in
            writer.double(2, series.samples.last?.value ?? .nan)
        }
    }

    private func protobuf(
        _ body: (Series, inout ProtobufWriter) throws(MalformedBytes) -> Void
    ) throws(MalformedBytes) -> [UInt8] {
        var writer = ProtobufWriter(
            reserving: 512 + series.reduce(0) { $0 + 128 + 20 * $1.samples.count })
        for one in series {
            let mark = writer.begin(1)
            try writer.keyValues(1, one.labels)
            try body(one, &writer)
            writer.end(mark)
        }
        statistics.encodeSearch(2, into: &writer)
        if let incomplete {
            writer.uint32(3, 1)
            writer.string(4, incomplete)
        }
        return writer.bytes
    }
}

extension JSONWriter {
    /// A member that holds a number; what JSON has no number for by protobuf's names.
    fileprivate mutating func number(_ name: String, _ value: Double) {
        key(name)
        if value.isFinite {
            raw(floatText(value))
        } else {
            string(value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity")
        }
    }
}
