// SPDX-License-Identifier: Apache-2.0
// Where request bodies come from.

import Base
import Telemetry
import TestKit
import Wire

/// A request that is ready to be sent.
struct LoadRequest: Sendable {
    var path: String
    var headers: [(String, String)]
    var body: [UInt8]
    /// Samples, lines or spans in the body.
    var items: Int
    /// What the data weighs: bytes of lines for logs, of the body before compression else.
    var dataBytes: Int
}

/// A run of requests, each made from its number alone.
protocol LoadSource: Sendable {
    /// What an item is called: sample, line, span.
    var item: String { get }
    var batchCount: Int { get }
    /// Batches of one lane are sent one after the other; returns the lane of a batch.
    func lane(ofBatch batch: Int, lanes: Int) -> Int
    func request(_ batch: Int) throws -> LoadRequest
}

extension LoadSource {
    func lane(ofBatch batch: Int, lanes: Int) -> Int { batch % lanes }
}

/// Samples by remote write.
struct MetricLoad: LoadSource {
    enum Version: String, CaseIterable, Sendable { case rw1, rw2 }
    let shape: MetricShape
    let samples: Int
    let version: Version
    var item: String { "sample" }
    var batchCount: Int { shape.batchCount(samples: samples) }

    /// A series stays in its lane, so that its samples arrive in order of time.
    func lane(ofBatch batch: Int, lanes: Int) -> Int { batch % shape.batchesPerStep % lanes }

    func request(_ index: Int) throws -> LoadRequest {
        try remoteWriteRequest(shape.batch(index, samples: samples), version)
    }
}

/// Samples at one time by remote write 1.0.
func remoteWriteRequest(
    _ samples: [(labels: [(String, String)], value: Double)], millis: Int64
) throws -> LoadRequest {
    var batch = MetricBatch()
    for sample in samples {
        batch.addSample(
            series: batch.addSeries(Labels(sample.labels)), millis: millis, value: sample.value)
    }
    return try remoteWriteRequest(batch, .rw1)
}

func remoteWriteRequest(
    _ batch: MetricBatch, _ version: MetricLoad.Version
) throws -> LoadRequest {
    let plain =
        version == .rw1 ? try RemoteWrite1.encode(batch) : try RemoteWrite2.encode(batch)
    return LoadRequest(
        path: "/api/v1/write",
        headers: [
            ("Content-Encoding", "snappy"),
            (
                "Content-Type",
                version == .rw1
                    ? "application/x-protobuf"
                    : "application/x-protobuf;proto=io.prometheus.write.v2.Request"
            ),
            ("X-Prometheus-Remote-Write-Version", version == .rw1 ? "0.1.0" : "2.0.0"),
        ], body: Snappy.compress(plain), items: batch.sampleSeries.count,
        dataBytes: plain.count)
}

/// Lines by Loki's push API or OTLP.
struct LogLoad: LoadSource {
    enum Format: String, CaseIterable, Sendable { case loki, json, otlp }
    let shape: LogShape
    let lines: Int
    let format: Format
    var item: String { "line" }
    var batchCount: Int { shape.batchCount(lines: lines) }

    func request(_ index: Int) throws -> LoadRequest {
        let batch = shape.batch(index, lines: lines)
        let bytes = batch.lines.reduce(0) { $0 + Int($1.count) }
        switch format {
        case .loki:
            return LoadRequest(
                path: "/loki/api/v1/push", headers: [("Content-Type", "application/x-protobuf")],
                body: Snappy.compress(LokiPush.encodeProtobuf(batch)), items: batch.rowCount,
                dataBytes: bytes)
        case .json:
            return LoadRequest(
                path: "/loki/api/v1/push", headers: [("Content-Type", "application/json")],
                body: LokiPush.encodeJSON(batch), items: batch.rowCount, dataBytes: bytes)
        case .otlp:
            return LoadRequest(
                path: "/v1/logs", headers: [("Content-Type", "application/x-protobuf")],
                body: OTLPLogs.encode(batch), items: batch.rowCount, dataBytes: bytes)
        }
    }
}

/// Spans by OTLP.
struct TraceLoad: LoadSource {
    let shape: TraceShape
    /// Traces of the run, and how many spans of the last one belong to it.
    let traces: Int
    let lastSpans: Int
    var item: String { "span" }
    var batchCount: Int { shape.batchCount(traces: traces) }

    init(shape: TraceShape, spans: Int) {
        self.shape = shape
        (traces, lastSpans) = shape.traces(spans: spans)
    }

    func request(_ index: Int) throws -> LoadRequest {
        let batch = shape.batch(index, traces: traces, lastSpans: lastSpans)
        let body = try OTLPTraces.encode(batch)
        return LoadRequest(
            path: "/v1/traces", headers: [("Content-Type", "application/x-protobuf")], body: body,
            items: batch.rowCount, dataBytes: body.count)
    }
}
