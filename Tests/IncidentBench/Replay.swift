// SPDX-License-Identifier: Apache-2.0
// Puts telemetry into real stores, on the way it takes in the server.

import Base
import Correlation
import Diagnosis
import Ingest
import LogStore
import MetricStore
import Storage
import Telemetry
import TraceStore
import Wire

/// A data directory with stores and pipeline.
final class Replay {
    let metrics = MetricStore(MetricStoreConfiguration())
    let logs = LogStore()
    let traces = TraceStore()
    let correlation = Correlation()
    private let kernel: Kernel
    private let pipeline: IngestPipeline

    init(path: String) throws {
        // The corpus is years old.
        let retention = 9e9
        kernel = try Kernel.open(
            KernelConfiguration(path: path, retentionSeconds: retention),
            stores: [metrics, logs, traces, correlation])
        var limits = IngestLimits()
        limits.retentionSeconds = retention
        pipeline = IngestPipeline(
            kernel: kernel, metrics: metrics, logs: logs, traces: traces, observers: [correlation],
            clock: SystemClock(), limits: limits)
    }

    var sources: SignalSources {
        SignalSources(spans: traces, logs: logs, metrics: metrics, index: correlation)
    }

    func write(_ telemetry: Recording) async throws {
        for (_, batch) in telemetry.spans.sorted(by: { $0.key < $1.key }) {
            let body = try OTLPTraces.encode(batch)
            let decoded = try body.withUnsafeBytes { try OTLPTraces.decodeProtobuf($0) }
            _ = try await pipeline.write(spans: decoded.batch, tenant: .anonymous)
        }
        for (_, batch) in telemetry.logs.sorted(by: { $0.key < $1.key }) {
            let body = LokiPush.encodeProtobuf(batch)
            let decoded = try body.withUnsafeBytes { try LokiPush.decodeProtobuf($0) }
            _ = try await pipeline.write(logs: decoded.batch, tenant: .anonymous)
        }
        let body = try RemoteWrite1.encode(telemetry.metrics)
        let decoded = try body.withUnsafeBytes { try RemoteWrite1.decode($0) }
        _ = try await pipeline.write(metrics: decoded.batch, tenant: .anonymous)
    }

    func stop() async {
        await kernel.stop(flush: false)
        pipeline.stop()
    }
}
