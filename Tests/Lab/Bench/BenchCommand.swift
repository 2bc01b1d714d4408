// SPDX-License-Identifier: Apache-2.0
// `lab bench`: what a server costs.

import ArgumentParser
import Base

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure what ingestion, storage and queries cost.",
        subcommands: [
            Ingest.self, DecodeBench.self, Metrics.self, Logs.self, Traces.self, PromQL.self,
        ],
        defaultSubcommand: Ingest.self)

    struct Ingest: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Load all three signals into one server, count them back, time queries.")

        @OptionGroup var servers: PeerOptions
        @Option(help: "Samples to send; 0 leaves metrics out.")
        var samples = 1_000_000
        @Option(help: "Bytes of log lines to send; 0 leaves logs out.")
        var logBytes = 500_000_000
        @Option(help: "Spans to send; 0 leaves traces out.")
        var spans = 1_000_000
        @Option(help: "The server's --memory.limit.")
        var memoryLimit = "1GB"
        @Option(help: "The server's --storage.seal-age.")
        var sealAge = "10s"

        func run() async throws {
            try await Cleanup.shared.around {
                let path = try Cleanup.shared.directory(
                    below: servers.directory, keep: servers.keep)
                if servers.keep { say("directory \(path)") }
                let plan = BenchPlan(
                    samples: samples, logBytes: logBytes, spans: spans, seed: servers.seed,
                    lanes: servers.concurrency, path: path)
                try await IngestBench(
                    plan: plan, binary: servers.binary, memoryLimit: memoryLimit, sealAge: sealAge
                ).run()
                if samples > 0 {
                    try await PeerBench(plan: plan).run(servers.peers)
                }
            }
        }
    }
}
