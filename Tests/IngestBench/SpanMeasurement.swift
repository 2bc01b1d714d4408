// SPDX-License-Identifier: Apache-2.0
// What counting spans costs.

import Base
import Glibc
import Ingest
import Telemetry
import TestKit
import Wire

/// Spans of a shop go through OTLP's decoder, then through span metrics alone; at intervals the
/// samples are handed out. `BENCH_SPANS` is their number.
enum SpanMeasurement {
    static func measure(spans: Int) throws {
        let shape = TraceShape(
            timeline: Timeline(seed: 1, startNanos: 1_800_000_000_000_000_000), batchTraces: 25)
        let (traces, last) = shape.traces(spans: spans)
        let metrics = SpanMetrics(SpanMetricsSettings(), clock: SystemClock())
        var decoding = 0.0
        var counting = 0.0
        var writing = 0.0
        var count = 0
        var rounds = 0
        var samples = 0
        let batches = shape.batchCount(traces: traces)
        for index in 0..<batches {
            let body = try OTLPTraces.encode(
                shape.batch(index, traces: traces, lastSpans: last))
            let begin = seconds()
            let batch = try body.withUnsafeBytes { try OTLPTraces.decodeProtobuf($0) }.batch
            let middle = seconds()
            metrics.record(spans: batch, tenant: .anonymous, generation: 1)
            let end = seconds()
            decoding += middle - begin
            counting += end - middle
            count += batch.rowCount
            if index % max(1, batches / 10) == 0 {
                let begin = seconds()
                let outputs = metrics.collect()
                writing += seconds() - begin
                rounds += 1
                samples += outputs.reduce(0) { $0 + $1.batch.sampleSeries.count }
            }
        }
        print("\(count) spans, \(metrics.counts)")
        print("decode        \(Int(decoding * 1e9) / max(1, count)) ns/span")
        print("span metrics  \(Int(counting * 1e9) / max(1, count)) ns/span")
        print("a round       \(Int(writing * 1e6) / max(1, rounds)) µs")
        print("              \(samples / max(1, rounds)) samples")
    }

    private static func seconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
