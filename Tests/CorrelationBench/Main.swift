// SPDX-License-Identifier: Apache-2.0
// What the correlation index costs beside three signals, and how fast a trace id leads to all three.

import Base
import Correlation
import Glibc
import Ingest
import LogStore
import MetricStore
import Storage
import Telemetry
import TestKit
import TraceStore
import Wire

/// The shop's metrics (remote write, with exemplars), log lines (Loki push) and spans (OTLP) of the
/// same minutes go through decoders and pipeline into a real data directory, on one thread; heads are sealed
/// and parts merged between. Then ids of traces are looked up in all three.
///
/// - `BENCH_SPANS` (200,000): size of the data.
/// - `BENCH_LINES_PER_SPAN` (5): as in 10 million spans and 50 million lines.
/// - `BENCH_PODS` (33): that are scraped every 15 seconds.
/// - `BENCH_SEAL` (250,000): spans after which heads are sealed.
/// - `BENCH_TURNS` (500): traces that are looked up.
@main
struct Main {
    static func main() async throws {
        // As the server sets it.
        Allocator.limitHeaps(4, keptBytes: 8 << 20)
        try await withTemporaryDirectory { path in
            let server = try Stores(path)
            var traffic = Traffic(clock: SystemClock())
            try await traffic.send(to: server)
            traffic.show()
            server.show(spans: traffic.spans, lines: traffic.lines, samples: traffic.samples)
            try Looking(stores: server, traffic: traffic).run()
            await server.stop()
        }
    }

    static func number(_ name: String, _ other: Int) -> Int {
        getenv(name).map { Int(atoi($0)) } ?? other
    }
}

/// Stores, kernel and pipeline as the server has them, the index with a watch around it.
final class Stores {
    let metrics = MetricStore(MetricStoreConfiguration())
    let logs = LogStore()
    let traces = TraceStore()
    let index: TimedIndex
    let kernel: Kernel
    let pipeline: IngestPipeline

    init(_ path: String) throws {
        var configuration = KernelConfiguration(path: path)
        // Sealing and merging happen when asked for.
        configuration.sealBytes = 8 << 30
        configuration.sealReplaySeconds = 1e6
        configuration.sealLogBytes = 8 << 30
        configuration.sealAgeSeconds = 1e6
        configuration.compactionIntervalSeconds = 1e6
        index = TimedIndex(stored: traces)
        kernel = try Kernel.open(configuration, stores: [metrics, logs, traces, index])
        kernel.start()
        var limits = IngestLimits()
        limits.headBytes = 8 << 30
        pipeline = IngestPipeline(
            kernel: kernel, metrics: metrics, logs: logs, traces: traces, observers: [index],
            clock: SystemClock(), limits: limits)
    }

    func stop() async {
        await kernel.stop(flush: false)
        pipeline.stop()
    }

    /// Bytes of parts by signal and the index's share of them.
    func show(spans: Int, lines: Int, samples: Int) {
        let parts = kernel.status.parts
        let all = parts.values.reduce(0) { $0 + Int($1.bytes) }
        func line(_ signal: Signal, _ per: String, _ count: Int) {
            let bytes = Int(parts[signal]?.bytes ?? 0)
            let each = Double(bytes * 1000 / max(1, count)) / 1000
            print(
                "\(signal.name): \(bytes) bytes, \(each) per \(per),",
                "\(Double(bytes * 1000 / max(1, all)) / 10) % of all,",
                "\(parts[signal]?.count ?? 0) parts")
        }
        line(.metrics, "sample", samples)
        line(.logs, "line", lines)
        line(.traces, "span", spans)
        line(.correlation, "span", spans)
    }
}
