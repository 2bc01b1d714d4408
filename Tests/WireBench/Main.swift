// SPDX-License-Identifier: Apache-2.0
// What the ways in for metrics cost without HTTP and store: for profiles, and for figures before and
// after a change.

import Base
import Glibc
import Ingest
import Telemetry
import TestKit
import Wire

/// Decodes one body of the fleet's samples in each format, again and again, on one thread.
/// Arguments choose by the beginning of the name; `BENCH_SAMPLES` (2,000), `BENCH_MILLIS` (500).
@main
enum WireBench {
    static func main() throws {
        let bodies = Bodies(samples: number("BENCH_SAMPLES", 2000))
        print("way in                      samples   KiB   MB/s  ns/sample  objects/body")
        let first = Snappy.compress(try RemoteWrite1.encode(bodies.batch))
        try run("remote write 1.0", bodies.count, try RemoteWrite1.encode(bodies.batch)) {
            try RemoteWrite1.decode($0).batch.sampleSeries.count
        }
        try run("remote write 1.0, snappy", bodies.count, first) {
            let plain = try Snappy.decompress($0, limit: 32 << 20)
            return try plain.withUnsafeBytes {
                try RemoteWrite1.decode($0).batch.sampleSeries.count
            }
        }
        try run("remote write 2.0", bodies.count, try RemoteWrite2.encode(bodies.batch)) {
            try RemoteWrite2.decode($0).batch.sampleSeries.count
        }
        var options = OTLPMetrics.Options()
        options.names = OTLPNameMemory()
        try run("OTLP, protobuf", bodies.count, bodies.otlp) {
            try OTLPMetrics.decodeProtobuf($0, options).batch.sampleSeries.count
        }
        try run("OTLP, JSON", bodies.count, bodies.otlpJSON) {
            try OTLPMetrics.decodeJSON($0, options).batch.sampleSeries.count
        }
        try run("exposition", bodies.count, bodies.exposition) {
            try Exposition.decode($0, .text, scrapeMillis: 0).batch.sampleSeries.count
        }
        try run("exposition, extra label", bodies.count, bodies.exposition) {
            let batch = try Exposition.decode($0, .text, scrapeMillis: 0).batch
            return batch.setting([("dc", "eu")]).sampleSeries.count
        }
        try run("Influx", bodies.count, bodies.influx) {
            InfluxLines.decode($0, .init(nowMillis: 0)).batch.sampleSeries.count
        }
        try run("Influx, ten fields", bodies.count, bodies.telegraf) {
            InfluxLines.decode($0, .init(nowMillis: 0)).batch.sampleSeries.count
        }
        try run("Graphite", bodies.count, bodies.graphite) {
            GraphiteLines.decode($0, nowMillis: 0).batch.sampleSeries.count
        }
        try run("StatsD, decode", bodies.count, bodies.statsd("g")) {
            var batch = StatsDBatch()
            StatsDLines.decode($0, into: &batch)
            return batch.observations.count
        }
        for (name, type) in [("counters", "c"), ("gauges", "g"), ("timers", "ms")] {
            var aggregator = StatsDAggregator()
            try run("StatsD, \(name)", bodies.count, bodies.statsd(type)) {
                var batch = StatsDBatch()
                StatsDLines.decode($0, into: &batch)
                aggregator.add(batch, nowMillis: 0)
                return batch.observations.count
            }
            let flush = cpuNanos()
            let flushed = aggregator.flush(nowMillis: 1)
            print(
                "  flush of \(flushed.series.count) series: \(rounded((cpuNanos() - flush) / 1e6)) ms"
            )
        }
    }

    private static func run(
        _ name: String, _ samples: Int, _ body: [UInt8],
        _ decode: (UnsafeRawBufferPointer) throws -> Int
    ) throws {
        let wanted = CommandLine.arguments.dropFirst()
        guard wanted.isEmpty || wanted.contains(where: { name.hasPrefix($0) }) else { return }
        let duration = Double(number("BENCH_MILLIS", 500)) * 1e6
        var found = 0
        for _ in 0..<8 { found = try body.withUnsafeBytes { try decode($0) } }
        guard found == samples else { return print("\(name): \(found) of \(samples) samples") }
        var rounds = 0.0
        let started = cpuNanos()
        while cpuNanos() - started < duration {
            rounds += 1
            _ = try body.withUnsafeBytes { try decode($0) }
        }
        let nanos = (cpuNanos() - started) / rounds
        let objects = try AllocationCount.during {
            _ = try body.withUnsafeBytes { try decode($0) }
        }
        let columns = [
            padded(name, -26), padded("\(samples)", 8), padded("\(body.count / 1024)", 5),
            padded(rounded(Double(body.count) / nanos * 1000), 6),
            padded(rounded(nanos / Double(samples)), 10), padded("\(objects)", 13),
        ]
        print(columns.joined(separator: " "))
    }

    private static func number(_ name: String, _ other: Int) -> Int {
        getenv(name).map { Int(atoi($0)) } ?? other
    }

    private static func cpuNanos() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }

    private static func rounded(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

    private static func padded(_ text: String, _ width: Int) -> String {
        let blanks = String(repeating: " ", count: max(0, abs(width) - text.count))
        return width < 0 ? text + blanks : blanks + text
    }
}
