// SPDX-License-Identifier: Apache-2.0
// `lab bench metrics`: what samples cost in three servers.

import ArgumentParser
import Base
import FoundationEssentials
import Glibc
import TestKit

/// Two kinds of data into each server, one server at a time: *long*, few series over hours, shows CPU
/// per sample and bytes on disk; *wide*, many series for some scrapes, shows memory per series and
/// how long a server is away after it was killed.
struct MetricBench: Sendable {
    let peers: [Peer]
    let longSeries: Int
    let longSeconds: Int64
    let wideSeries: Int
    let wideScrapes: Int
    let seed: UInt64
    let lanes: Int
    let path: String

    func run() async throws {
        guard longSeconds > 0 || wideScrapes > 0 else { return }
        var found: [(peer: Peer, binary: String)] = []
        for peer in peers {
            guard let binary = Binaries.find(peer.binary) else {
                say("- \(peer.name): no `\(peer.binary)` on this machine, left out")
                continue
            }
            found.append((peer, binary))
            say("- \(peer.name): \(try await PeerServer.version(binary, below: path))")
        }
        say("")
        if longSeconds > 0 { try await long(found) }
        if wideScrapes > 0 { try await wide(found) }
    }

    private func data(_ series: Int, _ seconds: Int64) -> MetricLoad {
        PromDataSet(series: series, seconds: seconds, ids: 1, seed: seed).metrics
    }

    // MARK: - CPU and disk

    private func long(_ servers: [(peer: Peer, binary: String)]) async throws {
        let load = data(longSeries, longSeconds)
        var table = MarkdownTable(
            "server", "CPU ns/sample", "CPU ns/sample to rest", "peak RSS", "MB on disk",
            "bytes/sample on disk")
        for (peer, binary) in servers {
            complain("\(peer.name): \(load.samples) samples")
            var server = try await PeerServer.start(peer, binary, below: path)
            let before = server.process.usage?.cpuSeconds ?? 0
            let report = try await LoadRun(client: server.client, lanes: lanes).run(load)
            let loaded = server.process.usage?.cpuSeconds ?? 0
            try await server.settle(peer)
            let rested = server.process.usage
            if case .prometheus = peer {
                // Its last two hours are memory and log until a block is due; a snapshot is one.
                let answer = try await server.client.post(
                    "/api/v1/admin/tsdb/snapshot", headers: [], body: [])
                guard answer.isSuccess else { throw LabError("no snapshot: \(answer.text)") }
            }
            try await server.process.stop()
            var stored = server.data
            if case .prometheus = peer {
                stored += "/snapshots"
            } else {
                // What was in memory was written at the stop; merging goes on after the start.
                server = try await PeerServer.start(peer, binary, below: path)
                if case .victoria = peer {
                    _ = try await server.client.get("/internal/force_merge")
                }
                try await server.settle(peer)
                try await server.process.stop()
            }
            let n = Double(max(1, report.acknowledged))
            let bytes = try storedBytes(stored)
            table.row(
                peer.name, decimals((loaded - before) * 1e9 / n, 0),
                decimals(((rested?.cpuSeconds ?? loaded) - before) * 1e9 / n, 0),
                megabytes(rested?.peakBytes ?? 0), decimals(Double(bytes) / 1e6, 1),
                decimals(Double(bytes) / n, 2))
            try FileManager.default.removeItem(atPath: server.data)
        }
        say("## \(load.shape.seriesCount) series, \(load.samples) samples at 15 s\n")
        say(table.text)
    }

    // MARK: - Memory and restart

