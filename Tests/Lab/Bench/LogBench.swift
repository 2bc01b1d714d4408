// SPDX-License-Identifier: Apache-2.0
// `lab bench logs`: what log lines cost, beside zstd's level 3 over the same lines and, where it is
// to be had, beside VictoriaLogs.

import ArgumentParser
import Base
import FoundationEssentials
import Glibc
import Telemetry
import TestKit

/// Lines of the shop, and of public log files where they are present, pushed to one server after
/// the other as Loki's clients do; then sealed, merged, searched warm and after a restart.
struct LogBench: Sendable {
    let servers: [Peer]
    let path: String
    /// Raw bytes of the shop's lines.
    let byteCount: Int
    /// Raw bytes a second; 0 = as fast as they are taken.
    let rate: Double
    let batchLines: Int
    let lanes: Int
    let seed: UInt64
    let usesCorpora: Bool
    /// Of Tern.
    let flags: [String]

    func run() async throws {
        let shop = LineSource.shop(byteCount, seed: seed, batchLines: batchLines)
        for server in servers { try await measure("the shop", shop, server) }
        guard usesCorpora else { return }
        guard let load = LineSource.corpora(batchLines: batchLines) else {
            say("(no corpora on this machine)")
            return
        }
        for server in servers { try await measure("public log files", load, server) }
    }

    /// A server that runs.
    private struct Running {
        let process: ServerProcess
        let client: LabClient
        let data: String
    }

    private func start(_ peer: Peer, _ directory: String) async throws -> Running {
        if case .tern(let binary) = peer {
            let data = directory + "/" + peer.name
            let tern = try await TernProcess.start(
                binary: binary, data: data, log: data + ".log", flags: flags)
            return Running(process: tern.process, client: tern.client, data: data)
        }
        let server = try await PeerServer.start(peer, peer.binary, below: directory)
        return Running(process: server.process, client: server.client, data: server.data)
    }

    private func questions(
        _ peer: Peer, _ client: LabClient, _ sent: LogPusher.Sent
    ) -> any LogQuestions {
        if case .victoriaLogs = peer {
            return VictoriaLogsQuestions(client: client, sent: sent)
        }
        return LokiQuestions(client: client, sent: sent)
    }

    /// Waits until what was pushed is written and merged.
    private func settle(_ peer: Peer, _ server: Running) async throws {
        if case .tern = peer {
            return try await TernMetrics(client: server.client).waitUntilSealed()
        }
        try await PeerServer(
            process: server.process, client: server.client, data: server.data, readySeconds: 0
        ).rest()
    }

    private func measure(_ name: String, _ load: LineSource, _ peer: Peer) async throws {
        let directory = path + "/" + name.filter { $0 != " " }
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        var pushPath = "/loki/api/v1/push"
        if case .victoriaLogs = peer { pushPath = "/insert" + pushPath }
        var server = try await start(peer, directory)
        let before = server.process.usage?.cpuSeconds ?? 0
        let sent = try await LogPusher(
            client: server.client, path: pushPath, rate: rate, lanes: lanes
        ).push(load)
        let loaded = server.process.usage
        try await settle(peer, server)
        let rested = server.process.usage
        var searches: [(String, Double, String)] = []
        if let needle = sent.needle {
            searches = try await search(questions(peer, server.client, sent), needle, sent)
        }
        try await server.process.stop()
        let stored = try directoryBytes(server.data)
        say(
            "## \(peer.name), \(name): \(sent.lines) lines, \(megabytes(sent.rawBytes)) raw, "
                + "zstd -3 \(megabytes(sent.packedBytes))\n")
        var table = MarkdownTable("what", "figure", "beside zstd -3")
        let zstd = sent.zstdSeconds
        func cpu(_ what: String, _ end: ProcessUsage?) {
            let seconds = (end?.cpuSeconds ?? before) - before
            table.row(
                what, decimals(seconds * 1e9 / Double(max(1, sent.lines)), 0) + " ns/line",
                decimals(seconds / zstd, 2) + " ×")
        }
        table.row("zstd -3", decimals(zstd * 1e9 / Double(max(1, sent.lines)), 0) + " ns/line", "1")
        cpu("CPU until the last push was answered", loaded)
        cpu("CPU until sealed and merged", rested)
        table.row(
            "all files after the stop", megabytes(stored),
            decimals(Double(stored) / Double(max(1, sent.packedBytes)), 3) + " ×")
        table.row(
            "peak RSS at \(decimals(Double(sent.rawBytes) / sent.seconds / 1e6, 1)) MB/s",
            megabytes(rested?.peakBytes ?? 0), "")
        for (what, seconds, note) in searches { table.row(what, milliseconds(seconds), note) }
        if let needle = sent.needle {
            try dropFromPageCache(server.data)
            server = try await start(peer, directory)
            let found = try await questions(peer, server.client, sent).needle(needle)
            table.row(
                "trace id, cold, after a restart", milliseconds(found.seconds),
                "\(found.count) lines")
            try await server.process.stop()
        }
        say(table.text)
    }

