// SPDX-License-Identifier: Apache-2.0
// `lab load`: realistic data for a running server.

import ArgumentParser
import Telemetry
import TestKit

struct LoadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load", abstract: "Send generated data to a running server.",
        subcommands: [Metrics.self, Logs.self, Traces.self])

    struct Metrics: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Samples of machines, by remote write.")
        @OptionGroup var options: LoadOptions
        @Option(help: "Samples to send.")
        var items = 1_000_000
        @Option(help: "Machines, of some 430 series each.")
        var hosts = 20
        @Option(help: "Time between two samples of a series.")
        var interval = "15s"
        @Option(help: "Samples per request.")
        var batch = 2000
        @Option(help: "rw1 or rw2: version of remote write.")
        var format = MetricLoad.Version.rw1

        func run() async throws {
            let step = try duration(interval)
            let size = MetricShape(
                timeline: Timeline(seed: 1, startNanos: 0), hosts: hosts, batchSamples: batch)
            let steps = Int64((items + size.seriesCount - 1) / size.seriesCount)
            let timeline = try options.timeline(lengthNanos: steps * step)
            let shape = MetricShape(
                timeline: timeline, hosts: hosts, stepMillis: max(1, step / 1_000_000),
                batchSamples: batch)
            let load = MetricLoad(shape: shape, samples: items, version: format)
            print("\(shape.seriesCount) series of \(hosts) hosts, \(steps) steps")
            try await options.run(load, timeline, items: items) { try await $0.samples(load) }
        }
    }

    struct Logs: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lines of a dozen services, by Loki's push API or OTLP.")
        @OptionGroup var options: LoadOptions
        @Option(help: "Lines to send.")
        var items: Int?
        @Option(help: "Bytes of lines to send, instead of a number of lines.")
        var bytes: Int?
        @Option(name: .customLong("line-every"), help: "Time between two lines.")
        var lineEvery = "2ms"
        @Option(help: "Lines per request.")
        var batch = 2000
        @Option(help: "loki (protobuf), json or otlp.")
        var format = LogLoad.Format.loki

        func run() async throws {
            let every = try duration(lineEvery)
            let lines = LogLoad.lines(items: items, bytes: bytes, seed: options.seed)
            let timeline = try options.timeline(lengthNanos: Int64(lines) * every)
            let shape = LogShape(timeline: timeline, lineEveryNanos: every, batchLines: batch)
            let load = LogLoad(shape: shape, lines: lines, format: format)
            try await options.run(load, timeline, items: lines) { try await $0.lines(load) }
        }
    }

    struct Traces: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Call trees of a dozen services, by OTLP.")
        @OptionGroup var options: LoadOptions
        @Option(help: "Spans to send.")
        var items = 1_000_000
        @Option(help: "Traces per request.")
        var batch = 25

        func run() async throws {
            let size = TraceShape(
                timeline: Timeline(seed: options.seed, startNanos: 0), batchTraces: batch)
            let traces = Int64(size.traces(spans: items).count)
            let timeline = try options.timeline(
                lengthNanos: traces * (try duration(options.traceEvery)))
            let load = TraceLoad(
                shape: TraceShape(timeline: timeline, batchTraces: batch), spans: items)
            print("\(load.traces) traces")
            try await options.run(load, timeline, items: items) { try await $0.spans(load) }
        }
    }
}

extension MetricLoad.Version: ExpressibleByArgument {}
extension LogLoad.Format: ExpressibleByArgument {}

extension LogLoad {
    /// A number of lines: given, or that of so many bytes, judged by the run's first 10,000 lines.
    static func lines(items: Int?, bytes: Int?, seed: UInt64) -> Int {
        guard let bytes else { return items ?? 1_000_000 }
        let probe = LogShape(timeline: Timeline(seed: seed, startNanos: 0), batchLines: 10_000)
        let batch = probe.batch(0)
        let mean = Double(batch.lines.reduce(0) { $0 + Int($1.count) }) / Double(batch.rowCount)
        return max(1, Int(Double(bytes) / mean))
    }
}
