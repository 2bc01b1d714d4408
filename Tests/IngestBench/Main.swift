// SPDX-License-Identifier: Apache-2.0
// What taking samples costs without HTTP: for profiles, and for figures before and after a change.

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

/// Remote write bodies of a fleet go through decompression, decoder and pipeline into a real data
/// directory, on one thread; then its log is replayed and sealed. `BENCH_HOSTS` (20) and
/// `BENCH_STEPS` (120) are the size of the data. With `BENCH_SPANS` spans are counted instead.
@main
struct Main {
    static func main() async throws {
        let spans = number("BENCH_SPANS", 0)
        if spans > 0 { return try SpanMeasurement.measure(spans: spans) }
        try await withTemporaryDirectory { try await measure(in: $0) }
    }

    private static func measure(in path: String) async throws {
        let hosts = number("BENCH_HOSTS", 20)
        let steps = number("BENCH_STEPS", 120)
        let clock = SystemClock()
        let start = clock.wallNanos - Int64(steps) * 15_000_000_000
        let shape = MetricShape(
            timeline: Timeline(seed: 1, startNanos: start), hosts: hosts, batchSamples: 2000)
        let batches = steps * shape.batchesPerStep

        let metrics = MetricStore(MetricStoreConfiguration())
        let logs = LogStore()
        let traces = TraceStore()
        let correlation = Correlation()
        let kernel = try Kernel.open(
            KernelConfiguration(path: path), stores: [metrics, logs, traces, correlation])
        let pipeline = IngestPipeline(
            kernel: kernel, metrics: metrics, logs: logs, traces: traces,
            observers: [correlation], clock: clock, limits: IngestLimits())

        var decoding = 0.0
        var writing = 0.0
        var objects = 0
        for index in 0..<batches {
            let body = Snappy.compress(try RemoteWrite1.encode(shape.batch(index)))
            let begin = seconds(CLOCK_PROCESS_CPUTIME_ID)
            var decoded = RemoteWriteRequest()
            objects += try AllocationCount.during {
                let plain = try body.withUnsafeBytes { try Snappy.decompress($0, limit: 32 << 20) }
                decoded = try plain.withUnsafeBytes { try RemoteWrite1.decode($0) }
            }
            let middle = seconds(CLOCK_PROCESS_CPUTIME_ID)
            _ = try await pipeline.write(metrics: decoded.batch, tenant: .anonymous)
            let end = seconds(CLOCK_PROCESS_CPUTIME_ID)
            decoding += middle - begin
            writing += end - middle
        }
        let samples = Double(steps * shape.seriesCount)
        let held = metrics.statistics
        print("\(Int(samples)) samples of \(shape.seriesCount) series in \(batches) requests")
        print("decompress and decode \(Int(decoding * 1e9 / samples)) ns/sample")
        print("admit, log, append    \(Int(writing * 1e9 / samples)) ns/sample")
        print("objects of decoding   \(Double(objects) / Double(batches)) a request")
        print("heads                 \(held.headBytes / max(1, held.headSeries)) bytes a series")
        await kernel.stop(flush: false)
        pipeline.stop()
        try await measureReplay(in: path)
    }

    /// The log that was written is replayed, and the heads are sealed.
    private static func measureReplay(in path: String) async throws {
        let metrics = MetricStore(MetricStoreConfiguration())
        let stores: [any SignalStore] = [metrics, LogStore(), TraceStore(), Correlation()]
        let clock = SystemClock()
        func timed(_ name: String, _ work: () async throws -> Void) async throws {
            let wall = clock.monotonicNanos
            let cpu = seconds(CLOCK_PROCESS_CPUTIME_ID)
            try await work()
            let text = { (seconds: Double) in "\(Int(seconds * 1000)) ms" }
            print(
                name, text(Double(clock.monotonicNanos - wall) / 1e9),
                "CPU", text(seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu))
        }
        var kernel: Kernel?
        try await timed("replay") {
            kernel = try Kernel.open(KernelConfiguration(path: path), stores: stores)
        }
        let held = metrics.statistics
        print(held.headSeries, "series in heads,", kernel?.status.logBytes ?? 0, "bytes of log")
        try await timed("seal") { try await kernel?.sealNow() }
        if let kernel {
            for (signal, totals) in kernel.status.parts {
                print(signal.name, totals.count, "parts,", totals.bytes, "bytes")
            }
        }
        await kernel?.stop()
    }

    private static func number(_ name: String, _ other: Int) -> Int {
        getenv(name).map { Int(atoi($0)) } ?? other
    }

    private static func seconds(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
