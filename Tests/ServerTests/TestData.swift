// SPDX-License-Identifier: Apache-2.0
// Good and bad requests as bytes.

import Base
import Wire

/// One series with its samples, as a test writes it; names and values may be any bytes.
struct TestSeries {
    var labels: [([UInt8], [UInt8])]
    var samples: [(value: Double, millis: Int64)]

    init(_ labels: [(String, String)], _ samples: [(value: Double, millis: Int64)]) {
        self.labels = labels.map { (Array($0.0.utf8), Array($0.1.utf8)) }
        self.samples = samples
    }
}

var nowMillis: Int64 { SystemClock().wallNanos / 1_000_000 }

/// A remote write 1.0 message, uncompressed.
func remoteWriteMessage(_ series: [TestSeries]) -> [UInt8] {
    var writer = ProtobufWriter()
    for one in series {
        writer.message(1) { message in
            for (name, value) in one.labels {
                message.message(1) { label in
                    label.bytes(1, name)
                    label.bytes(2, value)
                }
            }
            for sample in one.samples {
                message.message(2) { point in
                    point.double(1, sample.value)
                    point.int64(2, sample.millis)
                }
            }
        }
    }
    return writer.bytes
}

/// A good message of one sample, compressed.
func remoteWriteBody(_ name: String, _ value: Double = 1, millis: Int64 = nowMillis) -> [UInt8] {
    Snappy.compress(
        remoteWriteMessage([TestSeries([("__name__", name), ("job", "test")], [(value, millis)])]))
}

/// A push of one line.
func lokiBody(_ app: String, _ line: String, nanos: Int64 = nowMillis * 1_000_000) -> [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    json.key("streams")
    json.beginArray()
    json.beginObject()
    json.key("stream")
    json.beginObject()
    json.member("app", app)
    json.endObject()
    json.key("values")
    json.beginArray()
    json.beginArray()
    json.string(String(nanos))
    json.string(line)
    json.endArray()
    json.endArray()
    json.endObject()
    json.endArray()
    json.endObject()
    return json.bytes
}

/// A trace export of one span, ids as any bytes.
func otlpTraceMessage(
    service: String, name: String, traceID: [UInt8], spanID: [UInt8],
    startNanos: Int64 = nowMillis * 1_000_000, attribute: [UInt8] = Array("v".utf8)
) -> [UInt8] {
    var writer = ProtobufWriter()
    writer.message(1) { group in
        group.message(1) {
            $0.message(1) { otlpAttribute("service.name", Array(service.utf8), &$0) }
        }
        group.message(2) { scope in
            scope.message(2) { span in
                span.bytes(1, traceID)
                span.bytes(2, spanID)
                span.string(5, name)
                span.int32(6, 2)
                span.fixed64(7, UInt64(startNanos))
                span.fixed64(8, UInt64(startNanos + 1_000_000))
                span.message(9) { otlpAttribute("key", attribute, &$0) }
            }
        }
    }
    return writer.bytes
}

private func otlpAttribute(_ key: String, _ value: [UInt8], _ writer: inout ProtobufWriter) {
    writer.string(1, key)
    writer.message(2) { $0.bytes(1, value) }
}

/// A log export of one record.
func otlpLogMessage(service: String, line: [UInt8], traceID: [UInt8] = []) -> [UInt8] {
    var writer = ProtobufWriter()
    writer.message(1) { group in
        group.message(1) {
            $0.message(1) { otlpAttribute("service.name", Array(service.utf8), &$0) }
        }
        group.message(2) { scope in
            scope.message(2) { record in
                record.fixed64(1, UInt64(nowMillis) * 1_000_000)
                record.message(5) { $0.bytes(1, line) }
                record.bytes(9, traceID)
            }
        }
    }
    return writer.bytes
}

/// A metric export of one gauge point.
func otlpGaugeMessage(
    service: String, name: String, value: Double = 1, millis: Int64 = nowMillis
) -> [UInt8] {
    var writer = ProtobufWriter()
    writer.message(1) { group in
        group.message(1) {
            $0.message(1) { otlpAttribute("service.name", Array(service.utf8), &$0) }
        }
        group.message(2) { scope in
            scope.message(2) { metric in
                metric.string(1, name)
                metric.message(5) { gauge in
                    gauge.message(1) { point in
                        point.fixed64(3, UInt64(millis) * 1_000_000)
                        point.double(4, value)
                    }
                }
            }
        }
    }
    return writer.bytes
}

let protobuf = "application/x-protobuf"
let goodTraceID = (1...16).map { UInt8($0) }
let goodSpanID = (1...8).map { UInt8($0) }