    private func wide(_ servers: [(peer: Peer, binary: String)]) async throws {
        let load = data(wideSeries, Int64(wideScrapes) * 15)
        let count = Double(load.shape.seriesCount)
        var table = MarkdownTable(
            "server", "CPU ns/sample", "peak RSS", "RSS at rest", "bytes/series at rest",
            "ready after kill -9, s", "RSS after it", "samples counted back")
        for (peer, binary) in servers {
            complain("\(peer.name): \(load.shape.seriesCount) series")
            // As an operator runs it: heads are as old as they get.
            let flags = if case .tern = peer { ["--storage.seal-age", "5m"] } else { [String]() }
            var server = try await PeerServer.start(peer, binary, below: path, flags: flags)
            let before = server.process.usage
            let report = try await LoadRun(client: server.client, lanes: lanes).run(load)
            let loaded = server.process.usage
            try await server.rest()
            let idle = server.process.usage
            server.process.signal(SIGKILL)
            try await server.process.wait(seconds: 60)
            server = try await PeerServer.start(peer, binary, below: path, flags: flags)
            let ready = server.readySeconds
            let after = server.process.usage?.residentBytes ?? 0
            try await SystemClock().sleep(seconds: 3)
            let found = try await Counting(client: server.client).samples(load)
            try await server.process.stop(seconds: 300)
            try FileManager.default.removeItem(atPath: server.data)
            let cpu = (loaded?.cpuSeconds ?? 0) - (before?.cpuSeconds ?? 0)
            let resident = (idle?.residentBytes ?? 0) - (before?.residentBytes ?? 0)
            table.row(
                peer.name, decimals(cpu * 1e9 / Double(max(1, report.acknowledged)), 0),
                megabytes(idle?.peakBytes ?? 0), megabytes(idle?.residentBytes ?? 0),
                decimals(Double(resident) / count, 0), decimals(ready, 2), megabytes(after),
                "\(found) of \(report.acknowledged)")
        }
        say("## \(load.shape.seriesCount) series, \(wideScrapes) scrapes\n")
        say(table.text)
    }
}

extension BenchCommand {
    struct Metrics: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "CPU, memory, disk and restart of three servers that take the same samples.")

        @OptionGroup var servers: PeerOptions
        @Option(help: "Series of the long data.")
        var longSeries = 10_000
        @Option(help: "Minutes of the long data; 0 leaves it out.")
        var longMinutes: Int64 = 240
        @Option(help: "Series of the wide data.")
        var wideSeries = 100_000
        @Option(help: "Scrapes of the wide data; 0 leaves it out.")
        var wideScrapes = 20
        @Option(help: "Series of a load that Tern is killed in; 0 leaves it out.")
        var killSeries = 0
        @Option(
            help: "Percent of those series that have a sample when it is killed, comma-separated.")
        var killAt = "10,25,40,60,80,95,130,170,210"
        @Option(help: "Series of a fleet whose half is replaced every day; 0 leaves it out.")
        var churnSeries = 0
        @Option(help: "Days of that fleet.")
        var churnDays = 4
        @Option(help: "Scrapes of it on each day.")
        var churnScrapes = 24

        private static func directory(_ name: String, _ path: String) throws -> String {
            try FileManager.default.createDirectory(
                atPath: path + "/" + name, withIntermediateDirectories: true)
            return path + "/" + name
        }

        func run() async throws {
            try await Cleanup.shared.around {
                let path = try Cleanup.shared.directory(
                    below: servers.directory, keep: servers.keep)
                try await MetricBench(
                    peers: servers.peers,
                    longSeries: longSeries, longSeconds: longMinutes * 60,
                    wideSeries: wideSeries, wideScrapes: wideScrapes, seed: servers.seed,
                    lanes: servers.concurrency, path: path
                ).run()
                if killSeries > 0 {
                    let moments = killAt.split(separator: ",").compactMap { Int($0) }
                    let last = (moments.max() ?? 100) / 100 + 2
                    try await KillBench(
                        binary: servers.binary, path: try Self.directory("kill", path),
                        load: PromDataSet(
                            series: killSeries, seconds: Int64(last) * 15, ids: 1,
                            seed: servers.seed
                        ).metrics, lanes: servers.concurrency, momentsPercent: moments,
                        flags: ["--storage.seal-age", "5m"]
                    ).run()
                }
                if churnSeries > 0 {
                    try await ChurnBench(
                        binary: servers.binary, path: try Self.directory("churn", path),
                        series: churnSeries, days: churnDays, scrapesPerDay: churnScrapes,
                        seed: servers.seed, lanes: servers.concurrency
                    ).run()
                }
            }
        }
    }
}
