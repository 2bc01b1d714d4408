// SPDX-License-Identifier: Apache-2.0
// Remote write 1.0: prometheus.WriteRequest.

import Base
import Telemetry

/// `prometheus.WriteRequest` both ways. Bodies come and go without their snappy compression.
///
/// Source: prometheus/prometheus `prompb/remote.proto`, `prompb/types.proto`.
package enum RemoteWrite1 {
    /// Decodes a request.
    ///
    /// Points keep the order of the body, all bits of their values and their series' index; what
    /// is wrong with single series is in the result.
    ///
    /// - Throws: `MalformedBytes` when the body is not the protobuf message or exceeds a limit of
    ///   the whole request: nothing of it is usable then.
    package static func decode(
        _ plain: UnsafeRawBufferPointer, limits: MetricDecodingLimits = .init()
    ) throws(MalformedBytes) -> RemoteWriteRequest {
        var collector = SeriesCollector(limits: limits, bodyBytes: plain.count)
        var reader = ProtobufReader(plain)
        while try reader.next() {
            switch reader.field {
            case 1: try series(reader.message(), &collector)
            case 3: try metadata(reader.message(), &collector)
            default: try reader.skip()
            }
        }
        return collector.finish()
    }

    private static func series(
        _ message: ProtobufReader, _ collector: inout SeriesCollector
    ) throws(MalformedBytes) {
        var message = message
        collector.beginSeries()
        message.offset &+= collector.labels.addPlain(message.rest)
        while try message.next() {
            switch message.field {
            case 1: try label(message.message(), &collector.labels)
            case 2: try collector.sample(message.message())
            case 3: try exemplar(message.message(), &collector)
            case 4: try collector.histogram(message.message())
            default: try message.skip()
            }
        }
        _ = try collector.endSeries(message)
    }

    private static func label(
        _ message: ProtobufReader, _ labels: inout LabelCheck
    ) throws(MalformedBytes) {
        var message = message
        var name = UnsafeRawBufferPointer(start: nil, count: 0)
        var value = name
        while try message.next() {
            switch message.field {
            case 1: name = try message.bytes()
            case 2: value = try message.bytes()
            default: try message.skip()
            }
        }
        labels.add(name, value)
    }

    private static func exemplar(
        _ message: ProtobufReader, _ collector: inout SeriesCollector
    ) throws(MalformedBytes) {
        var message = message
        var value = 0.0
        var millis: Int64 = 0
        collector.exemplarLabels.reset()
        while try message.next() {
            switch message.field {
            case 1: try label(message.message(), &collector.exemplarLabels)
            case 2: value = try message.double()
            case 3: millis = try message.int64()
            default: try message.skip()
            }
        }
        try collector.exemplar(value: value, millis: millis, message)
    }

    private static func metadata(
        _ message: ProtobufReader, _ collector: inout SeriesCollector
    ) throws(MalformedBytes) {
        var message = message
        var type = MetricType.unknown
        var family = UnsafeRawBufferPointer(start: nil, count: 0)
        var help = family, unit = family
        while try message.next() {
            switch message.field {
            case 1:
                type =
                    MetricType(rawValue: UInt8(truncatingIfNeeded: try message.uint32()))
                    ?? .unknown
            case 2: family = try message.bytes()
            case 4: help = try message.bytes()
            case 5: unit = try message.bytes()
            default: try message.skip()
            }
        }
        if family.isEmpty { return }
        collector.request.batch.addMetadata(family: family, type: type, help: help, unit: unit)
    }
}