    private func milliseconds(_ seconds: Double) -> String { decimals(seconds * 1e3, 1) + " ms" }

    /// Names, seconds and notes.
    private func search(
        _ questions: some LogQuestions, _ needle: TraceID, _ sent: LogPusher.Sent
    ) async throws -> [(String, Double, String)] {
        let id = try await questions.best { try await $0.needle(needle) }
        // All its words occur, so that no block is left out for its words.
        let scan = try await questions.best { try await $0.scan("retrying upstream deadlock") }
        let groups = try await questions.best { try await $0.countByService() }
        return [
            ("trace id, warm", id.seconds, "\(id.count) lines"),
            (
                "absent phrase of known words", scan.seconds,
                decimals(Double(sent.rawBytes) / scan.seconds / 1e9, 2) + " GB/s, "
                    + "\(scan.count) lines"
            ),
            ("number of lines by service", groups.seconds, "\(groups.count) groups"),
        ]
    }

    /// Asks the kernel to forget the pages of the server's own files.
    private func dropFromPageCache(_ path: String) throws {
        for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
            let descriptor = open(path + "/" + name, O_RDONLY)
            guard descriptor >= 0 else { continue }
            defer { close(descriptor) }
            _ = fsync(descriptor)
            _ = posix_fadvise(descriptor, 0, 0, Int32(POSIX_FADV_DONTNEED))
        }
    }
}

extension BenchCommand {
    struct Logs: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "CPU, memory, disk and searches of a server that takes log lines.")

        @Option(help: "The server's binary (the one built beside this).")
        var binary = Binaries.tern
        @Option(help: "VictoriaLogs' binary, measured after it; left out when there is none.")
        var victoriaLogs = "victoria-logs"
        @Option(help: "Raw megabytes of the shop's lines.")
        var megabytes = 100
        @Option(help: "Raw megabytes a second; 0 = as fast as they are taken.")
        var rate = 20.0
        @Option(help: "Lines of a push.")
        var batchLines = 1000
        @Option(help: "Pushes at once.")
        var concurrency = 4
        @Option(help: "Seed of the data.")
        var seed: UInt64 = 1
        @Flag(inversion: .prefixedNo, help: "Also public log files, where they are present.")
        var corpora = true
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
                if let found = Binaries.find(victoriaLogs) {
                    servers.append(.victoriaLogs(found))
                } else {
                    say("VictoriaLogs: no `\(victoriaLogs)` on this machine, left out\n")
                }
                for server in servers {
                    let version = try await PeerServer.version(server.binary, below: path)
                    say("- \(server.name): \(version)")
                }
                say("")
                try await LogBench(
                    servers: servers, path: path, byteCount: megabytes * 1_000_000,
                    rate: rate * 1e6, batchLines: max(1, batchLines), lanes: max(1, concurrency),
                    seed: seed, usesCorpora: corpora, flags: ["--storage.seal-age", sealAge]
                ).run()
            }
        }
    }
}
