// SPDX-License-Identifier: Apache-2.0
// `lab bench traces`: what spans cost in a server and, where it is to be had, in VictoriaTraces.

import ArgumentParser
import Base
import FoundationEssentials
import Glibc
import Telemetry
import TestKit

/// The shop's traces, sent to one server after the other over OTLP; then sealed, merged and asked
/// for.
struct TraceBench: Sendable {
    let servers: [Peer]
    let path: String
    let spans: Int
    /// Spans of each trace; nil = 5 to 60.
    let perTrace: Int?
    /// Spans a second; nil = as fast as they are taken.
    let rate: Double?
    let lanes: Int
    let turns: Int
    let seed: UInt64
    /// Of Tern.
    let flags: [String]

    func run() async throws {
        let day: Int64 = 86_400_000_000_000
        let start = (SystemClock().wallNanos / day - 2) * day
        let shape = TraceShape(
            timeline: Timeline(seed: seed, startNanos: start, traceEveryNanos: 5_000_000),
            batchTraces: 40, spansPerTrace: perTrace)
        for server in servers { try await measure(server, shape) }
    }

    private func measure(_ peer: Peer, _ shape: TraceShape) async throws {
        let process: ServerProcess, client: LabClient, data: String
        if case .tern(let binary) = peer {
            data = path + "/" + peer.name
            let tern = try await TernProcess.start(
                binary: binary, data: data, log: data + ".log", flags: flags)
            (process, client) = (tern.process, tern.client)
        } else {
            let server = try await PeerServer.start(peer, peer.binary, below: path)
            (process, client, data) = (server.process, server.client, server.data)
        }
        let before = process.usage?.cpuSeconds ?? 0
        let load = PathLoad(
            source: TraceLoad(shape: shape, spans: spans), path: peer.spansPath)
        let report = try await LoadRun(client: client, lanes: lanes, rate: rate).run(load)
        let loaded = process.usage
        if case .tern = peer {
            try await TernMetrics(client: client).waitUntilSealed()
        } else {
            try await PeerServer(process: process, client: client, data: data, readySeconds: 0)
                .rest()
        }
        guard let loaded, let rested = process.usage else {
            throw LabError("\(peer.name) is gone")
        }
        let questions = TraceQuestions(
            client: client, jaegerPath: peer.jaegerPath, tempoPath: peer.tempoPath, shape: shape,
            traceCount: load.source.traces, seed: seed)
        let times = try await questions.all(turns: turns)
        let asked = process.usage
        try await process.stop()
        let n = Double(max(1, report.acknowledged))
        say(
            "## \(peer.name): \(report.acknowledged) spans of \(load.source.traces) traces, "
                + "\(report.bodyBytes / max(1, report.acknowledged)) bytes a span on the wire\n")
        var table = MarkdownTable("what", "figure", "")
        func cpu(_ what: String, _ usage: ProcessUsage) {
            table.row(
                what, decimals((usage.cpuSeconds - before) * 1e6 / n, 2) + " s/million spans", "")
        }
        cpu("CPU until the last request was answered", loaded)
        cpu("CPU until sealed and merged", rested)
        table.row(
            "all files after the stop",
            decimals(Double(try directoryBytes(data)) / n, 1) + " bytes/span", "")
        table.row(
            "peak RSS at \(decimals(n / report.seconds, 0)) spans/s", megabytes(rested.peakBytes),
            "resident \(megabytes(rested.residentBytes))")
        table.row("peak RSS after the questions", megabytes(asked?.peakBytes ?? 0), "")
        for time in times {
            table.row(
                time.name,
                "p50 \(decimals(time.quantile(0.5) * 1e3, 1)) ms, "
                    + "p99 \(decimals(time.quantile(0.99) * 1e3, 1)) ms",
                "\(time.count) \(time.unit)")
        }
        say(table.text)
    }
}

/// The same requests to another path.
private struct PathLoad: LoadSource {
    let source: TraceLoad
    let path: String
    var item: String { source.item }
    var batchCount: Int { source.batchCount }

    func request(_ batch: Int) throws -> LoadRequest {
        var request = try source.request(batch)
        request.path = path
        return request
    }
}

extension Peer {
    fileprivate var spansPath: String {
        if case .victoriaTraces = self { "/insert/opentelemetry/v1/traces" } else { "/v1/traces" }
    }

    fileprivate var jaegerPath: String {
        if case .victoriaTraces = self { "/select/jaeger" } else { "/jaeger" }
    }

    fileprivate var tempoPath: String? {
        if case .victoriaTraces = self { nil } else { "/tempo" }
    }
}

extension BenchCommand {
    struct Traces: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "CPU, memory, disk, look-ups and searches of a server that takes spans.")

        @Option(help: "The server's binary (the one built beside this).")
        var binary = Binaries.tern
        @Option(help: "VictoriaTraces' binary, measured after it; left out when there is none.")
        var victoriaTraces = "victoria-traces"
        @Option(help: "Spans to send.")
        var spans = 1_000_000
        @Option(help: "Spans of each trace; 0 = 5 to 60.")
        var perTrace = 10
        @Option(help: "Spans a second; 0 = as fast as they are taken.")
        var rate = 20_000.0
        @Option(help: "Requests at once.")
        var concurrency = 4
        @Option(help: "Look-ups by id.")
        var turns = 200
        @Option(help: "Seed of the data.")
        var seed: UInt64 = 1
        @Option(help: "The server's --storage.seal-age.")
        var sealAge = "15s"
        @Option(help: "Where data directories are made (the system's temporary directory).")
        var directory: String?
        @Flag(help: "Keep the data directories and logs.")
        var keep = false

        func run() async throws {
            try await Cleanup.shared.around {
                let path = try Cleanup.shared.directory(below: directory, keep: keep)
                if keep { say("directory \(path)") }
                var servers = [Peer.tern(binary)]
                if let found = Binaries.find(victoriaTraces) {
                    servers.append(.victoriaTraces(found))
                } else {
                    say("VictoriaTraces: no `\(victoriaTraces)` on this machine, left out\n")
                }
                for server in servers {
                    let version = try await PeerServer.version(server.binary, below: path)
                    say("- \(server.name): \(version)")
                }
                say("")
                try await TraceBench(
                    servers: servers, path: path, spans: max(1, spans),
                    perTrace: perTrace > 0 ? perTrace : nil, rate: rate > 0 ? rate : nil,
                    lanes: max(1, concurrency), turns: max(1, turns), seed: seed,
                    flags: ["--storage.seal-age", sealAge]
                ).run()
            }
        }
    }
}
