// SPDX-License-Identifier: Apache-2.0
// The same samples in the formats of all ways in.

import Telemetry
import TestKit
import Wire

/// One batch of the fleet, and its samples as each sender would write them.
struct Bodies {
    let batch: MetricBatch
    private let millis: Int64
    /// Labels of each sample by name, `__name__` apart.
    private let rows: [(name: String, labels: [(String, String)], value: Double)]

    init(samples: Int) {
        let shape = MetricShape(
            timeline: Timeline(seed: 1, startNanos: 1_796_000_000_000_000_000), hosts: 20,
            batchSamples: samples)
        batch = shape.batch(3)
        millis = batch.sampleMillis.first ?? 0
        var rows: [(name: String, labels: [(String, String)], value: Double)] = []
        for index in batch.sampleSeries.indices {
            let labels = batch.arena.labels(batch.series[Int(batch.sampleSeries[index])])
            let pairs = labels.pairs
            rows.append(
                (
                    labels["__name__"] ?? "", pairs.filter { $0.0 != "__name__" },
                    batch.sampleValues[index]
                ))
        }
        self.rows = rows
    }

    var count: Int { rows.count }

    private func lines(_ line: (Int) -> String) -> [UInt8] {
        Array(rows.indices.map(line).joined(separator: "\n").utf8) + [10]
    }

    /// A field a line, as a sender that knows Prometheus' model writes.
    var influx: [UInt8] {
        lines { i in
            let tags = rows[i].labels.map { ",\($0.0)=\($0.1)" }.joined()
            return "\(rows[i].name)\(tags) value=\(rows[i].value) \(millis)"
        }
    }

    /// Ten fields a line, as Telegraf writes.
    var telegraf: [UInt8] {
        let heads = stride(from: 0, to: rows.count, by: 10)
        return Array(
            heads.map { head in
                let tags = rows[head].labels.map { ",\($0.0)=\($0.1)" }.joined()
                let fields = rows[head..<min(head + 10, rows.count)].enumerated().map {
                    "field_number_\($0.offset)=\($0.element.value)"
                }
                return "node\(tags) \(fields.joined(separator: ",")) \(millis)000000\n"
            }.joined().utf8)
    }

    var graphite: [UInt8] {
        lines { i in
            let tags = rows[i].labels.map { ";\($0.0)=\($0.1)" }.joined()
            return "\(rows[i].name)\(tags) \(rows[i].value) \(millis / 1000)"
        }
    }

    func statsd(_ type: String) -> [UInt8] {
        lines { i in
            let tags = rows[i].labels.map { "\($0.0):\($0.1)" }.joined(separator: ",")
            return "\(rows[i].name):\(rows[i].value)|\(type)|#\(tags)"
        }
    }

    var exposition: [UInt8] {
        lines { i in
            let labels = rows[i].labels.map { "\($0.0)=\"\($0.1)\"" }.joined(separator: ",")
            return "\(rows[i].name){\(labels)} \(rows[i].value) \(millis)"
        }
    }

    /// A metric per run of samples of one name, one resource.
    var otlp: [UInt8] {
        var out = ProtobufWriter()
        let request = out.begin(1)
        let resource = out.begin(1)
        for (key, value) in [("service.name", "shop"), ("service.instance.id", "one")] {
            attribute(&out, 1, key, value)
        }
        out.end(resource)
        let scope = out.begin(2)
        var index = 0
        while index < rows.count {
            let name = rows[index].name
            let metric = out.begin(2)
            out.string(1, name)
            let gauge = out.begin(5)
            while index < rows.count, rows[index].name == name {
                let point = out.begin(1)
                for label in rows[index].labels { attribute(&out, 7, label.0, label.1) }
                out.fixed64(3, UInt64(millis) * 1_000_000)
                out.double(4, rows[index].value, always: true)
                out.end(point)
                index += 1
            }
            out.end(gauge)
            out.end(metric)
        }
        out.end(scope)
        out.end(request)
        return out.bytes
    }

    private func attribute(
        _ out: inout ProtobufWriter, _ field: UInt32, _ key: String, _ text: String
    ) {
        let pair = out.begin(field)
        out.string(1, key)
        let value = out.begin(2)
        out.string(1, text)
        out.end(value)
        out.end(pair)
    }

    var otlpJSON: [UInt8] {
        let points = rows.map { row in
            let attributes = row.labels.map {
                "{\"key\":\"\($0.0)\",\"value\":{\"stringValue\":\"\($0.1)\"}}"
            }
            return "{\"name\":\"\(row.name)\",\"gauge\":{\"dataPoints\":[{\"attributes\":["
                + attributes.joined(separator: ",")
                + "],\"timeUnixNano\":\"\(millis)000000\",\"asDouble\":\(row.value)}]}}"
        }
        return Array(
            ("{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":["
                + points.joined(separator: ",") + "]}]}]}").utf8)
    }
}
