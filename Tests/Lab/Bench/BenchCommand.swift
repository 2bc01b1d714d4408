// SPDX-License-Identifier: Apache-2.0
// `lab bench`: what a server costs.

import ArgumentParser
import Base

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure what ingestion, storage and queries cost.",
        subcommands: [Ingest.self, DecodeBench.self, Metrics.self, PromQL.self],
        defaultSubcommand: Ingest.self)

    struct Ingest: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Load all three signals into one server, count them back, time queries.")

        @Option(help: "The server's binary (the one built beside this).")
        var binary = Binaries.tern
        @Option(help: "Samples to send; 0 leaves metrics out.")
        var samples = 1_000_000
        @Option(help: "Bytes of log lines to send; 0 leaves logs out.")
        var logBytes = 500_000_000
        @Option(help: "Spans to send; 0 leaves traces out.")
        var spans = 1_000_000
        @Option(help: "Seed of the data.")
        var seed: UInt64 = 1
        @Option(help: "Requests at once.")
        var concurrency = 4
        @Option(help: "The server's --memory.limit.")
        var memoryLimit = "1GB"
        @Option(help: "The server's --storage.seal-age.")
        var sealAge = "10s"
        @Option(help: "Prometheus' binary; skipped when there is none.")
        var prometheus = "prometheus"
        @Option(help: "VictoriaMetrics' binary; skipped when there is none.")
        var victoria = "victoria-metrics"
        @Option(help: "Where data directories are made (the system's temporary directory).")
        var directory: String?
        @Flag(help: "Keep the data directories.")
        var keep = false

        func run() async throws {
            try await Cleanup.shared.around {
                let path = try Cleanup.shared.directory(below: directory, keep: keep)
                if keep { say("directory \(path)") }
                let plan = BenchPlan(
                    samples: samples, logBytes: logBytes, spans: spans, seed: seed,
                    lanes: concurrency, path: path)
                try await IngestBench(
                    plan: plan, binary: binary, memoryLimit: memoryLimit, sealAge: sealAge
                ).run()
                if samples > 0 {
                    try await PeerBench(plan: plan).run([
                        .tern(binary), .prometheus(prometheus), .victoria(victoria),
                    ])
                }
            }
        }
    }
}
