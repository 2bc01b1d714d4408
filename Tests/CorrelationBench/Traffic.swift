// SPDX-License-Identifier: Apache-2.0
// Minutes of the shop in three signals.

import Base
import Glibc
import Ingest
import Storage
import Telemetry
import TestKit
import Wire

/// What is sent and what taking it costs. A trace starts every five milliseconds; lines and scrapes
/// come beside.
struct Traffic {
    let spans = Main.number("BENCH_SPANS", 200_000)
    let lines: Int
    let shape: TraceShape
    let logShape: LogShape
    private(set) var samples = 0
    private let metricShape: MetricShape
    private let traceCount: Int
    private let lastSpans: Int
    private let sealEvery = Main.number("BENCH_SEAL", 250_000)
    private var ingest = 0.0, sealing = 0.0, merging = 0.0
    private var costs = TimedIndex.Costs()
    private static let traceEveryNanos: Int64 = 5_000_000
    private static let spansPerTrace = 10

    init(clock: any Clock) {
        let perSpan = Main.number("BENCH_LINES_PER_SPAN", 5)
        lines = spans * perSpan
        let day: Int64 = 86_400_000_000_000
        let timeline = Timeline(
            seed: 1, startNanos: (clock.wallNanos / day - 2) * day,
            traceEveryNanos: Traffic.traceEveryNanos)
        shape = TraceShape(
            timeline: timeline, batchTraces: 40, spansPerTrace: Traffic.spansPerTrace)
        logShape = LogShape(
            timeline: timeline,
            lineEveryNanos: Traffic.traceEveryNanos
                / Int64(max(1, perSpan * Traffic.spansPerTrace)),
            batchLines: 1000)
        metricShape = MetricShape(
            timeline: timeline, hosts: Main.number("BENCH_PODS", 33), batchSamples: 2000)
        (traceCount, lastSpans) = shape.traces(spans: spans)
    }

    var traces: Int { traceCount }

    mutating func send(to stores: Stores) async throws {
        var logBatch = 0, step = 0, sinceSeal = 0
        for index in 0..<shape.batchCount(traces: traceCount) {
            let range = shape.traces(ofBatch: index, traces: traceCount)
            let nanos =
                shape.timeline.startNanos + Int64(range.lowerBound) * Traffic.traceEveryNanos
            while metricShape.millis(step: step) <= nanos / 1_000_000 {
                for part in 0..<metricShape.batchesPerStep {
                    try await write(
                        metrics: metricShape.batch(step * metricShape.batchesPerStep + part),
                        stores)
                }
                try await write(metrics: exemplars(at: nanos, trace: range.lowerBound), stores)
                step += 1
            }
            let body = try OTLPTraces.encode(
                shape.batch(index, traces: traceCount, lastSpans: lastSpans))
            let begin = cpuSeconds()
            let decoded = try body.withUnsafeBytes { try OTLPTraces.decodeProtobuf($0) }
            sinceSeal += decoded.batch.rowCount
            _ = try await stores.pipeline.write(spans: decoded.batch, tenant: .anonymous)
            ingest += cpuSeconds() - begin
            let wanted = lines * range.upperBound / traceCount / logShape.batchLines
            while logBatch < wanted {
                try await write(logs: logShape.batch(logBatch, lines: lines), stores)
                logBatch += 1
            }
            if sinceSeal >= sealEvery || range.upperBound == traceCount {
                sinceSeal = 0
                try await settle(stores)
            }
        }
        costs = stores.index.costs
    }

    private mutating func settle(_ stores: Stores) async throws {
        let begin = cpuSeconds()
        try await stores.kernel.sealNow()
        let sealed = cpuSeconds()
        try await stores.kernel.compactNow()
        sealing += sealed - begin
        merging += cpuSeconds() - sealed
    }

    private mutating func write(metrics batch: MetricBatch, _ stores: Stores) async throws {
        let body = Snappy.compress(try RemoteWrite1.encode(batch))
        let begin = cpuSeconds()
        let plain = try body.withUnsafeBytes { try Snappy.decompress($0, limit: 32 << 20) }
        let decoded = try plain.withUnsafeBytes { try RemoteWrite1.decode($0) }
        samples += decoded.batch.sampleSeries.count
        _ = try await stores.pipeline.write(metrics: decoded.batch, tenant: .anonymous)
        ingest += cpuSeconds() - begin
    }

    private mutating func write(logs batch: LogBatch, _ stores: Stores) async throws {
        let body = Snappy.compress(LokiPush.encodeProtobuf(batch))
        let begin = cpuSeconds()
        let plain = try body.withUnsafeBytes { try Snappy.decompress($0, limit: 32 << 20) }
        let decoded = try plain.withUnsafeBytes { try LokiPush.decodeProtobuf($0) }
        _ = try await stores.pipeline.write(logs: decoded.batch, tenant: .anonymous)
        ingest += cpuSeconds() - begin
    }

    /// An exemplar per service and bucket of its request durations: those of the next traces.
    private func exemplars(at nanos: Int64, trace first: Int) -> MetricBatch {
        var batch = MetricBatch()
        var trace = first
        for service in Shop.services {
            for bucket in ["0.005", "0.05", "0.1", "0.5", "1", "+Inf"] {
                let series = batch.addSeries(
                    Labels([
                        ("__name__", "http_server_request_duration_seconds_bucket"),
                        ("job", service.name), ("le", bucket),
                    ]))
                let labels = Labels([("trace_id", shape.traceID(trace).description)])
                batch.addSample(
                    series: series, millis: nanos / 1_000_000, value: Double(trace))
                batch.exemplarLabels.append(labels.bytes.withUnsafeBytes { batch.arena.keep($0) })
                batch.exemplarSeries.append(series)
                batch.exemplarMillis.append(nanos / 1_000_000)
                batch.exemplarValues.append(0.01)
                trace += 1
            }
        }
        return batch
    }

    func show() {
        func seconds(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }
        let all = ingest + sealing + merging
        print("\(spans) spans of \(traceCount) traces, \(lines) lines, \(samples) samples")
        print(
            "CPU seconds: decode, log and heads \(seconds(ingest)), seal \(seconds(sealing)),",
            "merge \(seconds(merging)), together \(seconds(all))")
        print(
            "of these the index: metrics \(seconds(costs.metrics)), logs \(seconds(costs.logs)),",
            "spans \(seconds(costs.spans)), seal \(seconds(costs.sealing)),",
            "merge \(seconds(costs.merging)), together \(seconds(costs.all)),",
            "\((costs.all / all * 1000).rounded() / 10) %")
    }
}

/// CPU seconds of the process.
func cpuSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
